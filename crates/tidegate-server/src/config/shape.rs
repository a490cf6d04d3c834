//! The config file as people write it: names, texts and defaults, from which the JSON Schema and
//! the reference are generated.
//!
//! The reader ([`super::fields`]) knows the fields of each mapping from these types and refuses to
//! read others, so the schema cannot fall behind the reader. Nothing constructs them.
#![allow(dead_code, reason = "the derive reads the shapes; nothing constructs them")]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The config of one Tidegate. `${NAME}` in any value is replaced by that environment variable;
/// `$${` stands for a literal `${`.
#[derive(JsonSchema)]
#[schemars(title = "tidegate.yaml", extend("required" = ["channels"], "additionalProperties" = false))]
pub(super) struct File {
    /// Where clients connect: an IP address and a port; port 0 picks a free one. Beyond
    /// loopback only with `tls` and a `gate` that has issuers, or told `--insecure`.
    #[schemars(default = "defaults::listen")]
    listen: Option<String>,
    /// The certificate with which clients speak TLS to `listen`; without it they speak plain HTTP.
    tls: Option<Tls>,
    /// The admin side: health, metrics, the lists of watches and sources.
    admin: Option<Admin>,
    /// Host names under which clients reach this server, beside the address that it listens on. A
    /// request to any other name is refused.
    hosts: Option<Vec<String>>,
    /// Origins of pages that may write and open WebSockets, beside this server's own.
    origins: Option<Vec<String>>,
    /// A watch gets a bookmark at least this often: 5s to 60s.
    #[schemars(default = "defaults::heartbeat")]
    heartbeat: Option<String>,
    /// How streams are served.
    stream: Option<Stream>,
    /// What gives way under load.
    overload: Option<Overload>,
    /// How much memory is used for clients.
    memory: Option<Memory>,
    /// Where and how the log is kept.
    log: Option<Log>,
    /// Proxies in front of this server, which say for whom their requests are.
    proxies: Option<Proxies>,
    /// How callers say who they are. Without it no token is accepted, and a channel is open to all or to nobody.
    gate: Option<Gate>,
    /// What is told of who was let in, and who was not.
    audit: Option<Audit>,
    /// Applications that are asked who may do what.
    hooks: Option<Hooks>,
    /// Systems that are read from, by name.
    #[schemars(schema_with = "sources")]
    sources: Option<BTreeMap<String, Value>>,
    /// Named series of events, by name.
    channels: BTreeMap<String, Channel>,
}

/// A certificate and its key. Connections speak TLS 1.3 or 1.2, and HTTP/2 or HTTP/1.1 inside; every suite has forward
/// secrecy (ECDHE) and authenticated encryption (AES-GCM, ChaCha20-Poly1305). The
/// files are read again when they change, and at SIGHUP, whatever the config is like by then; connections that are open go on.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["cert", "key"], "additionalProperties" = false))]
pub(super) struct Tls {
    /// A file of PEM, seen from the folder of the config file: the server's certificate, then those
    /// of the authorities behind it.
    cert: String,
    /// A file of PEM: the private key of the certificate, without a passphrase.
    key: String,
    /// The oldest version that is spoken, `"1.2"` or `"1.3"`.
    #[schemars(default = "defaults::min_version", extend("enum" = ["1.2", "1.3"]))]
    min_version: Option<String>,
    /// The cipher suites that are spoken, the better first, by the names of IANA; all of them are safe, so leave this out
    /// unless a policy of yours names some: `[TLS_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]`.
    ciphers: Option<Vec<String>>,
    /// Certificates of clients, which say who they are to those who show no token.
    clients: Option<Clients>,
}

/// Certificates of clients (mutual TLS). One that was not signed by `ca`, or whose time is over, ends the handshake. Policies see
/// its subject as `claims.sub`, as text of RFC 4514 (`CN=pump-7,O=Works`); a token that is sent beside it is who asks.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["ca"], "additionalProperties" = false))]
pub(super) struct Clients {
    /// A file of PEM: the authorities whose certificates are good. It is read when the server starts.
    ca: String,
    /// `true`: without a certificate there is no connection.
    #[schemars(extend("default" = false))]
    required: Option<bool>,
}

