//! `+ - * / %`: operands of one kind, no conversion, no overflow.

use super::Evaluation;
use crate::error::Failure;
use crate::tree::Arithmetic;
use crate::value::{List, Shared, Value};

impl<'e> Evaluation<'e> {
    pub(super) fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: Value<'e>,
        right: Value<'e>,
    ) -> Result<Value<'e>, Failure> {
        match (operator, left, right) {
            (_, Value::Int(a), Value::Int(b)) => ints(operator, a, b).map(Value::Int),
            (_, Value::Uint(a), Value::Uint(b)) => uints(operator, a, b).map(Value::Uint),
            (_, Value::Double(a), Value::Double(b)) => doubles(operator, a, b).map(Value::Double),
            (Arithmetic::Add, left, right) => self.sum(left, right),
            (Arithmetic::Subtract, left, right) => difference(&left, &right),
            _ => Err(Failure::NoSuchOverload),
        }
    }

    fn sum(&mut self, left: Value<'e>, right: Value<'e>) -> Result<Value<'e>, Failure> {
        let in_range = |timestamp: Option<_>| timestamp.map(Value::Timestamp).ok_or(Failure::OutOfRange);
        match (left, right) {
            (Value::String(a), Value::String(b)) => {
                self.produce(a.len() + b.len())?;
                Ok(Value::text_made([&*a, &*b].concat()))
            }
            (Value::Bytes(a), Value::Bytes(b)) => {
                self.produce(a.len() + b.len())?;
                Ok(Value::Bytes(Shared::Owned([&*a, &*b].concat().into())))
            }
            (Value::List(a), Value::List(b)) => {
                self.charge(a.len().saturating_add(b.len()))?;
                self.produce((a.len() + b.len()) * size_of::<Value>())?;
                let list: Vec<_> = a.iter().chain(b.iter()).collect();
                Ok(Value::List(List::Values(Shared::Owned(list.into()))))
            }
            (Value::Timestamp(at), Value::Duration(by)) | (Value::Duration(by), Value::Timestamp(at)) => {
                in_range(at.add(by))
            }
            (Value::Duration(a), Value::Duration(b)) => a.add(b).map(Value::Duration).ok_or(Failure::OutOfRange),
            _ => Err(Failure::NoSuchOverload),
        }
    }
}

fn difference<'e>(left: &Value<'_>, right: &Value<'_>) -> Result<Value<'e>, Failure> {
    let result = match (left, right) {
        (Value::Timestamp(a), Value::Timestamp(b)) => a.since(*b).map(Value::Duration),
        (Value::Timestamp(at), Value::Duration(by)) => by.negate().and_then(|by| at.add(by)).map(Value::Timestamp),
        (Value::Duration(a), Value::Duration(b)) => a.subtract(*b).map(Value::Duration),
        _ => return Err(Failure::NoSuchOverload),
    };
    result.ok_or(Failure::OutOfRange)
}

pub(super) fn negated(value: Value<'_>) -> Result<Value<'_>, Failure> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Failure::OutOfRange),
        Value::Double(value) => Ok(Value::Double(-value)),
        _ => Err(Failure::NoSuchOverload),
    }
}

/// The same for both kinds of whole numbers, which have no trait in common.
macro_rules! checked {
    ($operator:expr, $a:expr, $b:expr) => {{
        let result = match $operator {
            Arithmetic::Add => $a.checked_add($b),
            Arithmetic::Subtract => $a.checked_sub($b),
            Arithmetic::Multiply => $a.checked_mul($b),
            Arithmetic::Divide | Arithmetic::Remainder if $b == 0 => return Err(Failure::DivisionByZero),
            Arithmetic::Divide => $a.checked_div($b),
            Arithmetic::Remainder => $a.checked_rem($b),
        };
        result.ok_or(Failure::OutOfRange)
    }};
}

fn ints(operator: Arithmetic, a: i64, b: i64) -> Result<i64, Failure> {
    checked!(operator, a, b)
}

fn uints(operator: Arithmetic, a: u64, b: u64) -> Result<u64, Failure> {
    checked!(operator, a, b)
}

fn doubles(operator: Arithmetic, a: f64, b: f64) -> Result<f64, Failure> {
    match operator {
        Arithmetic::Add => Ok(a + b),
        Arithmetic::Subtract => Ok(a - b),
        Arithmetic::Multiply => Ok(a * b),
        Arithmetic::Divide => Ok(a / b),
        // CEL has no remainder of doubles.
        Arithmetic::Remainder => Err(Failure::NoSuchOverload),
    }
}
