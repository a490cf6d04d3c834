//! Equality of any two values, and membership, which is made of it.

use std::ops::Deref;

use super::{Evaluation, borrowed};
use crate::compare;
use crate::error::Failure;
use crate::value::{List, Map, Value};

/// Bytes that are compared in one step: a few tens of nanoseconds.
const COMPARED_PER_STEP: usize = 1024;

impl<'e> Evaluation<'e> {
    /// Recursion is bounded by the depth of JSON and of the tree.
    #[inline]
    pub(super) fn equal(&mut self, a: &Value<'_>, b: &Value<'_>) -> Result<bool, Failure> {
        match (a, b) {
            (Value::List(a), Value::List(b)) => self.lists_equal(a, b),
            (Value::Map(a), Value::Map(b)) => self.maps_equal(a, b),
            _ => {
                self.charge_compared(a)?;
                Ok(compare::scalars_equal(a, b))
            }
        }
    }

    /// `member in of`.
    pub(super) fn contains(&mut self, of: &Value<'_>, member: &Value<'_>) -> Result<bool, Failure> {
        match of {
            Value::List(list) => match list {
                List::Values(list) => self.any_equal(list.iter(), member),
                List::Json(list) => self.any_equal(list.iter().map(borrowed), member),
            },
            Value::Map(map) => {
                self.charge_search(map)?;
                Ok(map.get(member).is_some())
            }
            _ => Err(Failure::NoSuchOverload),
        }
    }

    fn any_equal<'v, V: Deref<Target = Value<'v>>>(
        &mut self,
        list: impl Iterator<Item = V>,
        member: &Value<'_>,
    ) -> Result<bool, Failure> {
        for own in list {
            self.step()?;
            if self.equal(member, &own)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pays for comparing a value with another one: the shorter text decides, but the longer one may
    /// be on either side, so that one side is taken.
    #[inline]
    pub(super) fn charge_compared(&mut self, value: &Value<'_>) -> Result<(), Failure> {
        match value {
            Value::String(text) => self.charge(text.len() / COMPARED_PER_STEP),
            Value::Bytes(bytes) => self.charge(bytes.len() / COMPARED_PER_STEP),
            _ => Ok(()),
        }
    }

    fn lists_equal(&mut self, a: &List<'_>, b: &List<'_>) -> Result<bool, Failure> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b.iter()) {
            self.step()?;
            if !self.equal(&a, &b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn maps_equal(&mut self, a: &Map<'_>, b: &Map<'_>) -> Result<bool, Failure> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (key, value) in a.iter() {
            self.step()?;
            self.charge_search(b)?;
            match b.get(&key) {
                Some(other) if self.equal(&value, &other)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}
