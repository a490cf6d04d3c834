//! What the config says of those who may come in. Plain data: whoever reads the config makes it, and
//! [`Gate::new`](crate::Gate::new) checks it.

use std::path::PathBuf;
use std::time::Duration;

use crate::algorithm::Algorithm;
use crate::secret::Secret;

/// How callers are identified. Without issuers, no token is accepted.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Whose tokens are accepted.
    pub issuers: Vec<IssuerConfig>,
    /// The name of this server as a resource (RFC 9728), a URL; without one, the address that is asked.
    pub resource: Option<String>,
    /// How long a ticket of a watch is good.
    pub ticket_age: Duration,
    /// Whether a client certificate that TLS has verified is a credential.
    pub certificates: bool,
    /// How documents of issuers are fetched.
    pub fetch: FetchConfig,
    /// Memory for tokens that were verified and are shown again, in bytes.
    pub cache_bytes_max: usize,
}

/// One issuer. It has keys, or an introspection, or both: then a token is verified here first, and
/// asked about after.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// Its name: `iss` of its tokens, to the letter. With [`KeySource::Discovery`] it is a URL.
    pub issuer: String,
    /// A token is for us if its `aud` has one of these. May be empty only where there are no keys:
    /// then the introspection alone says for whom a token is.
    pub audiences: Vec<String>,
    /// What its tokens may be signed with. None has a default: an algorithm that nobody chose is one
    /// that nobody looks after.
    pub algorithms: Vec<Algorithm>,
    /// What its signatures are verified with.
    pub keys: Option<KeySource>,
    /// Whether and how it is asked about each token.
    pub introspection: Option<IntrospectionConfig>,
    /// Which JWTs are access tokens.
    pub types: TokenTypes,
    /// How far its clock may be from ours: applied to `exp` and `nbf`.
    pub leeway: Duration,
    /// When and how often its keys are read.
    pub refresh: RefreshConfig,
}

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A secret that issuer and server share: for HS256, HS384 and HS512, and for nothing else.
    Secret(Secret),
    /// A file of public keys: a JWK set, or PEM blocks of public keys or certificates. Read again like
    /// a set that is fetched.
    File(PathBuf),
    /// The URL of a JWK set.
    Jwks(String),
    /// `{issuer}/.well-known/openid-configuration` names the URL of the JWK set (OpenID Connect
    /// Discovery 1.0), and of the introspection.
    Discovery,
}

/// Which `typ` an access token has (RFC 8725, section 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenTypes {
    /// `at+jwt` alone, as RFC 9068 has it. The right one for an issuer that follows it.
    AccessToken,
    /// `at+jwt`, `JWT`, or none.
    #[default]
    Any,
}

/// When keys that may change are read again.
#[derive(Debug, Clone)]
pub struct RefreshConfig {
    /// Keys older than this are read again when they are next used. For up to twice this time that
    /// happens beside the use, which takes the keys that are there; later the use waits for it.
    pub age: Duration,
    /// They are read at most once in this time, whatever for: how long a new key may be unknown, and
    /// all that a flood of unknown key ids can cause.
    pub interval: Duration,
    /// While they cannot be read, those that are there are used up to this age.
    pub stale_max: Duration,
}

impl Default for RefreshConfig {
    /// Ten minutes, ten seconds, a day.
    fn default() -> RefreshConfig {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        RefreshConfig { age: minutes(10), interval: Duration::from_secs(10), stale_max: minutes(24 * 60) }
    }
}

/// Asking an issuer whether a token is active (RFC 7662).
#[derive(Debug, Clone)]
pub struct IntrospectionConfig {
    /// Where to ask; `None`: where the issuer's discovery document says.
    pub url: Option<String>,
    /// Who asks.
    pub client_id: String,
    /// Its password.
    pub client_secret: Secret,
    /// How long an answer holds. A revocation at the issuer is noticed within this time, and never
    /// later.
    pub cache: Duration,
    /// Whether tokens that do not name their issuer are for this one. At most one issuer can have
    /// them: a token is never shown to somebody whom it may not be of.
    pub opaque: bool,
}

/// Outgoing requests.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// Longer documents are not read, in bytes.
    pub bytes_max: usize,
    /// Hosts, as `host` or `host:port`, that may be at private addresses and may be spoken to without
    /// TLS. This machine itself, where a URL of the config names it literally, needs no entry.
    pub allow_hosts: Vec<String>,
    /// Certificates of authorities that are trusted beside those of the system, as PEM.
    pub certificates: Option<String>,
}

impl Default for FetchConfig {
    /// Five seconds, 256 KiB; nothing inside.
    fn default() -> FetchConfig {
        FetchConfig {
            timeout: Duration::from_secs(5),
            bytes_max: 256 * 1024,
            allow_hosts: Vec::new(),
            certificates: None,
        }
    }
}

impl Default for GateConfig {
    /// Nobody's tokens; 32 MiB for those of issuers that are added.
    fn default() -> GateConfig {
        let (issuers, fetch) = (Vec::new(), FetchConfig::default());
        GateConfig {
            issuers,
            resource: None,
            ticket_age: Duration::from_secs(60),
            certificates: false,
            fetch,
            cache_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// A config that cannot be meant; for the operator, when it is read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    /// What it is about: an issuer, a URL, a file.
    pub place: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

impl ConfigError {
    pub(crate) fn new(place: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError { place: place.into(), reason: reason.into() }
    }
}
