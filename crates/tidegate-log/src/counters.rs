//! Counters behind [`Stats`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::health::{SYNC_BUCKETS_US, Stats};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) syncs: AtomicU64,
    sync_us: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BUCKETS_US.len() + 1],
    pub(crate) groups: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) journal_bytes_written: AtomicU64,
    pub(crate) drains: AtomicU64,
    pub(crate) drains_failed: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) segments_dropped: AtomicU64,
    pub(crate) replayed: AtomicU64,
    /// Bytes of journal that no drain has taken yet.
    pub(crate) undrained: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(crate) fn synced(&self, took: Duration) {
        let us = took.as_micros() as u64;
        add(&self.syncs, 1);
        add(&self.sync_us, us);
        let bucket = SYNC_BUCKETS_US.partition_point(|bound| *bound < us);
        add(&self.sync_buckets[bucket], 1);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            syncs: get(&self.syncs),
            sync_us: get(&self.sync_us),
            sync_buckets: std::array::from_fn(|bucket| get(&self.sync_buckets[bucket])),
            groups: get(&self.groups),
            batches: get(&self.batches),
            records: get(&self.records),
            journal_bytes_written: get(&self.journal_bytes_written),
            journal_bytes: get(&self.undrained),
            drains: get(&self.drains),
            drains_failed: get(&self.drains_failed),
            merges: get(&self.merges),
            segments_dropped: get(&self.segments_dropped),
            replayed: get(&self.replayed),
            ..Stats::default()
        }
    }
}
