//! One issuer of the config, and how a token of it is judged.

use std::path::Path;
use std::sync::Arc;

use tidegate_core::principal::Vouched;

use super::claims::Expected;
use super::discovery::Discovery;
use super::introspection::{Introspection, Place};
use super::key::Key;
use super::key_set::KeySet;
use super::keyring::{FILE_BYTES_MAX, Keyring, Origin};
use super::token::Token;
use crate::algorithm::Algorithm;
use crate::config::{ConfigError, FetchConfig, IssuerConfig, KeySource, TokenTypes};
use crate::digest::Digest;
use crate::error::{Reason, Refusal};
use crate::fetch::Fetcher;
use crate::figures::Figures;
use crate::secret::Secret;

/// An issuer, ready to judge.
pub(crate) struct Issuer {
    pub(crate) name: Box<str>,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    types: TokenTypes,
    leeway: u64,
    keys: Option<Arc<Keyring>>,
    introspection: Option<Introspection>,
    pub(crate) opaque: bool,
    figures: Arc<Figures>,
}

/// A token that was found good.
pub(crate) struct Verified {
    pub(crate) vouched: Vouched,
    /// The key that it rests on, if any: when the issuer has it no more, this is not good any more.
    pub(crate) key: Option<Digest>,
    /// From this second on it has to be judged again.
    pub(crate) until: u64,
}

impl Issuer {
    pub(crate) fn new(
        config: &IssuerConfig,
        fetch: &FetchConfig,
        fetcher: &Fetcher,
        figures: &Arc<Figures>,
    ) -> Result<Issuer, ConfigError> {
        check(config)?;
        let discovery = Arc::new(Discovery::new(&config.issuer, fetcher.clone()));
        let introspection = config.introspection.as_ref().map(|own| {
            let place = own.url.clone().map_or_else(|| Place::Discovery(Arc::clone(&discovery)), Place::Url);
            Introspection::new(&config.issuer, own, place, (fetcher.clone(), fetch.timeout), Arc::clone(figures))
        });
        let keys =
            config.keys.as_ref().map(|source| keyring(config, source, fetcher, &discovery, figures)).transpose()?;
        Ok(Issuer {
            name: config.issuer.as_str().into(),
            audiences: config.audiences.clone(),
            algorithms: config.algorithms.clone(),
            types: config.types,
            leeway: config.leeway.as_secs(),
            keys,
            introspection,
            opaque: config.introspection.as_ref().is_some_and(|own| own.opaque),
            figures: Arc::clone(figures),
        })
    }

    /// Judges a JWT that says it is of this issuer.
    pub(crate) async fn judge(
        &self,
        token: Token<'_>,
        (text, digest): (&Secret, Digest),
        now: u64,
    ) -> Result<Verified, Refusal> {
        let Some(keys) = &self.keys else { return self.introspect((text, digest), now).await };
        let key = Some(self.verify(keys, &token, now).await?);
        let vouched = token.claims.into_vouched(&self.expected());
        let mut until = vouched.expires.unwrap_or(now);
        if let Some(introspection) = &self.introspection {
            // The claims are those that are signed; the answer only says that the token still holds.
            introspection.ask(text.expose(), digest, now).await?;
            until = until.min(now.saturating_add(introspection.cache_seconds()));
        }
        Ok(Verified { vouched, key, until })
    }

    /// Asks about a token, whatever it is.
    pub(crate) async fn introspect(&self, (text, digest): (&Secret, Digest), now: u64) -> Result<Verified, Refusal> {
        let introspection = self
            .introspection
            .as_ref()
            .ok_or_else(|| Refusal::new(Reason::Issuer, format!("{} is not asked about tokens", self.name)))?;
        let claims = introspection.ask(text.expose(), digest, now).await?;
        claims.judge(&self.expected(), now, false)?;
        let vouched = claims.into_vouched(&self.expected());
        let holds = now.saturating_add(introspection.cache_seconds());
        let until = vouched.expires.map_or(holds, |expires| expires.min(holds));
        Ok(Verified { vouched, key: None, until })
    }

    /// For how many seconds an answer about a token holds, where it is asked.
    pub(crate) fn asks_every(&self) -> Option<u64> {
        self.introspection.as_ref().map(Introspection::cache_seconds)
    }

