//! Measures Tidegate beside its peers, and all of them beside what the machine can do at all.
//!
//! One server at a time runs on one processor, in a temporary folder and on free ports of
//! loopback; the generator of `tidegate bench` runs on the other one. How, and what the columns
//! mean, is in `docs/performance.md`.

mod cells;
mod findings;
mod generator;
mod measure;
mod numbers;
mod options;
mod peers;
mod place;
mod process;
mod requests;
mod scenarios;
mod subject;
mod table;
mod verdicts;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::options::Options;

/// After a signal: servers have been killed, and whoever loads them notices within this time.
const END: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(error) = stay_on(options.generator_core) {
        eprintln!("processor {} cannot be had for the generator: {error}", options.generator_core);
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(run(options))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures on a thread of its own, so that a signal ends it at any time with all that it started.
async fn run(options: Options) -> Result<(), String> {
    let signals = || Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?));
    let (mut interrupt, mut terminate) = signals().map_err(|error: std::io::Error| error.to_string())?;
    let (done, mut ended) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody hears it after a signal that took too long.
        let _ = done.send(measure::all(&options));
    });
    tokio::select! {
        ended = &mut ended => return ended.unwrap_or_else(|_| Err("the measurement failed".to_owned())),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("\nending …");
    process::end_all();
    let _ = tokio::time::timeout(END, ended).await;
    Err("ended before it was done".to_owned())
}

/// All threads of this process stay on one processor.
fn stay_on(core: usize) -> rustix::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)
}
