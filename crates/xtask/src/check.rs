//! What can be said about the code without running it.

use crate::setup;
use crate::step::{Failure, Step};

/// Runs every check; all of them, also after one has failed.
pub(crate) fn all() -> Result<(), Failure> {
    let failures: Vec<String> = steps().into_iter().filter_map(|step| step().err()).map(|failure| failure.0).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

/// The checks, in the order of how soon they answer.
pub(crate) fn steps() -> [fn() -> Result<(), Failure>; 4] {
    [format, dependencies, lints, documentation]
}

fn format() -> Result<(), Failure> {
    Step::new("cargo fmt --all --check").run()
}

fn dependencies() -> Result<(), Failure> {
    let cargo_deny = setup::cargo_deny()?;
    Step::new(&format!("{} check licenses bans sources", cargo_deny.display())).run()
}

/// The features are those of the tests, so that dependencies are read once.
fn lints() -> Result<(), Failure> {
    Step::new("cargo clippy --workspace --all-targets --all-features -- -D warnings").run()
}

fn documentation() -> Result<(), Failure> {
    Step::new("cargo doc --workspace --all-features --no-deps --document-private-items")
        .with("RUSTDOCFLAGS", "-D warnings")
        .run()
}
