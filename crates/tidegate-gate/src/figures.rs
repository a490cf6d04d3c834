//! What the gate has done, counted since it was made: the source of metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters; each only rises.
#[derive(Debug, Default)]
pub struct Figures {
    /// Tokens that were known from an earlier verification.
    pub known: AtomicU64,
    /// Signatures that were checked, whether they were right or not.
    pub signatures: AtomicU64,
    /// Times that keys were read from where they come.
    pub key_reads: AtomicU64,
    /// Those that failed.
    pub key_read_failures: AtomicU64,
    /// Questions to issuers about tokens.
    pub introspections: AtomicU64,
}

impl Figures {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}
