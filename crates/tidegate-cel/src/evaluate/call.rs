//! Calls of functions.

use super::{Evaluation, convert};
use crate::error::Failure;
use crate::functions::Function;
use crate::moment;
use crate::tree::Node;
use crate::value::{Shared, Value};

/// Bytes that are searched, counted or converted in one step: a few tens of nanoseconds.
const SEARCHED_PER_STEP: usize = 64;

impl<'e> Evaluation<'e> {
    pub(super) fn call(&mut self, function: Function, arguments: &'e [Node]) -> Result<Value<'e>, Failure> {
        self.step()?;
        let Some((subject, rest)) = arguments.split_first() else { return Err(Failure::NoSuchOverload) };
        let subject = self.value(subject)?;
        let argument = rest.first().map(|node| self.value(node)).transpose()?;
        self.charge_searched(&subject)?;
        match (function, subject, argument) {
            (Function::Size, subject, _) => size(&subject).map(|size| Value::Int(size as i64)),
            (Function::Contains, Value::String(text), Some(Value::String(part))) => {
                Ok(Value::Bool(text.contains(&*part)))
            }
            (Function::StartsWith, Value::String(text), Some(Value::String(part))) => {
                Ok(Value::Bool(text.starts_with(&*part)))
            }
            (Function::EndsWith, Value::String(text), Some(Value::String(part))) => {
                Ok(Value::Bool(text.ends_with(&*part)))
            }
            (Function::LowerAscii, Value::String(text), _) => {
                self.produce(text.len())?;
                Ok(Value::text_made(text.to_ascii_lowercase()))
            }
            (Function::UpperAscii, Value::String(text), _) => {
                self.produce(text.len())?;
                Ok(Value::text_made(text.to_ascii_uppercase()))
            }
            (Function::Part(field), subject, zone) => {
                let ahead_seconds = zone.as_ref().map_or(Ok(0), zone_offset)?;
                let part = match subject {
                    Value::Timestamp(at) => Some(at.part(field, ahead_seconds)),
                    Value::Duration(length) if zone.is_none() => length.part(field),
                    _ => None,
                };
                part.map(Value::Int).ok_or(Failure::NoSuchOverload)
            }
            (Function::Dyn, subject, _) => Ok(subject),
            (Function::String, subject, _) => {
                let text = convert::text(subject)?;
                if let Value::String(Shared::Owned(text)) = &text {
                    self.produce(text.len())?;
                }
                Ok(text)
            }
            (Function::Bytes, Value::String(text), _) => {
                self.produce(text.len())?;
                Ok(Value::Bytes(Shared::Owned(text.as_bytes().into())))
            }
            (Function::Bytes, subject @ Value::Bytes(_), _) => Ok(subject),
            (Function::Bool, subject, _) => convert::bool(&subject).map(Value::Bool),
            (Function::Int, subject, _) => convert::int(&subject).map(Value::Int),
            (Function::Uint, subject, _) => convert::uint(&subject).map(Value::Uint),
            (Function::Double, subject, _) => convert::double(&subject).map(Value::Double),
            (Function::Timestamp, subject, _) => convert::timestamp(&subject).map(Value::Timestamp),
            (Function::Duration, subject, _) => convert::duration(&subject).map(Value::Duration),
            _ => Err(Failure::NoSuchOverload),
        }
    }

    fn charge_searched(&mut self, value: &Value<'_>) -> Result<(), Failure> {
        match value {
            Value::String(text) => self.charge(text.len() / SEARCHED_PER_STEP),
            Value::Bytes(bytes) => self.charge(bytes.len() / SEARCHED_PER_STEP),
            _ => Ok(()),
        }
    }
}

fn size(value: &Value<'_>) -> Result<usize, Failure> {
    match value {
        Value::String(text) => Ok(text.chars().count()),
        Value::Bytes(bytes) => Ok(bytes.len()),
        Value::List(list) => Ok(list.len()),
        Value::Map(map) => Ok(map.len()),
        _ => Err(Failure::NoSuchOverload),
    }
}

/// Zones with names have rules that change: only fixed ones are known.
fn zone_offset(zone: &Value<'_>) -> Result<i32, Failure> {
    let Value::String(zone) = zone else { return Err(Failure::NoSuchOverload) };
    if &**zone == "UTC" { Ok(0) } else { moment::offset(zone).ok_or(Failure::NotConvertible) }
}
