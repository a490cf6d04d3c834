//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cells::{CELLS, Cell};
use crate::peers::{PEERS, Peer};

/// Measures Tidegate beside its peers and beside the limit of this machine, one after the other,
/// with one and the same generator, and prints one table. Nothing else should run meanwhile.
#[derive(Parser, Debug)]
#[command(name = "bench/run")]
pub(crate) struct Options {
    /// How often everything is measured; the table has the medians
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) runs: u32,
    /// How long each cell is measured, after a fifth of that to warm up
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) seconds: u32,
    /// Only these servers (the limit is always measured)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = peer_names())]
    only: Vec<String>,
    /// Only these cells
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
        let wanted = |name: &str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        let (limit, others) = PEERS.split_first().expect("the limit is in the list");
        std::iter::once(limit).chain(others.iter().filter(|peer| wanted(peer.name))).collect()
    }

    /// The cells that are asked for.
    pub(crate) fn cells(&self) -> Vec<&'static Cell> {
        let wanted = |name: &str| self.cells.is_empty() || self.cells.iter().any(|only| only == name);
        CELLS.iter().filter(|cell| wanted(cell.name)).collect()
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

fn peer_names() -> clap::builder::PossibleValuesParser {
    PEERS.iter().map(|peer| peer.name).collect::<Vec<_>>().into()
}

fn cell_names() -> clap::builder::PossibleValuesParser {
    CELLS.iter().map(|cell| cell.name).collect::<Vec<_>>().into()
}
