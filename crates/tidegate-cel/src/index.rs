//! What makes filters findable: an expression that can only match where a path has one of a few
//! values is looked up by that value, instead of being evaluated for each event.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::path::FieldPath;
use crate::tree::{Comparison, Node};
use crate::value::{List, Value};

/// A scalar as equality sees it: what is equal in CEL is the same key, so 1, 1u and 1.0 are.
///
/// A map whose keys are `IndexKey<'static>` can be asked for the key of an event without a copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IndexKey<'k> {
    /// `null`.
    Null,
    /// A bool.
    Bool(bool),
    /// A whole number in the range of an int.
    Int(i64),
    /// A whole number beyond it, in the range of a uint.
    Uint(u64),
    /// The bits of any other number.
    Double(u64),
    /// A string.
    String(Cow<'k, str>),
}

/// An expression matches only if the value at `path` is one of `keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equality {
    /// What to look at.
    pub path: FieldPath,
    /// All values with which it can match, each once; none, if it can never match.
    pub keys: Vec<IndexKey<'static>>,
}

impl<'k> IndexKey<'k> {
    /// The key of a value; `None` for NaN, which equals nothing, and for kinds that are not indexed.
    pub fn of(value: Value<'k>) -> Option<IndexKey<'k>> {
        Some(match value {
            Value::Null => IndexKey::Null,
            Value::Bool(value) => IndexKey::Bool(value),
            Value::Int(value) => IndexKey::Int(value),
            Value::Uint(value) => i64::try_from(value).map_or(IndexKey::Uint(value), IndexKey::Int),
            Value::Double(value) => IndexKey::of_double(value)?,
            Value::String(crate::value::Shared::Borrowed(text)) => IndexKey::String(Cow::Borrowed(text)),
            Value::String(text) => IndexKey::String(Cow::Owned(text.to_string())),
            _ => return None,
        })
    }

    /// The same key, which holds its text.
    pub fn into_owned(self) -> IndexKey<'static> {
        match self {
            IndexKey::Null => IndexKey::Null,
            IndexKey::Bool(value) => IndexKey::Bool(value),
            IndexKey::Int(value) => IndexKey::Int(value),
            IndexKey::Uint(value) => IndexKey::Uint(value),
            IndexKey::Double(bits) => IndexKey::Double(bits),
            IndexKey::String(text) => IndexKey::String(Cow::Owned(text.into_owned())),
        }
    }

    fn of_double(value: f64) -> Option<IndexKey<'k>> {
        // Both ends are exact powers of two, and the ends of the ranges.
        let whole = value.fract() == 0.0;
        match value {
            _ if value.is_nan() => None,
            _ if whole && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) => {
                Some(IndexKey::Int(value as i64))
            }
            _ if whole && (0.0..18_446_744_073_709_551_616.0).contains(&value) => Some(IndexKey::Uint(value as u64)),
            _ => Some(IndexKey::Double(value.to_bits())),
        }
    }
}

/// All equalities of an expression, those with the fewest keys first.
pub(crate) fn equalities(root: &Node) -> Vec<Equality> {
    let mut found = required(root);
    found.sort_by_key(|equality| equality.keys.len());
    found
}

/// What must hold where the node is true: each of these.
fn required(node: &Node) -> Vec<Equality> {
    match node {
        Node::All(parts) => merged(parts.iter().flat_map(required)),
        Node::Any(parts) => either(parts),
        Node::Compare(Comparison::Equal, sides) => match &**sides {
            // A constant is on the right, whatever the source says.
            [Node::Read(path), Node::Constant(value)] => {
                one_of(path, std::slice::from_ref(value)).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Node::In(sides) => match &**sides {
            [Node::Read(path), Node::Constant(Value::List(List::Values(list)))] => {
                one_of(path, list).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Node::InSet(subject, set) => match (&**subject, &set.list) {
            (Node::Read(path), Value::List(List::Values(list))) => one_of(path, list).into_iter().collect(),
            _ => Vec::new(),
        },
        Node::Read(path) => one_of(path, &[Value::Bool(true)]).into_iter().collect(),
        Node::Not(inner) => match &**inner {
            Node::Read(path) => one_of(path, &[Value::Bool(false)]).into_iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// `None` if a constant is of a kind that is not indexed.
fn one_of(path: &FieldPath, constants: &[Value<'static>]) -> Option<Equality> {
    if !path.is_variable() {
        return None;
    }
    let mut keys = Vec::new();
    let mut seen = HashSet::new();
    for constant in constants {
        match (IndexKey::of(constant.clone()), constant) {
            (Some(key), _) => {
                if seen.insert(key.clone()) {
                    keys.push(key);
                }
            }
            // NaN equals nothing.
            (None, Value::Double(_)) => {}
            (None, _) => return None,
        }
    }
    Some(Equality { path: path.clone(), keys })
}

/// Those of one path become one: both must hold.
fn merged(all: impl Iterator<Item = Equality>) -> Vec<Equality> {
    let mut found: Vec<Equality> = Vec::new();
    for equality in all {
        match found.iter_mut().find(|other| other.path == equality.path) {
            Some(other) => other.keys.retain(|key| equality.keys.contains(key)),
            None => found.push(equality),
        }
    }
    found
}

/// What each side of `||` has for the same path, together.
fn either(parts: &[Node]) -> Vec<Equality> {
    let Some((first, rest)) = parts.split_first() else { return Vec::new() };
    let mut found = required(first);
    for part in rest {
        let other = required(part);
        found.retain_mut(|equality| {
            let Some(also) = other.iter().find(|also| also.path == equality.path) else { return false };
            for key in &also.keys {
                if !equality.keys.contains(key) {
                    equality.keys.push(key.clone());
                }
            }
            true
        });
    }
    found
}
