//! Reading mappings: every field is asked for by name, and what was not asked for is a mistake.

use std::cell::RefCell;
use std::ops::Range;

use schemars::JsonSchema;
use tidegate_core::suggest::nearest;

use super::document::{Content, Entry, Node};
use super::env::{Environment, substitute};
use super::report::{Problem, Problems};
use super::values::Complaint;

/// What the reader of every mapping needs.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) source: &'r str,
    pub(super) environment: &'r Environment,
    pub(super) problems: &'r Problems,
}

/// A mapping whose fields are known from the shape of type `S`.
pub(super) struct Fields<'n, 'r> {
    reader: Reader<'r>,
    /// Where to point when something is missing.
    owner: Range<usize>,
    entries: &'n [Entry],
    known: Vec<String>,
    /// Asked for so far; the reader must ask for all of the shape.
    asked: RefCell<Vec<String>>,
}

/// A field that is there.
#[derive(Clone, Copy)]
pub(super) struct Field<'n, 'r> {
    reader: Reader<'r>,
    entry: &'n Entry,
}

/// A scalar after substitution.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl<'r> Reader<'r> {
    /// Opens `node` as a mapping of shape `S`; `what` names it for people, as in "a channel".
    pub(super) fn open<'n, S: JsonSchema>(
        self,
        node: &'n Node,
        owner: Range<usize>,
        what: &str,
    ) -> Option<Fields<'n, 'r>> {
        self.open_known(node, owner, what, names_of::<S>())
    }

    /// The same with the names given.
    pub(super) fn open_known<'n>(
        self,
        node: &'n Node,
        owner: Range<usize>,
        what: &str,
        known: Vec<String>,
    ) -> Option<Fields<'n, 'r>> {
        let entries = self.members(node, owner.clone(), what)?;
        for entry in entries {
            if !known.contains(&entry.name) {
                self.problems.add(unknown_field(entry, what, &known));
            }
        }
        Some(Fields { reader: self, owner, entries, known, asked: RefCell::default() })
    }

    /// The members of a mapping with free names.
    pub(super) fn members<'n>(self, node: &'n Node, owner: Range<usize>, what: &str) -> Option<&'n [Entry]> {
        let entries: &[Entry] = match &node.content {
            Content::Map(entries) => entries,
            Content::Null => &[],
            other => {
                let span = if node.span.is_empty() { owner } else { node.span.clone() };
                let title = format!("expected a mapping for {what}, found {}", other.kind());
                self.problems.add(Problem::new(span, title, "a mapping has `name: value` lines"));
                return None;
            }
        };
        for (at, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..at].iter().find(|first| first.name == entry.name) {
                let title = format!("`{}` stands twice", entry.name);
                let problem = Problem::new(entry.name_span.clone(), title, "again here");
                self.problems.add(problem.also(first.name_span.clone(), "first here"));
            }
        }
        Some(entries)
    }

    /// The text of a scalar, with environment variables put in.
    pub(super) fn text(self, node: &Node, owner: &Range<usize>) -> Option<Text> {
        let span = if node.span.is_empty() { owner.clone() } else { node.span.clone() };
        match &node.content {
            Content::Scalar(text) => {
                let raw = self.source.get(span.clone()).unwrap_or_default();
                match substitute(text, raw, span.start, self.environment) {
                    Ok(text) => Some(Text { text, span }),
                    Err(problem) => {
                        self.problems.add(problem);
                        None
                    }
                }
            }
            other => {
                let title = format!("expected text, found {}", other.kind());
                self.problems.add(Problem::new(span, title, "one value belongs here"));
                None
            }
        }
    }
}

