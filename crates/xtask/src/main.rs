//! The everyday commands in one place: `cargo xtask setup | check | test | soak PART | docs`.
//!
//! Each is a list of steps a person could type, printed before they run. Nothing here knows what a
//! test does; the tests are ordinary tests and examples that also run without it.

mod check;
mod fuzz;
mod setup;
mod soak;
mod step;
mod tally;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask setup        brings what the tests need and is missing: packages, tools, servers, clients
cargo xtask check        format, lints, documentation, licences and bans: a few minutes, no test
cargo xtask test         sets up what is missing, then check and every test; ends with `N passed, N failed`
cargo xtask soak PART    a long test or a measurement; prints its seed and figures
cargo xtask docs         writes the generated pages: problems, schemas, command line, configuration
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["setup"] => setup::all(),
        ["check"] => check::all(),
        ["test"] => test::all(),
        ["docs"] => test::write_docs(),
        ["soak", part] => soak::part(part),
        _ => {
            eprint!("{USAGE}\nparts of soak:\n{}", soak::list());
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.0.is_empty() {
                eprintln!("\n{failure}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is where it was built")
}

/// The folder where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
