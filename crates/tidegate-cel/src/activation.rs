//! What an evaluation sees: the values of the variables.

use crate::json::Json;
use crate::value::Value;

/// The values of variables for one evaluation, or for one folding those that are known.
pub trait Activation {
    /// The value of the variable that was declared as number `slot`, from 0; `None` where there is
    /// none. It is asked for as often as the expression names the variable: what is dear is kept.
    fn variable(&self, slot: usize) -> Option<Value<'_>>;

    /// The same value, where it is JSON: it is asked for first, and compared without a conversion.
    fn json(&self, _slot: usize) -> Option<&Json<'_>> {
        None
    }

    /// Whether a table has this key; `None` where that cannot be said.
    fn lookup(&self, _table: &str, _key: &[Value<'_>]) -> Option<bool> {
        None
    }
}

/// Knows no variable.
pub(crate) struct Nothing;

impl Activation for Nothing {
    fn variable(&self, _slot: usize) -> Option<Value<'_>> {
        None
    }
}
