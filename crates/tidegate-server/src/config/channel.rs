//! One channel of the config.

use std::ops::Range;
use std::time::Duration;

use tidegate_core::suggest::nearest;
use tidegate_core::{ItemKeys, KeySpec, Template};
use tidegate_hub::Policy;

use super::access;
use super::channels::{ChannelConfig, Retain};
use super::document::{Content, Entry};
use super::feed;
use super::fields::{Field, Fields, Reader, quoted};
use super::overload;
use super::report::Problem;
use super::shape::{self, defaults};
use super::sources::{Declared, check_name};
use super::values::{self, Complaint, ranged};

/// A channel that could be read at least in part, so that channels can be compared.
pub(super) struct Found<'n> {
    pub(super) entry: &'n Entry,
    pub(super) address: Option<Address>,
    /// The source whose dead letters it takes, and where that stands.
    pub(super) dead_letters: Option<(String, Range<usize>)>,
    /// What its policies look up.
    pub(super) lookups: Vec<access::Lookup>,
    pub(super) config: Option<ChannelConfig>,
}

/// A template and where it stands.
pub(super) struct Address {
    pub(super) template: Template,
    pub(super) span: Range<usize>,
}

pub(super) fn read<'n>(reader: Reader, entry: &'n Entry, sources: &[Declared]) -> Found<'n> {
    check_name(reader, entry, "channel");
    let opened = reader.open::<shape::Channel>(&entry.node, entry.name_span.clone(), "a channel");
    let Some(fields) = opened else {
        return Found { entry, address: None, dead_letters: None, lookups: Vec::new(), config: None };
    };

    let address = address(&fields);
    let title = fields.optional("title", |field| field.parse(title));
    let source = fields.optional("source", |field| source_of(reader, field, sources));
    let feed = feed::read(&fields);
    let key = fields.optional("key", |field| key(reader, field));
    let items = fields.optional("items", |field| items(reader, field));
    let retain = fields.optional("retain", |field| retain(reader, field));
    let access = fields.optional("access", |field| {
        access::read(
            reader,
            field,
            address.as_ref().map(|address| &address.template),
            key.as_ref().and_then(Option::as_ref),
        )
    });
    let priority = fields.value("priority", defaults::priority(), overload::priority);
    let idempotency = idempotency(reader, &fields);
    let batch_bytes_max = fields.value("batch_bytes_max", defaults::batch_bytes_max(), |text| {
        ranged(values::bytes(text)?, 1 << 10..=32 << 20, "1KiB", "32MiB")
    });

    let config = (|| {
        let (idempotency_age, idempotency_keys) = idempotency?;
        let feed = feed.clone()?;
        Some(ChannelConfig {
            name: entry.name.clone(),
            title: title?,
            address: address.as_ref()?.template.clone(),
            source: source?.map(|declared| declared.name.clone()),
            table: feed.table,
            dead_letters: feed.dead_letters,
            numbers: feed.numbers,
            key: key.clone()?,
            items: items.clone()?.unwrap_or_default(),
            retain: retain?.unwrap_or_else(retain_default),
            access: access.clone()?.unwrap_or_default().access,
            access_warnings: access.clone()?.unwrap_or_default().warnings,
            priority: priority?,
            idempotency_age,
            idempotency_keys,
            batch_bytes_max: batch_bytes_max?,
        })
    })();
    feed::check(reader, &fields, source.flatten().and_then(|declared| declared.kind), address.as_ref());
    contradictions(reader, &fields, retain.flatten(), access.as_ref().and_then(Option::as_ref));
    let dead_letters_of = source.flatten().map(|declared| declared.name.clone());
    let dead_letters = fields.get("dead_letters").filter(|_| feed.is_some_and(|feed| feed.dead_letters));
    let dead_letters = dead_letters_of.zip(dead_letters.map(|field| field.name_span()));
    fields.finish();
    let lookups = access.flatten().map(|found| found.lookups).unwrap_or_default();
    Found { entry, address, dead_letters, lookups, config }
}

fn address(fields: &Fields) -> Option<Address> {
    let field = fields.require("address", "address: rooms/{room}/messages")?;
    let template = field.parse(|text| {
        Template::parse(text).map_err(|error| {
            Complaint::new(error.to_string())
                .help("an address looks like `rooms/{room}/messages`, without a `/` at its ends")
        })
    })?;
    Some(Address { template, span: field.span() })
}

fn title(text: &str) -> Result<String, Complaint> {
    if text.contains(['\r', '\n']) || text.len() > 200 {
        return Err(Complaint::new("a title is one line of at most 200 bytes"));
    }
    Ok(text.to_owned())
}

fn source_of<'s>(reader: Reader, field: &Field, sources: &'s [Declared]) -> Option<&'s Declared> {
    let text = field.text()?;
    let found = sources.iter().find(|declared| declared.name == text.text);
    if found.is_none() {
        let names = sources.iter().map(|declared| declared.name.as_str());
        let label = match nearest(&text.text, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "unknown source".to_owned(),
        };
        let problem = Problem::new(text.span, format!("there is no source `{}`", text.text), label);
        reader.problems.add(problem.help(match sources {
            [] => "the config has no `sources`; without `source`, applications publish to the channel".to_owned(),
            _ => format!("the config has {}", quoted(names)),
        }));
    }
    found
}

