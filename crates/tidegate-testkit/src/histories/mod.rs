//! Random histories over sockets against a real server, compared with the reference model.
//!
//! A round is one server with a channel for each of its histories. Each history has one writer,
//! whose acknowledged batches the model takes, and several watchers that are cut, paused and
//! moved from transport to transport, always with the same cursor, and at times with another filter,
//! other fields, another way to be told, or anew as of a past moment. While all of that goes on the server is killed. In the end
//! every watcher must hold what the model holds, and at each of its cursors must have held and been
//! told what the model says of that stretch.
//!
//! More than half of the channels have rights: a row rule, columns that are masked, and principals with claims of their own.
//! Rows go from one to another, and a watcher goes on as another principal with the cursor that it has. Tokens are revoked and
//! end amid a watch, and fresh ones are shown for it, on the connection or beside it: with the same claims, with others, by
//! which it sees other rows or none, and such as must be refused. Each frame is judged as it is heard: none may tell of what
//! its principal may not see, and what is written after a fresh token was taken is told as that one says. Now and then the
//! config says the same in other words and is read again: all who watch by it are judged anew, and hear nothing of it.
//!
//! Nothing is deterministic but what is *asked*: the seed makes the same plans, the machine makes
//! the interleaving. A difference therefore comes with the last frames of its watcher.

mod conditions;
mod filters;
mod heard;
mod ledger;
mod look;
mod moments;
mod plan;
mod report;
mod rights;
mod round;
mod truth;
mod value;
mod watcher;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub use report::Report;

/// How much to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub binary: PathBuf,
    /// Of all plans.
    pub seed: u64,
    /// Histories in total.
    pub histories: u64,
    /// Histories at once on one server.
    pub parallel: u64,
    /// `kill -9` a round; 0: no SIGTERM either.
    pub kills: u64,
}

impl Options {
    /// From `TIDEGATE_SEED`, `TIDEGATE_HISTORIES`, `TIDEGATE_PARALLEL` and `TIDEGATE_KILLS`, and
    /// `TIDEGATE_BIN` for another server than `binary`; a seed of the clock where none is given.
    pub fn from_env(binary: &Path, histories: u64) -> Options {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Options {
            binary: std::env::var_os("TIDEGATE_BIN").map_or_else(|| binary.to_owned(), PathBuf::from),
            seed: number("TIDEGATE_SEED").unwrap_or_else(|| tidegate_core::Millis::now().0 % 1_000_000),
            histories: number("TIDEGATE_HISTORIES").unwrap_or(histories),
            parallel: number("TIDEGATE_PARALLEL").unwrap_or(200),
            kills: number("TIDEGATE_KILLS").unwrap_or(1),
        }
    }
}

/// Runs histories, a round after the other, and stops after the first round with a difference.
pub async fn run(options: &Options) -> Report {
    let begun = Instant::now();
    let mut report = Report { seed: options.seed, ..Report::default() };
    let mut first = 0;
    while first < options.histories && report.differences.is_empty() {
        let count = options.parallel.min(options.histories - first);
        report.add(round::run(options, first, count).await);
        first += count;
        println!("{:>5} s  {report}", begun.elapsed().as_secs());
    }
    report
}
