//! Metrics of what is held in memory for clients.

use tidegate_wire::{Step, Use};

use super::figures::{Figure, Kind, Read, Sample};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_memory_bytes",
        kind: Kind::Gauge,
        help: "What is held in memory for clients: `rings` of the live views, `blocks` of the log for watchers who are behind, `answers` that are kept for who asks the same, `outputs` for one watcher that are not written yet, large `bodies` and answers, `watches` as estimated. Shared bytes count once.",
        labels: &["use"],
        read: Read::Each(|state| {
            let used = |what: &Use| Sample::of(what.as_str(), state.tails.memory().used(*what) as f64);
            Use::ALL.iter().map(used).collect()
        }),
    },
    Figure::gauge("tidegate_memory_max_bytes", "The ceiling over the sum of these, `memory.max`.", |state| {
        state.tails.memory().max() as u64
    }),
    Figure {
        name: "tidegate_memory_shed",
        kind: Kind::Counter,
        help: "What was given up when the ceiling came near, in the order of the steps: `blocks` and kept answers dropped, `rings` made small, `bodies` that waited, new `watches` refused, times that `laggards` waited.",
        labels: &["step"],
        read: Read::Each(|state| {
            let shed = |step: &Step| Sample::of(step.as_str(), state.tails.memory().shed(*step) as f64);
            Step::ALL.iter().map(shed).collect()
        }),
    },
];
