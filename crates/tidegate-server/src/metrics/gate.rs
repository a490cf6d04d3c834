//! Metrics of the gate: what it decides, and what that takes.

use super::figures::{Figure, Kind, Read, Sample, State, load};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_gate_decisions",
        kind: Kind::Counter,
        help: "Requests and commands that were allowed, and those that were refused, by code; without those for what is kept for everyone.",
        labels: &["decision", "code"],
        read: Read::Each(decisions),
    },
    Figure::counter("tidegate_gate_tokens_known", "Tokens that were known from an earlier verification.", |state| {
        load(&state.gateway.gate.figures().known)
    }),
    Figure::counter("tidegate_gate_signatures", "Signatures of tokens that were checked.", |state| {
        load(&state.gateway.gate.figures().signatures)
    }),
    Figure::counter("tidegate_gate_key_reads", "Times that keys of issuers were read.", |state| {
        load(&state.gateway.gate.figures().key_reads)
    }),
    Figure::counter("tidegate_gate_key_reads_failed", "Times that this failed.", |state| {
        load(&state.gateway.gate.figures().key_read_failures)
    }),
    Figure::counter("tidegate_gate_introspections", "Questions to issuers about tokens.", |state| {
        load(&state.gateway.gate.figures().introspections)
    }),
];

fn decisions(state: &State) -> Vec<Sample> {
    let audit = &state.gateway.audit;
    let sample = |decision: &str, code: &str, count| Sample::Value(vec![decision.into(), code.into()], count as f64);
    let denied = audit.denied().map(|(code, count)| sample("deny", code.as_str(), count));
    std::iter::once(sample("allow", "", audit.allowed())).chain(denied).collect()
}