/// Proxies and load balancers of yours, which are believed when they name the client of a connection or a request: whom
/// limits, lists and logs mean. From anybody else, nothing that names another is read.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["from"], "additionalProperties" = false))]
pub(super) struct Proxies {
    /// Where they connect from: networks such as `10.0.0.0/8`, or addresses.
    #[schemars(extend("type" = ["array", "string", "null"]))]
    from: Option<Vec<String>>,
    /// The header in which they name the client: `forwarded` (RFC 7239) or `x-forwarded-for`. Only the one that they
    /// write, since a client can send the other. The client is the rightmost address that is no proxy.
    #[schemars(schema_with = "forwarded_by")]
    header: Option<String>,
    /// `true`: their connections begin with a header of the PROXY protocol, version 1 or 2, before TLS.
    #[schemars(extend("default" = false))]
    proxy_protocol: Option<bool>,
}

/// The admin side.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Admin {
    /// Where it listens; keep it away from clients.
    #[schemars(default = "defaults::admin")]
    listen: Option<String>,
}

/// How streams are served: SSE, NDJSON and WebSocket.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Stream {
    /// A busy address is written out at most this often, in milliseconds: 0 to 20. What comes
    /// meanwhile joins the next write: more latency for less CPU time. An event that comes alone
    /// waits for nothing.
    #[schemars(default = "defaults::batch_delay_ms", extend("type" = ["string", "integer", "null"]))]
    batch_delay_ms: Option<String>,
    /// `true`: many sockets are written to with one system call, by io_uring, where the kernel allows
    /// it; where it does not, each is written to by itself, which `false` asks for.
    #[schemars(extend("default" = true))]
    io_uring: Option<bool>,
    /// `true`: streams and answers are compressed for clients that accept it, by gzip or zstd, and
    /// messages of WebSockets by permessage-deflate; each event once for all. `false`: nothing is, which
    /// takes less CPU time.
    #[schemars(extend("default" = true))]
    compress: Option<bool>,
    /// A watcher whose socket takes no byte for so many milliseconds is closed with
    /// `too-far-behind`: 1000 to 3600000. It resumes by its cursor.
    #[schemars(default = "defaults::write_timeout_ms", extend("type" = ["string", "integer", "null"]))]
    write_timeout_ms: Option<String>,
    /// A watcher that stays behind the live events for so long is closed in the same way: 1s to 7d.
    #[schemars(default = "defaults::lag_max")]
    lag_max: Option<String>,
    /// A connection of watches that is this old, give or take a tenth, is closed with `age-limit`: 1s to 30d, or `none`.
    /// Its clients come back at once, with their cursors, so that no deploy meets only old connections.
    #[schemars(default = "defaults::age_max")]
    age_max: Option<String>,
}

/// When the server has more to do than it can: first the watches of channels with `priority: low` give way, then those with
/// `normal`. A watch of the state is told less often, each change with its newest value (`notice degraded`), until there is room again
/// (`notice restored`); events of a history are written later, in larger pieces. Nobody is cut, and nothing that counts is lost. They
/// go back when all is well below its threshold for five seconds (longer each time that this was too soon) and there is less to tell
/// than when they gave way; if there is not, after two minutes it is tried. While events are twice as late as `lag`, at most 100 new watches a second are let in; others are told when to come back.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Overload {
    /// How often a watch that gives way is told, as the option `rate` of a watch: `2/s`.
    #[schemars(default = "defaults::overload_rate")]
    rate: Option<String>,
    /// The threshold of CPU time, as a part of the machine's: 1% to 100%.
    #[schemars(default = "defaults::overload_cpu")]
    cpu: Option<String>,
    /// The threshold of how late events are with the last of their watchers: 10ms to 60s.
    #[schemars(default = "defaults::overload_lag")]
    lag: Option<String>,
    /// The threshold of memory, as a part of `memory.max`: 1% to 100%.
    #[schemars(default = "defaults::overload_memory")]
    memory: Option<String>,
}

