//! The `gate:` of the config: whose tokens are good here.

use std::path::Path;
use std::time::Duration;

use tidegate_core::suggest::nearest;
use tidegate_gate::{
    Algorithm, FetchConfig, GateConfig, IntrospectionConfig, IssuerConfig, KeySource, LimitsConfig, RefreshConfig,
    Secret, TokenTypes,
};

use super::document::Entry;
use super::fields::{Field, Fields, Reader, quoted};
use super::limits;
use super::report::Problem;
use super::shape::{self, defaults};
use super::sources::check_name;
use super::values::{self, Complaint, ranged};

/// Shorter secrets can be guessed (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// What was read.
#[derive(Default)]
pub(super) struct Found {
    pub(super) gate: GateConfig,
    pub(super) limits: LimitsConfig,
}

/// Without a `gate` nobody has a token, and nobody needs one where a channel says so.
pub(super) fn read(reader: Reader, field: Option<Field>, folder: &Path) -> Option<Found> {
    let Some(field) = field else { return Some(Found::default()) };
    let fields = reader.open::<shape::Gate>(field.node(), field.name_span(), "`gate`")?;
    let issuers = fields.optional("issuers", |field| issuers(reader, field, folder));
    let allow_hosts = fields.optional("allow_hosts", |field| field.list(false, |text| Ok(text.to_owned())));
    let resource = fields.optional("resource", |field| field.parse(resource));
    let ticket_age = fields.value("ticket_age", defaults::ticket_age(), |text| {
        ranged(values::duration(text)?, Duration::from_secs(5)..=Duration::from_secs(600), "5s", "10m")
    });
    let limits = fields.optional("limits", |field| limits::read(reader, field));
    fields.finish();
    let fetch = FetchConfig { allow_hosts: allow_hosts?.unwrap_or_default(), ..FetchConfig::default() };
    let (issuers, resource, ticket_age) = (issuers?.unwrap_or_default(), resource?, ticket_age?);
    let config = GateConfig { issuers, resource, ticket_age, fetch, ..GateConfig::default() };
    // What is good alone and not together is the gate's to know.
    match tidegate_gate::Gate::new(&config, std::sync::Arc::default()) {
        Ok(_) => Some(Found { gate: config, limits: limits?.unwrap_or_default() }),
        Err(error) => {
            reader.problems.add(Problem::new(field.name_span(), error.place, error.reason));
            None
        }
    }
}

/// What stands in a challenge and a document (RFC 9728, section 1.2).
fn resource(text: &str) -> Result<String, Complaint> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\\\#?".contains(&byte))
    };
    match rest.is_some_and(good) {
        true => Ok(text.to_owned()),
        false => Err(Complaint::new("no URL of a server").help("write one such as `https://live.example.org`")),
    }
}

fn issuers(reader: Reader, field: &Field, folder: &Path) -> Option<Vec<IssuerConfig>> {
    let entries = reader.members(field.node(), field.name_span(), "`issuers`")?;
    entries.iter().map(|entry| issuer(reader, entry, folder)).collect()
}

fn issuer(reader: Reader, entry: &Entry, folder: &Path) -> Option<IssuerConfig> {
    check_name(reader, entry, "issuer");
    let fields = reader.open::<shape::Issuer>(&entry.node, entry.name_span.clone(), "an issuer")?;
    let issuer = fields.require("issuer", "issuer: https://id.example.org");
    let audiences = fields.optional("audience", |field| field.list(true, |text| Ok(text.to_owned())));
    let algorithms = fields.optional("algorithms", |field| field.list(true, algorithm));
    let keys = keys(reader, &fields, folder);
    let introspection = fields.optional("introspection", |field| introspection(reader, field));
    let types = fields.value("types", defaults::token_types(), types);
    let leeway = fields.value("leeway", defaults::leeway(), |text| {
        ranged(values::duration(text)?, Duration::ZERO..=Duration::from_secs(300), "1s", "5m")
    });
    fields.finish();
    Some(IssuerConfig {
        issuer: issuer?.text()?.text,
        audiences: audiences?.unwrap_or_default(),
        algorithms: algorithms?.unwrap_or_default(),
        keys: keys?,
        introspection: introspection?,
        types: types?,
        leeway: leeway?,
        refresh: RefreshConfig::default(),
    })
}

fn algorithm(text: &str) -> Result<Algorithm, Complaint> {
    Algorithm::parse(text).ok_or_else(|| {
        let names = Algorithm::ALL.map(Algorithm::as_str);
        let label = nearest(text, names).map_or("no algorithm".to_owned(), |near| format!("did you mean `{near}`?"));
        Complaint::new(label).help(format!("the algorithms are {}", quoted(names)))
    })
}

fn types(text: &str) -> Result<TokenTypes, Complaint> {
    match text {
        "access-token" => Ok(TokenTypes::AccessToken),
        "any" => Ok(TokenTypes::Any),
        _ => Err(Complaint::new("no kind of token").help("write `access-token` (`typ: at+jwt`, RFC 9068) or `any`")),
    }
}

/// `Some(None)` where there are none, `None` after a mistake.
fn keys(reader: Reader, fields: &Fields, folder: &Path) -> Option<Option<KeySource>> {
    let secret = fields.optional("secret", |field| field.parse(secret));
    let file = fields.optional("keys_file", |field| field.parse(|text| Ok(KeySource::File(folder.join(text)))));
    let url = fields.optional("jwks_url", |field| field.parse(|text| Ok(KeySource::Jwks(text.to_owned()))));
    let discovery = fields.value("discovery", defaults::discovery(), values::boolean)?.then_some(KeySource::Discovery);
    let mut given: Vec<KeySource> = [secret?, file?, url?, discovery].into_iter().flatten().collect();
    if given.len() > 1 {
        let problem = Problem::new(fields.owner(), "an issuer has its keys from one place", "two are given");
        reader.problems.add(problem.help("give one of `discovery: true`, `jwks_url`, `keys_file` and `secret`"));
        return None;
    }
    Some(given.pop())
}

fn secret(text: &str) -> Result<KeySource, Complaint> {
    if text.len() < SECRET_BYTES_MIN {
        return Err(Complaint::new("this can be guessed")
            .help("a secret has at least 32 bytes, such as 64 random hexadecimal digits"));
    }
    Ok(KeySource::Secret(Secret::new(text)))
}

fn introspection(reader: Reader, field: &Field) -> Option<IntrospectionConfig> {
    let fields = reader.open::<shape::Introspection>(field.node(), field.name_span(), "`introspection`")?;
    let url = fields.optional("url", |field| field.parse(|text| Ok(text.to_owned())));
    let client_id = fields.require("client_id", "client_id: tidegate");
    let client_secret = fields.require("client_secret", "client_secret: ${CLIENT_SECRET}");
    let cache = fields.value("cache", defaults::introspection_cache(), |text| {
        ranged(values::duration(text)?, Duration::from_secs(1)..=Duration::from_secs(3_600), "1s", "1h")
    });
    let opaque = fields.value("opaque", defaults::opaque(), values::boolean);
    fields.finish();
    Some(IntrospectionConfig {
        url: url?,
        client_id: client_id?.text()?.text,
        client_secret: Secret::new(client_secret?.text()?.text),
        cache: cache?,
        opaque: opaque?,
    })
}