fn key(reader: Reader, field: &Field) -> Option<KeySpec> {
    let fields = field.list(true, |text| match text {
        "" => Err(Complaint::new("no name of a member")),
        name => Ok(name.to_owned()),
    })?;
    let twice = fields.iter().enumerate().find(|(at, name)| fields[..*at].contains(name));
    if let Some((_, name)) = twice {
        reader.problems.add(Problem::new(field.span(), format!("the key names `{name}` twice"), "once is enough"));
        return None;
    }
    let spec = KeySpec::new(fields);
    if spec.is_none() {
        let problem = Problem::new(field.span(), "`key` is an empty list", "here");
        reader.problems.add(problem.help("name a member of the data, or leave `key` out for a plain channel"));
    }
    spec
}

fn items(reader: Reader, field: &Field) -> Option<ItemKeys> {
    let mut pairs = Vec::new();
    for entry in reader.members(field.node(), field.name_span(), "`items`")? {
        let member = reader.text(&entry.node, &entry.name_span)?;
        if let Err(error) = ItemKeys::new([(entry.name.as_str(), "")]) {
            let title = format!("`{}` is no path of an array: {error}", entry.name);
            reader.problems.add(Problem::new(entry.name_span.clone(), title, "such as `shipping.parcels`"));
            return None;
        }
        pairs.push((entry.name.as_str(), member.text));
    }
    match ItemKeys::new(pairs.iter().map(|(path, member)| (*path, member.as_str()))) {
        Ok(items) => Some(items),
        Err(error) => {
            reader.problems.add(Problem::new(field.span(), error.to_string(), "here"));
            None
        }
    }
}

fn retain_default() -> Retain {
    Retain::Within {
        age: values::duration(defaults::retain_age()).ok(),
        bytes: values::bytes(defaults::retain_bytes()).ok(),
    }
}

fn retain(reader: Reader, field: &Field) -> Option<Retain> {
    if matches!(field.node().content, Content::Scalar(_)) {
        return field.parse(|text| match text {
            "none" => Ok(Retain::None),
            _ => Err(Complaint::new("no bounds").help("write `retain: { age: 7d, bytes: 2GiB }`, or `retain: none`")),
        });
    }
    let fields = reader.open::<shape::Retain>(field.node(), field.name_span(), "`retain`")?;
    let age = fields.optional("age", |field| field.parse(values::duration));
    let bytes = fields.optional("bytes", |field| {
        field.parse(|text| ranged(values::bytes(text)?, 64 << 10..=1 << 50, "64KiB", "1024TiB"))
    });
    fields.finish();
    if let (Some(None), Some(None)) = (age, bytes) {
        let problem = Problem::new(field.name_span(), "`retain` has neither `age` nor `bytes`", "here");
        reader.problems.add(problem.help("write `retain: { age: 7d, bytes: 2GiB }`, or leave it out for the default"));
        return None;
    }
    Some(Retain::Within { age: age?, bytes: bytes? })
}

fn idempotency(reader: Reader, fields: &Fields) -> Option<(Duration, u64)> {
    let age_default = || values::duration(defaults::idempotency_age()).ok();
    let keys_default = || values::count(defaults::idempotency_keys()).ok();
    let Some(field) = fields.get("idempotency") else { return Some((age_default()?, keys_default()?)) };
    let fields = reader.open::<shape::Idempotency>(field.node(), field.name_span(), "`idempotency`")?;
    let day = Duration::from_secs(86_400);
    let age = fields.value("age", defaults::idempotency_age(), |text| {
        ranged(values::duration(text)?, Duration::from_secs(1)..=day * 7, "1s", "7d")
    });
    let keys = fields
        .value("keys", defaults::idempotency_keys(), |text| ranged(values::count(text)?, 1..=100_000_000, "1", "100M"));
    fields.finish();
    Some((age?, keys?))
}

/// Fields that are good alone and not together.
fn contradictions(reader: Reader, fields: &Fields, retain: Option<Retain>, access: Option<&access::Found>) {
    if let (Some(Retain::None), Some(field), Some(key)) = (retain, fields.get("retain"), fields.get("key")) {
        let title = "`retain: none` on a channel with a `key` is not built yet";
        let problem = Problem::new(field.span(), title, "keep some history").also(key.name_span(), "the key");
        reader.problems.add(problem.help("write bounds, such as `retain: { age: 1h }`"));
    }
    if let (Some(field), None) = (fields.get("items"), fields.get("key")) {
        let problem = Problem::new(field.name_span(), "`items` on a channel without a `key`", "there are no rows");
        reader.problems.add(problem.help("leave `items` out, or give the channel a `key`"));
    }
    let publishes = access.is_some_and(|found| found.access.publish != Policy::Never);
    if let (true, Some(field), Some(source)) = (publishes, fields.get("access"), fields.get("source")) {
        let title = "a channel with a source is written by its source alone";
        let problem = Problem::new(field.name_span(), title, "publishing is allowed here");
        reader.problems.add(problem.also(source.name_span(), "the source"));
    }
}
