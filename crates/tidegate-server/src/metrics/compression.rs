//! Metrics of what is compressed for watchers.

use tidegate_wire::{Coding, Compressed, deflated};

use super::figures::{Figure, Kind, Read, Sample};

pub(super) const FIGURES: &[Figure] = &[
    Figure::counter(
        "tidegate_deflated_messages",
        "WebSocket messages deflated, each once for all watchers that share it.",
        |_| deflated().count,
    ),
    Figure {
        name: "tidegate_deflated_bytes",
        kind: Kind::Counter,
        help: "Bytes of these messages, `before` and `after`; what is saved is that times their watchers.",
        labels: &["when"],
        read: Read::Each(|_| {
            let Compressed { bytes_before, bytes_after, .. } = deflated();
            Sample::each([("before", bytes_before), ("after", bytes_after)])
        }),
    },
    Figure {
        name: "tidegate_compressed_runs",
        kind: Kind::Counter,
        help: "Runs of frames of SSE and NDJSON compressed, each once for all watchers that share it.",
        labels: &["coding"],
        read: Read::Each(|_| codings(|coding, Compressed { count, .. }| vec![(vec![coding], count)])),
    },
    Figure {
        name: "tidegate_compressed_bytes",
        kind: Kind::Counter,
        help: "Bytes of these runs, `before` and `after`; what is saved is that times their watchers.",
        labels: &["coding", "when"],
        read: Read::Each(|_| {
            codings(|coding, Compressed { bytes_before, bytes_after, .. }| {
                vec![(vec![coding, "before"], bytes_before), (vec![coding, "after"], bytes_after)]
            })
        }),
    },
];

/// Samples of each content coding: their labels, and the figure.
fn codings(read: impl Fn(&'static str, Compressed) -> Vec<(Vec<&'static str>, u64)>) -> Vec<Sample> {
    let samples = Coding::figures().into_iter().filter_map(|(coding, done)| Some(read(coding.token()?, done)));
    let sample = |(labels, figure): (Vec<&str>, u64)| {
        Sample::Value(labels.into_iter().map(str::to_owned).collect(), figure as f64)
    };
    samples.flatten().map(sample).collect()
}
