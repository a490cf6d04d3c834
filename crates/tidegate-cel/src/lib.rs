//! CEL, the Common Expression Language, as a bounded, compiled tree.
//!
//! An [`Expression`] is parsed once, with the [`Variables`] that it may speak of, and evaluated for each
//! [`Activation`]: a filter for each [`Event`]. Whatever the source and whatever the event, both end
//! after a bounded number of steps ([`limits`]), and neither can fail the process.
//!
//! ```
//! use tidegate_cel::{Event, Expression, Params, Timestamp};
//!
//! let filter = Expression::condition(r#"data.price > 100.0 && key == "AAPL""#, &Event::variables([], false))?;
//! let params = Params::default();
//! let event = Event::new(br#"{"price":101.5}"#, Some("AAPL"), Timestamp::from_millis(0), &params);
//! assert_eq!(filter.matches(&event), Ok(true));
//! assert_eq!(filter.equalities()[0].path.to_string(), "key");
//! # Ok::<(), tidegate_cel::CelError>(())
//! ```
//!
//! What it has of CEL: all literals, fields, indexes, `has()`, `in`, comparison and arithmetic, `&& || !`
//! and `? :`, lists and maps, the macros `all exists exists_one filter map`, strings (`size contains
//! startsWith endsWith matches lowerAscii upperAscii`), times and their parts in UTC or at a fixed
//! offset, conversions, `dyn()`. It has no messages, no types as values, no named time zones, no
//! optional values and no other extension. Numbers of JSON are int where they are whole and fit, then
//! uint, then double; they compare as numbers, and are not converted by arithmetic.

mod activation;
mod build;
mod canonical;
mod compare;
mod error;
mod evaluate;
mod event;
mod expression;
mod fold;
mod functions;
#[cfg(any(test, feature = "fuzzed"))]
pub mod fuzzed;
mod index;
mod json;
mod kind;
mod lexer;
pub mod limits;
mod lookup;
mod moment;
mod never;
mod parser;
mod path;
mod pattern;
mod reads;
mod simplify;
mod tree;
mod value;
mod variables;

pub use activation::Activation;
pub use error::{CelError, Failure};
pub use event::{Event, Params};
pub use expression::Expression;
pub use index::{Equality, IndexKey};
pub use json::{Json, Object};
pub use kind::{Kind, Kinds};
pub use lookup::LookedUp;
pub use moment::{Duration, Timestamp};
pub use path::{FieldPath, Segment};
pub use value::{List, Map, Shared, Value};
pub use variables::Variables;
