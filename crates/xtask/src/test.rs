//! The one command that sets up and runs every test.

use crate::step::{Failure, Step};
use crate::tally::Tally;
use crate::{check, setup, target};

/// Rust tests: all of the workspace with all features, in one build.
const RUST_TESTS: &str = "cargo test --workspace --all-features --no-fail-fast";
/// The same build without running it; also makes the binary that the clients start.
const RUST_BUILD: &str = "cargo test --workspace --all-features --no-run";
/// Counts instructions of the hot path and compares them with those recorded; of a release build, as
/// that is what counts. It has few dependencies, so that this second build is a small one.
const INSTRUCTIONS: &str = "cargo run --release --quiet -p instructions";

/// Sets up, checks, tests; goes on after a failure, and ends with the summary line.
pub(crate) fn all() -> Result<(), Failure> {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for step in [setup::system_packages, setup::postgres, setup::provider] {
        failures.extend(step().err().map(|failure| failure.0));
    }
    for step in check::steps() {
        failures.extend(step().err().map(|failure| failure.0));
    }
    let built = Step::new(RUST_BUILD).run();
    match built {
        Err(failure) => failures.push(failure.0),
        Ok(()) => {
            failures.extend(counted(Step::new(RUST_TESTS), &mut tally));
            failures.extend(counted(Step::new(INSTRUCTIONS), &mut tally));
            match setup::clients() {
                Err(failure) => failures.push(failure.0),
                Ok(()) => failures.extend(counted(client_tests(), &mut tally)),
            }
        }
    }
    // A step that failed without a failed test counts as one, so that the line cannot look good.
    tally.failed = tally.failed.max(failures.len() as u64);
    for failure in &failures {
        println!("\n{failure}");
    }
    println!("\n{}", tally.summary());
    // The summary is the last line, also when something failed.
    if tally.failed == 0 { Ok(()) } else { Err(Failure(String::new())) }
}

/// Writes what is generated: the tests that compare these pages write them when told to.
pub(crate) fn write_docs() -> Result<(), Failure> {
    Step::new("cargo test --workspace --all-features --test reference").with("TIDEGATE_WRITE", "1").run()
}

fn client_tests() -> Step {
    let binary = target().join("debug/tidegate");
    Step::new("node --test --test-reporter=spec")
        .within("tests/clients")
        .with("TIDEGATE_BIN", binary.display().to_string())
        .minutes_max(10)
}

fn counted(step: Step, tally: &mut Tally) -> Option<String> {
    step.run_counting(tally).err().map(|failure| failure.0)
}
