//! Small things of others that live as long as the log, such as API keys: by kind and name, each with a value.
//!
//! They are checkpoints whose names no source has, so they become durable as batches do, and with one if need be. There
//! should be few, as all of a kind are read at once.

use bytes::Bytes;

use crate::batch::Batch;

/// What their names begin with.
const PREFIX: &str = "~kept/";

impl Batch {
    /// Keeps a value, which is not empty, under a name of its kind; replaces what was there. A kind has no `/`.
    pub fn keeping(kind: &str, name: &str, value: Bytes) -> Batch {
        debug_assert!(!kind.contains('/') && !value.is_empty());
        Batch { checkpoints: vec![(prefix(kind) + name, value)], ..Batch::default() }
    }

    /// Forgets what is kept under a name of its kind.
    pub fn forgetting(kind: &str, name: &str) -> Batch {
        debug_assert!(!kind.contains('/'));
        Batch { checkpoints: vec![(prefix(kind) + name, Bytes::new())], ..Batch::default() }
    }
}

/// What the names of a kind begin with.
pub(crate) fn prefix(kind: &str) -> String {
    format!("{PREFIX}{kind}/")
}

/// Whether a checkpoint says that nothing is kept there any more.
pub(crate) fn is_forgotten(checkpoint: &str, value: &[u8]) -> bool {
    value.is_empty() && checkpoint.starts_with(PREFIX)
}
