//! How the log is, in words for people and in numbers for metrics.

/// Whether appends are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// All is well.
    Good,
    /// The last append found no space; the next one tries again.
    Full,
    /// A sync failed; nothing is taken until the log is opened again. Reads go on.
    Poisoned,
}

/// Upper bounds of the buckets of [`Stats::sync_buckets`], in microseconds; one more bucket takes the rest.
pub const SYNC_BUCKETS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// Counters since open, and gauges.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// `fdatasync` calls of the journal, one a group.
    pub syncs: u64,
    /// Their total time in microseconds.
    pub sync_us: u64,
    /// How many took up to the bound of [`SYNC_BUCKETS_US`] at the same place; the last: longer.
    pub sync_buckets: [u64; SYNC_BUCKETS_US.len() + 1],
    /// Groups that were committed.
    pub groups: u64,
    /// Batches in them.
    pub batches: u64,
    /// Records made of them.
    pub records: u64,
    /// Bytes written to the journal.
    pub journal_bytes_written: u64,
    /// Gauge: bytes of journal that are not yet in segments.
    pub journal_bytes: u64,
    /// Drains that succeeded.
    pub drains: u64,
    /// Drains that failed and will be tried again.
    pub drains_failed: u64,
    /// Merges of segments.
    pub merges: u64,
    /// Segments dropped by retention.
    pub segments_dropped: u64,
    /// Gauge: segments on disk.
    pub segments: u64,
    /// Gauge: their bytes.
    pub segment_bytes: u64,
    /// Gauge: records in memory, not yet in segments.
    pub hot_records: u64,
    /// Gauge: their bytes.
    pub hot_bytes: u64,
    /// Gauge: batches that wait in the queue.
    pub queued: u64,
    /// Repeats answered from idempotency keys.
    pub replayed: u64,
}
