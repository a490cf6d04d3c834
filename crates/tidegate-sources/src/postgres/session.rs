//! One session with the database: from connecting to whatever ends it.
//!
//! ```text
//!  connect ─► look at tables, publication, slot ─┬─ goes on ──► notices ─► stream (compare what is stale on the way)
//!                                                └─ lost, or the first time ─► new slot ─► compare all ─► stream
//! ```

use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use pgwire_replication::{Lsn, ReplicationClient};
use serde_json::Value;
use tidegate_core::{Millis, Op};
use tidegate_log::{Entry, Health, Log, loaded_mark};
use tokio_postgres::Client;

use super::apply::Apply;
use super::beginning::Beginning;
use super::checkpoint::{self, Known, KnownTable, Position, tables_of};
use super::destination::{Destination, Plan};
use super::failure::Failure;
use super::gather::{Checkpoints, Flushed, Gather};
use super::schema;
use super::serving::{self, Looked, Served, Serving};
use super::settings::Postgres;
use super::slot::{self, Exported, Slot};
use super::snapshot::Snapshot;
use super::stream::{Comparison, Stream};
use super::upkeep::Upkeep;
use super::wait::Wait;
use crate::{SourceState, SourceStats};

/// What outlives a session.
pub(super) struct Context {
    /// Of the source.
    pub(super) name: String,
    pub(super) settings: Postgres,
    pub(super) log: Log,
    pub(super) plan: Arc<Plan>,
    pub(super) stats: Arc<SourceStats>,
    pub(super) wait: Wait,
    /// The name of the slot.
    pub(super) slot: String,
    pub(super) upkeep: Upkeep,
    /// Tables that cannot be served, each with its reason, as they were logged.
    pub(super) told: RefCell<Vec<(String, String)>>,
}