/// One ceiling over what clients make the server hold in memory: the rings of live views, blocks of
/// the log for watchers who are behind, answers that are kept for who asks the same, what waits to be
/// written, large bodies and answers, and an estimate for each watch. The log's own memory, the kernel's, and what the process and its allocator
/// keep for themselves are beside it.
///
/// When it comes near, this is given up, in this order: kept answers and blocks are dropped (from 70 % on), rings
/// become small (80 %; who is behind reads the log), large bodies and answers wait and are then
/// refused with 429 (90 %), new watches are refused with `rate-limited` and a time to come back
/// (95 %), watchers who are behind wait (100 %). Who is connected is not cut, and nothing is lost.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Memory {
    /// The ceiling: 16MiB to 1TiB. Where it is not given and half of the machine's memory (or of
    /// what the process may have of it) is less, that.
    #[schemars(default = "defaults::memory_max", extend("type" = ["string", "integer", "null"]))]
    max: Option<String>,
}

/// The embedded log.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Log {
    /// Its folder, seen from the folder of the config file; made if absent.
    #[schemars(default = "defaults::path")]
    path: Option<String>,
    /// The journal is drained into segments after this much: 1MiB to 4GiB.
    #[schemars(default = "defaults::journal_bytes", extend("type" = ["string", "integer", "null"]))]
    journal_bytes: Option<String>,
    /// Segments are merged up to this size: 1MiB to 4GiB. Retention drops whole segments.
    #[schemars(default = "defaults::segment_bytes", extend("type" = ["string", "integer", "null"]))]
    segment_bytes: Option<String>,
}

/// The audit: a line for every decision that refuses, and for some of those that allow. It names the caller, the address,
/// what refused, and the request by its `X-Request-Id` or `traceparent`; never a token.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Audit {
    /// Lines of JSON are appended to this file, seen from the folder of the config file; without it they are lines of the
    /// log. To rotate it, copy it and truncate it.
    file: Option<String>,
    /// Which share of allowed decisions is told: 0% to 100%.
    #[schemars(default = "defaults::allows")]
    allows: Option<String>,
}

/// Applications that are asked: `connect` about everybody who comes, `watch` and `publish` about channels whose `access`
/// says so with `ask`. A question is a POST of JSON, signed as Standard Webhooks have it; the answer is
/// `{"allow":true}` or `{"allow":false,"reason":"…"}`. That of `connect` may have `claims`, which policies see.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["secret"], "additionalProperties" = false))]
pub(super) struct Hooks {
    /// A URL: who may come, and what is claimed of them. It is told of `forward`.
    connect: Option<String>,
    /// A URL: who may watch and read.
    watch: Option<String>,
    /// A URL: who may publish what; it is asked each time, and told of the body.
    publish: Option<String>,
    /// Signs what is asked: `whsec_` and the base64 of 24 to 64 random bytes. Take it from the environment.
    secret: String,
    /// Headers that `connect` is told of, such as `cookie`.
    #[schemars(extend("type" = ["array", "string", "null"]))]
    forward: Option<Vec<String>>,
    /// An application that answers later has not answered: 100ms to 30s.
    #[schemars(default = "defaults::hook_timeout")]
    timeout: Option<String>,
    /// How long an answer to `connect` and `watch` holds: 1s to 1h, or 0s.
    #[schemars(default = "defaults::hook_cache")]
    cache: Option<String>,
    /// What happens when there is no answer: `deny` refuses for the moment, as `gate-unavailable`; `allow` lets in. After
    /// five failures in a row nothing is asked for 5 s.
    #[schemars(default = "defaults::hook_down", extend("enum" = ["deny", "allow"]))]
    down: Option<String>,
}

