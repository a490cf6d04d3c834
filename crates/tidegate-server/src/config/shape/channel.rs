//! A channel: where it is, how much it keeps, who may do what.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::{defaults, into_schema, one_or_more};

/// A channel.
#[derive(JsonSchema)]
#[schemars(extend("required" = ["address"], "additionalProperties" = false))]
pub(in crate::config) struct Channel {
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
    #[schemars(schema_with = "one_or_more")]
    key: Option<Value>,
    /// By which member the items of arrays in the rows are known, so that `mode=json-patch` compares each item with
    /// itself: `items: { lines: sku, shipping.parcels: id }`. The name is the path of the array in the data.
    items: Option<BTreeMap<String, String>>,
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
pub(in crate::config) struct Retain {
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
pub(in crate::config) struct Access {
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
pub(in crate::config) struct Requires {
    /// `acr` of its token is one of these, of which the first is preferred.
    #[schemars(schema_with = "one_or_more")]
    acr: Option<Value>,
    /// It was at most so long ago (`auth_time` of its token): 1s to 365d. A watch ends when it is longer ago.
    max_age: Option<String>,
}

/// For how long a repeated `Idempotency-Key` is recognised.
#[derive(JsonSchema)]
#[schemars(extend("required" = [] as [&str; 0], "additionalProperties" = false))]
pub(in crate::config) struct Idempotency {
    /// At least as long as publishers retry.
    #[schemars(default = "defaults::idempotency_age")]
    age: Option<String>,
    /// The oldest are forgotten beyond this number.
    #[schemars(default = "defaults::idempotency_keys", extend("type" = ["string", "integer", "null"]))]
    keys: Option<String>,
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
