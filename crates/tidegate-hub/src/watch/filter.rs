//! `filter=`: which values a watch sees, as a CEL expression.
//!
//! It reads `data`, `params` (the parameters of the address) and, on keyed channels, `key`. Where each record is
//! judged by itself it reads `time` too, and `op` in the history of a keyed channel. A watch of the state has no
//! `time`: a value that leaves its filter is judged by what it was, whose time the record does not keep.

use std::hash::Hash;

use tidegate_cel::{Activation, Equality, Expression, FieldPath, IndexKey, Json, Segment, Timestamp, Value};
use tidegate_core::{ErrorCode, Kind, Mask, Problem};

use super::sight::Image;
use crate::channel::Channel;
use crate::policy::filters;

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
        let expression =
            Expression::condition(text, &filters(&channel.config.template, channel.keyed())).map_err(|error| {
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

    /// Refuses to look at a masked column: what passes, and what does not, would tell of it.
    pub(super) fn spare(&self, mask: &Mask) -> Result<(), Problem> {
        let names = |path: &FieldPath| {
            let name = |segment: &Segment| match segment {
                Segment::Field(name) => Some(name.to_string()),
                // A mask leads through arrays.
                Segment::Index(_) => None,
            };
            path.segments().iter().filter_map(name).collect::<Vec<_>>()
        };
        let met = self.expression.paths("data").find_map(|path| {
            let names = names(path);
            Some((path.to_string(), mask.meets(names.iter().map(String::as_str))?))
        });
        match met {
            None => Ok(()),
            Some((path, hidden)) => Err(invalid(
                format!("the filter reads `{path}`, and the column `{hidden}` is masked"),
                "read only members that the channel shows",
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

fn invalid(detail: String, hint: &str) -> Problem {
    Problem::new(ErrorCode::Invalid, detail).hint(hint)
}
