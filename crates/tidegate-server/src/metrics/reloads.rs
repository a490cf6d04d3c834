//! Metrics of the config that is read again.

use super::figures::{Figure, Kind, Read, Sample};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_config_reloads",
        kind: Kind::Counter,
        help: "Times that the config was read again: `applied`, or nothing has changed as it was `mistaken` or would want a `restart`.",
        labels: &["result"],
        read: Read::Each(|state| Sample::each(state.reloads.results())),
    },
    Figure::gauge(
        "tidegate_config_read_timestamp_seconds",
        "When the config was read that runs now, since 1970.",
        |state| state.reloads.read_seconds(),
    ),
];
