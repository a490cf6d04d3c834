//! Those whose tokens are accepted, and which of them a token is for.

pub(crate) mod claims;
mod discovery;
mod introspection;
mod issuer;
mod key;
mod key_set;
mod keyring;
mod token;

use std::sync::Arc;

use tidegate_core::Principal;

use crate::cache::Cache;
use crate::config::{ConfigError, GateConfig, KeySource};
use crate::digest::Digest;
use crate::error::{Reason, Refusal};
use crate::fetch::Fetcher;
use crate::figures::Figures;
use crate::secret::Secret;
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
    figures: Arc<Figures>,
}

/// A token that was verified before.
#[derive(Clone)]
struct Known {
    principal: Arc<Principal>,
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
        Ok(Issuers { list, known: Cache::new(config.cache_bytes_max), figures })
    }

    /// Reads the keys of all, beside each other.
    pub(crate) async fn warm(&self) {
        let mut rounds: Vec<_> = self.list.iter().map(|issuer| Box::pin(issuer.look_at_keys())).collect();
        std::future::poll_fn(|context| {
            rounds.retain_mut(|round| round.as_mut().poll(context).is_pending());
            if rounds.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    /// Whose bearer this is.
    pub(crate) async fn identify(&self, text: &Secret, now: u64) -> Result<Arc<Principal>, Refusal> {
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
        let Verified { principal, key, until } = verified;
        let principal = Arc::new(principal);
        let known = Known { principal: Arc::clone(&principal), issuer, key };
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
