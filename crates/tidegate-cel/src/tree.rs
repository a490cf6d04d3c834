//! The compiled tree of an expression: what parsing builds, and evaluation, printing and folding walk.
//! It is at most [`DEPTH_MAX`](crate::limits::DEPTH_MAX) deep, so that all of them may recurse.

use std::collections::HashSet;

use crate::functions::Function;
use crate::index::IndexKey;
use crate::path::FieldPath;
use crate::pattern::Pattern;
use crate::value::{List, Map, Value};

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Constant(Value<'static>),
    /// A variable, or something in it.
    Read(FieldPath),
    /// Whether the last segment of the path, a field, is there.
    Has(FieldPath),
    /// A field of what is not read from a variable.
    Select(Box<Node>, Box<str>),
    HasSelected(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Compare(Comparison, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    InSet(Box<Node>, Set),
    /// `&&` of all: without `true`, and of one only if that may be no bool.
    All(Vec<Node>),
    /// `||` of all, alike.
    Any(Vec<Node>),
    /// Condition, then, else.
    Choose(Box<[Node; 3]>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Pattern),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Comprehension(Box<Comprehension>),
    Lookup(Box<Lookup>),
}

/// `exists("table", key)`: whether a table outside has a key.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    pub(crate) table: Box<str>,
    /// The parts of the key, each of which may be known or not.
    pub(crate) key: Vec<Node>,
    /// The key is written as a list.
    pub(crate) composite: bool,
    /// The byte of the source where the table is named.
    pub(crate) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A long list of constants that have an [`IndexKey`] each.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    /// As the source has them, for printing.
    pub(crate) list: Value<'static>,
    pub(crate) keys: HashSet<IndexKey<'static>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Comprehension {
    pub(crate) name: Macro,
    pub(crate) range: Node,
    /// How many bodies of macros it stands in: the slot of its variable.
    pub(crate) level: usize,
    pub(crate) variable: Box<str>,
    /// Of `map` with three arguments: which elements are mapped.
    pub(crate) condition: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Macro {
    pub(crate) const ALL: [(&'static str, Macro); 5] = [
        ("all", Macro::All),
        ("exists", Macro::Exists),
        ("exists_one", Macro::ExistsOne),
        ("filter", Macro::Filter),
        ("map", Macro::Map),
    ];

    pub(crate) fn name(self) -> &'static str {
        Macro::ALL.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn is_boolean(self) -> bool {
        matches!(self, Macro::All | Macro::Exists | Macro::ExistsOne)
    }
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        }
    }
}

impl Comparison {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

impl Node {
    /// Whether it can only be a bool, or fail.
    pub(crate) fn is_boolean(&self) -> bool {
        match self {
            Node::Constant(value) => matches!(value, Value::Bool(_)),
            Node::Has(_)
            | Node::HasSelected(..)
            | Node::Not(_)
            | Node::Compare(..)
            | Node::In(_)
            | Node::InSet(..)
            | Node::All(_)
            | Node::Any(_)
            | Node::Matches(..)
            | Node::Lookup(_) => true,
            Node::Choose(parts) => parts[1].is_boolean() && parts[2].is_boolean(),
            Node::Call(function, _) => function.signature().result == crate::Kind::Bool.into(),
            Node::Comprehension(comprehension) => comprehension.name.is_boolean(),
            _ => false,
        }
    }

    /// Calls `each` for the nodes directly below.
    pub(crate) fn children<'n>(&'n self, each: &mut impl FnMut(&'n Node)) {
        match self {
            Node::Constant(_) | Node::Read(_) | Node::Has(_) => {}
            Node::Select(one, _)
            | Node::HasSelected(one, _)
            | Node::Not(one)
            | Node::Negate(one)
            | Node::InSet(one, _)
            | Node::Matches(one, _) => each(one),
            Node::Index(two) | Node::Arithmetic(_, two) | Node::Compare(_, two) | Node::In(two) => {
                two.iter().for_each(each);
            }
            Node::Lookup(lookup) => lookup.key.iter().for_each(each),
            Node::Choose(three) => three.iter().for_each(each),
            Node::All(list) | Node::Any(list) | Node::Call(_, list) | Node::List(list) => list.iter().for_each(each),
            Node::Map(pairs) => {
                for (key, value) in pairs {
                    each(key);
                    each(value);
                }
            }
            Node::Comprehension(inner) => {
                each(&inner.range);
                inner.condition.iter().for_each(&mut *each);
                each(&inner.body);
            }
        }
    }
}

/// How deep a constant is; 1 for what is neither list nor map.
pub(crate) fn constant_depth(value: &Value<'static>) -> usize {
    1 + match value {
        Value::List(List::Values(list)) => list.iter().map(constant_depth).max().unwrap_or(0),
        Value::Map(Map::Values(map)) => map.iter().map(|(_, value)| constant_depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}
