//! `fields=`: which members of the data a watch sees.
//!
//! A list of [paths](crate::path) with commas between: `fields=id,customer.name`. The projection of
//!
//! - an object is the object of those members that a path names or leads into, in their order;
//! - an array, the array of the projections of its elements: a path leads through each of them;
//! - any other value is that value. So `customer.name` shows `"customer":null` where it is null, and
//!   data that are no object are shown whole.
//!
//! What is kept is kept byte for byte: numbers, escapes, the order of members.

mod mask;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::json::walker::Walker;
pub use crate::path::PathError;
use crate::path::{Parser, Tree, write_name};
pub use mask::Mask;

/// More paths than this are refused: who wants so many wants the whole.
pub const PATHS_MAX: usize = 64;
/// More names in one path than this are refused; also the bound of what a projection nests by itself.
pub const DEPTH_MAX: usize = 8;
/// A longer list is refused: it is part of a URL, and of every listing of watches.
pub const BYTES_MAX: usize = 1_024;

/// Members of an object, also nested ones; two lists that show the same members are equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fields {
    /// A path that ends has nothing below: `a` swallows `a.b`.
    tree: Tree<()>,
    text: Box<str>,
}

impl Fields {
    /// The canonical list: sorted, nothing twice, quotes only where they are needed. Parsing it gives
    /// the same fields; it is what fingerprints are made of.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[cfg(any(test, feature = "fuzzed"))]
    pub(crate) fn tree(&self) -> &Tree<()> {
        &self.tree
    }

    /// What the fields show of a validated value.
    pub fn project(&self, data: &[u8]) -> Bytes {
        let mut out = Vec::new();
        self.write(data, &mut out);
        out.into()
    }

    /// Appends what the fields show of a validated value.
    pub fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        out.reserve(data.len());
        write(&mut Walker::new(data), &self.tree, out);
    }
}

impl FromStr for Fields {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Fields, PathError> {
        let mut parser = Parser::new(text);
        if text.len() > BYTES_MAX {
            let at = (0..=BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            return Err(parser.fail(at, format!("more than {BYTES_MAX} bytes")));
        }
        let mut tree = Tree::default();
        for count in 1.. {
            let at = parser.at();
            if count > PATHS_MAX {
                return Err(parser.fail(at, format!("more than {PATHS_MAX} paths")));
            }
            tree.grow(parser.path(DEPTH_MAX)?).here = Some(());
            if !parser.takes(',') {
                break;
            }
        }
        swallow(&mut tree);
        let canonical = canonical(&tree);
        // Only where control characters are spelled out, so it is not worth more than one text.
        if canonical.len() > BYTES_MAX {
            return Err(parser.fail(text.len(), format!("more than {BYTES_MAX} bytes with its escapes")));
        }
        Ok(Fields { tree, text: canonical.into() })
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Recursion is bounded by the depth of validated JSON.
fn write(walker: &mut Walker<'_>, tree: &Tree<()>, out: &mut Vec<u8>) {
    match walker.peek() {
        _ if tree.here.is_some() => out.extend_from_slice(walker.value()),
        b'{' => {
            out.push(b'{');
            let begin = out.len();
            walker.enter();
            while let Some(name) = walker.name() {
                let Some(below) = tree.member(name) else {
                    walker.value();
                    continue;
                };
                comma(begin, out);
                out.extend_from_slice(name.quoted);
                out.push(b':');
                write(walker, below, out);
            }
            out.push(b'}');
        }
        b'[' => elements(walker, tree, out, write),
        _ => out.extend_from_slice(walker.value()),
    }
}

/// An array, each of its elements written by `write`: what is said of a member holds for the items of a list.
fn elements<T>(
    walker: &mut Walker<'_>,
    tree: &Tree<T>,
    out: &mut Vec<u8>,
    write: fn(&mut Walker<'_>, &Tree<T>, &mut Vec<u8>),
) {
    out.push(b'[');
    let begin = out.len();
    walker.enter();
    while walker.element() {
        comma(begin, out);
        write(walker, tree, out);
    }
    out.push(b']');
}

/// Before all but the first.
fn comma(begin: usize, out: &mut Vec<u8>) {
    if out.len() > begin {
        out.push(b',');
    }
}

fn swallow(tree: &mut Tree<()>) {
    if tree.here.is_some() {
        tree.members.clear();
    }
    tree.members.iter_mut().for_each(|(_, below)| swallow(below));
}

fn canonical(tree: &Tree<()>) -> String {
    fn collect(tree: &Tree<()>, path: &str, out: &mut String) {
        for (name, below) in &tree.members {
            let mut own = path.to_owned();
            write_name(name, &mut own);
            if below.here.is_some() {
                out.push_str(if out.is_empty() { "" } else { "," });
                out.push_str(&own);
            }
            own.push('.');
            collect(below, &own, out);
        }
    }
    let mut out = String::new();
    collect(tree, "", &mut out);
    out
}

#[cfg(test)]
mod tests;
