//! Metrics of the gate: what it decides, and what that takes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidegate_gate::Figures;

use super::figures::{Figure, Kind, Read, Sample, State};

pub(super) const FIGURES: &[Figure] = &[
    Figure {
        name: "tidegate_gate_decisions",
        kind: Kind::Counter,
        help: "Requests and commands that were allowed, and those that were refused, by code; without those for what is kept for everyone.",
        labels: &["decision", "code"],
        read: Read::State(decisions),
    },
    gate("tidegate_gate_tokens_known", "Tokens that were known from an earlier verification.", |gate| &gate.known),
    gate("tidegate_gate_signatures", "Signatures of tokens that were checked.", |gate| &gate.signatures),
    gate("tidegate_gate_key_reads", "Times that keys of issuers were read.", |gate| &gate.key_reads),
    gate("tidegate_gate_key_reads_failed", "Times that this failed.", |gate| &gate.key_read_failures),
    gate("tidegate_gate_introspections", "Questions to issuers about tokens.", |gate| &gate.introspections),
];

const fn gate(name: &'static str, help: &'static str, read: fn(&Figures) -> &AtomicU64) -> Figure {
    Figure { name, kind: Kind::Counter, help, labels: &[], read: Read::Gate(read) }
}

fn decisions(state: &State) -> Vec<Sample> {
    let audit = &state.gateway.audit;
    let sample = |decision: &str, code: &str, count| Sample::Value(vec![decision.into(), code.into()], count as f64);
    let denied = audit.denied().map(|(code, count)| sample("deny", code.as_str(), count));
    std::iter::once(sample("allow", "", audit.allowed())).chain(denied).collect()
}

/// What a counter of the gate says now.
pub(super) fn sample(state: &State, read: fn(&Figures) -> &AtomicU64) -> Sample {
    Sample::Value(Vec::new(), read(state.gateway.gate.figures()).load(Relaxed) as f64)
}
