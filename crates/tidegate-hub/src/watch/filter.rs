//! `filter=`: which values a watch sees, as a CEL expression.
//!
//! It reads `data`, `params` (the parameters of the address) and, on keyed channels, `key`. Where each record is
//! judged by itself it reads `time` too, and `op` in the history of a keyed channel. A watch of the state has no
//! `time`: a value that leaves its filter is judged by what it was, whose time the record does not keep.

use std::hash::Hash;

use tidegate_cel::{
    Activation, Equality, Expression, FieldPath, IndexKey, Json, Kind as CelKind, Kinds, Timestamp, Value, Variables,
};
use tidegate_core::{ErrorCode, Kind, Problem};

use super::sight::Image;
use crate::channel::Channel;

/// A filter that was read; two are equal if they say the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Filter {
    expression: Expression,
}

// The numbers of the variables, as an image knows them.
const DATA: usize = 0;
const PARAMS: usize = 1;
/// Keyed channels go on with these.
const KEY: usize = 2;
const KEYED_TIME: usize = 3;
const OP: usize = 4;
/// Plain channels with this.
const PLAIN_TIME: usize = 2;

impl Filter {
    /// Reads the filter of a watch of this kind.
    ///
    /// # Errors
    /// `invalid` with the column, and the nearest name where there is one.
    pub(super) fn parse(text: &str, channel: &Channel, kind: Kind) -> Result<Filter, Problem> {
        let expression = Expression::condition(text, &variables(channel)).map_err(|error| {
            let hint = error.hint.unwrap_or_else(|| {
                "a filter is a CEL expression such as `data.price > 100.0 && data.symbol in [\"AAPL\", \"GOOG\"]`"
                    .to_owned()
            });
            invalid(format!("the filter, column {}: {}", error.column, error.message), &hint).column(error.column)
        })?;
        let unknown = ["time", "op"].into_iter().find(|name| expression.reads(name));
        match unknown.filter(|_| channel.keyed() && kind == Kind::State) {
            None => Ok(Filter { expression }),
            Some(name) => Err(invalid(
                format!(
                    "a filter of the state cannot read `{name}`: what leaves it is judged by the value before, which has none"
                ),
                "use a member of the data, or watch the history: with `from` or `snapshot=false`",
            )),
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        self.expression.canonical()
    }

    /// Whether a value passes. What cannot be said of it, such as of a member that it does not have, is a no.
    pub fn admits(&self, image: &Image<'_>) -> bool {
        self.expression.matches(image) == Ok(true)
    }

    /// What an index can find it by: it passes only values that have one of a few keys at a path.
    pub fn equality(&self) -> Option<&Equality> {
        self.expression.equalities().first()
    }
}

impl Image<'_> {
    /// What it has at a path, as an index sees it.
    pub fn key_at(&self, path: &FieldPath) -> Option<IndexKey<'_>> {
        path.key(self)
    }
}

impl Activation for Image<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        let place = self.place();
        match (slot, place.key) {
            (KEY, Some(key)) => Some(Value::text(key)),
            (KEYED_TIME, Some(_)) | (PLAIN_TIME, None) => Some(Value::Timestamp(Timestamp::from_millis(place.time.0))),
            (OP, Some(_)) => Some(Value::text(place.op.as_str())),
            _ => self.json(slot).map(Value::from),
        }
    }

    fn json(&self, slot: usize) -> Option<&Json<'_>> {
        match slot {
            DATA => Some(self.decoded()),
            PARAMS => Some(self.params()),
            _ => None,
        }
    }
}

fn variables(channel: &Channel) -> Variables {
    let params = channel.config.template.parameters().map(|name| (name, Kinds::of(CelKind::String)));
    let variables = Variables::new().with("data", Kinds::ANY).with_fields("params", params);
    match channel.keyed() {
        false => variables.with("time", CelKind::Timestamp),
        true => variables.with("key", CelKind::String).with("time", CelKind::Timestamp).with("op", CelKind::String),
    }
}

fn invalid(detail: String, hint: &str) -> Problem {
    Problem::new(ErrorCode::Invalid, detail).hint(hint)
}
