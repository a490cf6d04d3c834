//! The `sources:` of the config.

use std::sync::Arc;

use serde_json::Value;
use tidegate_core::suggest::nearest;
use tidegate_sources::{KINDS, Kind, Settings, Source};

use super::document::{Content, Entry, Node};
use super::fields::{Field, Reader, names_in, quoted};
use super::report::Problem;
use super::values::{self, Complaint};

/// A system that is read from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// As channels name it, and as its checkpoint is kept.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its settings, read.
    pub source: Arc<dyn Source>,
}

/// What is known of a source even when its settings are wrong, so that channels can be checked.
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) kind: Option<&'static Kind>,
    pub(super) config: Option<SourceConfig>,
}

pub(super) fn read(reader: Reader, field: Option<Field>) -> Vec<Declared> {
    let Some(field) = field else { return Vec::new() };
    let entries = reader.members(field.node(), field.name_span(), "sources").unwrap_or_default();
    entries.iter().map(|entry| source(reader, entry)).collect()
}

fn source(reader: Reader, entry: &Entry) -> Declared {
    check_name(reader, entry, "source");
    let mut declared = Declared { name: entry.name.clone(), kind: None, config: None };
    declared.kind = kind_of(reader, entry);
    let Some(kind) = declared.kind else { return declared };
    let mut known = vec!["kind".to_owned()];
    known.extend(names_in((kind.schema)().as_value()));
    let what = format!("a source of kind `{}`", kind.name);
    let Some(fields) = reader.open_known(&entry.node, entry.name_span.clone(), &what, known) else { return declared };
    let Some(settings) = settings(reader, &entry.node) else { return declared };
    match (kind.configure)(&settings) {
        Ok(source) => declared.config = Some(SourceConfig { name: entry.name.clone(), kind: kind.name, source }),
        Err(error) => {
            let complaint = Complaint::new(error.what).help(error.help);
            match fields.get(error.field) {
                Some(field) => field.complain(field.span(), complaint),
                None => {
                    let title = format!("`{}` is missing", error.field);
                    let problem = Problem::new(fields.owner(), title, complaint.label);
                    reader.problems.add(problem.help(complaint.help.unwrap_or_default()));
                }
            }
        }
    }
    declared
}

fn kind_of(reader: Reader, entry: &Entry) -> Option<&'static Kind> {
    let Content::Map(members) = &entry.node.content else {
        reader.members(&entry.node, entry.name_span.clone(), "a source");
        missing_kind(reader, entry);
        return None;
    };
    let Some(member) = members.iter().find(|member| member.name == "kind") else {
        missing_kind(reader, entry);
        return None;
    };
    let text = reader.text(&member.node, &member.name_span)?;
    let found = Kind::find(&text.text);
    if found.is_none() {
        let names = KINDS.iter().map(|kind| kind.name);
        let label = match nearest(&text.text, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "unknown kind".to_owned(),
        };
        let problem = Problem::new(text.span, format!("there is no source of kind `{}`", text.text), label);
        reader.problems.add(problem.help(format!("this release has {}", quoted(names))));
    }
    found
}

fn missing_kind(reader: Reader, entry: &Entry) {
    if matches!(entry.node.content, Content::Map(_) | Content::Null) {
        let problem = Problem::new(entry.name_span.clone(), "`kind` is missing", "here");
        let names = quoted(KINDS.iter().map(|kind| kind.name));
        reader.problems.add(problem.help(format!("add a line such as `kind: system`; this release has {names}")));
    }
}

/// The settings without `kind`, variables put in; `None` after a mistake.
fn settings(reader: Reader, node: &Node) -> Option<Settings> {
    let Content::Map(members) = &node.content else { return Some(Settings::new()) };
    let mut settings = Settings::new();
    for member in members.iter().filter(|member| member.name != "kind") {
        settings.insert(member.name.clone(), json(reader, member, &member.node)?);
    }
    Some(settings)
}

fn json(reader: Reader, member: &Entry, node: &Node) -> Option<Value> {
    Some(match &node.content {
        Content::Null => Value::Null,
        Content::Scalar(_) => Value::String(reader.text(node, &member.name_span)?.text),
        Content::List(items) => {
            Value::Array(items.iter().map(|item| json(reader, member, item)).collect::<Option<_>>()?)
        }
        Content::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|entry| Some((entry.name.clone(), json(reader, entry, &entry.node)?)))
                .collect::<Option<_>>()?,
        ),
    })
}

/// Names of sources and channels become labels of metrics and parts of file names.
pub(super) fn check_name(reader: Reader, entry: &Entry, what: &str) {
    if let Err(complaint) = values::name(&entry.name) {
        let title = format!("`{}` cannot name a {what}", entry.name);
        let problem = Problem::new(entry.name_span.clone(), title, complaint.label);
        reader.problems.add(match complaint.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}
