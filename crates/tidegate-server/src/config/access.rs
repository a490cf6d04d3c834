//! The `access` of a channel: policies in CEL, read and checked against what the channel has.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::{KeySpec, Mask, Template};
use tidegate_gate::StepUp;
use tidegate_hub::{Access, Asks, CelError, History, LookedUp, Policy, Right, Vocabulary};

use super::fields::{Field, Reader, Text};
use super::report::Problem;
use super::shape;
use super::values;
use super::values::{Complaint, ranged};

/// What was read, and what of it is surely not meant.
#[derive(Clone, Default)]
pub(super) struct Found {
    pub(super) access: Access,
    pub(super) warnings: Vec<String>,
    /// What its policies look up, and where they say so.
    pub(super) lookups: Vec<Lookup>,
}

/// `exists("members", …)`, to be compared with the channels that there are.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) channel: Box<str>,
    pub(super) parts: usize,
    pub(super) composite: bool,
    pub(super) span: Range<usize>,
}

/// Without a template, which is a mistake of its own, nothing can be said of its parameters.
pub(super) fn read(reader: Reader, field: &Field, template: Option<&Template>, key: Option<&KeySpec>) -> Option<Found> {
    let fields = reader.open::<shape::Access>(field.node(), field.name_span(), "`access`")?;
    let template = template?;
    let vocabulary = Vocabulary::of(template, key.is_some());
    let policy = |right: Right| {
        fields.optional(right.name(), |field| expression(reader, field, |text| Policy::parse(right, text, &vocabulary)))
    };
    let (read, publish, rows) = (policy(Right::Read), policy(Right::Publish), policy(Right::Rows));
    let history = fields.optional("history", |field| history(reader, field, &vocabulary));
    let mask = fields.optional("mask", |field| mask(reader, field, template, key));
    let asks = fields.optional("ask", asks);
    let requires = fields.optional("requires", |field| requires(reader, field));
    let written = |right: Right| Some(fields.get(right.name())?.text()?.text);
    let access = (|| {
        let (closed, asks) = (Access::default(), asks?.unwrap_or_default());
        Some(Access {
            requires: requires?.unwrap_or_default(),
            read: read?.unwrap_or_else(|| instead(asks.watch, closed.read)),
            publish: publish?.unwrap_or_else(|| instead(asks.publish, closed.publish)),
            history: history?.unwrap_or(closed.history),
            rows: rows?.unwrap_or(closed.rows),
            mask: mask?.map(Arc::new),
            asks,
        })
    })();
    let Some(access) = access else {
        fields.finish();
        return None;
    };
    let warnings = access.warnings(written);
    let lookups = access.lookups().filter_map(|(right, lookup)| {
        let text = fields.get(right.name())?.text()?;
        let LookedUp { table, key, composite, at } = lookup;
        let span = word(reader, &text, *at);
        Some(Lookup { channel: table.clone(), parts: key.len(), composite: *composite, span })
    });
    let lookups = lookups.collect();
    fields.finish();
    Some(Found { access, warnings, lookups })
}

/// Where an application decides and no policy is given, it decides alone.
fn instead(asks: bool, closed: Policy) -> Policy {
    if asks { Policy::Always } else { closed }
}

fn asks(field: &Field) -> Option<Asks> {
    let asked = field.list(true, |text| match text {
        "watch" => Ok(Asks { watch: true, publish: false }),
        "publish" => Ok(Asks { watch: false, publish: true }),
        _ => Err(Complaint::new("nothing that is asked about").help("write `watch`, `publish`, or both in a list")),
    })?;
    let both = |all: Asks, one: Asks| Asks { watch: all.watch || one.watch, publish: all.publish || one.publish };
    Some(asked.into_iter().fold(Asks::default(), both))
}

