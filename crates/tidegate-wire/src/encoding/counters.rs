//! What compressing did since the process began; compressors belong to threads and not to tails.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts one kind of compression.
pub(super) struct Counters {
    count: AtomicU64,
    bytes_before: AtomicU64,
    bytes_after: AtomicU64,
}

/// What one kind of compression did since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Messages of WebSockets, or runs of frames: each counted once, however many watchers it went to.
    pub count: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes after.
    pub bytes_after: u64,
}

impl Counters {
    pub(super) const fn new() -> Counters {
        Counters { count: AtomicU64::new(0), bytes_before: AtomicU64::new(0), bytes_after: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, before: usize, after: usize) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes_before.fetch_add(before as u64, Ordering::Relaxed);
        self.bytes_after.fetch_add(after as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Compressed {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Compressed {
            count: read(&self.count),
            bytes_before: read(&self.bytes_before),
            bytes_after: read(&self.bytes_after),
        }
    }
}
