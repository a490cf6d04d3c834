//! The config file as people write it: names, texts and defaults, from which the JSON Schema and
//! the reference are generated.
//!
//! The reader ([`super::fields`]) knows the fields of each mapping from these types and refuses to
//! read others, so the schema cannot fall behind the reader. Nothing constructs them.
#![allow(dead_code, reason = "the derive reads the shapes; nothing constructs them")]

mod channel;
pub(super) mod defaults;
mod gate;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

pub(super) use channel::{Access, Channel, Idempotency, Requires, Retain};
pub(super) use gate::{AddressLimits, CallerLimits, Gate, Introspection, Issuer, Limits};

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

fn one_or_more(_: &mut SchemaGenerator) -> Schema {
    into_schema(
        json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] }),
    )
}

fn forwarded_by(_: &mut SchemaGenerator) -> Schema {
    into_schema(json!({ "enum": ["forwarded", "x-forwarded-for"] }))
}

fn into_schema(value: Value) -> Schema {
    Schema::try_from(value).expect("an object is a schema")
}
