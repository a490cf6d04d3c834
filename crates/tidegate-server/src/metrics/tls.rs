//! Metrics of the certificate; without one there are no samples.

use super::figures::{Figure, Kind, Read, Sample, State};
use crate::tls::Keeper;

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_tls_certificate_expiry_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the certificate that clients are shown ceases to be good, since 1970; only with `tls`.",
        labels: &[],
        read: Read::Each(|state| certificate(state, Keeper::expiry_seconds)),
    },
    Figure {
        name: "tidegate_tls_reloads",
        kind: Kind::Counter,
        help: "Times that the certificate's files had changed and were taken; only with `tls`.",
        labels: &[],
        read: Read::Each(|state| certificate(state, Keeper::reloads)),
    },
    Figure {
        name: "tidegate_tls_reload_failures",
        kind: Kind::Counter,
        help: "Times that they had changed and were no good, so that the certificate before stayed; only with `tls`.",
        labels: &[],
        read: Read::Each(|state| certificate(state, Keeper::failures)),
    },
];

fn certificate(state: &State, read: impl Fn(&Keeper) -> u64) -> Vec<Sample> {
    state.tls.map(|tls| Sample::one(read(tls) as f64)).into_iter().collect()
}
