//! Reads the files again when they have changed.
//!
//! Whoever renews a certificate replaces two files, one after the other, or a link to a folder with
//! both. So a change is taken when it has been there for one look; and SIGHUP, which comes when all
//! is in place, at once.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use super::keeper::Keeper;
use super::pair::{Pair, PairError};
use crate::config::TlsConfig;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(2);

/// The certificate of a server, and what it was made of.
pub(crate) struct Watch {
    files: TlsConfig,
    keeper: Arc<Keeper>,
    /// The files as they were last read.
    read: Stamps,
}

impl Watch {
    /// Reads the files. A certificate that is not good now is told, and shown all the same.
    pub(crate) fn begin(files: TlsConfig) -> Result<Watch, PairError> {
        // Before they are read: what changes meanwhile is read again.
        let read = Stamps::of(&files);
        let pair = Pair::load(&files)?;
        warn(&pair);
        Ok(Watch { files, keeper: Arc::new(Keeper::new(&pair)), read })
    }

    /// What handshakes and metrics ask.
    pub(crate) fn keeper(&self) -> Arc<Keeper> {
        self.keeper.clone()
    }

    /// Keeps the certificate up to date until the future is dropped.
    pub(crate) async fn run(mut self) {
        let mut hangup = signal(SignalKind::hangup()).inspect_err(|error| {
            tracing::warn!(%error, "SIGHUP cannot be heard; changed certificates are found by looking");
        });
        let mut seen = self.read.clone();
        loop {
            let told = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                Some(()) = async { hangup.as_mut().ok()?.recv().await } => true,
            };
            let now = Stamps::of(&self.files);
            let settled = now == seen;
            seen = now.clone();
            if told || settled && now != self.read {
                self.read = now;
                self.reload().await;
            }
        }
    }

    /// A broken pair is told once: it is read again when the files change again.
    async fn reload(&self) {
        let files = self.files.clone();
        match tokio::task::spawn_blocking(move || Pair::load(&files)).await {
            Ok(Ok(pair)) => {
                self.keeper.replace(&pair);
                tracing::info!("new connections are shown another certificate: {}", pair.title());
                warn(&pair);
            }
            Ok(Err(error)) => {
                self.keeper.failed();
                tracing::error!(
                    "the new certificate is no good, the one before stays: {error}\nPut the files right; they are read again as soon as they change"
                );
            }
            Err(error) => {
                self.keeper.failed();
                tracing::error!(%error, "reading the certificate panicked, the one before stays");
            }
        }
    }
}

fn warn(pair: &Pair) {
    if let Some(warning) = pair.warning(SystemTime::now()) {
        tracing::warn!("{warning}");
    }
}

/// What tells one state of the two files from another; `None`: it is not there, or may not be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    written: (i64, i64),
    bytes: u64,
}

impl Stamps {
    fn of(files: &TlsConfig) -> Stamps {
        Stamps([&files.cert, &files.key].map(|path| Stamp::of(path)))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let file = std::fs::metadata(path).ok()?;
        Some(Stamp { file: (file.dev(), file.ino()), written: (file.mtime(), file.mtime_nsec()), bytes: file.len() })
    }
}
