//! What must hold for any expression that a client sends and any event that it meets: called by the
//! fuzz target, and by a test with random bytes and with the target's corpus.

use crate::activation::{Activation, Nothing};
use crate::event::{Event, Params};
use crate::expression::Expression;
use crate::json::Json;
use crate::moment::Timestamp;

/// A source, a zero byte, and the data of an event. The normal form is parsed again, means the same and
/// is its own; an index misses nothing; folding all that is known leaves the result; valid JSON is
/// decoded.
///
/// # Panics
/// If that does not hold.
pub fn expressions(bytes: &[u8]) {
    let (source, data) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let data = data.get(1..).unwrap_or_default();
    let decoded = Json::decode(data);
    let valid = tidegate_core::json::validate(&bytes::Bytes::copy_from_slice(data));
    assert!(decoded.is_some() || valid.is_err(), "valid JSON is decoded");
    let Ok(source) = std::str::from_utf8(source) else { return };
    let variables = Event::variables(["region"], true);
    let Ok(expression) = Expression::parse(source, &variables) else { return };
    let again = Expression::parse(expression.canonical(), &variables).expect("the normal form is CEL");
    assert_eq!(again, expression, "the normal form is its own");
    let params = Params::new([("region", "eu")]);
    let event = Event::new(data, Some("k"), Timestamp::from_millis(1_715_000_000_500), &params).with_op("upsert");
    holds(&expression, &again, &event);
}

fn holds(expression: &Expression, again: &Expression, event: &dyn Activation) {
    let result = expression.matches(event);
    assert_eq!(again.matches(event), result, "the normal form means the same");
    if result == Ok(true) {
        for equality in expression.equalities() {
            let key = equality.path.key(event);
            assert!(key.is_some_and(|key| equality.keys.contains(&key)), "{} is found", equality.path);
        }
    }
    let folded = expression.fold(event).matches(&Nothing);
    // What is folded costs no steps any more; constants of another form may cost some more.
    if ![result, folded].iter().any(|result| result.is_err_and(|failure| failure.is_limit())) {
        assert_eq!(folded.ok(), result.ok(), "folding leaves the result");
    }
}

#[cfg(test)]
mod tests;
