//! What is looked after as long as the source runs: a heartbeat into the WAL, the slot's lag, and the tables.
//!
//! **Invariant:** a slot that holds back more WAL than allowed is dropped, and a table that lost its identity is taken
//! out of the publication, whatever the log or a session does.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::checkpoint::{Known, KnownChannel, KnownTable};
use super::destination::Plan;
use super::failure::Failure;
use super::publication;
use super::serving::{self, Wanted};
use super::settings::Postgres;
use super::slot::{self, Slot};
use crate::SourceStats;

/// Looks after one source; ends with it.
pub(super) struct Upkeep {
    care: Arc<Care>,
    runtime: Handle,
    task: Mutex<JoinHandle<()>>,
    stream: Arc<Watched>,
}

/// What is looked after.
pub(super) struct Care {
    pub(super) name: String,
    pub(super) slot: String,
    pub(super) settings: Postgres,
    pub(super) plan: Arc<Plan>,
    pub(super) stats: Arc<SourceStats>,
}

/// The stream that runs now.
#[derive(Default)]
struct Watched {
    state: Mutex<State>,
    alarmed: Notify,
}

#[derive(Default)]
struct State {
    /// How the stream takes the tables to be; `None` while there is none.
    known: Option<Known>,
    /// Why it has to end.
    alarm: Option<&'static str>,
    /// A slot is being loaded from, which holds WAL for a reason.
    loading: bool,
}

/// Lasts as long as a load.
pub(super) struct Loading(Arc<Watched>);

/// A stream is looked after as long as this lives.
pub(super) struct Watch(Arc<Watched>);

impl Upkeep {
    /// Begins.
    pub(super) fn start(care: Care, runtime: &Handle) -> Upkeep {
        let (care, stream) = (Arc::new(care), Arc::new(Watched::default()));
        let task = Mutex::new(runtime.spawn(care.clone().run(stream.clone())));
        Upkeep { care, runtime: runtime.clone(), task, stream }
    }

    /// Begins again if it ended, which only a defect makes it do.
    pub(super) fn ensure(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_finished() {
            tracing::error!(source = self.care.name, "nobody looked after the slot; beginning again");
            *task = self.runtime.spawn(self.care.clone().run(self.stream.clone()));
        }
    }

    /// Looks after a stream, which takes the tables to be as `known`.
    pub(super) fn watch(&self, known: &Known) -> Watch {
        *self.stream.lock() = State { known: Some(known.clone()), ..State::default() };
        Watch(self.stream.clone())
    }

    /// A load begins.
    pub(super) fn loading(&self) -> Loading {
        self.stream.lock().loading = true;
        Loading(self.stream.clone())
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).abort();
    }
}

impl Watch {
    /// The stream takes the tables to be otherwise from now on.
    pub(super) fn expect(&self, known: &Known) {
        self.0.lock().known = Some(known.clone());
    }

    /// Returns when the session has to end.
    pub(super) async fn alarm(&self) -> Failure {
        loop {
            let alarmed = self.0.alarmed.notified();
            let alarm = self.0.lock().alarm;
            match alarm {
                Some(why) => return Failure::Again(why),
                None => alarmed.await,
            }
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.lock().loading = false;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.0.lock() = State::default();
    }
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the stream, if there is one.
    fn alarm(&self, why: &'static str) {
        self.lock().alarm = Some(why);
        self.alarmed.notify_waiters();
    }
}

impl Care {
    async fn run(self: Arc<Care>, stream: Arc<Watched>) {
        let mut client: Option<Client> = None;
        let mut ticks = tokio::time::interval(self.settings.heartbeat);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let looked = match client.take().filter(|client| !client.is_closed()) {
                Some(open) => Ok(open),
                None => self.settings.endpoint.sql().await.map_err(Failure::from),
            };
            let looked = match looked {
                Ok(open) => self.look(&open, &stream).await.map(|()| client = Some(open)),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = looked {
                tracing::debug!(source = self.name, ?failure, "the slot cannot be looked after now");
                for gauge in [&self.stats.upstream_retained_bytes, &self.stats.upstream_lag_bytes] {
                    gauge.store(SourceStats::UNKNOWN, Ordering::Relaxed);
                }
            }
        }
    }

    async fn look(&self, client: &Client, stream: &Watched) -> Result<(), Failure> {
        for table in publication::retire(client, &self.settings.publication(&self.name)).await? {
            tracing::error!(source = self.name, table, "a table lost its identity and is not published any more");
            stream.alarm("a table lost its identity");
        }
        // A place in the WAL that is ours, so that a quiet database does not hold what others write.
        client.execute("SELECT pg_logical_emit_message(false, 'tidegate', '')", &[]).await?;
        let (known, loading) = {
            let state = stream.lock();
            (state.known.clone(), state.loading)
        };
        self.slot(client, stream, loading).await?;
        if let Some(known) = known
            && self.tables(client, &known).await? != settled(&known)
        {
            stream.alarm("the tables have changed");
        }
        Ok(())
    }

    async fn slot(&self, client: &Client, stream: &Watched, loading: bool) -> Result<(), Failure> {
        let Some(slot) = Slot::find(client, &self.slot).await? else { return Ok(()) };
        self.stats.upstream_retained_bytes.store(slot.retained, Ordering::Relaxed);
        self.stats.upstream_lag_bytes.store(slot.lag, Ordering::Relaxed);
        if !loading && slot.retained > self.settings.slot_lag_max {
            tracing::error!(
                source = self.name,
                slot = self.slot,
                retained_bytes = slot.retained,
                "the slot holds back more WAL than `slot_lag_max` allows and is dropped; everything is compared later"
            );
            Slot::evict(client, &self.slot).await?;
            Slot::evict(client, &slot::of_comparison(&self.slot)).await?;
            stream.alarm("the slot was dropped since it held back too much WAL");
        }
        Ok(())
    }

    /// The tables as they are, to be compared with what the stream takes them to be.
    async fn tables(&self, client: &Client, known: &Known) -> Result<Vec<KnownTable>, Failure> {
        let looked = serving::look(client, &self.settings.endpoint, &self.plan, known).await?;
        let mut published = publication::published(client, &self.settings.publication(&self.name)).await?;
        let fit = looked.into_iter().filter_map(|Wanted { destinations, table, .. }| {
            let table = table.ok()?;
            let channels = destinations.iter().map(|channel| KnownChannel::of(channel)).collect();
            Some(KnownTable::of(&table, channels, published.remove(&table.oid).unwrap_or_default()))
        });
        Ok(fit.collect())
    }
}

fn settled(known: &Known) -> Vec<KnownTable> {
    let settled = |table: &KnownTable| {
        let mut table = table.clone();
        table.compared();
        table
    };
    known.tables.iter().map(settled).collect()
}
