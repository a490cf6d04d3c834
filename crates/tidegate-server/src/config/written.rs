//! A config as it is written, field by field, so that two of them can be compared: what differs is named as its author
//! knows it, and no field that comes later can be forgotten.

use std::collections::BTreeMap;
use std::fmt;

use super::document::{Content, Node};

/// What is written, by where it is: `channels`, `orders`, `key`. Variables are not put in.
#[derive(Clone, Debug, Default)]
pub struct Written(BTreeMap<Vec<String>, Value>);

#[derive(Clone, Debug)]
struct Value {
    text: String,
    /// From 1.
    line: usize,
}

/// Sections of which fields are told one by one, also where the whole section is new: a reload changes some of them alone.
const PARTS: [&str; 2] = ["audit", "gate"];

/// A field, or all below it, that is written otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    path: Vec<String>,
    /// Where it is now; `None`: not any more.
    line: Option<usize>,
}

impl Written {
    /// What differs from a config before, in the order of names.
    pub fn differences(&self, before: &Written) -> Vec<Difference> {
        let mut found = Vec::new();
        for (path, value) in &self.0 {
            if before.0.get(path).is_none_or(|other| other.text != value.text) {
                let path = before.known_part(path);
                found.push(Difference { path, line: Some(value.line) });
            }
        }
        for path in before.0.keys().filter(|path| !self.0.contains_key(*path)) {
            let path = self.known_part(path);
            found.push(Difference { path, line: None });
        }
        found.sort_by(|a, b| (&a.path, a.line.is_none(), a.line).cmp(&(&b.path, b.line.is_none(), b.line)));
        found.dedup_by(|a, b| a.path == b.path);
        found
    }

    /// As much of a path as says what is new: all of a channel that is not here at all is told by its name.
    fn known_part(&self, path: &[String]) -> Vec<String> {
        let has = |part: &[String]| self.0.range(part.to_vec()..).next().is_some_and(|(own, _)| own.starts_with(part));
        let least = if PARTS.contains(&path[0].as_str()) { 2 } else { 1 };
        let known = (least..path.len()).find(|length| !has(&path[..*length])).unwrap_or(path.len());
        path[..known].to_vec()
    }

    pub(super) fn of(root: &Node, source: &str) -> Written {
        let mut written = Written::default();
        written.add(root, source, &mut Vec::new(), 1);
        written
    }

    fn add(&mut self, node: &Node, source: &str, path: &mut Vec<String>, line: usize) {
        let text = match &node.content {
            // As if it were not there.
            Content::Null => return,
            Content::Map(entries) => {
                for entry in entries {
                    path.push(entry.name.clone());
                    self.add(&entry.node, source, path, line_of(source, entry.name_span.start));
                    path.pop();
                }
                return;
            }
            Content::Scalar(text) => text.clone(),
            Content::List(_) => spelled(node),
        };
        self.0.insert(path.clone(), Value { text, line });
    }
}

/// A list, so that two that say the same are spelled the same.
fn spelled(node: &Node) -> String {
    match &node.content {
        Content::Null => "null".to_owned(),
        Content::Scalar(text) => format!("{text:?}"),
        Content::List(items) => format!("[{}]", items.iter().map(spelled).collect::<Vec<_>>().join(", ")),
        Content::Map(entries) => {
            let members = entries.iter().map(|entry| format!("{:?}: {}", entry.name, spelled(&entry.node)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

fn line_of(source: &str, at: usize) -> usize {
    source.get(..at).unwrap_or_default().matches('\n').count() + 1
}

impl Difference {
    /// The names that lead to it.
    pub fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// The line where it is now; `None`: it is not there any more.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::super::document;
    use super::*;

    fn written(source: &str) -> Written {
        Written::of(&document::parse(source).unwrap_or_else(|error| panic!("{error:?}")), source)
    }

    fn differences(before: &str, after: &str) -> Vec<(String, Option<usize>)> {
        let found = written(after).differences(&written(before));
        found.iter().map(|difference| (difference.to_string(), difference.line())).collect()
    }

    #[test]
    fn what_differs_is_named_as_it_is_written() {
        let before = "listen: 127.0.0.1:1\nchannels:\n  a: { address: a, key: id }\n  b: { address: b, access: { read: \"true\" } }\n";
        assert_eq!(differences(before, before), []);
        let after = "# the same\nchannels:\n  b:\n    access:\n      read: 'true'\n      mask: [ x,y ]\n    address: b\n  \
                     c: { address: c, key: id }\n  a: { address: a, key: [id, no] }\ntls:\ngate:\n  limits: { subject: { requests: 1/s } }\n";
        let told = [
            ("channels.a.key", Some(9)),
            ("channels.b.access.mask", Some(6)),
            ("channels.c", Some(8)),
            ("gate.limits", Some(12)),
            ("listen", None),
        ];
        assert_eq!(differences(before, after), told.map(|(path, line)| (path.to_owned(), line)));
        // Back again it is the same.
        let back = differences(after, before);
        let gone: Vec<&str> = back.iter().filter(|(_, line)| line.is_none()).map(|(path, _)| path.as_str()).collect();
        assert_eq!(gone, ["channels.b.access.mask", "channels.c", "gate.limits"]);
    }
}
