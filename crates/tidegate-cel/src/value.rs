//! The values that an evaluation handles. They borrow from the event and from the expression as long
//! as they can; only what an evaluation makes is owned.

use std::ops::Deref;
use std::sync::Arc;

use crate::json::{Json, Object};
use crate::kind::Kind;
use crate::moment::{Duration, Timestamp};

/// A value of CEL.
#[derive(Debug, Clone)]
pub enum Value<'e> {
    /// `null`.
    Null,
    /// A bool.
    Bool(bool),
    /// An int.
    Int(i64),
    /// A uint.
    Uint(u64),
    /// A double.
    Double(f64),
    /// A string.
    String(Shared<'e, str>),
    /// Bytes.
    Bytes(Shared<'e, [u8]>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(Duration),
    /// A list.
    List(List<'e>),
    /// A map.
    Map(Map<'e>),
}

/// What is borrowed from an event or an expression, or shared by those who hold it.
#[derive(Debug)]
pub enum Shared<'e, T: ?Sized> {
    /// Of the event or the expression.
    Borrowed(&'e T),
    /// Made by an evaluation.
    Owned(Arc<T>),
}

/// A list of JSON, or one that an expression made.
#[derive(Debug, Clone)]
pub enum List<'e> {
    /// An array of the event.
    Json(&'e [Json<'e>]),
    /// Any other.
    Values(Shared<'e, [Value<'e>]>),
}

/// An object of JSON, or a map that an expression made.
#[derive(Debug, Clone)]
pub enum Map<'e> {
    /// An object of the event.
    Json(&'e Object<'e>),
    /// Any other: its keys are of the kinds bool, int, uint and string, and none are equal.
    Values(Shared<'e, [(Value<'e>, Value<'e>)]>),
}

impl<'e> Value<'e> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Uint(_) => Kind::Uint,
            Value::Double(_) => Kind::Double,
            Value::String(_) => Kind::String,
            Value::Bytes(_) => Kind::Bytes,
            Value::Timestamp(_) => Kind::Timestamp,
            Value::Duration(_) => Kind::Duration,
            Value::List(_) => Kind::List,
            Value::Map(_) => Kind::Map,
        }
    }

    /// A text that is held elsewhere.
    pub fn text(text: &'e str) -> Value<'e> {
        Value::String(Shared::Borrowed(text))
    }

    /// A text that this value holds.
    pub fn text_made(text: impl Into<Arc<str>>) -> Value<'e> {
        Value::String(Shared::Owned(text.into()))
    }

    /// The same value, borrowed from this one.
    #[inline]
    pub fn borrowed(&'e self) -> Value<'e> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(*value),
            Value::Int(value) => Value::Int(*value),
            Value::Uint(value) => Value::Uint(*value),
            Value::Double(value) => Value::Double(*value),
            Value::String(text) => Value::String(Shared::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Shared::Borrowed(bytes)),
            Value::Timestamp(value) => Value::Timestamp(*value),
            Value::Duration(value) => Value::Duration(*value),
            Value::List(List::Json(list)) => Value::List(List::Json(list)),
            Value::List(List::Values(list)) => Value::List(List::Values(Shared::Borrowed(list))),
            Value::Map(Map::Json(object)) => Value::Map(Map::Json(object)),
            Value::Map(Map::Values(map)) => Value::Map(Map::Values(Shared::Borrowed(map))),
        }
    }

    /// The same value, which holds all of itself.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Uint(value) => Value::Uint(value),
            Value::Double(value) => Value::Double(value),
            Value::String(text) => Value::String(text.into_owned()),
            Value::Bytes(bytes) => Value::Bytes(bytes.into_owned()),
            Value::Timestamp(value) => Value::Timestamp(value),
            Value::Duration(value) => Value::Duration(value),
            Value::List(list) => Value::List(List::Values(Shared::Owned(list.iter().map(Value::into_owned).collect()))),
            Value::Map(map) => {
                let pairs = map.iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
                Value::Map(Map::Values(Shared::Owned(pairs.collect())))
            }
        }
    }
}

impl<'e> From<&'e Json<'e>> for Value<'e> {
    #[inline]
    fn from(json: &'e Json<'e>) -> Value<'e> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Int(value) => Value::Int(*value),
            Json::Uint(value) => Value::Uint(*value),
            Json::Double(value) => Value::Double(*value),
            Json::String(text) => Value::String(Shared::Borrowed(text)),
            Json::Array(list) => Value::List(List::Json(list)),
            Json::Object(object) => Value::Map(Map::Json(object)),
        }
    }
}

impl<'e> List<'e> {
    /// How many values it has.
    pub fn len(&self) -> usize {
        match self {
            List::Json(list) => list.len(),
            List::Values(list) => list.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a place from 0.
    pub fn get(&self, at: usize) -> Option<Value<'e>> {
        match self {
            List::Json(list) => list.get(at).map(Value::from),
            List::Values(Shared::Borrowed(list)) => list.get(at).map(Value::borrowed),
            List::Values(Shared::Owned(list)) => list.get(at).cloned(),
        }
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'e>> {
        (0..self.len()).map_while(|at| self.get(at))
    }
}

impl<'e> Map<'e> {
    /// How many keys it has.
    pub fn len(&self) -> usize {
        match self {
            Map::Json(object) => object.members().len(),
            Map::Values(map) => map.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A key and its value at a place from 0; the order means nothing.
    pub fn at(&self, at: usize) -> Option<(Value<'e>, Value<'e>)> {
        match self {
            Map::Json(object) => {
                object.members().get(at).map(|(name, value)| (Value::text(name.as_ref()), Value::from(value)))
            }
            Map::Values(Shared::Borrowed(map)) => map.get(at).map(|(key, value)| (key.borrowed(), value.borrowed())),
            Map::Values(Shared::Owned(map)) => map.get(at).cloned(),
        }
    }

    /// All keys with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Value<'e>, Value<'e>)> {
        (0..self.len()).map_while(|at| self.at(at))
    }

    /// The value of a key that is a string.
    #[inline]
    pub fn field(&self, name: &str) -> Option<Value<'e>> {
        match self {
            Map::Json(object) => object.get(name).map(Value::from),
            Map::Values(_) => self.get(&Value::text(name)),
        }
    }

    /// The value of a key; 1, 1u and 1.0 are the same key.
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'e>> {
        match (self, key) {
            (Map::Json(object), Value::String(name)) => object.get(name).map(Value::from),
            (Map::Json(_), _) => None,
            (Map::Values(map), _) => {
                let at = map.iter().position(|(own, _)| crate::compare::scalars_equal(own, key))?;
                self.at(at).map(|(_, value)| value)
            }
        }
    }
}

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Shared::Borrowed(value) => Shared::Borrowed(value),
            Shared::Owned(value) => Shared::Owned(Arc::clone(value)),
        }
    }
}

impl<T: ?Sized> Deref for Shared<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Shared::Borrowed(value) => value,
            Shared::Owned(value) => value,
        }
    }
}

impl Shared<'_, str> {
    fn into_owned(self) -> Shared<'static, str> {
        Shared::Owned(match self {
            Shared::Borrowed(text) => text.into(),
            Shared::Owned(text) => text,
        })
    }
}

impl Shared<'_, [u8]> {
    fn into_owned(self) -> Shared<'static, [u8]> {
        Shared::Owned(match self {
            Shared::Borrowed(bytes) => bytes.into(),
            Shared::Owned(bytes) => bytes,
        })
    }
}
