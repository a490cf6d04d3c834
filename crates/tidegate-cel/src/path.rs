//! Paths into variables: `data.order.lines[0].price`.

use std::fmt;

use crate::activation::Activation;
use crate::canonical;
use crate::error::Failure;
use crate::index::IndexKey;
use crate::json::Json;
use crate::value::Value;

/// A variable, and which part of it. It prints as CEL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldPath {
    pub(crate) root: Root,
    pub(crate) segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    Variable {
        slot: usize,
        name: Box<str>,
    },
    /// The variable of a macro.
    Local {
        level: usize,
        name: Box<str>,
    },
}

/// A step down.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The member of an object.
    Field(Box<str>),
    /// The element of an array, from 0.
    Index(i64),
}

impl FieldPath {
    /// The name of the variable.
    pub fn variable(&self) -> &str {
        match &self.root {
            Root::Variable { name, .. } | Root::Local { name, .. } => name,
        }
    }

    /// The steps into the variable.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether `other` is this path or lies below it.
    pub fn covers(&self, other: &FieldPath) -> bool {
        self.root == other.root && other.segments.starts_with(&self.segments)
    }

    /// What the path leads to.
    ///
    /// # Errors
    /// Something on the way is not there.
    pub fn value<'a>(&self, activation: &'a dyn Activation) -> Result<Value<'a>, Failure> {
        self.walk(&self.segments, activation)
    }

    /// Whether the last segment, a field, is there.
    pub(crate) fn is_there(&self, activation: &dyn Activation) -> Result<bool, Failure> {
        let Some((Segment::Field(name), above)) = self.segments.split_last() else {
            return Err(Failure::NoSuchOverload);
        };
        match self.walk(above, activation)? {
            Value::Map(map) => Ok(map.field(name).is_some()),
            _ => Err(Failure::NoSuchOverload),
        }
    }

    /// The key under which an index of this path has an event; `None` if the path leads nowhere, or to
    /// what equals no constant of an [`Equality`](crate::Equality).
    pub fn key<'a>(&self, activation: &'a dyn Activation) -> Option<IndexKey<'a>> {
        IndexKey::of(self.value(activation).ok()?)
    }

    /// Follows segments from the variable on.
    pub(crate) fn walk<'a>(&self, segments: &[Segment], activation: &'a dyn Activation) -> Result<Value<'a>, Failure> {
        let Root::Variable { slot, .. } = self.root else { return Err(Failure::NoSuchVariable) };
        if let Some(json) = activation.json(slot) {
            return segments.iter().try_fold(json, |json, segment| segment.of_json(json)).map(Value::from);
        }
        let root = activation.variable(slot).ok_or(Failure::NoSuchVariable)?;
        segments.iter().try_fold(root, |value, segment| segment.of(&value))
    }

    pub(crate) fn is_variable(&self) -> bool {
        matches!(self.root, Root::Variable { .. })
    }
}

impl Segment {
    /// What it leads to in JSON.
    #[inline]
    pub(crate) fn of_json<'e>(&self, json: &'e Json<'e>) -> Result<&'e Json<'e>, Failure> {
        let found = match (json, self) {
            (Json::Object(object), Segment::Field(name)) => object.get(name),
            (Json::Array(list), Segment::Index(at)) => usize::try_from(*at).ok().and_then(|at| list.get(at)),
            (Json::Object(_), Segment::Index(_)) => None,
            _ => return Err(Failure::NoSuchOverload),
        };
        found.ok_or(Failure::NoSuchField)
    }

    /// What it leads to in any value.
    pub(crate) fn of<'e>(&self, value: &Value<'e>) -> Result<Value<'e>, Failure> {
        match (value, self) {
            (Value::Map(map), Segment::Field(name)) => map.field(name).ok_or(Failure::NoSuchField),
            (Value::List(list), Segment::Index(at)) => {
                usize::try_from(*at).ok().and_then(|at| list.get(at)).ok_or(Failure::NoSuchField)
            }
            (Value::Map(map), Segment::Index(at)) => map.get(&Value::Int(*at)).ok_or(Failure::NoSuchField),
            _ => Err(Failure::NoSuchOverload),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&canonical::path(self))
    }
}
