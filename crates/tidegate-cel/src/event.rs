//! An event as filters see it, decoded when the first of them looks, and once for all of them.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::activation::Activation;
use crate::json::{Json, Object};
use crate::kind::{Kind, Kinds};
use crate::moment::Timestamp;
use crate::value::Value;
use crate::variables::Variables;

const DATA: usize = 0;
const KEY: usize = 1;
const TIME: usize = 2;
const PARAMS: usize = 3;
const OP: usize = 4;

/// One event, or one side of a change: `data`, `key`, `time`, `params` and `op`.
#[derive(Debug)]
pub struct Event<'e> {
    data: &'e [u8],
    decoded: OnceCell<Json<'e>>,
    key: Json<'e>,
    time: Timestamp,
    params: &'e Params<'e>,
    op: Option<Json<'e>>,
}

/// The parameters of an address, for all events of it.
#[derive(Debug)]
pub struct Params<'p>(Json<'p>);

impl<'e> Event<'e> {
    /// The variables of a filter: `data`, `key`, `time`, `params` with its fields, and `op` where it is
    /// visible, which is in history mode.
    pub fn variables<'p>(params: impl IntoIterator<Item = &'p str>, op: bool) -> Variables {
        let variables = Variables::new()
            .with("data", Kinds::ANY)
            .with("key", Kinds::of(Kind::String).or(Kind::Null.into()))
            .with("time", Kind::Timestamp)
            .with_fields("params", params.into_iter().map(|name| (name, Kind::String.into())));
        if op { variables.with("op", Kind::String) } else { variables }
    }

    /// `data` is JSON that was validated; `key` of an event without one is null.
    pub fn new(data: &'e [u8], key: Option<&'e str>, time: Timestamp, params: &'e Params<'e>) -> Event<'e> {
        let key = key.map_or(Json::Null, |key| Json::String(Cow::Borrowed(key)));
        Event { data, decoded: OnceCell::new(), key, time, params, op: None }
    }

    /// With what happened to the key: `upsert`, `delete` or `append`.
    #[must_use]
    pub fn with_op(self, op: &'e str) -> Event<'e> {
        Event { op: Some(Json::String(Cow::Borrowed(op))), ..self }
    }

    /// The data, decoded.
    pub fn data(&self) -> &Json<'e> {
        self.decoded.get_or_init(|| Json::decode(self.data).unwrap_or(Json::Null))
    }
}

impl Activation for Event<'_> {
    #[inline]
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        match slot {
            TIME => Some(Value::Timestamp(self.time)),
            _ => self.json(slot).map(Value::from),
        }
    }

    #[inline]
    fn json(&self, slot: usize) -> Option<&Json<'_>> {
        match slot {
            DATA => Some(self.data()),
            KEY => Some(&self.key),
            PARAMS => Some(&self.params.0),
            OP => self.op.as_ref(),
            _ => None,
        }
    }
}

impl<'p> Params<'p> {
    /// Names with decoded values.
    pub fn new(params: impl IntoIterator<Item = (&'p str, &'p str)>) -> Params<'p> {
        let params = params.into_iter();
        let members = params.map(|(name, value)| (Cow::Borrowed(name), Json::String(Cow::Borrowed(value))));
        Params(Json::Object(Object::new(members.collect())))
    }
}

impl Default for Params<'_> {
    fn default() -> Self {
        Params(Json::Object(Object::default()))
    }
}
