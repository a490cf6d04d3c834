//! Metrics of each source.

use tidegate_sources::SourceStats;

use super::figures::{Figure, Kind, Read, Sample, State, load};

pub(super) const FIGURES: &[Figure] = &[
    counter("tidegate_source_batches", "Batches that the source appended.", |state| {
        each(state, |own| load(&own.batches))
    }),
    Figure {
        name: "tidegate_source_last_batch_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the source's last batch became durable, since 1970; 0 before the first.",
        labels: &["source"],
        read: Read::Each(|state| {
            let seconds = |stats: &SourceStats| load(&stats.last_batch_ms) as f64 / 1e3;
            state.sources.iter().map(|(name, stats)| Sample::of(name, seconds(stats))).collect()
        }),
    },
    counter("tidegate_source_events", "Events in them.", |state| each(state, |own| load(&own.events))),
    counter(
        "tidegate_source_unplaced",
        "Events without an address parameter or a key: they became dead letters, or were left out where no channel takes these.",
        |state| each(state, |own| load(&own.unplaced)),
    ),
    counter(
        "tidegate_source_dead_letters",
        "Events that went to the channel of dead letters, with their reason.",
        |state| each(state, |own| load(&own.dead_letters)),
    ),
    counter("tidegate_source_resyncs", "Losses upstream that were healed by comparing everything.", |state| {
        each(state, |own| load(&own.resyncs))
    }),
    counter("tidegate_source_failures", "Reads and appends that failed and were tried again.", |state| {
        each(state, |own| load(&own.failures))
    }),
    gauge(
        "tidegate_source_state",
        "0: starting. 1: connecting. 2: loading, the first time or after a loss. 3: live. 4: waiting after a failure.",
        |state| each(state, |own| own.state() as u64),
    ),
    gauge(
        "tidegate_source_lag_ms",
        "Age of the source's last change when it had reached the log, where upstream says it.",
        |state| known(state, |own| SourceStats::known(&own.lag_ms)),
    ),
    gauge(
        "tidegate_source_upstream_lag_bytes",
        "Changes upstream that the source has not confirmed yet, where upstream says it.",
        |state| known(state, |own| SourceStats::known(&own.upstream_lag_bytes)),
    ),
    gauge(
        "tidegate_source_upstream_retained_bytes",
        "What upstream keeps on its disk for this source, where it keeps something.",
        |state| known(state, |own| SourceStats::known(&own.upstream_retained_bytes)),
    ),
];

const fn counter(name: &'static str, help: &'static str, read: fn(&State) -> Vec<Sample>) -> Figure {
    Figure { name, kind: Kind::Counter, help, labels: &["source"], read: Read::Each(read) }
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&State) -> Vec<Sample>) -> Figure {
    Figure { name, kind: Kind::Gauge, help, labels: &["source"], read: Read::Each(read) }
}

fn each(state: &State, read: impl Fn(&SourceStats) -> u64) -> Vec<Sample> {
    known(state, |own| Some(read(own)))
}

/// Where the source knows it; one that does not has no sample.
fn known(state: &State, read: impl Fn(&SourceStats) -> Option<u64>) -> Vec<Sample> {
    let sample = |(name, own): &(String, std::sync::Arc<SourceStats>)| Some(Sample::of(name, read(own)? as f64));
    state.sources.iter().filter_map(sample).collect()
}
