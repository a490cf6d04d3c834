//! Metrics of the limits of callers.

use super::figures::{Figure, Kind, Read, Sample};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_limited",
        kind: Kind::Counter,
        help: "Times that a limit of `gate.limits` was reached, by whose it is: of an `address`, a `subject` or an `api-key`.",
        labels: &["by", "limit"],
        read: Read::Each(|state| {
            let limited = state.gateway.limits.load().refused().into_iter();
            limited
                .map(|(who, limit, times)| {
                    Sample::Value(vec![who.as_str().to_owned(), limit.as_str().to_owned()], times as f64)
                })
                .collect()
        }),
    },
    Figure {
        name: "tidegate_limited_parties",
        kind: Kind::Gauge,
        help: "Addresses, subjects and API keys to which not everything is left, or that have watches at once: by the limit of which they are most.",
        labels: &["by"],
        read: Read::Each(|state| {
            let parties = state.gateway.limits.load().parties().into_iter();
            parties.map(|(who, count)| Sample::of(who.as_str(), count as f64)).collect()
        }),
    },
];
