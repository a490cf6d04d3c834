//! Long tests and measurements, by name. Each is an ordinary test or example with a larger number
//! in its environment; it prints its seed and its figures.

use crate::step::{Failure, Step};

/// One part: its name, what it shows, its environment and its command.
struct Part {
    name: &'static str,
    shows: &'static str,
    environment: &'static [(&'static str, &'static str)],
    command: &'static str,
}

const PARTS: &[Part] = &[
    Part {
        name: "model",
        shows: "10,000 random histories over every transport agree with the reference model, with kills",
        environment: &[("TIDEGATE_HISTORIES", "10000")],
        command: "cargo test --release --workspace --all-features --test histories -- --nocapture",
    },
    Part {
        name: "power",
        shows: "100,000 power losses of the log on a simulated disk lose nothing acknowledged",
        environment: &[("TIDEGATE_CRASHES", "100000")],
        command: "cargo test --release --workspace --all-features --test power_loss -- --nocapture",
    },
    Part {
        name: "kill",
        shows: "20 kill -9 under concurrent publishers with idempotent retries lose and double nothing",
        environment: &[("TIDEGATE_FAULT_KILLS", "20")],
        command: "cargo test --release --workspace --all-features --test faults -- --nocapture a_kill",
    },
    Part {
        name: "stall",
        shows: "one of 100 watchers stops reading for 60 s and costs the others nothing",
        environment: &[("TIDEGATE_STALL_SECONDS", "60")],
        command: "cargo test --release --workspace --all-features --test stall -- --nocapture",
    },
    Part {
        name: "million",
        shows: "the log alone: 1, 10 and 100 busy channels; a million addresses: time to open, index memory, cold reads",
        environment: &[("ADDRESSES", "1000000")],
        command: "cargo run --release -p tidegate-log --example log_bench -- target/log-bench",
    },
    Part {
        name: "figures",
        shows: "durable publishes/s, deliveries/s, CPU time per delivery, Pss per idle watcher",
        environment: &[("TIDEGATE_FIGURES", "full")],
        command: "cargo test --release --workspace --all-features --test figures -- --nocapture",
    },
];

/// Runs one part; at most 45 minutes after its build.
pub(crate) fn part(name: &str) -> Result<(), Failure> {
    let part = PARTS
        .iter()
        .find(|part| part.name == name)
        .ok_or_else(|| Failure(format!("there is no part `{name}`; the parts are\n{}", list())))?;
    let mut step = Step::new(part.command).minutes_max(60);
    for (name, value) in part.environment {
        let value = std::env::var(name).unwrap_or_else(|_| (*value).to_owned());
        step = step.with(name, value);
    }
    step.run()
}

/// The parts for people.
pub(crate) fn list() -> String {
    PARTS.iter().map(|part| format!("    {:8} {}\n", part.name, part.shows)).collect()
}