impl Context {
    /// Runs one session. `lost` is why an earlier one could not go on; it is taken when that has healed.
    pub(super) fn session(&self, lost: &mut Option<&'static str>) -> Failure {
        match self.connected(lost) {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    fn connected(&self, lost: &mut Option<&'static str>) -> Result<Infallible, Failure> {
        self.stats.set_state(SourceState::Connecting);
        let endpoint = &self.settings.endpoint;
        let publication = self.publication();
        let before = serving::known(&self.log, &self.name);
        let client = self.wait.on(endpoint.sql())?;
        let looked = self.wait.on(Looked::new(&client, endpoint, &publication, &self.plan, &before))?;
        self.tell_unfit(&looked);
        let mut known = looked.known(&before);
        if looked.fit.is_empty() {
            // What they miss from now on has to be compared when they can be served again.
            self.announce(&looked, &before, &known)?;
            let reasons = looked.unfit.iter().map(|(name, unfit)| format!("{name}: {}", unfit.why));
            let what = format!("no table can be served: {}", reasons.collect::<Vec<_>>().join("; "));
            return Err(Failure::upstream(what));
        }
        let (mut session, system) = self.wait.on(async {
            let mut session = endpoint.replication(&self.slot, &publication).await?;
            let system = session.identify_system().await?;
            Ok::<_, Failure>((session, system))
        })?;
        match self.beginning(&mut session, &client, &system, *lost)? {
            Beginning::On { position, verify } => {
                let position = Position { timeline: system.timeline, ..position };
                // Before the publication is: a table that is only now published again must stay known as stale.
                self.announce(&looked, &before, &known)?;
                let announced = known.clone();
                let serving = self.wait.on(looked.publish(&client, &publication, &mut known))?;
                if announced != known {
                    self.remember(Vec::new(), &known)?;
                }
                let comparison = self.comparison(&known)?;
                self.stream(client, serving, session, Start { position, verify, known, comparison })
            }
            Beginning::Afresh(loss) => {
                let notices = notices(&looked, &before, &known);
                let serving = self.wait.on(looked.publish(&client, &publication, &mut known))?;
                let exported = self.new_slot(&client, &mut session)?;
                if let Some(why) = loss {
                    tracing::warn!(source = self.name, why, "what changed meanwhile is lost; comparing everything");
                    SourceStats::add(&self.stats.resyncs, 1);
                }
                let (system, timeline) = (system.system_id, system.timeline);
                let position = Position { system, timeline, lsn: exported.at, commit: exported.at };
                self.load(&serving, notices, &mut known, &exported, &position)?;
                *lost = None;
                self.stream(client, serving, session, Start { position, verify: None, known, comparison: None })
            }
        }
    }

    pub(super) fn publication(&self) -> String {
        self.settings.publication(&self.name)
    }

    /// Logs what cannot be served, once for each reason.
    fn tell_unfit(&self, looked: &Looked<'_>) {
        let mut told = self.told.borrow_mut();
        let unfit: Vec<(String, String)> =
            looked.unfit.iter().map(|(name, unfit)| ((*name).to_owned(), unfit.why.clone())).collect();
        for (table, why) in unfit.iter().filter(|unfit| !told.contains(unfit)) {
            tracing::error!(source = self.name, table, why, "a table cannot be served");
        }
        *told = unfit;
    }

    /// Makes the slot anew. A log that takes nothing must not make the server keep WAL, so it is waited for.
    fn new_slot(&self, client: &Client, session: &mut ReplicationClient) -> Result<Exported, Failure> {
        match self.log.health() {
            Health::Good => {}
            Health::Full => return Err(Failure::upstream("the log is full; a new slot waits until it has space")),
            Health::Poisoned => return Err(Failure::Over),
        }
        let name = &self.slot;
        self.wait.on(async {
            Slot::drop(client, name).await?;
            Ok::<_, Failure>(slot::create(session, name, self.settings.temporary).await?)
        })
    }

    /// Compares every table with its channels, as of a new slot; `entries` come first.
    fn load(
        &self,
        serving: &Serving<'_>,
        mut entries: Vec<Entry>,
        known: &mut Known,
        exported: &Exported,
        position: &Position,
    ) -> Result<(), Failure> {
        self.stats.set_state(SourceState::Loading);
        let _loading = self.upkeep.loading();
        let mut gather = Gather::new(self.log.clone(), self.wait.stop.clone());
        for served in &serving.tables {
            let loaded = |channel: &&Destination| self.loaded(channel.channel.name());
            let gaps = served.destinations.iter().copied().filter(loaded);
            entries.extend(gaps.map(gap));
        }
        gather.add(entries, Vec::new());
        self.count(gather.flush()?, None);
        let snapshot = self.open(&exported.snapshot)?;
        let mut marks = Vec::new();
        for (served, known) in serving.tables.iter().zip(&mut known.tables) {
            self.compare(&snapshot, serving, (served, known), &mut gather)?;
            known.compared();
            marks.extend(self.marks(served));
        }
        marks.push((self.name.clone(), checkpoint::write(position)));
        marks.push((tables_of(&self.name), checkpoint::write(known)));
        gather.add(Vec::new(), marks);
        self.count(gather.flush()?, None);
        Ok(())
    }

    /// Opens an exported snapshot.
    pub(super) fn open(&self, name: &str) -> Result<Snapshot, Failure> {
        self.wait.on(async { Snapshot::open(self.settings.endpoint.sql().await?, name, self.wait.clone()).await })
    }

    /// Compares one table.
    pub(super) fn compare(
        &self,
        snapshot: &Snapshot,
        serving: &Serving<'_>,
        (served, known): (&Served<'_>, &KnownTable),
        gather: &mut Gather,
    ) -> Result<(), Failure> {
        let mut apply = self.apply();
        let count = |flushed| self.count(flushed, None);
        let compared = snapshot.compare((served, known), &serving.types, &mut apply, gather, count)?;
        tracing::info!(
            source = self.name,
            table = served.table.title(),
            rows = compared.rows,
            changed = compared.changed,
            gone = compared.gone,
            "the table was compared with its channel"
        );
        Ok(())
    }

    /// The checkpoints that say that the channels of a table have loaded.
    pub(super) fn marks(&self, served: &Served<'_>) -> Checkpoints {
        served.channels().map(|channel| (loaded_mark(&self.name, channel), bytes::Bytes::from_static(b"1"))).collect()
    }

    fn loaded(&self, channel: &str) -> bool {
        self.log.checkpoint(&loaded_mark(&self.name, channel)).is_some()
    }

    pub(super) fn apply(&self) -> Apply<'_> {
        Apply {
            source: &self.name,
            dead_letters: self.plan.dead_letters.as_ref(),
            stats: self.stats.clone(),
            reasons: HashSet::new(),
            types_are_new: false,
        }
    }

    /// Counts what has reached the log, with the time at which it was committed upstream.
    pub(super) fn count(&self, flushed: Flushed, committed: Option<Millis>) {
        if flushed.batches == 0 {
            return;
        }
        let now = Millis::now();
        SourceStats::add(&self.stats.batches, flushed.batches);
        SourceStats::add(&self.stats.events, flushed.events);
        self.stats.last_batch_ms.store(now.0, std::sync::atomic::Ordering::Relaxed);
        if let Some(committed) = committed {
            self.stats.lag_ms.store(now.0.saturating_sub(committed.0), std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Tells watchers of tables that look otherwise now, and of those whose changes were not published for a while.
    fn announce(&self, looked: &Looked<'_>, before: &Known, known: &Known) -> Result<(), Failure> {
        if before == known {
            return Ok(());
        }
        let mut entries = notices(looked, before, known);
        let missed = looked.missed(before).into_iter();
        entries.extend(missed.filter(|channel| self.loaded(channel.channel.name())).map(gap));
        self.remember(entries, known)
    }

    /// Brings what is known of the tables into the log, with what is to be told of it.
    fn remember(&self, entries: Vec<Entry>, known: &Known) -> Result<(), Failure> {
        let mut gather = Gather::new(self.log.clone(), self.wait.stop.clone());
        gather.add(entries, vec![(tables_of(&self.name), checkpoint::write(known))]);
        self.count(gather.flush()?, None);
        Ok(())
    }

    /// A snapshot for the tables that have to be compared while the stream goes on.
    fn comparison(&self, known: &Known) -> Result<Option<Comparison>, Failure> {
        if !known.tables.iter().any(|table| table.stale) {
            return Ok(None);
        }
        let name = slot::of_comparison(&self.slot);
        self.wait.on(async {
            let mut session = self.settings.endpoint.replication(&name, &self.publication()).await?;
            let exported = slot::create(&mut session, &name, true).await?;
            Ok::<_, Failure>(Some(Comparison { exported, session }))
        })
    }

    fn stream(
        &self,
        client: Client,
        serving: Serving<'_>,
        mut session: ReplicationClient,
        start: Start,
    ) -> Result<Infallible, Failure> {
        if start.verify.is_none() {
            session.update_applied_lsn(start.position.lsn);
        }
        self.wait.on(async {
            session.start().await?;
            session.wait_started().await
        })?;
        let watch = self.upkeep.watch(&start.known);
        Stream::new(self, client, serving, session, start, watch).run()
    }
}

/// Where a stream begins.
pub(super) struct Start {
    pub(super) position: Position,
    pub(super) verify: Option<Lsn>,
    pub(super) known: Known,
    pub(super) comparison: Option<Comparison>,
}

/// What changed in the channel up to here is lost.
fn gap(channel: &Destination) -> Entry {
    channel.whole(Op::Gap, bytes::Bytes::new(), Millis::now())
}

fn notices(looked: &Looked<'_>, before: &Known, known: &Known) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (fit, now) in looked.fit.iter().zip(&known.tables) {
        let before = now.channels.first().and_then(|channel| before.of_channel(&channel.name));
        if let Some(notice) = before.and_then(|before| schema::notice(before, now)) {
            entries.extend(notice_entries(&fit.destinations, &notice));
        }
    }
    entries
}

/// A notice to all channels of a table.
pub(super) fn notice_entries<'d>(
    destinations: &'d [&'d Destination],
    notice: &Value,
) -> impl Iterator<Item = Entry> + use<'d> {
    let data = bytes::Bytes::from(notice.to_string());
    let time = Millis::now();
    destinations.iter().map(move |channel| channel.whole(Op::Notice, data.clone(), time))
}
