//! Those whose tokens are accepted, and which of them a token is for.

mod asked;
pub(crate) mod claims;
mod discovery;
mod introspection;
mod issuer;
mod key;
mod key_set;
mod keyring;
mod token;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_core::Principal;

use crate::cache::Cache;
use crate::config::{ConfigError, GateConfig, KeySource};
use crate::digest::Digest;
use crate::error::{Reason, Refusal};
use crate::fetch::Fetcher;
use crate::figures::Figures;
use crate::secret::Secret;
use asked::{AskedAbout, Due};
use discovery::Discovery;
use issuer::{Issuer, Verified};
use token::Token;

/// More issuers than this are a mistake.
const ISSUERS_MAX: usize = 64;

/// All issuers of a config, with what is known of their tokens.
pub(crate) struct Issuers {
    list: Vec<Issuer>,
    /// By the hash of the token.
    known: Cache<Known>,
    asked: AskedAbout,
    figures: Arc<Figures>,
}

/// A token that was verified before.
#[derive(Clone)]
struct Known {
    principal: Principal,
    issuer: usize,
    key: Option<Digest>,
}

impl Issuers {
    pub(crate) fn new(config: &GateConfig, figures: Arc<Figures>) -> Result<Issuers, ConfigError> {
        if config.issuers.len() > ISSUERS_MAX {
            return Err(ConfigError::new("issuers", format!("there are more than {ISSUERS_MAX}")));
        }
        let fetcher = Fetcher::new(&config.fetch, &urls(config))?;
        let mut list: Vec<Issuer> = Vec::new();
        for issuer in &config.issuers {
            let place = || format!("issuer {}", issuer.issuer);
            let issuer = Issuer::new(issuer, &config.fetch, &fetcher, &figures)?;
            if list.iter().any(|other| other.name == issuer.name) {
                return Err(ConfigError::new(place(), "there are two of this name; one can have several audiences"));
            }
            if issuer.opaque && list.iter().any(|other| other.opaque) {
                return Err(ConfigError::new(place(), "tokens that name no issuer can be for one issuer alone"));
            }
            list.push(issuer);
        }
        Ok(Issuers { list, known: Cache::new(config.cache_bytes_max), asked: AskedAbout::default(), figures })
    }

    /// Reads the keys of all, beside each other.
    pub(crate) async fn warm(&self) {
        beside_each_other(self.list.iter().map(Issuer::look_at_keys)).await;
    }

    /// Forgets tokens that nobody shows. Returns how many these are.
    pub(crate) fn forget_idle(&self, now: u64) -> usize {
        self.known.forget_idle(now)
    }

    /// Whether one of them is asked about tokens.
    pub(crate) fn are_asked(&self) -> bool {
        self.list.iter().any(|issuer| issuer.asks_every().is_some())
    }

    /// Asks again about those of `live` that are due within `soon` seconds. Returns how many are not active any more.
    pub(crate) async fn ask_again(&self, live: &HashSet<[u8; 32]>, soon: u64, now: u64) -> usize {
        let lost = AtomicUsize::new(0);
        let count = &lost;
        let rounds = self.asked.due(live, soon, now).into_iter().map(|due| async move {
            let Due { token, digest, issuer } = due;
            // An issuer that cannot be asked stops nobody who was let in; its end is that of the token.
            if let Err(refusal) = self.list[issuer].still_active((&token, digest), now).await
                && refusal.reason() == Reason::Inactive
            {
                self.known.remove(&digest);
                self.asked.lose(digest, now);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        beside_each_other(rounds).await;
        lost.into_inner()
    }

    /// Refuses whose token is not active any more.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Refusal> {
        match principal.asked() {
            Some(asked) if self.asked.is_gone(asked) => {
                Err(Refusal::new(Reason::Inactive, "a token that its issuer does not call active any more"))
            }
            _ => Ok(()),
        }
    }

    /// Whose bearer this is.
    pub(crate) async fn identify(&self, text: &Secret, now: u64) -> Result<Principal, Refusal> {
        let digest = Digest::of(&[text.expose().as_bytes()]);
        if let Some(known) = self.known.get(&digest, now) {
            let issuer = &self.list[known.issuer];
            issuer.look_at_keys().await;
            if issuer.still_has(known.key) {
                Figures::count(&self.figures.known);
                return Ok(known.principal);
            }
            self.known.remove(&digest);
        }
        let (issuer, verified) = self.judge(text, digest, now).await?;
        let Verified { mut vouched, key, until } = verified;
        if let Some(every) = self.list[issuer].asks_every() {
            vouched.asked = Some(self.asked.remember((text, digest), issuer, every, now));
        }
        let principal = Principal::from(vouched);
        let known = Known { principal: principal.clone(), issuer, key };
        self.known.put(digest, known, principal.weight(), until);
        Ok(principal)
    }

    async fn judge(&self, text: &Secret, digest: Digest, now: u64) -> Result<(usize, Verified), Refusal> {
        match Token::parse(text.expose()) {
            Some(token) => {
                let token = token?;
                // The name is not believed: it only chooses who judges, among those of the config.
                let named = token.claims.issuer.as_deref();
                let at = self.position(|issuer| named == Some(&*issuer.name))?;
                Ok((at, self.list[at].judge(token, (text, digest), now).await?))
            }
            None => {
                let at = self.position(|issuer| issuer.opaque)?;
                Ok((at, self.list[at].introspect((text, digest), now).await?))
            }
        }
    }

    fn position(&self, wanted: impl Fn(&Issuer) -> bool) -> Result<usize, Refusal> {
        let unknown = || Refusal::new(Reason::Issuer, "a token of an issuer that the config does not have");
        self.list.iter().position(wanted).ok_or_else(unknown)
    }
}

/// All of them, at the same time.
async fn beside_each_other(rounds: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut rounds: Vec<_> = rounds.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        rounds.retain_mut(|round| round.as_mut().poll(context).is_pending());
        if rounds.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The URLs that the operator wrote.
fn urls(config: &GateConfig) -> Vec<String> {
    let mut urls = Vec::new();
    for issuer in &config.issuers {
        match &issuer.keys {
            Some(KeySource::Jwks(url)) => urls.push(url.clone()),
            Some(KeySource::Discovery) => urls.push(Discovery::url(&issuer.issuer)),
            _ => {}
        }
        if let Some(own) = &issuer.introspection {
            urls.push(own.url.clone().unwrap_or_else(|| Discovery::url(&issuer.issuer)));
        }
    }
    urls
}