    /// Asks about a token that was good before, where tokens are asked about.
    pub(crate) async fn still_active(&self, (text, digest): (&Secret, Digest), now: u64) -> Result<(), Refusal> {
        match &self.introspection {
            Some(introspection) => introspection.ask(text.expose(), digest, now).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether what rested on a key still does.
    pub(crate) fn still_has(&self, key: Option<Digest>) -> bool {
        match (&self.keys, key) {
            (Some(keys), Some(key)) => keys.believed().is_ok_and(|set| set.holds(key)),
            _ => true,
        }
    }

    /// Reads keys, if it is time to, so that cached verdicts learn of a rotation as well.
    pub(crate) async fn look_at_keys(&self) {
        if let Some(keys) = &self.keys {
            let _ = keys.keys().await;
        }
    }

    async fn verify(&self, keys: &Arc<Keyring>, token: &Token<'_>, now: u64) -> Result<Digest, Refusal> {
        if !self.algorithms.contains(&token.algorithm) {
            let name = token.algorithm.as_str();
            return Err(Refusal::new(Reason::Algorithm, format!("{name}, which {} does not use here", self.name)));
        }
        self.check_type(token.kind.as_deref())?;
        // What costs nothing comes first: a token that is not for us is no reason to look for keys.
        token.claims.judge(&self.expected(), now, true)?;
        let mut set = keys.keys().await?;
        if candidates(&set, token).next().is_none() {
            set = keys.newer(&set).await?;
        }
        let mut tried = false;
        for key in candidates(&set, token) {
            tried = true;
            Figures::count(&self.figures.signatures);
            if key.verifies(token.algorithm, token.message, token.signature) {
                return Ok(key.fingerprint());
            }
        }
        let (reason, text) = match tried {
            true => (Reason::Signature, "a signature that is not right"),
            false => (Reason::Key, "a key that the issuer does not have"),
        };
        Err(Refusal::new(reason, format!("{text} (issuer {})", self.name)))
    }

    fn check_type(&self, kind: Option<&str>) -> Result<(), Refusal> {
        // RFC 7515, section 4.1.9: `application/` may be left out.
        let kind = kind.map(str::to_ascii_lowercase);
        let short = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
        match (self.types, short) {
            (_, Some("at+jwt")) | (TokenTypes::Any, Some("jwt") | None) => Ok(()),
            _ => Err(Refusal::new(Reason::Type, format!("a JWT that is no access token (issuer {})", self.name))),
        }
    }

    fn expected(&self) -> Expected<'_> {
        Expected { issuer: &self.name, audiences: &self.audiences, leeway: self.leeway }
    }
}

fn candidates<'s>(set: &'s KeySet, token: &Token<'_>) -> impl Iterator<Item = &'s Key> {
    set.candidates(token.algorithm, token.key_id.as_deref())
}

fn check(config: &IssuerConfig) -> Result<(), ConfigError> {
    let wrong = |reason: &str| Err(ConfigError::new(format!("issuer {}", config.issuer), reason));
    let discovers = matches!(config.keys, Some(KeySource::Discovery))
        || config.introspection.as_ref().is_some_and(|own| own.url.is_none());
    match &config.keys {
        _ if config.issuer.is_empty() => return wrong("it has no name; `issuer` is the `iss` of its tokens"),
        None if config.introspection.is_none() => return wrong("it needs `keys` or `introspection`"),
        None if !config.algorithms.is_empty() => {
            return wrong("without `keys` there is nothing to use `algorithms` for");
        }
        None => {}
        Some(_) if config.audiences.is_empty() => {
            return wrong("`audiences` must say which tokens are for this server");
        }
        Some(_) if config.algorithms.is_empty() => {
            return wrong("`algorithms` must say what its tokens are signed with");
        }
        Some(KeySource::Secret(_)) if !config.algorithms.iter().all(|algorithm| algorithm.is_secret()) => {
            return wrong("a secret is for HS256, HS384 and HS512 alone");
        }
        Some(KeySource::Secret(secret)) => {
            let bytes_min = config.algorithms.iter().map(|algorithm| algorithm.secret_bytes_min()).max().unwrap_or(0);
            if secret.expose().len() < bytes_min {
                return wrong(&format!("the secret needs {bytes_min} bytes or more for its algorithms"));
            }
        }
        Some(_) if config.algorithms.iter().any(|algorithm| algorithm.is_secret()) => {
            return wrong("HS256, HS384 and HS512 need a secret of the config; a key that others can read is none");
        }
        Some(_) => {}
    }
    if discovers && !config.issuer.contains("://") {
        return wrong("discovery needs an issuer that is a URL");
    }
    if config.leeway.as_secs() > 300 {
        return wrong("a leeway of more than five minutes hides a clock that is wrong");
    }
    Ok(())
}

fn keyring(
    config: &IssuerConfig,
    source: &KeySource,
    fetcher: &Fetcher,
    discovery: &Arc<Discovery>,
    figures: &Arc<Figures>,
) -> Result<Arc<Keyring>, ConfigError> {
    let changing =
        |origin, set| Keyring::changing(&config.issuer, origin, config.refresh.clone(), set, Arc::clone(figures));
    Ok(match source {
        KeySource::Secret(secret) => {
            Keyring::fixed(&config.issuer, KeySet::secret(secret.expose().as_bytes()), Arc::clone(figures))
        }
        // Read at once, for it is there: a mistake in it is one of the config.
        KeySource::File(path) => changing(Origin::File(path.clone()), Some(key_file(path, &config.algorithms)?)),
        KeySource::Jwks(url) => changing(Origin::Jwks(fetcher.clone(), url.clone()), None),
        KeySource::Discovery => changing(Origin::Discovery(Arc::clone(discovery)), None),
    })
}

fn key_file(path: &Path, algorithms: &[Algorithm]) -> Result<KeySet, ConfigError> {
    let wrong = |reason: String| ConfigError::new(path.display().to_string(), reason);
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let set = KeySet::parse(&bytes).map_err(wrong)?;
    if set.lacks_all(algorithms) {
        return Err(wrong(format!("none of its keys fits the algorithms; {}", set.left_out.join("; "))));
    }
    Ok(set)
}
