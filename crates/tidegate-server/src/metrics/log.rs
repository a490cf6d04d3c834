//! Metrics of the log.

use tidegate_log::{Health, SYNC_BUCKETS_US};

use super::figures::{Figure, Kind, Read, Sample, State};

pub(super) const FIGURES: &[Figure] = &[
    Figure::gauge(
        "tidegate_log_health",
        "0: good. 1: the disk is full, the log recovers by itself. 2: poisoned by a failed sync, restart after repairing the disk.",
        |state| match state.hub.log().health() {
            Health::Good => 0,
            Health::Full => 1,
            Health::Poisoned => 2,
        },
    ),
    Figure::counter("tidegate_log_batches", "Batches that became durable.", |state| state.log.batches),
    Figure::counter("tidegate_log_groups", "Groups of batches that shared one sync.", |state| state.log.groups),
    Figure::counter("tidegate_log_records", "Records that became durable.", |state| state.log.records),
    Figure::counter("tidegate_log_written_bytes", "Bytes written to the journal.", |state| {
        state.log.journal_bytes_written
    }),
    Figure {
        name: "tidegate_log_sync_seconds",
        kind: Kind::Histogram,
        help: "Duration of the journal's syncs; a publish waits for one.",
        labels: &[],
        read: Read::Each(syncs),
    },
    Figure::gauge("tidegate_log_queued_batches", "Batches that wait for the next sync.", |state| state.log.queued),
    Figure::gauge(
        "tidegate_log_journal_bytes",
        "Journal that is not yet in segments; a restart reads so much.",
        |state| state.log.journal_bytes,
    ),
    Figure::gauge("tidegate_log_memory_records", "Records in memory, not yet in segments.", |state| {
        state.log.hot_records
    }),
    Figure::gauge("tidegate_log_memory_bytes", "Bytes of these records.", |state| state.log.hot_bytes),
    Figure::gauge("tidegate_log_segments", "Segments on disk.", |state| state.log.segments),
    Figure::gauge("tidegate_log_segment_bytes", "Bytes of segments on disk.", |state| state.log.segment_bytes),
    Figure::counter("tidegate_log_drains", "Times that the journal was moved into segments.", |state| state.log.drains),
    Figure::counter("tidegate_log_drains_failed", "Times that this failed and will be tried again.", |state| {
        state.log.drains_failed
    }),
    Figure::counter("tidegate_log_merges", "Merges of segments.", |state| state.log.merges),
    Figure::counter("tidegate_log_segments_dropped", "Segments dropped by retention.", |state| {
        state.log.segments_dropped
    }),
];

fn syncs(state: &State) -> Vec<Sample> {
    let log = &state.log;
    let bounds = SYNC_BUCKETS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::INFINITY]);
    vec![Sample::Histogram {
        sum: log.sync_us as f64 / 1e6,
        count: log.syncs,
        buckets: bounds.zip(log.sync_buckets).collect(),
    }]
}
