//! Keys that may change: where they come from, when they are read again, and how long they are
//! believed.
//!
//! ```text
//!            age            2 × age                     stale_max
//!   used ─────┼── used, and ───┼── read first; if that ─────┼── read first; if that
//!             │   read beside  │   fails, still used        │   fails, nothing is believed
//! ```
//!
//! A key id that is not in the set is a reason to read too. Whatever the reason, keys are read once in
//! an interval and by one at a time, so no flood of tokens makes a flood of requests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::io::AsyncReadExt;

use super::discovery::Discovery;
use super::key_set::KeySet;
use crate::config::RefreshConfig;
use crate::error::{Reason, Refusal};
use crate::fetch::Fetcher;
use crate::figures::Figures;
use crate::flight::{Flights, Seat};

/// Files of keys are read up to this size.
pub(crate) const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where keys are read.
pub(crate) enum Origin {
    File(PathBuf),
    Jwks(Fetcher, String),
    Discovery(Arc<Discovery>),
}

/// The keys of one issuer.
pub(crate) struct Keyring {
    issuer: Box<str>,
    /// `None`: they are those of the config, and never change.
    origin: Option<Origin>,
    refresh: RefreshConfig,
    held: ArcSwap<Held>,
    tried: Mutex<Option<Instant>>,
    flights: Arc<Flights<(), ()>>,
    figures: Arc<Figures>,
}

struct Held {
    set: Arc<KeySet>,
    /// `None`: they have never been read.
    at: Option<Instant>,
}

impl Keyring {
    /// Keys of the config.
    pub(crate) fn fixed(issuer: &str, set: KeySet, figures: Arc<Figures>) -> Arc<Keyring> {
        Keyring::new(issuer, None, RefreshConfig::default(), Some(set), figures)
    }

    /// Keys that are read; `set` are those that have been read already.
    pub(crate) fn changing(
        issuer: &str,
        origin: Origin,
        refresh: RefreshConfig,
        set: Option<KeySet>,
        figures: Arc<Figures>,
    ) -> Arc<Keyring> {
        Keyring::new(issuer, Some(origin), refresh, set, figures)
    }

    fn new(
        issuer: &str,
        origin: Option<Origin>,
        refresh: RefreshConfig,
        set: Option<KeySet>,
        figures: Arc<Figures>,
    ) -> Arc<Keyring> {
        let held = Held { at: set.as_ref().map(|_| Instant::now()), set: Arc::new(set.unwrap_or_default()) };
        let (issuer, held) = (issuer.into(), ArcSwap::from_pointee(held));
        Arc::new(Keyring { issuer, origin, refresh, held, tried: Mutex::default(), flights: Flights::new(), figures })
    }

    /// The keys to verify with.
    ///
    /// # Errors
    /// [`Reason::Unavailable`]: there are none, or they are too old, and they cannot be read.
    pub(crate) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, Refusal> {
        let age = self.age();
        if self.origin.is_none() || age.is_some_and(|age| age <= self.refresh.age) {
            return Ok(self.set());
        }
        let reading = self.read_again();
        if age.is_none_or(|age| age > 2 * self.refresh.age)
            && let Some(seat) = reading
        {
            seat.answer().await;
        }
        self.believed()
    }

    /// The keys after `seen`, in which something was not found.
    ///
    /// # Errors
    /// As [`keys`](Keyring::keys).
    pub(crate) async fn newer(self: &Arc<Self>, seen: &Arc<KeySet>) -> Result<Arc<KeySet>, Refusal> {
        // Somebody else may have read them meanwhile.
        if Arc::ptr_eq(seen, &self.set())
            && let Some(seat) = self.read_again()
        {
            seat.answer().await;
        }
        self.believed()
    }

    /// The keys that are there, whatever their age.
    pub(crate) fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.held.load().set)
    }

    /// The keys that are there, unless they are too old.
    pub(crate) fn believed(&self) -> Result<Arc<KeySet>, Refusal> {
        let age = self.age();
        if self.origin.is_none() || age.is_some_and(|age| age <= self.refresh.stale_max) {
            return Ok(self.set());
        }
        let what = if age.is_some() { "are too old" } else { "were never read" };
        Err(Refusal::new(Reason::Unavailable, format!("the keys of {} {what}, and cannot be read", self.issuer)))
    }

    fn age(&self) -> Option<Duration> {
        self.held.load().at.map(|at| at.elapsed())
    }

    /// A seat in the reading that goes on or begins; `None`: one has just been.
    fn read_again(self: &Arc<Self>) -> Option<Seat<()>> {
        self.flights.board((), || {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if tried.is_some_and(|tried| tried.elapsed() < self.refresh.interval) {
                return None;
            }
            *tried = Some(Instant::now());
            Some(Arc::clone(self).read())
        })
    }

    async fn read(self: Arc<Self>) {
        Figures::count(&self.figures.key_reads);
        match self.read_origin().await {
            Ok(set) => {
                for reason in &set.left_out {
                    tracing::debug!(issuer = %self.issuer, "a key is left out: {reason}");
                }
                self.held.store(Arc::new(Held { set: Arc::new(set), at: Some(Instant::now()) }));
            }
            Err(reason) => {
                Figures::count(&self.figures.key_read_failures);
                tracing::warn!(issuer = %self.issuer, "its keys cannot be read, those that are there are kept: {reason}");
            }
        }
    }

    async fn read_origin(&self) -> Result<KeySet, String> {
        let bytes = match &self.origin {
            None => return Err("they are those of the config".to_owned()),
            Some(Origin::File(path)) => {
                read_file(path).await.map_err(|error| format!("{}: {error}", path.display()))?
            }
            Some(Origin::Jwks(fetcher, url)) => fetch(fetcher, url).await?,
            Some(Origin::Discovery(discovery)) => {
                let url = discovery.read().await?.key_set.clone().ok_or("the discovery document has no `jwks_uri`")?;
                fetch(discovery.fetcher(), &url).await?
            }
        };
        KeySet::parse(&bytes)
    }
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, String> {
    fetcher.get(url).await.map(Vec::from).map_err(|error| error.to_string())
}

async fn read_file(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