impl<'n, 'r> Fields<'n, 'r> {
    /// The field, if it is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<Field<'n, 'r>> {
        debug_assert!(self.known.iter().any(|known| known == name), "`{name}` is not in the shape");
        self.asked.borrow_mut().push(name.to_owned());
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        (!matches!(entry.node.content, Content::Null)).then_some(Field { reader: self.reader, entry })
    }

    /// The field, which must be there.
    pub(super) fn require(&self, name: &str, example: &str) -> Option<Field<'n, 'r>> {
        let field = self.get(name);
        if field.is_none() {
            let problem = Problem::new(self.owner.clone(), format!("`{name}` is missing"), "here");
            self.reader.problems.add(problem.help(format!("add a line such as `{example}`")));
        }
        field
    }

    /// The value of the field, or of `default` where it is not given; `None` after a mistake.
    pub(super) fn value<T>(
        &self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        match self.get(name) {
            Some(field) => field.parse(parse),
            None => parse(default).ok(),
        }
    }

    /// What `read` makes of the field: `Some(None)` where it is not given, `None` after a mistake.
    pub(super) fn optional<T>(&self, name: &str, read: impl FnOnce(&Field<'n, 'r>) -> Option<T>) -> Option<Option<T>> {
        match self.get(name) {
            Some(field) => read(&field).map(Some),
            None => Some(None),
        }
    }

    /// Where to point when something is missing.
    pub(super) fn owner(&self) -> Range<usize> {
        self.owner.clone()
    }

    /// Ends the reading; in debug builds a field of the shape that was not asked for is a bug.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        let forgotten = self.known.iter().find(|known| !asked.contains(known));
        debug_assert_eq!(forgotten, None, "a field of the shape is never read");
    }
}

impl<'n, 'r> Field<'n, 'r> {
    /// Its value as a node.
    pub(super) fn node(&self) -> &'n Node {
        &self.entry.node
    }

    /// Its name.
    pub(super) fn name(&self) -> &'n str {
        &self.entry.name
    }

    /// Where the name stands.
    pub(super) fn name_span(&self) -> Range<usize> {
        self.entry.name_span.clone()
    }

    /// Where the value stands, or the name where the value has no text of its own.
    pub(super) fn span(&self) -> Range<usize> {
        if self.entry.node.span.is_empty() { self.name_span() } else { self.entry.node.span.clone() }
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<Text> {
        self.reader.text(&self.entry.node, &self.entry.name_span)
    }

    /// Its text as a value.
    pub(super) fn parse<T>(&self, parse: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
        let text = self.text()?;
        match parse(&text.text) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.complain(text.span, complaint);
                None
            }
        }
    }

    /// Its items, each as a value; one bare text is a list of one where `single` allows it.
    pub(super) fn list<T>(&self, single: bool, parse: impl Fn(&str) -> Result<T, Complaint>) -> Option<Vec<T>> {
        let items = match &self.entry.node.content {
            Content::List(items) => items.as_slice(),
            Content::Scalar(_) if single => std::slice::from_ref(&self.entry.node),
            other => {
                let wanted = if single { "text or a list" } else { "a list" };
                let title = format!("expected {wanted} for `{}`, found {}", self.entry.name, other.kind());
                self.reader.problems.add(Problem::new(self.span(), title, "write `[one, two]`"));
                return None;
            }
        };
        let mut values = Vec::new();
        for item in items {
            let text = self.reader.text(item, &self.entry.name_span)?;
            match parse(&text.text) {
                Ok(value) => values.push(value),
                Err(complaint) => {
                    self.complain(text.span, complaint);
                    return None;
                }
            }
        }
        Some(values)
    }

    /// Reports a mistake in the field's value.
    pub(super) fn complain(&self, span: Range<usize>, complaint: Complaint) {
        let problem = Problem::new(span, format!("`{}` cannot be read", self.entry.name), complaint.label);
        self.reader.problems.add(match complaint.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

fn unknown_field(entry: &Entry, what: &str, known: &[String]) -> Problem {
    let title = format!("{what} has no field `{}`", entry.name);
    let label = match nearest(&entry.name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "unknown field".to_owned(),
    };
    Problem::new(entry.name_span.clone(), title, label).help(format!("the fields are {}", quoted(known)))
}

/// The names, each in backquotes.
pub(super) fn quoted(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}

/// The fields of a shape.
fn names_of<S: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(S);
    names_in(schema.as_value())
}

/// The properties of a JSON Schema of an object.
pub(super) fn names_in(schema: &serde_json::Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}
