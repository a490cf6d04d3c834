//! Long tests and measurements, by name. Each is an ordinary test or example with a larger number
//! in its environment; it prints its seed and its figures.

use crate::fuzz;
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
        name: "overload",
        shows: "three times the load that the server carries: p99 of important watches, who is told less often, who is refused; nobody is cut",
        environment: &[("TIDEGATE_OVERLOAD", "full")],
        command: "cargo test --release --workspace --all-features --test overload_run -- --nocapture",
    },
    Part {
        name: "leak",
        shows: "1,000,000 connections, each cut at a random point of its life, leave neither memory nor files nor watches",
        environment: &[("TIDEGATE_LEAK_CONNECTIONS", "1000000")],
        command: "cargo test --release --workspace --all-features --test leak -- --nocapture",
    },
    Part {
        name: "sanitize",
        shows: "the lanes and their io_uring batches under the address sanitizer: no bad access, nothing leaked (x86-64)",
        // Sanitizers are not stable, and a second toolchain for them is not worth it.
        environment: &[
            ("RUSTC_BOOTSTRAP", "1"),
            ("RUSTFLAGS", "-Zsanitizer=address"),
            ("CARGO_TARGET_DIR", "target/sanitize"),
            ("ASAN_OPTIONS", "detect_leaks=1"),
        ],
        command: "cargo test -p tidegate-wire --all-features --target x86_64-unknown-linux-gnu --lib --test lanes",
    },
    Part {
        name: "million",
        shows: "the log alone: 1, 10 and 100 busy channels; a million addresses: time to open, index memory, cold reads",
        environment: &[("ADDRESSES", "1000000")],
        command: "cargo run --release -p tidegate-log --example log_bench -- target/log-bench",
    },
    Part {
        name: "instructions",
        shows: "instructions of the hot path, step by step; records them in bench/instructions.json, with which tests compare",
        environment: &[],
        command: "cargo run --release -p instructions -- record",
    },
    Part {
        name: "figures",
        shows: "durable publishes/s, deliveries/s, CPU time per delivery, Pss per idle watcher",
        environment: &[("TIDEGATE_FIGURES", "full")],
        command: "cargo test --release --workspace --all-features --test figures -- --nocapture",
    },
    Part {
        name: "postgres",
        shows: "replicas equal their Postgres tables, old and new, after 60 s of writing with 20 kills of ours, 3 of theirs, and a lost slot",
        environment: &[("TIDEGATE_PG_SECONDS", "60"), ("TIDEGATE_PG_KILLS", "20"), ("TIDEGATE_PG_SERVER_KILLS", "3")],
        command: "cargo test --release --workspace --all-features --test postgres -- --nocapture --test-threads=2 exact::",
    },
    Part {
        name: "rows",
        shows: "1,000 principals see their own rows of one Postgres table and nobody else's, through 20,000 changes",
        environment: &[("TIDEGATE_PG_PRINCIPALS", "1000"), ("TIDEGATE_PG_CHANGES", "20000")],
        command: "cargo test --release --workspace --all-features --test postgres -- --nocapture owners::",
    },
    Part {
        name: "wal",
        shows: "ten minutes of WAL: a dead watcher, a quiet table, a gateway that is gone; each keeps no more than its bound",
        environment: &[("TIDEGATE_PG_WAL_SECONDS", "600")],
        command: "cargo test --release --workspace --all-features --test postgres -- --nocapture --test-threads=3 wal::",
    },
    Part {
        name: "postgres-figures",
        shows: "Postgres: rows/s beside the bare client library, commit-to-socket latency, one large transaction, a first snapshot",
        environment: &[("TIDEGATE_PG_ROWS", "10000000")],
        command: "cargo test --release --workspace --all-features --test postgres -- --nocapture --test-threads=1 figures::",
    },
];

/// Runs one part; at most 45 minutes after its build.
pub(crate) fn part(name: &str) -> Result<(), Failure> {
    if name == fuzz::NAME {
        return fuzz::all();
    }
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
    let parts = PARTS.iter().map(|part| (part.name, part.shows)).chain([(fuzz::NAME, fuzz::SHOWS)]);
    parts.map(|(name, shows)| format!("    {name:16} {shows}\n")).collect()
}
