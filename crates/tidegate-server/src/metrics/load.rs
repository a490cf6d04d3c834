//! Metrics of load, and of what gives way under it.

use std::sync::atomic::Ordering;

use super::figures::{Figure, Kind, Read, Sample, load};

pub(super) const FIGURES: &[Figure] = &[
    Figure::gauge(
        "tidegate_load_level",
        "Which watches give way under load: 0 none, 1 those of channels with `priority: low`, 2 those with `normal`, too.",
        |state| state.tails.level() as u64,
    ),
    Figure::counter("tidegate_load_level_rises", "Times that more watches had to give way.", |state| {
        load(&state.tails.load_figures().rises)
    }),
    Figure {
        name: "tidegate_load_cpu_ratio",
        kind: Kind::Gauge,
        help: "CPU time of the process as a part of the machine's, in the last quarter of a second.",
        labels: &[],
        read: Read::Each(|state| {
            let permille = state.tails.load_figures().cpu_permille.load(Ordering::Relaxed);
            vec![Sample::one(f64::from(permille) / 1_000.0)]
        }),
    },
    Figure {
        name: "tidegate_load_lag_seconds",
        kind: Kind::Gauge,
        help: "How late the last watcher of an event got it, at the worst in the last quarter of a second.",
        labels: &[],
        read: Read::Each(|state| {
            let lag_us = state.tails.load_figures().lag_us.load(Ordering::Relaxed);
            vec![Sample::one(lag_us as f64 / 1e6)]
        }),
    },
    Figure::gauge("tidegate_watches_degraded", "Watches that are told less often, because of load.", |state| {
        state.tails.slowed() as u64
    }),
    Figure {
        name: "tidegate_watches_turned",
        kind: Kind::Counter,
        help: "Watches that gave way under load: `degraded`, `restored`; and new ones that were `refused` while events were very late.",
        labels: &["how"],
        read: Read::Each(|state| {
            let figures = state.tails.load_figures();
            Sample::each([
                ("degraded", load(&figures.slowed)),
                ("refused", load(&figures.refused)),
                ("restored", load(&figures.restored)),
            ])
        }),
    },
];
