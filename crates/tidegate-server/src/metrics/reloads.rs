//! Metrics of the config that is read again.

use super::figures::{Figure, Kind, Read, Sample, State};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_config_reloads",
        kind: Kind::Counter,
        help: "Times that the config was read again: `applied`, or nothing has changed as it was `mistaken` or would want a `restart`.",
        labels: &["result"],
        read: Read::State(results),
    },
    Figure {
        name: "tidegate_config_read_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the config was read that runs now, since 1970.",
        labels: &[],
        read: Read::State(read),
    },
];

fn results(state: &State) -> Vec<Sample> {
    let sample = |(result, count): (&str, u64)| Sample::Value(vec![result.to_owned()], count as f64);
    state.reloads.results().map(sample).into()
}

fn read(state: &State) -> Vec<Sample> {
    vec![Sample::Value(Vec::new(), state.reloads.read_seconds() as f64)]
}
