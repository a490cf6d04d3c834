//! Which rows a caller sees: what is left of a row rule when the caller is known.
//!
//! It acts on what was before and after a change exactly as a filter does: what comes into it is an upsert, what leaves it
//! is a delete. Callers of whom the same is left share tails, blocks and kept answers.

use std::fmt;

use tidegate_cel::{Equality, Expression};

use crate::watch::Image;

/// The longest that may be left: it is in the key of tails, and lives as long as a watch.
pub(super) const RESIDUAL_BYTES_MAX: usize = 64 * 1024;

/// What is left of a row rule; two are equal if they say the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RowRule {
    expression: Expression,
}

impl RowRule {
    /// `None`: every row is seen.
    pub(super) fn new(expression: Expression) -> Option<RowRule> {
        (expression.canonical() != "true").then_some(RowRule { expression })
    }

    /// The canonical text; it holds what the claims say, so it is for fingerprints and not for people.
    pub(crate) fn as_str(&self) -> &str {
        self.expression.canonical()
    }

    /// Whether a value is seen. What cannot be said is a no.
    pub(crate) fn admits(&self, image: &Image<'_>) -> bool {
        self.expression.matches(image) == Ok(true)
    }

    /// What an index can find it by.
    pub(crate) fn equality(&self) -> Option<&Equality> {
        self.expression.equalities().first()
    }
}

impl fmt::Debug for RowRule {
    /// Without what the claims say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowRule")
    }
}
