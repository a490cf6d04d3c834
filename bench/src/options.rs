//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cells::{CELLS, Cell};
use crate::peers::{self, DURABLE, LIMIT, Peer, SSE, WEBSOCKET};
use crate::scenarios::{SCENARIOS, Scenario};

/// Measures Tidegate beside its peers and beside the limit of this machine, one after the other,
/// with one and the same generator, and prints a table of these and one against the targets. Nothing
/// else should run meanwhile.
#[derive(Parser, Debug)]
#[command(name = "bench/run")]
pub(crate) struct Options {
    /// How often everything is measured; the table has the medians
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) runs: u32,
    /// How long each cell is measured, after a fifth of that to warm up
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) seconds: u32,
    /// Only these servers (the limit is always measured); the scenarios against the targets only with
    /// one of Tidegate's
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = peer_names())]
    only: Vec<String>,
    /// Only these cells, or scenarios against the targets
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = cell_names())]
    cells: Vec<String>,
    /// Publishers at full speed, each with one event that is not acknowledged
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) publishers: u32,
    /// At full speed, events that are published and not delivered yet, before publishers wait
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) window: u32,
    /// The processor of the servers
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The processor of the generator
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) generator_core: usize,
    /// Writes every single measurement to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// The servers that are asked for, the limit first.
    pub(crate) fn peers(&self) -> Vec<&'static Peer> {
        peers::all().filter(|peer| peer.name == LIMIT.name || self.wants(peer.name)).collect()
    }

    /// Whether this server is asked for.
    pub(crate) fn wants(&self, server: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == server)
    }

    /// The cells that are asked for.
    pub(crate) fn cells(&self) -> Vec<&'static Cell> {
        CELLS.iter().filter(|cell| self.wants_cell(cell.name)).collect()
    }

    /// The scenarios that are asked for; they are about Tidegate.
    pub(crate) fn scenarios(&self) -> Vec<&'static Scenario> {
        let own = [SSE, WEBSOCKET, DURABLE].iter().any(|peer| self.wants(peer.name));
        SCENARIOS.iter().filter(|scenario| own && self.wants_cell(scenario.name)).collect()
    }

    fn wants_cell(&self, name: &str) -> bool {
        self.cells.is_empty() || self.cells.iter().any(|only| only == name)
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

fn peer_names() -> clap::builder::PossibleValuesParser {
    peers::all().map(|peer| peer.name).collect::<Vec<_>>().into()
}

fn cell_names() -> clap::builder::PossibleValuesParser {
    let scenarios = SCENARIOS.iter().map(|scenario| scenario.name);
    CELLS.iter().map(|cell| cell.name).chain(scenarios).collect::<Vec<_>>().into()
}
