//! What is measured against a target: a file for each kind of load. What a scenario is compared with
//! is measured beside it in the same run.

mod beside;
mod channels;
mod connections;
mod derived;
mod durable;
mod feed;
mod filters;
mod gate;
mod held;
mod idle;
mod many;
mod reads;
mod resume;
mod stalled;
mod tls;

use std::cell::Cell;

use tidegate_bench::{Options as Wanted, Report, Scenario as What};

use crate::cells::{CELLS, Delivered};
use crate::findings::Finding;
use crate::generator;
use crate::options::Options;
use crate::peers::{Peer, Running};
use crate::place::{Missing, Place};
use crate::table::Table;

pub(crate) use derived::derived;

/// A scenario.
pub(crate) struct Scenario {
    /// How `--cells` calls it.
    pub(crate) name: &'static str,
    /// Which targets it is about, as they are numbered in `docs/performance.md`.
    pub(crate) number: u32,
    pub(crate) measure: fn(&Bench<'_>) -> Result<Vec<Finding>, Missing>,
}

/// All, in the order in which they are measured.
pub(crate) const SCENARIOS: &[Scenario] = &[
    held::THOUSAND,
    held::TEN_THOUSAND,
    held::FOUR_HUNDRED_THOUSAND,
    idle::TEN_THOUSAND,
    idle::NINETEEN_THOUSAND,
    idle::ADDRESSES,
    channels::BATCHES,
    connections::CONNECT,
    stalled::STALLED,
    resume::CATCH_UP,
    resume::BURST_OF_TWO_RINGS,
    reads::READS,
    durable::PUBLISH,
    durable::SLOW_DISK,
    many::MANY,
    many::QUIET,
    tls::TLS,
    filters::FILTERS,
    feed::FEED,
    gate::GATE,
    gate::IDLE_CALLERS,
];

/// What a scenario measures with.
pub(crate) struct Bench<'b> {
    pub(crate) options: &'b Options,
    pub(crate) run: u32,
    /// The cells of this run that have been measured.
    pub(crate) table: &'b Table,
    /// Events lost, doubled or reordered and watchers cut, in all reports so far.
    pub(crate) wrong: Cell<u64>,
}

impl Bench<'_> {
    pub(crate) fn place(&self) -> Result<Place, Missing> {
        Ok(Place::new(self.options.server_core)?)
    }

    pub(crate) fn start(&self, peer: &Peer) -> Result<Running, Missing> {
        (peer.start)(self.place()?)
    }

    /// Those of Tidegate's servers that are asked for.
    pub(crate) fn asked<'p>(&self, peers: &[&'p Peer]) -> Vec<&'p Peer> {
        peers.iter().copied().filter(|peer| self.options.wants(peer.name)).collect()
    }

    pub(crate) fn wanted(&self, running: &Running) -> Wanted {
        generator::wanted(running, self.options)
    }

    pub(crate) fn report(&self, what: What, running: &Running, wanted: &Wanted) -> Result<Report, Missing> {
        let report = generator::report(what, running, wanted)?;
        self.counts(generator::wrong(&report));
        Ok(report)
    }

    pub(crate) fn counts(&self, wrong: u64) {
        self.wrong.set(self.wrong.get() + wrong);
    }

    /// What a server does in a cell of the table: what is known of this run, or else a measurement.
    pub(crate) fn cell(&self, name: &str, peer: &Peer) -> Result<Delivered, Missing> {
        if let Some(known) = self.table.load(self.run, name, peer.name) {
            return Ok(known);
        }
        let cell = CELLS.iter().find(|cell| cell.name == name);
        let cell = cell.ok_or_else(|| Missing(format!("there is no cell `{name}`")))?;
        let delivered = generator::load(&self.start(peer)?, cell, self.options)?;
        self.counts(delivered.wrong);
        Ok(delivered)
    }
}
