//! The fuzz targets of `fuzz/`, each for a while: libFuzzer with the address sanitizer.

use std::path::PathBuf;

use crate::step::{Failure, Step};
use crate::target;

/// The name of the part, and what it shows.
pub(crate) const NAME: &str = "fuzz";
pub(crate) const SHOWS: &str = "what clients send, expressions, and patches of any values, 10 minutes a target: no panic, no bad memory access, one meaning";

const CARGO_FUZZ: &str = "0.13.2";
const TARGETS: [&str; 5] = ["client_frames", "extension_offers", "patches", "cursors", "expressions"];
/// How long each target runs, unless `TIDEGATE_FUZZ_SECONDS` says otherwise.
const SECONDS: u64 = 600;

/// Runs all targets. What they find is in `fuzz/artifacts`; what teaches them something new is added
/// to `fuzz/corpus`, where git passes over it.
pub(crate) fn all() -> Result<(), Failure> {
    let cargo_fuzz = cargo_fuzz()?;
    let seconds = match std::env::var("TIDEGATE_FUZZ_SECONDS") {
        Ok(text) => text.parse().map_err(|_| Failure(format!("TIDEGATE_FUZZ_SECONDS is no number: {text}")))?,
        Err(_) => SECONDS,
    };
    for name in TARGETS {
        Step::new(&format!("{} run {name} -- -max_total_time={seconds} -print_final_stats=1", cargo_fuzz.display()))
            .within("fuzz")
            // Sanitizers are not stable, and a second toolchain for them is not worth it.
            .with("RUSTC_BOOTSTRAP", "1")
            .minutes_max(30 + seconds.div_ceil(60) as u32)
            .run()?;
    }
    Ok(())
}

/// `cargo-fuzz` below the target folder.
fn cargo_fuzz() -> Result<PathBuf, Failure> {
    let tools = target().join("tools").join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let program = tools.join("bin/cargo-fuzz");
    if !program.exists() {
        Step::new(&format!("cargo install --locked cargo-fuzz@{CARGO_FUZZ} --root"))
            .word(tools.display().to_string())
            .run()?;
    }
    Ok(program)
}
