//! The middle of the path: which channels there are, what is published to them, and where each
//! watch begins and goes on.
//!
//! The hub speaks in records, frames and problems. It never sees HTTP, and never a byte as it is
//! on a wire: transports ask it what a request may have, `wire` asks it for frames.

mod catalog;
mod channel;
mod config;
mod drain;
mod frames;
mod lookup;
mod policy;
mod publish;
mod query;
mod revision;
mod watch;
mod watches;

#[cfg(test)]
mod testing;

pub use catalog::Catalog;
pub use channel::Channel;
pub use config::{ChannelConfig, HubOptions, Priority};
pub use drain::{Drain, DrainSignal};
pub use frames::changes;
pub use lookup::{Listening, Lookups, Standing};
pub use policy::{
    Access, Act, Asks, Caller, ClaimsError, Entrance, History, Policies, Policy, Right, RowRule, Vocabulary, decide,
};
pub use publish::{Action, Format, Idempotency, Precondition, Publish, Published, key_text};
pub use query::{FramePage, Newest, PAGE_BYTES_MAX, PastRows, ROWS_MAX, RowPage, Value};
pub use revision::{Revised, Revision};
pub use watch::{
    Filter, From, Image, Judgement, Lens, Mode, PAST_BYTES_MAX, Piece, Plan, Rate, RateError, Reader, Regard, Renewal,
    Sight, Start, Tick, View, WatchRequest,
};
pub use watches::{FoundWatch, Keeper, Order, WatchEntry, WatchGuard, WatchHandle, WatchId, WatchPlace, Watches};

pub use tidegate_cel::{CelError, Equality, FieldPath, IndexKey, LookedUp};

use std::sync::Arc;

use tidegate_core::{ErrorCode, Problem};
use tidegate_log::{Health, Log};

/// Everything that watches and publishers share. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    log: Log,
    catalog: Catalog,
    options: HubOptions,
    watches: Watches,
    drain: DrainSignal,
    publishing: tokio::sync::Semaphore,
    counters: Counters,
}

/// What the hub counts, for metrics.
#[derive(Default)]
pub struct Counters {
    /// Batches acknowledged.
    pub published: std::sync::atomic::AtomicU64,
    /// Batches answered from an earlier one by their idempotency key.
    pub replayed: std::sync::atomic::AtomicU64,
    /// Batches refused.
    pub refused: std::sync::atomic::AtomicU64,
    /// Gaps announced.
    pub gaps: std::sync::atomic::AtomicU64,
    /// Resets announced.
    pub resets: std::sync::atomic::AtomicU64,
}

impl Hub {
    /// Takes an opened log that has a channel for each config.
    ///
    /// # Panics
    /// If the log lacks one of the channels: it was opened with other names.
    pub fn new(log: Log, channels: Vec<ChannelConfig>, options: HubOptions) -> Hub {
        let catalog = Catalog::new(&log, channels);
        let advanced = catalog.clone();
        log.on_advance(move |id| advanced.notify(id));
        let publishing = tokio::sync::Semaphore::new(publish::IN_FLIGHT_MAX);
        Hub {
            shared: Arc::new(Shared {
                log,
                catalog,
                options,
                watches: Watches::default(),
                drain: DrainSignal::new(),
                publishing,
                counters: Counters::default(),
            }),
        }
    }

    /// The channels.
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// Limits and intervals.
    pub fn options(&self) -> &HubOptions {
        &self.shared.options
    }

    /// Who watches now.
    pub fn watches(&self) -> &Watches {
        &self.shared.watches
    }

    /// Whether, and how, the server is stopping.
    pub fn drain(&self) -> &DrainSignal {
        &self.shared.drain
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Whether publishes are taken.
    ///
    /// # Errors
    /// `draining`, `log-full` or `log-poisoned`.
    pub fn ready(&self) -> Result<(), Problem> {
        if self.drain().draining() {
            return Err(self.draining_problem());
        }
        match self.log().health() {
            Health::Good => Ok(()),
            Health::Full => Err(Problem::new(ErrorCode::LogFull, "the disk of the log is full")),
            Health::Poisoned => Err(Problem::new(ErrorCode::LogPoisoned, "the disk of the log failed a sync")),
        }
    }

    /// The refusal of a server that is about to stop. Each tells another time to come back, drawn by
    /// the terms of the drain.
    pub fn draining_problem(&self) -> Problem {
        let problem = Problem::new(ErrorCode::Draining, "the server is about to stop");
        let retry_ms = self.drain().current().map(|drain| drain.retry_ms()).or(problem.retry_ms);
        Problem { retry_ms, ..problem }
    }

    /// The log below.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }
}
