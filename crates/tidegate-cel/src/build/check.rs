//! What is refused before there is a value: operands of which no kinds can fit. An expression that
//! passes may still fail for an event, whose kinds are only known then.

use super::{Operator, Part};
use crate::functions::Function;
use crate::kind::{Kind, Kinds};
use crate::parser::Refusal;
use crate::tree::{Arithmetic, Comparison, Macro};

const BOOL: Kinds = Kinds::of(Kind::Bool);
const LIST: Kinds = Kinds::of(Kind::List);
/// What has elements.
pub(super) const INDEXED: Kinds = LIST.or(Kinds::of(Kind::Map));
const KEYS: Kinds = BOOL.or(Kinds::of(Kind::Int)).or(Kinds::of(Kind::Uint)).or(Kinds::of(Kind::String));
/// What has an order within its kind; numbers have one together.
const ORDERED: Kinds = BOOL
    .or(Kinds::of(Kind::String))
    .or(Kinds::of(Kind::Bytes))
    .or(Kinds::of(Kind::Timestamp))
    .or(Kinds::of(Kind::Duration));

/// What the result of an operator can be.
pub(super) fn binary(operator: Operator, left: &Part, right: &Part, at: usize) -> Result<Kinds, Refusal> {
    let (l, r) = (left.kinds, right.kinds);
    match operator {
        Operator::Or => both_conditions(left, right, "||"),
        Operator::And => both_conditions(left, right, "&&"),
        Operator::In if r.and(INDEXED).is_none() => {
            let refusal = Refusal::new(at, format!("`in` looks into a list or a map, not into {r}"));
            Err(if r.has(Kind::String) { refusal.hint("for a part of a string, `.contains()`") } else { refusal })
        }
        Operator::In => Ok(BOOL),
        Operator::Compare(comparison) => {
            let equality = matches!(comparison, Comparison::Equal | Comparison::Unequal);
            let fits = if equality { equatable(l, r) } else { ordered(l, r) };
            if fits { Ok(BOOL) } else { Err(unfit(comparison.symbol(), l, r, at)) }
        }
        Operator::Arithmetic(arithmetic) => {
            let result = arithmetic_result(arithmetic, l, r);
            if !result.is_none() {
                return Ok(result);
            }
            let refusal = unfit(arithmetic.symbol(), l, r, at);
            let numbers = !l.and(Kinds::NUMBERS).is_none() && !r.and(Kinds::NUMBERS).is_none();
            Err(if numbers && arithmetic != Arithmetic::Remainder {
                refusal.hint("arithmetic converts nothing: write `2.0` for a double, or `double(…)`")
            } else {
                refusal
            })
        }
    }
}

/// A part that must be a bool.
pub(super) fn condition(part: &Part, of: &str, at: usize) -> Result<(), Refusal> {
    match part.kinds.has(Kind::Bool) {
        true => Ok(()),
        false => Err(Refusal::new(at, format!("`{of}` wants a bool, and has {}", part.kinds))),
    }
}

/// The key of a map.
pub(super) fn key(part: &Part) -> Result<(), Refusal> {
    match part.kinds.and(KEYS).is_none() {
        false => Ok(()),
        true => Err(Refusal::new(part.at, format!("{} is no key of a map", part.kinds))),
    }
}

/// What a macro goes through.
pub(super) fn range(part: &Part, name: Macro, at: usize) -> Result<(), Refusal> {
    match part.kinds.and(INDEXED).is_none() {
        false => Ok(()),
        true => Err(Refusal::new(at, format!("`{}` goes through a list or a map, not {}", name.name(), part.kinds))),
    }
}

/// What the result of a function can be.
pub(super) fn call(function: Function, arguments: &[Part], at: usize) -> Result<Kinds, Refusal> {
    let signature = function.signature();
    let (name, most) = (signature.name, signature.takes.len());
    if arguments.len() > most || arguments.len() + signature.optional < most {
        return Err(Refusal::new(at, format!("`{name}` does not take so many arguments as here")));
    }
    for (argument, takes) in arguments.iter().zip(signature.takes) {
        if argument.kinds.and(*takes).is_none() {
            return Err(Refusal::new(at, format!("`{name}` takes {takes}, not {}", argument.kinds)));
        }
    }
    Ok(signature.result)
}

fn both_conditions(left: &Part, right: &Part, symbol: &str) -> Result<Kinds, Refusal> {
    condition(left, symbol, left.at)?;
    condition(right, symbol, right.at)?;
    Ok(BOOL)
}

/// Anything can be compared with `null`; apart from that, unequal kinds are a mistake.
fn equatable(l: Kinds, r: Kinds) -> bool {
    !l.and(r).is_none() || numbers(l, r) || l == Kind::Null.into() || r == Kind::Null.into()
}

fn ordered(l: Kinds, r: Kinds) -> bool {
    !l.and(r).and(ORDERED).is_none() || numbers(l, r)
}

fn numbers(l: Kinds, r: Kinds) -> bool {
    !l.and(Kinds::NUMBERS).is_none() && !r.and(Kinds::NUMBERS).is_none()
}

fn arithmetic_result(operator: Arithmetic, l: Kinds, r: Kinds) -> Kinds {
    const TIMESTAMP: Kinds = Kinds::of(Kind::Timestamp);
    const DURATION: Kinds = Kinds::of(Kind::Duration);
    let common = l.and(r);
    let timed = |a: Kind, b: Kind, result: Kinds| if l.has(a) && r.has(b) { result } else { Kinds::NONE };
    match operator {
        Arithmetic::Add => {
            let same = Kinds::NUMBERS.or(Kinds::of(Kind::String)).or(Kinds::of(Kind::Bytes)).or(LIST).or(DURATION);
            common.and(same).or(timed(Kind::Timestamp, Kind::Duration, TIMESTAMP)).or(timed(
                Kind::Duration,
                Kind::Timestamp,
                TIMESTAMP,
            ))
        }
        Arithmetic::Subtract => common
            .and(Kinds::NUMBERS.or(DURATION))
            .or(timed(Kind::Timestamp, Kind::Duration, TIMESTAMP))
            .or(timed(Kind::Timestamp, Kind::Timestamp, DURATION)),
        Arithmetic::Multiply | Arithmetic::Divide => common.and(Kinds::NUMBERS),
        Arithmetic::Remainder => common.and(Kinds::of(Kind::Int).or(Kinds::of(Kind::Uint))),
    }
}

fn unfit(symbol: &str, l: Kinds, r: Kinds, at: usize) -> Refusal {
    Refusal::new(at, format!("`{symbol}` does not take {l} and {r}"))
}
