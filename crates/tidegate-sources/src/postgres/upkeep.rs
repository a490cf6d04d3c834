//! What is looked after while the stream runs: a heartbeat into the WAL, the slot's lag, and the tables.
//!
//! **Invariant:** a slot that holds back more WAL than allowed is dropped, whatever the log or the stream does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::checkpoint::{Known, KnownTable};
use super::destination::Plan;
use super::failure::Failure;
use super::publication;
use super::serving;
use super::session::Context;
use super::settings::Postgres;
use super::slot::Slot;
use crate::SourceStats;

/// Looks after one session; ends with it.
pub(super) struct Upkeep {
    task: JoinHandle<()>,
    alarms: mpsc::Receiver<&'static str>,
}

struct Round {
    name: String,
    slot: String,
    settings: Postgres,
    plan: Arc<Plan>,
    stats: Arc<SourceStats>,
    known: Known,
    alarms: mpsc::Sender<&'static str>,
}

impl Upkeep {
    /// Begins. `known` is how the session takes the tables to be.
    pub(super) fn start(context: &Context, known: &Known) -> Upkeep {
        let (sender, alarms) = mpsc::channel(1);
        let round = Round {
            name: context.name.clone(),
            slot: context.slot.clone(),
            settings: context.settings.clone(),
            plan: context.plan.clone(),
            stats: context.stats.clone(),
            known: known.clone(),
            alarms: sender,
        };
        Upkeep { task: context.wait.runtime.spawn(round.run()), alarms }
    }

    /// Returns when the session has to end.
    pub(super) async fn alarm(&mut self) -> Failure {
        match self.alarms.recv().await {
            Some(why) => Failure::Again(why),
            None => Failure::upstream("nobody looks after the slot any more"),
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Round {
    async fn run(self) {
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
                Ok(open) => self.look(&open).await.map(|()| client = Some(open)),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = looked {
                tracing::debug!(source = self.name, ?failure, "the slot cannot be looked after now");
            }
        }
    }

    async fn look(&self, client: &Client) -> Result<(), Failure> {
        // A place in the WAL that is ours, so that a quiet database does not hold what others write.
        client.execute("SELECT pg_logical_emit_message(false, 'tidegate', '')", &[]).await?;
        let name = &self.slot;
        if let Some(slot) = Slot::find(client, name).await? {
            self.stats.upstream_retained_bytes.store(slot.retained, Ordering::Relaxed);
            self.stats.upstream_lag_bytes.store(slot.lag, Ordering::Relaxed);
            if slot.retained > self.settings.slot_lag_max {
                tracing::error!(
                    source = self.name,
                    slot = name,
                    retained_bytes = slot.retained,
                    "the slot holds back more WAL than `slot_lag_max` allows and is dropped; everything is compared later"
                );
                Slot::evict(client, name).await?;
                self.alarm("the slot was dropped since it held back too much WAL");
            }
        }
        for table in publication::retire(client, &self.settings.publication(&self.name)).await? {
            tracing::error!(source = self.name, table, "a table lost its identity and is not published any more");
            self.alarm("a table lost its identity");
        }
        if self.tables(client).await? != self.settled() {
            self.alarm("the tables have changed");
        }
        Ok(())
    }

    /// The tables as they are, to be compared with what the session takes them to be.
    async fn tables(&self, client: &Client) -> Result<Vec<KnownTable>, Failure> {
        let looked = serving::look(client, &self.settings.endpoint, &self.plan, &self.known).await?;
        let fit = looked.into_iter().filter_map(|(_, destinations, table)| {
            let channels = destinations.iter().map(|destination| destination.channel.name().to_owned()).collect();
            table.ok().map(|table| KnownTable::of(&table, channels, false))
        });
        Ok(fit.collect())
    }

    fn settled(&self) -> Vec<KnownTable> {
        self.known.tables.iter().map(|table| KnownTable { stale: false, ..table.clone() }).collect()
    }

    /// One alarm is enough.
    fn alarm(&self, why: &'static str) {
        let _ = self.alarms.try_send(why);
    }
}
