//! Counts instructions of the hot path under `valgrind --tool=callgrind`, and compares them with
//! those recorded in `bench/instructions.json`: they do not depend on how busy a machine is, so a
//! rise is a rise of the code.
//!
//! ```text
//!   instructions            counts all, compares; a rise of more than 5 % fails
//!   instructions record     counts all, writes the file
//!   instructions run NAME   what runs under callgrind; by itself it only runs
//! ```
//!
//! What is counted is [`counted_here`] and all below it, on the one thread that calls it.

mod callgrind;
mod measures;
mod record;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::measures::{MEASURES, Measure};
use crate::record::Record;

/// Before it counts: buffers have their size by then, and tables their entries.
const WARM_UP: usize = 3;
/// Counts of each measure; their median is reported.
const COUNTS: usize = 15;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => compare(),
        ["record"] => {
            let counted = count_all()?;
            counted.write()?;
            Ok(ExitCode::SUCCESS)
        }
        ["run", name] => {
            let measure = MEASURES.iter().find(|measure| measure.name == *name);
            run(measure.with_context(|| format!("there is no measure `{name}`"))?);
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("usage: instructions [record | run NAME]"),
    }
}

/// Ends with the line by which `cargo xtask test` counts tests: each measure is one.
fn compare() -> Result<ExitCode> {
    if cfg!(not(target_arch = "x86_64")) {
        println!("instructions are recorded for x86_64; there is nothing to compare with here");
        return Ok(ExitCode::SUCCESS);
    }
    let (recorded, counted) = (Record::read()?, count_all()?);
    let worse = counted.rises_over(&recorded);
    worse.iter().for_each(|line| println!("{line}"));
    let verdict = if worse.is_empty() { "ok" } else { "FAILED" };
    let (passed, failed) = (MEASURES.len() - worse.len(), worse.len());
    if failed > 0 {
        println!(
            "if it is meant and worth it, record the counts anew with `cargo xtask soak instructions` and say why"
        );
    }
    println!("test result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count_all() -> Result<Record> {
    let mut counted = Record::default();
    for measure in MEASURES {
        let count = callgrind::count(measure)?;
        println!("{:20} {count:>9}  {}", measure.name, measure.what);
        counted.set(measure.name, count);
    }
    Ok(counted)
}

fn run(measure: &Measure) {
    let mut round = (measure.prepare)();
    for _ in 0..WARM_UP {
        (round.before)();
        (round.work)();
    }
    for count in 0..COUNTS {
        (round.before)();
        std::hint::black_box(counted_here(&mut *round.work, count));
    }
}

/// Callgrind knows this function by its name. It has something to do after the work: else it would
/// jump there, and never return from here.
#[inline(never)]
fn counted_here(work: &mut dyn FnMut(), count: usize) -> usize {
    work();
    std::hint::black_box(count)
}