/// How callers say who they are.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Gate {
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
pub(super) struct Limits {
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
pub(super) struct CallerLimits {
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
pub(super) struct AddressLimits {
    /// Connections. Those of a proxy that does not introduce its clients by the PROXY protocol do not count.
    connects: Option<String>,
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

/// An issuer of access tokens. Its keys come from one place: `discovery`, `jwks_url`, `keys_file` or `secret`; or it is
/// asked about each token by its `introspection`; or both.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["issuer"], "additionalProperties" = false))]
pub(super) struct Issuer {
    /// `iss` of its tokens, to the letter.
    issuer: String,
    /// `aud` of tokens that are for this server: one of these.
    #[schemars(schema_with = "key")]
    audience: Option<Value>,
    /// What its tokens may be signed with: `HS256`, `HS384`, `HS512`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`,
    /// `PS512`, `ES256`, `ES384`, `EdDSA`. There is no default.
    #[schemars(schema_with = "key")]
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
pub(super) struct Introspection {
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

/// A channel.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["address"], "additionalProperties" = false))]
pub(super) struct Channel {
    /// Where its events are: `rooms/{room}/messages`. A parameter in braces stands for one whole
    /// segment and is taken from the member of that name in the data.
    address: String,
    /// One line for people, shown in the list of channels.
    title: Option<String>,
    /// The source that writes it. Without one, applications publish to it.
    source: Option<String>,
    /// The table whose rows it takes, where the source has tables, as SQL names it: `public.orders`,
    /// `sales."Order Items"`. Two channels may take one table. The columns are the members of the data.
    table: Option<String>,
    /// `true`: it takes, instead of rows, what the source could neither place nor read, each with its
    /// reason. Such a channel has one address and no key.
    #[schemars(extend("default" = false))]
    dead_letters: Option<bool>,
    /// How the source writes numbers: `json` with all their digits, or `string` for wide integers and
    /// decimals as strings, which JavaScript does not round.
    #[schemars(schema_with = "numbers")]
    numbers: Option<String>,
    /// The member of the data that is the key, or several. A channel with a key keeps the last
    /// value per key and serves snapshots; one without is a plain series of events. Required with a
    /// `table`.
    #[schemars(schema_with = "key")]
    key: Option<Value>,
    /// By which member the items of arrays in the rows are known, so that `mode=json-patch` compares each item with
    /// itself: `items: { lines: sku, shipping.parcels: id }`. The name is the path of the array in the data.
    items: Option<std::collections::BTreeMap<String, String>>,
    /// How much history is kept: by age, by size, by both, or `none` for nothing on disk.
    #[schemars(schema_with = "retain")]
    retain: Option<Value>,
    /// Who may do what. What is not allowed is denied.
    access: Option<Access>,
    /// Whether its watches give way under load (`overload`): `low` first, then `normal`, `high` never.
    #[schemars(schema_with = "priority")]
    priority: Option<String>,
    /// For how long a repeated `Idempotency-Key` is recognised.
    idempotency: Option<Idempotency>,
    /// The largest body of one publish: 1KiB to 32MiB.
    #[schemars(default = "defaults::batch_bytes_max", extend("type" = ["string", "integer", "null"]))]
    batch_bytes_max: Option<String>,
}

/// How much history is kept.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Retain {
    /// Records older than this are dropped.
    age: Option<String>,
    /// The oldest records are dropped beyond this size.
    #[schemars(extend("type" = ["string", "integer", "null"]))]
    bytes: Option<String>,
}

/// Who may do what: policies in CEL, of which those that are not given say no. What a policy cannot say, such as of a
/// claim that is not there, is a no. `exists("members", [params.room, claims.sub])` looks into another keyed channel:
/// whether it has this key; who was let in by a key is judged again when it comes or goes.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Access {
    /// How strongly and how recently who reads or publishes has to have signed in (RFC 9470). API keys and certificates
    /// are no sign-in.
    requires: Option<Requires>,
    /// Who may watch: over `claims`, `params` and `now`, such as `claims.org == params.org`.
    #[schemars(schema_with = "rule")]
    read: Option<String>,
    /// Who may publish what: over `claims`, `params`, `now`, `data` (null on a delete) and `key`; not on a channel with a
    /// source.
    #[schemars(schema_with = "rule")]
    publish: Option<String>,
    /// How far back a watch may begin: a duration, or an expression over `claims`, `params` and `now` that is true, false
    /// or a duration. Left out, as far back as is kept.
    #[schemars(schema_with = "history")]
    history: Option<String>,
    /// Which rows a caller sees: over `claims`, `data`, `params` and `key`. Left out, all.
    #[schemars(schema_with = "rows")]
    rows: Option<String>,
    /// Members of the data that nobody is shown, such as `ssn` or `pay.iban`; row rules may read them.
    #[schemars(extend("type" = ["array", "string", "null"]))]
    mask: Option<Vec<String>>,
    /// What the application of `hooks` is asked about, once the policies have allowed it: `watch`, `publish`, or both. Where
    /// it is asked and `read` or `publish` is left out, it decides alone.
    #[schemars(extend("type" = ["array", "string", "null"]))]
    ask: Option<Vec<String>>,
}

/// What a channel asks of a sign-in.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Requires {
    /// `acr` of its token is one of these, of which the first is preferred.
    #[schemars(schema_with = "key")]
    acr: Option<Value>,
    /// It was at most so long ago (`auth_time` of its token): 1s to 365d. A watch ends when it is longer ago.
    max_age: Option<String>,
}

/// For how long a repeated `Idempotency-Key` is recognised.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(super) struct Idempotency {
    /// At least as long as publishers retry.
    #[schemars(default = "defaults::idempotency_age")]
    age: Option<String>,
    /// The oldest are forgotten beyond this number.
    #[schemars(default = "defaults::idempotency_keys", extend("type" = ["string", "integer", "null"]))]
    keys: Option<String>,
}

/// What a field is when it is not given, as it would be written.
pub(super) mod defaults {
    macro_rules! default_text {
        ($($name:ident = $text:literal;)*) => {$(
            pub(in crate::config) fn $name() -> &'static str {
                $text
            }
        )*};
    }
    default_text! {
        listen = "127.0.0.1:8080";
        admin = "127.0.0.1:8081";
        heartbeat = "15s";
        hook_timeout = "2s";
        hook_cache = "10s";
        hook_down = "deny";
        allows = "0%";
        batch_delay_ms = "1";
        io_uring = "true";
        compress = "true";
        write_timeout_ms = "300000";
        lag_max = "1h";
        age_max = "6h";
        memory_max = "2GiB";
        path = "./tidegate-data";
        journal_bytes = "64MiB";
        segment_bytes = "128MiB";
        retain_age = "7d";
        retain_bytes = "1GiB";
        idempotency_age = "10m";
        idempotency_keys = "1M";
        batch_bytes_max = "8MiB";
        dead_letters = "false";
        numbers = "json";
        token_types = "any";
        ticket_age = "60s";
        min_version = "1.2";
        required = "false";
        leeway = "30s";
        discovery = "false";
        introspection_cache = "10s";
        opaque = "false";
        proxy_protocol = "false";
        overload_rate = "2/s";
        overload_cpu = "90%";
        overload_lag = "500ms";
        overload_memory = "85%";
        priority = "high";
    }
}

