//! Paths into a JSON value, as people write them: names with dots between.
//!
//! `total`, `customer.name`. A name that has a dot, a comma or a quote in it, spaces at its ends or
//! nothing at all is written as a JSON string: `"unit.price"`, `lines."a,b"`. Spaces around names
//! mean nothing. A path has no way to name one element of an array: it leads through each of them.

use std::borrow::Cow;

use crate::json;
use crate::json::walker::Name;

/// Up to so many names are looked through one by one.
const FEW: usize = 16;
/// How much of a text an error shows.
const NEAR_CHARS: usize = 20;

/// Why a text is no path, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at column {column}, {}", if near.is_empty() { "the end".to_owned() } else { format!("`{near}`") })]
pub struct PathError {
    /// In characters, from 1.
    pub column: usize,
    /// What stands there, or the beginning of it; empty at the end of the text.
    pub near: Box<str>,
    /// What is wrong there.
    pub reason: Cow<'static, str>,
}

/// Reads paths from a text.
pub(crate) struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(text: &'t str) -> Parser<'t> {
        Parser { text, at: 0 }
    }

    /// An error that points at the byte `at`.
    pub(crate) fn fail(&self, at: usize, reason: impl Into<Cow<'static, str>>) -> PathError {
        let (before, rest) = self.text.split_at(at);
        let near = rest.chars().take(NEAR_CHARS).collect();
        PathError { column: before.chars().count() + 1, near, reason: reason.into() }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The names of the next path, at most `depth_max`.
    pub(crate) fn path(&mut self, depth_max: usize) -> Result<Vec<Box<str>>, PathError> {
        let mut names = Vec::new();
        loop {
            self.skip_spaces();
            if names.len() == depth_max {
                return Err(self.fail(self.at, format!("more than {depth_max} names in a path")));
            }
            names.push(self.name()?);
            self.skip_spaces();
            if !self.takes('.') {
                return Ok(names);
            }
        }
    }

    /// Steps over `wanted`, if it comes next.
    pub(crate) fn takes(&mut self, wanted: char) -> bool {
        let takes = self.rest().starts_with(wanted);
        self.at += if takes { wanted.len_utf8() } else { 0 };
        takes
    }

    pub(crate) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(' ').len();
    }

    fn name(&mut self) -> Result<Box<str>, PathError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let rest = self.rest();
        let end = rest.find(['.', ',', '"']).unwrap_or(rest.len());
        if rest[end..].starts_with('"') {
            return Err(
                self.fail(self.at + end, "a quote inside a name, which belongs in quotes as a JSON string then")
            );
        }
        let name = rest[..end].trim_end_matches(' ');
        if name.is_empty() {
            return Err(self.fail(self.at, "a name is missing"));
        }
        self.at += end;
        Ok(name.into())
    }

    fn quoted(&mut self) -> Result<Box<str>, PathError> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let Some(end) = end else { return Err(self.fail(self.at, "a quoted name does not end")) };
        let raw = &rest[..end + 2];
        let name = json::string(raw.as_bytes()).ok_or_else(|| self.fail(self.at, "a quoted name is no JSON string"))?;
        self.at += raw.len();
        self.skip_spaces();
        match self.rest().chars().next() {
            None | Some('.' | ',') => Ok(name.into()),
            Some(_) => Err(self.fail(self.at, "a dot or a comma is missing behind a quoted name")),
        }
    }
}

/// Appends a name so that [`Parser`] reads it as the same.
pub(crate) fn write_name(name: &str, out: &mut String) {
    let plain = !name.is_empty()
        && !name.contains(|one: char| matches!(one, '.' | ',' | '"') || one.is_control())
        && !name.starts_with(' ')
        && !name.ends_with(' ');
    if plain {
        out.push_str(name);
    } else {
        let mut quoted = Vec::new();
        json::write_string(name, &mut quoted);
        out.push_str(&String::from_utf8_lossy(&quoted));
    }
}

/// Paths that share their beginnings.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Tree<T> {
    /// What belongs to the path that ends here.
    pub(crate) here: Option<T>,
    /// Sorted by name.
    pub(crate) members: Vec<(Box<str>, Tree<T>)>,
}

impl<T> Default for Tree<T> {
    fn default() -> Tree<T> {
        Tree { here: None, members: Vec::new() }
    }
}

impl<T> Tree<T> {
    /// The tree below a path, which is made where there is none.
    pub(crate) fn grow(&mut self, path: impl IntoIterator<Item = Box<str>>) -> &mut Tree<T> {
        path.into_iter().fold(self, |tree, name| {
            let at = match tree.members.binary_search_by(|(own, _)| own.cmp(&name)) {
                Ok(at) => at,
                Err(at) => {
                    tree.members.insert(at, (name, Tree::default()));
                    at
                }
            };
            &mut tree.members[at].1
        })
    }

    /// The tree below a member.
    pub(crate) fn member(&self, name: Name<'_>) -> Option<&Tree<T>> {
        if name.escaped { self.named(&name.text()) } else { self.named(name.inner()) }
    }

    fn named(&self, name: &[u8]) -> Option<&Tree<T>> {
        // Of a few names, most differ in their lengths already.
        if self.members.len() <= FEW {
            return self.members.iter().find(|(own, _)| own.as_bytes() == name).map(|(_, below)| below);
        }
        let at = self.members.binary_search_by(|(own, _)| own.as_bytes().cmp(name)).ok()?;
        Some(&self.members[at].1)
    }
}
