//! What is measured: the rows of the table.

use std::fmt;
use std::time::Duration;

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// How `--cells` calls it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) watchers: u32,
    /// Watchers and events go round them.
    pub(crate) channels: u32,
    pub(crate) event_bytes: usize,
    pub(crate) load: Load,
}

/// How a row loads a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// Nothing is published; what is weighed is memory.
    Idle,
    /// So many deliveries a second, one event at a time, on a schedule that waits for nobody.
    PerSecond(u32),
    /// Each publisher sends its next event when its last is acknowledged.
    Full,
}

const CALM: Load = Load::PerSecond(50_000);

/// All, in the order of the table.
pub(crate) const CELLS: &[Cell] = &[
    cell("calm-1k-64", "50,000/s to 1,000, 64 B", 1_000, 64, CALM),
    cell("calm-1k-512", "50,000/s to 1,000, 512 B", 1_000, 512, CALM),
    cell("calm-10k-64", "50,000/s to 10,000, 64 B", 10_000, 64, CALM),
    cell("calm-10k-512", "50,000/s to 10,000, 512 B", 10_000, 512, CALM),
    cell("full-1k-64", "full speed to 1,000, 64 B", 1_000, 64, Load::Full),
    cell("full-1k-512", "full speed to 1,000, 512 B", 1_000, 512, Load::Full),
    cell("full-1k-4096", "full speed to 1,000, 4,096 B", 1_000, 4_096, Load::Full),
    cell("full-10k-64", "full speed to 10,000, 64 B", 10_000, 64, Load::Full),
    cell("full-10k-512", "full speed to 10,000, 512 B", 10_000, 512, Load::Full),
    cell("full-10k-4096", "full speed to 10,000, 4,096 B", 10_000, 4_096, Load::Full),
    Cell {
        channels: 10_000,
        ..cell("channels-10k", "10,000 channels, one watcher each, 64 B", 10_000, 64, Load::Full)
    },
    cell("idle-10k", "idle, 10,000 connections", 10_000, 64, Load::Idle),
];

const fn cell(name: &'static str, title: &'static str, watchers: u32, event_bytes: usize, load: Load) -> Cell {
    Cell { name, title, watchers, channels: 1, event_bytes, load }
}

impl Cell {
    /// Watchers of one channel.
    pub(crate) fn watchers_of_one(&self) -> u32 {
        self.watchers / self.channels
    }
}

/// What one measurement of a cell found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    Load(Delivered),
    /// Bytes of memory of each idle connection.
    Idle(f64),
}

/// What a load found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    /// CPU time of the server for each delivery.
    pub(crate) cpu_us: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) per_second: f64,
    /// Events that a watcher did not get, got twice or out of order, and watchers that were cut.
    pub(crate) wrong: u64,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Idle(bytes) => write!(f, "{bytes:.0} B a connection"),
            Figure::Load(load) => {
                let Delivered { cpu_us, p50, p99, per_second, wrong } = load;
                write!(f, "{cpu_us:.2} µs, p50 {p50:.1?}, p99 {p99:.1?}, {per_second:.0}/s, {wrong} wrong")
            }
        }
    }
}
