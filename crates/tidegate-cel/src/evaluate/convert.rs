//! Conversions between kinds.

use crate::error::Failure;
use crate::moment::{Duration, Timestamp};
use crate::value::Value;

/// 2^63 and 2^64: the first doubles that are too large.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

pub(super) fn bool(value: &Value<'_>) -> Result<bool, Failure> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(Failure::NotConvertible),
        },
        _ => Err(Failure::NoSuchOverload),
    }
}

/// Doubles are cut, and both ends of the range are out of it, as the conformance cases have it.
pub(super) fn int(value: &Value<'_>) -> Result<i64, Failure> {
    match value {
        Value::Int(value) => Ok(*value),
        Value::Uint(value) => i64::try_from(*value).map_err(|_| Failure::OutOfRange),
        Value::Double(value) if *value > -INT_END && *value < INT_END => Ok(*value as i64),
        Value::Double(_) => Err(Failure::OutOfRange),
        Value::String(text) => text.parse().map_err(|_| Failure::NotConvertible),
        Value::Timestamp(at) => Ok(at.seconds()),
        _ => Err(Failure::NoSuchOverload),
    }
}

pub(super) fn uint(value: &Value<'_>) -> Result<u64, Failure> {
    match value {
        Value::Int(value) => u64::try_from(*value).map_err(|_| Failure::OutOfRange),
        Value::Uint(value) => Ok(*value),
        Value::Double(value) if (0.0..UINT_END).contains(value) => Ok(*value as u64),
        Value::Double(_) => Err(Failure::OutOfRange),
        Value::String(text) => text.parse().map_err(|_| Failure::NotConvertible),
        _ => Err(Failure::NoSuchOverload),
    }
}

pub(super) fn double(value: &Value<'_>) -> Result<f64, Failure> {
    match value {
        Value::Int(value) => Ok(*value as f64),
        Value::Uint(value) => Ok(*value as f64),
        Value::Double(value) => Ok(*value),
        Value::String(text) => text.parse().map_err(|_| Failure::NotConvertible),
        _ => Err(Failure::NoSuchOverload),
    }
}

pub(super) fn timestamp(value: &Value<'_>) -> Result<Timestamp, Failure> {
    match value {
        Value::Timestamp(at) => Ok(*at),
        Value::Int(seconds) => Timestamp::new(*seconds, 0).ok_or(Failure::OutOfRange),
        Value::String(text) => Timestamp::parse(text).ok_or(Failure::NotConvertible),
        _ => Err(Failure::NoSuchOverload),
    }
}

pub(super) fn duration(value: &Value<'_>) -> Result<Duration, Failure> {
    match value {
        Value::Duration(length) => Ok(*length),
        Value::String(text) => Duration::parse(text).ok_or(Failure::NotConvertible),
        _ => Err(Failure::NoSuchOverload),
    }
}

pub(super) fn text(value: Value<'_>) -> Result<Value<'_>, Failure> {
    let text = match value {
        Value::String(_) => return Ok(value),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => double_text(value),
        Value::Bytes(bytes) => std::str::from_utf8(&bytes).map_err(|_| Failure::NotConvertible)?.to_owned(),
        Value::Timestamp(at) => at.to_string(),
        Value::Duration(length) => length.to_string(),
        _ => return Err(Failure::NoSuchOverload),
    };
    Ok(Value::text_made(text))
}

/// As Go writes it, on which the conformance cases rest: the shortest digits, and an exponent of two
/// digits below 1e-4 and from 1e21 on.
fn double_text(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    if size == 0.0 || (1e-4..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}
