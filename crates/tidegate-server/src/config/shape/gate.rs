//! `gate`: how callers say who they are, and how much they may do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::{defaults, one_or_more};

/// How callers say who they are.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(in crate::config) struct Gate {
    /// Whose access tokens are accepted, by a name for people.
    issuers: Option<BTreeMap<String, Issuer>>,
    /// The URL of this server as clients know it, where it is not the one that they ask (behind a proxy that changes it):
    /// told to who is refused, with where to get a token (RFC 9728).
    resource: Option<String>,
    /// How long a ticket is good, which a browser takes for a watch whose request cannot have headers: 5s to 10m.
    #[schemars(default = "defaults::ticket_age")]
    ticket_age: Option<String>,
    /// Hosts of issuers, as `host` or `host:port`, that may be at private addresses and without TLS. What is fetched
    /// may lead to no other place inside; loopback, where a URL names it literally, needs no entry.
    allow_hosts: Option<Vec<String>>,
    /// How much one caller may do. Without it everybody may do as much as there is room for.
    limits: Option<Limits>,
}

/// How much each network address (of IPv6 each /64), each subject, from wherever, and each API key may do. Who does more is
/// answered with 429 and `Retry-After`.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(in crate::config) struct Limits {
    /// Of all who come from one network address.
    address: Option<AddressLimits>,
    /// Of one subject of one issuer.
    subject: Option<CallerLimits>,
    /// Of one API key.
    api_key: Option<CallerLimits>,
}

/// Limits of one network address, subject or API key. A rate is an amount in a second, a minute or an hour, `600/m`, which
/// may come all at once from who has been quiet; or so many at once: `600/m burst 50`. What is not given is not limited.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(in crate::config) struct CallerLimits {
    /// Requests of HTTP: reads, polls, publishes, and those that begin a watch or a WebSocket.
    requests: Option<String>,
    /// Watches begun, also on a WebSocket.
    watches: Option<String>,
    /// Publishes, also on a WebSocket; a batch is one.
    publishes: Option<String>,
    /// Bytes of the bodies of publishes: `1MB/s burst 16MB`. A body that is larger than the burst takes all of it.
    published_bytes: Option<String>,
    /// Bytes that watches are told live. Who is told more is not refused: its watches of the state are told as with `overload.rate`
    /// (`notice throttled`) until half of the burst is free again. Histories, of which every event counts, are told all.
    sent_bytes: Option<String>,
    /// Watches at once.
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    watches_max: Option<String>,
}

/// The same, and what only an address has.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(in crate::config) struct AddressLimits {
    /// Connections. Those of a proxy that does not introduce its clients by the PROXY protocol do not count.
    connects: Option<String>,
    #[schemars(flatten)]
    of_all: CallerLimits,
}

/// An issuer of access tokens. Its keys come from one place: `discovery`, `jwks_url`, `keys_file` or `secret`; or it is
/// asked about each token by its `introspection`; or both.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["issuer"], "additionalProperties" = false))]
pub(in crate::config) struct Issuer {
    /// `iss` of its tokens, to the letter.
    issuer: String,
    /// `aud` of tokens that are for this server: one of these.
    #[schemars(schema_with = "one_or_more")]
    audience: Option<Value>,
    /// What its tokens may be signed with: `HS256`, `HS384`, `HS512`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`,
    /// `PS512`, `ES256`, `ES384`, `EdDSA`. There is no default.
    #[schemars(schema_with = "one_or_more")]
    algorithms: Option<Value>,
    /// `true`: its OpenID Connect discovery document says where its keys are.
    #[schemars(extend("default" = false))]
    discovery: Option<bool>,
    /// Where its JWK set is.
    jwks_url: Option<String>,
    /// A file of its public keys, as JWK set or PEM, seen from the folder of the config file.
    keys_file: Option<String>,
    /// A secret that it shares with this server, for `HS…` alone; at least 32 bytes. Take it from the environment:
    /// `${TOKEN_SECRET}`.
    secret: Option<String>,
    /// How it is asked about tokens.
    introspection: Option<Introspection>,
    /// Which JWTs are access tokens: `access-token` are those with `typ: at+jwt` (RFC 9068), `any` also `JWT` and none.
    #[schemars(default = "defaults::token_types", extend("enum" = ["access-token", "any"]))]
    types: Option<String>,
    /// How far its clock may be from this server's: 1s to 5m.
    #[schemars(default = "defaults::leeway")]
    leeway: Option<String>,
}

/// Asking an issuer whether a token is active (RFC 7662).
#[derive(JsonSchema)]
#[schemars(extend("required" = ["client_id", "client_secret"], "additionalProperties" = false))]
pub(in crate::config) struct Introspection {
    /// Where; without it, where the issuer's discovery document says.
    url: Option<String>,
    /// As whom this server asks.
    client_id: String,
    /// Its password; take it from the environment.
    client_secret: String,
    /// How long an answer holds, and how late a revocation may be noticed: 1s to 1h.
    #[schemars(default = "defaults::introspection_cache")]
    cache: Option<String>,
    /// `true`: tokens that do not name their issuer are this one's.
    #[schemars(extend("default" = false))]
    opaque: Option<bool>,
}