fn sources(_: &mut SchemaGenerator) -> Schema {
    let kinds: Vec<Value> = tidegate_sources::KINDS
        .iter()
        .map(|kind| {
            let mut schema = (kind.schema)().to_value();
            schema["description"] = kind.about.into();
            schema["properties"]["kind"] = json!({ "const": kind.name });
            let mut required = vec![json!("kind")];
            required.extend(schema["required"].as_array().cloned().unwrap_or_default());
            schema["required"] = required.into();
            schema["additionalProperties"] = json!(false);
            if let Some(object) = schema.as_object_mut() {
                object.remove("$schema");
            }
            schema
        })
        .collect();
    into_schema(json!({ "type": "object", "additionalProperties": { "oneOf": kinds } }))
}

fn key(_: &mut SchemaGenerator) -> Schema {
    into_schema(
        json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] }),
    )
}

fn retain(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<Retain>();
    into_schema(json!({
        "oneOf": [table, { "const": "none" }],
        "default": { "age": defaults::retain_age(), "bytes": defaults::retain_bytes() },
    }))
}

fn priority(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "enum": ["high", "normal", "low"], "default": defaults::priority() }))
}

fn forwarded_by(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "enum": ["forwarded", "x-forwarded-for"] }))
}

fn numbers(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "enum": ["json", "string"], "default": defaults::numbers() }))
}

fn rule(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "type": ["string", "boolean"], "default": "false" }))
}

fn history(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "type": ["string", "boolean"], "default": "true" }))
}

fn rows(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "type": ["string", "boolean"], "default": "true" }))
}

fn into_schema(value: Value) -> Schema {
    Schema::try_from(value).expect("an object is a schema")
}
