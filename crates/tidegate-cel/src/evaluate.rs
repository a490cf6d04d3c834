//! Walks a tree for one activation, with steps and bytes that run out.
//!
//! `&&` and `||` are commutative: a side that decides absorbs a failure of the other side. What a limit
//! ends, nothing absorbs.

mod arithmetic;
mod call;
mod convert;
mod equality;
mod loops;

use std::mem::ManuallyDrop;

use crate::activation::Activation;
use crate::compare;
use crate::error::Failure;
use crate::index::IndexKey;
use crate::json::Json;
use crate::limits::{COMPREHENSIONS_NESTED_MAX, PRODUCED_BYTES_MAX, STEPS_MAX};
use crate::path::{FieldPath, Root, Segment};
use crate::tree::{Comparison, Node};
use crate::value::{List, Map, Shared, Value};

/// One evaluation.
pub(crate) struct Evaluation<'e> {
    activation: &'e dyn Activation,
    steps_left: u32,
    bytes_left: usize,
    /// The variables of the macros, by level.
    locals: [Value<'e>; COMPREHENSIONS_NESTED_MAX],
}

impl<'e> Evaluation<'e> {
    pub(crate) fn new(activation: &'e dyn Activation) -> Evaluation<'e> {
        let locals = [const { Value::Null }; COMPREHENSIONS_NESTED_MAX];
        Evaluation { activation, steps_left: STEPS_MAX, bytes_left: PRODUCED_BYTES_MAX, locals }
    }

    /// The value of a node.
    pub(crate) fn value(&mut self, node: &'e Node) -> Result<Value<'e>, Failure> {
        match node {
            Node::Constant(value) => {
                self.step()?;
                Ok(value.borrowed())
            }
            Node::Read(path) => self.read(path),
            Node::Select(subject, name) => {
                self.step()?;
                let subject = self.value(subject)?;
                select(&subject, name)?.ok_or(Failure::NoSuchField)
            }
            Node::Index(sides) => {
                self.step()?;
                let (subject, at) = (self.value(&sides[0])?, self.value(&sides[1])?);
                self.index(&subject, &at)
            }
            Node::Negate(inner) => {
                self.step()?;
                arithmetic::negated(self.value(inner)?)
            }
            Node::Arithmetic(operator, sides) => {
                self.step()?;
                let (left, right) = (self.value(&sides[0])?, self.value(&sides[1])?);
                self.arithmetic(*operator, left, right)
            }
            Node::Choose(parts) => {
                self.step()?;
                let branch = if self.truth(&parts[0])? { &parts[1] } else { &parts[2] };
                self.value(branch)
            }
            Node::Call(function, arguments) => self.call(*function, arguments),
            Node::List(nodes) => {
                self.step()?;
                let mut list = Vec::with_capacity(nodes.len());
                for node in nodes {
                    self.produce(size_of::<Value>())?;
                    list.push(self.value(node)?);
                }
                Ok(Value::List(List::Values(Shared::Owned(list.into()))))
            }
            Node::Map(pairs) => self.map(pairs),
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
            Node::Has(_)
            | Node::HasSelected(..)
            | Node::Not(_)
            | Node::Compare(..)
            | Node::In(_)
            | Node::InSet(..)
            | Node::All(_)
            | Node::Any(_)
            | Node::Matches(..)
            | Node::Lookup(_) => self.truth(node).map(Value::Bool),
        }
    }

    /// Whether a node is true.
    pub(crate) fn truth(&mut self, node: &'e Node) -> Result<bool, Failure> {
        match node {
            Node::All(parts) => self.all(parts, false),
            Node::Any(parts) => self.all(parts, true),
            Node::Compare(comparison, sides) => {
                self.step()?;
                if let (Node::Read(path), Node::Constant(right)) = (&sides[0], &sides[1])
                    && let Some(left) = self.json(path)
                {
                    return self.compare(*comparison, &borrowed(left?), right);
                }
                let (held, held_too);
                let left = match &sides[0] {
                    Node::Constant(value) => value,
                    node => {
                        held = self.value(node)?;
                        &held
                    }
                };
                let right = match &sides[1] {
                    Node::Constant(value) => value,
                    node => {
                        held_too = self.value(node)?;
                        &held_too
                    }
                };
                self.compare(*comparison, left, right)
            }
            Node::In(sides) => {
                self.step()?;
                if let (Node::Read(path), Node::Constant(of)) = (&sides[0], &sides[1])
                    && let Some(member) = self.json(path)
                {
                    return self.contains(of, &borrowed(member?));
                }
                let member = self.value(&sides[0])?;
                let held;
                let of = match &sides[1] {
                    Node::Constant(value) => value,
                    node => {
                        held = self.value(node)?;
                        &held
                    }
                };
                self.contains(of, &member)
            }
            Node::InSet(member, set) => {
                self.step()?;
                let member = self.value(member)?;
                self.charge_compared(&member)?;
                Ok(IndexKey::of(member).is_some_and(|key| set.keys.contains(&key)))
            }
            Node::Not(inner) => {
                self.step()?;
                Ok(!self.truth(inner)?)
            }
            Node::Has(path) => self.has(path),
            Node::HasSelected(subject, name) => {
                self.step()?;
                let subject = self.value(subject)?;
                Ok(select(&subject, name)?.is_some())
            }
            Node::Matches(subject, pattern) => {
                self.step()?;
                let Value::String(text) = self.value(subject)? else { return Err(Failure::NoSuchOverload) };
                self.charge(pattern.steps(text.len()))?;
                Ok(pattern.is_match(&text))
            }
            Node::Lookup(lookup) => {
                self.step()?;
                let key = lookup.key.iter().map(|part| self.value(part)).collect::<Result<Vec<_>, _>>()?;
                self.activation.lookup(&lookup.table, &key).ok_or(Failure::NotKnown)
            }
            node => match self.value(node)? {
                Value::Bool(value) => Ok(value),
                _ => Err(Failure::NoSuchOverload),
            },
        }
    }

    /// `&&`, or `||` if `decisive` is true.
    fn all(&mut self, parts: &'e [Node], decisive: bool) -> Result<bool, Failure> {
        self.step()?;
        decided(decisive, parts.iter().map(|part| self.truth(part)))
    }

    fn compare(&mut self, comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Failure> {
        match comparison {
            Comparison::Equal => return self.equal(left, right),
            Comparison::Unequal => return self.equal(left, right).map(|equal| !equal),
            _ => {}
        }
        self.charge_compared(left)?;
        let order = compare::order(left, right).map_err(|()| Failure::NoSuchOverload)?;
        Ok(order.is_some_and(|order| match comparison {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            _ => order.is_ge(),
        }))
    }

    fn read(&mut self, path: &'e FieldPath) -> Result<Value<'e>, Failure> {
        self.walk(path, &path.segments)
    }

    fn walk(&mut self, path: &'e FieldPath, segments: &'e [Segment]) -> Result<Value<'e>, Failure> {
        self.charge(1 + segments.len())?;
        match path.root {
            Root::Variable { .. } => path.walk(segments, self.activation),
            Root::Local { level, .. } => {
                segments.iter().try_fold(self.locals[level].clone(), |value, segment| segment.of(&value))
            }
        }
    }

    /// What a path leads to, where its variable is JSON: most of what filters compare. It is paid for.
    #[inline]
    fn json(&mut self, path: &'e FieldPath) -> Option<Result<&'e Json<'e>, Failure>> {
        let Root::Variable { slot, .. } = path.root else { return None };
        let root = self.activation.json(slot)?;
        Some(
            self.charge(1 + path.segments.len())
                .and_then(|()| path.segments.iter().try_fold(root, |json, segment| segment.of_json(json))),
        )
    }

    fn has(&mut self, path: &'e FieldPath) -> Result<bool, Failure> {
        let Some((Segment::Field(name), above)) = path.segments.split_last() else {
            return Err(Failure::NoSuchOverload);
        };
        let subject = self.walk(path, above)?;
        Ok(select(&subject, name)?.is_some())
    }

    fn index(&mut self, subject: &Value<'e>, at: &Value<'_>) -> Result<Value<'e>, Failure> {
        match (subject, at) {
            (Value::List(list), at) => {
                let at = match at {
                    Value::Int(at) => usize::try_from(*at).ok(),
                    Value::Uint(at) => usize::try_from(*at).ok(),
                    Value::Double(at) if at.fract() == 0.0 && *at >= 0.0 => Some(*at as usize),
                    Value::Double(_) => None,
                    _ => return Err(Failure::NoSuchOverload),
                };
                at.and_then(|at| list.get(at)).ok_or(Failure::NoSuchField)
            }
            (Value::Map(map), key) => {
                self.charge_search(map)?;
                map.get(key).ok_or(Failure::NoSuchField)
            }
            _ => Err(Failure::NoSuchOverload),
        }
    }

    fn map(&mut self, nodes: &'e [(Node, Node)]) -> Result<Value<'e>, Failure> {
        self.step()?;
        let mut pairs: Vec<(Value<'e>, Value<'e>)> = Vec::with_capacity(nodes.len());
        for (key, value) in nodes {
            self.produce(2 * size_of::<Value>())?;
            let key = self.value(key)?;
            if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_)) {
                return Err(Failure::NoSuchOverload);
            }
            self.charge(pairs.len())?;
            if pairs.iter().any(|(other, _)| compare::scalars_equal(other, &key)) {
                return Err(Failure::RepeatedKey);
            }
            let value = self.value(value)?;
            pairs.push((key, value));
        }
        Ok(Value::Map(Map::Values(Shared::Owned(pairs.into()))))
    }

    /// Pays for searching a map that an expression made, key by key.
    fn charge_search(&mut self, map: &Map<'_>) -> Result<(), Failure> {
        match map {
            Map::Json(_) => Ok(()),
            Map::Values(pairs) => self.charge(pairs.len()),
        }
    }

    /// Pays for a step.
    #[inline]
    fn step(&mut self) -> Result<(), Failure> {
        self.charge(1)
    }

    /// Pays for so many steps.
    #[inline]
    fn charge(&mut self, steps: usize) -> Result<(), Failure> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps_left.checked_sub(steps));
        self.steps_left = left.ok_or(Failure::TooManySteps)?;
        Ok(())
    }

    /// Pays for bytes that are made.
    fn produce(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(Failure::TooManyBytes)?;
        Ok(())
    }
}

/// JSON as a value. It owns nothing, so that nothing needs to be dropped: on the way of each comparison
/// that is worth a few nanoseconds.
#[inline]
fn borrowed<'e>(json: &'e Json<'e>) -> ManuallyDrop<Value<'e>> {
    ManuallyDrop::new(Value::from(json))
}

fn select<'e>(subject: &Value<'e>, name: &str) -> Result<Option<Value<'e>>, Failure> {
    match subject {
        Value::Map(map) => Ok(map.field(name)),
        _ => Err(Failure::NoSuchOverload),
    }
}

/// What `&&` comes to, or `||` if `decisive` is true: the value of a part that decides, whatever else fails. Only a limit
/// ends it.
#[inline]
fn decided(decisive: bool, parts: impl Iterator<Item = Result<bool, Failure>>) -> Result<bool, Failure> {
    let mut failure = None;
    for part in parts {
        match part {
            Ok(value) if value == decisive => return Ok(decisive),
            Ok(_) => {}
            Err(limit) if limit.is_limit() => return Err(limit),
            Err(other) => failure = failure.or(Some(other)),
        }
    }
    failure.map_or(Ok(!decisive), Err)
}
