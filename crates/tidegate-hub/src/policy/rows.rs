//! Which rows a caller sees: what is left of a row rule when the caller is known.
//!
//! It acts on what was before and after a change exactly as a filter does: what comes into it is an upsert, what leaves it
//! is a delete. Callers of whom the same is left share tails, blocks and kept answers.

use std::fmt;

use std::sync::Arc;

use tidegate_cel::{Activation, Equality, Expression, Json, Value};

use crate::lookup::{Asked, Found, Lookups, Pattern};
use crate::watch::Image;

/// The longest that may be left: it is in the key of tails, and lives as long as a watch.
pub(super) const RESIDUAL_BYTES_MAX: usize = 64 * 1024;

/// What is left of a row rule; two are equal if they say the same, now.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RowRule {
    expression: Expression,
    /// What it looks up, as it was when the caller came in. It is judged by that, and by nothing once that has changed.
    found: Option<Arc<[Arc<Found>]>>,
    /// The digests of these.
    digest: Box<str>,
}

/// A value, and what is looked up of it.
struct Judged<'j, 'r> {
    image: &'j Image<'r>,
    found: &'j [Arc<Found>],
}

impl RowRule {
    /// `None`: every row is seen.
    pub(super) fn new(expression: Expression, lookups: &Lookups, asked: &Asked) -> Option<RowRule> {
        if expression.canonical() == "true" {
            return None;
        }
        // One that cannot be answered is left out: it fails.
        let found = expression.lookups().iter().filter_map(|lookup| {
            let pattern = Pattern::of_values(lookup.key.iter().map(Option::as_ref))?;
            asked.group(lookups.get(&lookup.table)?, pattern)
        });
        let found: Vec<Arc<Found>> = found.collect();
        let digest = found.iter().map(|found| found.digest()).collect::<Vec<_>>().join(" ").into();
        Some(RowRule { expression, found: (!found.is_empty()).then(|| found.into()), digest })
    }

    /// Whether what it looks up is still so.
    pub(crate) fn holds(&self) -> bool {
        self.found.iter().flat_map(|found| found.iter()).all(|found| found.holds())
    }

    /// Whether it looks up anything.
    pub(crate) fn looks_up(&self) -> bool {
        self.found.is_some()
    }

    /// What it looks up, in short; `None`: nothing.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.looks_up().then_some(&*self.digest)
    }

    /// The canonical text; it holds what the claims say, so it is for fingerprints and not for people.
    pub(crate) fn as_str(&self) -> &str {
        self.expression.canonical()
    }

    /// Whether a value is seen. What cannot be said is a no.
    pub(crate) fn admits(&self, image: &Image<'_>) -> bool {
        match &self.found {
            None => self.expression.matches(image) == Ok(true),
            Some(found) => self.expression.matches(&Judged { image, found }) == Ok(true),
        }
    }

    /// What an index can find it by.
    pub(crate) fn equality(&self) -> Option<&Equality> {
        self.expression.equalities().first()
    }
}

impl Activation for Judged<'_, '_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        self.image.variable(slot)
    }

    fn json(&self, slot: usize) -> Option<&Json<'_>> {
        self.image.json(slot)
    }

    fn lookup(&self, table: &str, key: &[Value<'_>]) -> Option<bool> {
        let key = Pattern::of_values(key.iter().map(Some))?;
        self.found.iter().filter(|found| found.table() == table).find_map(|found| found.has(&key))
    }
}

impl fmt::Debug for RowRule {
    /// Without what the claims say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowRule")
    }
}