/// What stands in a challenge is one word (RFC 9470, section 3), and something is asked for.
fn requires(reader: Reader, field: &Field) -> Option<StepUp> {
    let fields = reader.open::<shape::Requires>(field.node(), field.name_span(), "`requires`")?;
    let acr = fields.optional("acr", |field| {
        field.list(true, |text| match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(text.to_owned()),
            false => Err(Complaint::new("no class of authentication").help("write one as the issuer does: `mfa`")),
        })
    });
    let max_age = fields.optional("max_age", |field| {
        field.parse(|text| {
            let longest = Duration::from_secs(365 * 24 * 3_600);
            ranged(values::duration(text)?, Duration::from_secs(1)..=longest, "1s", "365d")
        })
    });
    fields.finish();
    let step_up = StepUp { acr: acr?.unwrap_or_default(), max_age: max_age?.map(|age| age.as_secs()) };
    if step_up.is_nothing() {
        let problem = Problem::new(field.name_span(), "`requires` asks for nothing", "here");
        reader.problems.add(problem.help("give it `acr`, such as `mfa`, or `max_age`, such as `5m`, or leave it out"));
        return None;
    }
    Some(step_up)
}

/// A duration, or an expression.
fn history(reader: Reader, field: &Field, vocabulary: &Vocabulary) -> Option<History> {
    if let Ok(time) = values::duration(field.text()?.text.trim()) {
        return Some(History::Within(time));
    }
    expression(reader, field, |text| History::parse(text, vocabulary))
}

/// A mistake is shown at its character, where the expression stands in the file as it is read.
fn expression<T>(reader: Reader, field: &Field, parse: impl Fn(&str) -> Result<T, CelError>) -> Option<T> {
    let text = field.text()?;
    let error = match parse(&text.text) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let before: usize = text.text.chars().take(error.column.saturating_sub(1)).map(char::len_utf8).sum();
    let span = word(reader, &text, before);
    let title = format!("`{}` cannot be read", field.name());
    let problem = Problem::new(span, title, error.message);
    reader.problems.add(match error.hint {
        Some(hint) => problem.help(hint),
        None => problem.help("a policy is a CEL expression such as `claims.org == params.org`"),
    });
    None
}

/// The word at a byte of an expression, where it stands in the file as it is read.
fn word(reader: Reader, text: &Text, at: usize) -> Range<usize> {
    let stands = reader.source.get(text.span.clone()).and_then(|raw| raw.find(&*text.text));
    let Some(begins) = stands else { return text.span.clone() };
    let at = text.span.start + begins + at;
    let here = reader.source.get(at..text.span.end).unwrap_or_default();
    let word = here.find(|one: char| !one.is_alphanumeric() && !matches!(one, '_' | '.')).unwrap_or(here.len());
    at..at + word.max(here.chars().next().map_or(0, char::len_utf8))
}

/// What every frame shows cannot be masked.
fn mask(reader: Reader, field: &Field, template: &Template, key: Option<&KeySpec>) -> Option<Mask> {
    let columns = field.list(true, |text| {
        text.parse::<Mask>().map_err(|error| {
            Complaint::new(error.to_string()).help("name a member of the data, such as `ssn` or `pay.iban`")
        })
    })?;
    let list: Vec<&str> = columns.iter().map(Mask::as_str).collect();
    let refuse = |title: String, help: &str| {
        reader.problems.add(Problem::new(field.span(), title, "here").help(help));
        None
    };
    if list.is_empty() {
        return refuse("`mask` is an empty list".to_owned(), "name a member of the data, or leave `mask` out");
    }
    let Ok(mask) = list.join(",").parse::<Mask>() else {
        return refuse("`mask` names too many columns".to_owned(), "at most 64, in 1,024 bytes; mask a whole object");
    };
    if let Some(name) = key.and_then(|key| key.fields().find(|name| mask.meets([*name]).is_some())) {
        return refuse(
            format!("`mask` hides `{name}`, and the key is made of it"),
            "every frame shows the key of its row",
        );
    }
    if let Some(name) = template.parameters().find(|name| mask.meets([*name]).is_some()) {
        return refuse(
            format!("`mask` hides `{name}`, and the address is made of it"),
            "every frame shows the address of its row",
        );
    }
    Some(mask)
}
