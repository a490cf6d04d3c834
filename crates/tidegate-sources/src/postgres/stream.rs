//! Changes as they happen: from the replication stream into the log, and the place back to the server.
//!
//! **Invariant:** the server is told that we hold a place only after the log has it, and after the server has shown that
//! it is the one whose changes the log has.
//!
//! What is ready is gathered without waiting; when nothing more is ready, or enough has been gathered, it goes into
//! the log in one group. So a busy database shares syncs, and a lone change waits for nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use pgwire_replication::{Lsn, ReplicationClient, ReplicationEvent};
use tidegate_core::{Millis, Op};
use tokio_postgres::Client;

use super::apply::{Applied, Apply, Change, Outcome};
use super::catalog;
use super::checkpoint::{self, Known, KnownTable, Position, tables_of};
use super::failure::Failure;
use super::gather::{Checkpoints, Gather};
use super::pgoutput::{self, Message, Relation};
use super::schema;
use super::serving::{self, Serving};
use super::session::{Context, Start, notice_entries};
use super::shown::Shown;
use super::slot::Exported;
use super::upkeep::Watch;
use crate::SourceState;

/// A quiet stream's place is written down, and confirmed, this often at most.
const QUIET: Duration = Duration::from_secs(1);
/// The server, or our own heartbeat through it, says something more often than this, or the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Microseconds between 1970 and 2000, where Postgres' clock begins.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Tables that have to be compared once the stream has reached a snapshot's place.
pub(super) struct Comparison {
    pub(super) exported: Exported,
    /// Keeps the snapshot as long as it is idle.
    pub(super) session: ReplicationClient,
}

/// See the module.
pub(super) struct Stream<'s> {
    context: &'s Context,
    client: Client,
    serving: Serving<'s>,
    session: ReplicationClient,
    watch: Watch,
    gather: Gather,
    apply: Apply<'s>,
    relations: HashMap<u32, Shown>,
    known: Known,
    /// `known` is not in the log yet.
    known_changed: bool,
    comparison: Option<Comparison>,
    verify: Option<Lsn>,
    /// Everything before it has been gathered.
    position: Position,
    /// The last place that was given to the log, and when.
    logged: Lsn,
    logged_at: Instant,
    transaction: Option<Transaction>,
    /// When the oldest change that waits was committed.
    committed: Option<Millis>,
    /// A new session has to take something into account.
    again: Option<&'static str>,
    heard: Instant,
    live: bool,
}

struct Transaction {
    time: Millis,
    /// We hold it already.
    held: bool,
}

impl<'s> Stream<'s> {
    pub(super) fn new(
        context: &'s Context,
        client: Client,
        serving: Serving<'s>,
        session: ReplicationClient,
        start: Start,
        watch: Watch,
    ) -> Stream<'s> {
        let Start { position, verify, known, comparison } = start;
        Stream {
            context,
            client,
            serving,
            session,
            watch,
            gather: Gather::new(context.log.clone(), context.wait.stop.clone()),
            apply: context.apply(),
            relations: HashMap::new(),
            known,
            known_changed: false,
            comparison,
            verify,
            logged: position.lsn,
            logged_at: Instant::now(),
            position,
            transaction: None,
            committed: None,
            again: None,
            heard: Instant::now(),
            live: false,
        }
    }

    /// Runs until something ends it.
    pub(super) fn run(mut self) -> Result<Infallible, Failure> {
        loop {
            let event = match self.session.recv().now_or_never() {
                Some(event) => event?,
                None => {
                    self.settle()?;
                    match self.wait()? {
                        Some(event) => Some(event),
                        None => continue,
                    }
                }
            };
            let Some(event) = event else { return Err(Failure::upstream("the server ended the stream")) };
            self.heard = Instant::now();
            self.begin_live();
            self.event(event)?;
            if self.gather.is_full() {
                self.flush()?;
            }
        }
    }

    /// The server has said something, so it takes us for the reader of the slot.
    fn begin_live(&mut self) {
        if !std::mem::replace(&mut self.live, true) {
            self.context.stats.set_state(SourceState::Live);
            tracing::info!(source = self.context.name, lsn = %self.position.lsn, "changes arrive as they happen");
        }
    }

    /// Waits for the next event; `None` if it is time to look at the clock.
    fn wait(&mut self) -> Result<Option<ReplicationEvent>, Failure> {
        let Stream { context, session, watch, .. } = self;
        let waited = context.wait.on(async {
            tokio::select! {
                biased;
                alarm = watch.alarm() => Err(alarm),
                event = session.recv() => match event {
                    Ok(Some(event)) => Ok(Some(event)),
                    Ok(None) => Err(Failure::upstream("the server ended the stream")),
                    Err(error) => Err(error.into()),
                },
                () = tokio::time::sleep(QUIET) => Ok(None),
            }
        })?;
        self.context.upkeep.ensure();
        if self.heard.elapsed() > SILENCE_MAX.max(6 * self.context.settings.heartbeat) {
            return Err(Failure::upstream("nothing was heard of the server for too long"));
        }
        Ok(waited)
    }

    fn event(&mut self, event: ReplicationEvent) -> Result<(), Failure> {
        match event {
            ReplicationEvent::Begin { final_lsn, xid, commit_time_micros } => {
                self.begin(final_lsn, xid, commit_time_micros)
            }
            ReplicationEvent::XLogData { data, .. } => self.data(&data),
            ReplicationEvent::Commit { end_lsn, .. } => self.commit(end_lsn),
            ReplicationEvent::KeepAlive { wal_end, .. } => self.reached(wal_end),
            // Our heartbeat has done its work by moving the server's place; other messages are not for us.
            ReplicationEvent::Message { .. } | ReplicationEvent::StoppedAt { .. } => Ok(()),
        }
    }

    fn begin(&mut self, commit: Lsn, xid: u32, commit_time_micros: i64) -> Result<(), Failure> {
        // Between the last transaction that we hold and our place there was none.
        if self.position.commit <= commit && commit < self.position.lsn {
            return Err(Failure::Lost("the database has transactions where it had none"));
        }
        let held = commit < self.position.commit;
        let time = Millis(u64::try_from((commit_time_micros + EPOCH_MICROS) / 1_000).unwrap_or(0));
        if !held {
            self.verified()?;
            self.compare_before(commit)?;
            self.gather.begin(Some(format!("{xid}:{commit}")));
        }
        self.transaction = Some(Transaction { time, held });
        Ok(())
    }

    fn data(&mut self, data: &Bytes) -> Result<(), Failure> {
        let message = pgoutput::decode(data).map_err(|error| Failure::upstream(error.to_string()))?;
        let held = self.transaction.as_ref().is_none_or(|transaction| transaction.held);
        match message {
            Message::Relation(relation) => self.relation(relation, held),
            _ if held => Ok(()),
            Message::Insert { relation, new } => self.change(relation, &Change::Insert(new)),
            Message::Update { relation, old, new } => self.change(relation, &Change::Update { old, new }),
            Message::Delete { relation, old } => self.change(relation, &Change::Delete(old)),
            Message::Truncate { relations } => relations.into_iter().try_for_each(|relation| self.truncate(relation)),
            _ => Ok(()),
        }
    }

    fn commit(&mut self, end: Lsn) -> Result<(), Failure> {
        let Some(transaction) = self.transaction.take() else { return Ok(()) };
        if transaction.held {
            if self.verify == Some(end) {
                self.verify = None;
            }
            return Ok(());
        }
        self.position = Position { lsn: end, commit: end, ..self.position.clone() };
        let checkpoints = self.checkpoints();
        self.committed.get_or_insert(transaction.time);
        let flushed = self.gather.commit(checkpoints)?;
        self.context.count(flushed, Some(transaction.time));
        if self.again.is_some() { self.flush() } else { Ok(()) }
    }

    /// Everything that was committed before `lsn` has been given.
    fn reached(&mut self, lsn: Lsn) -> Result<(), Failure> {
        if self.transaction.is_some() || lsn <= self.position.lsn {
            return Ok(());
        }
        self.verified()?;
        self.compare_before(lsn)?;
        self.position.lsn = lsn;
        Ok(())
    }

    /// Upstream has come to something new: by then it must have given again what it did not know that we hold.
    fn verified(&self) -> Result<(), Failure> {
        match self.verify {
            Some(_) => Err(Failure::Lost("the database does not know the last transaction that we hold")),
            None => Ok(()),
        }
    }

    /// Gives to the log what waits, and a place that has moved on without changes.
    fn settle(&mut self) -> Result<(), Failure> {
        self.flush()?;
        if self.position.lsn > self.logged && self.logged_at.elapsed() >= QUIET && !self.gather.is_open() {
            let checkpoints = self.checkpoints();
            self.gather.add(Vec::new(), checkpoints);
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.gather.flush()?;
        self.context.count(flushed, self.committed.take());
        if self.verify.is_none() {
            self.session.update_applied_lsn(self.logged);
        }
        match self.again.filter(|_| !self.gather.is_open()) {
            Some(why) => Err(Failure::Again(why)),
            None => Ok(()),
        }
    }

    /// What the next batch makes durable beside its changes.
    fn checkpoints(&mut self) -> Checkpoints {
        self.logged = self.position.lsn;
        self.logged_at = Instant::now();
        let mut checkpoints = vec![(self.context.name.clone(), checkpoint::write(&self.position))];
        if std::mem::take(&mut self.known_changed) {
            checkpoints.push((tables_of(&self.context.name), checkpoint::write(&self.known)));
        }
        checkpoints
    }

    fn change(&mut self, relation: u32, change: &Change) -> Result<(), Failure> {
        let mut outcome = self.applied(relation, change)?;
        if outcome == Outcome::Retyped {
            self.serving.types = self.context.wait.on(serving::types(&self.client))?;
            let described: Vec<Relation> = self.relations.values().map(|shown| shown.relation.clone()).collect();
            described.into_iter().for_each(|relation| self.show(relation));
            self.apply.types_are_new = true;
            outcome = self.applied(relation, change)?;
            self.apply.types_are_new = false;
        }
        if outcome == Outcome::Unknown {
            self.stale(relation, "a row that is not known has changed");
        }
        Ok(())
    }

    fn applied(&mut self, relation: u32, change: &Change) -> Result<Outcome, Failure> {
        let Some(transaction) = &self.transaction else { return Ok(Outcome::Done) };
        let Some(shown) = self.relations.get(&relation) else {
            return Err(Failure::upstream("a change of a table that the server has not described"));
        };
        let Some(table) = shown.table.map(|at| &self.serving.tables[at]) else { return Ok(Outcome::Done) };
        let title = table.table.title();
        let applied = Applied {
            title: &title,
            shape: &shown.shape,
            keys: &shown.keys,
            destinations: &table.destinations,
            time: transaction.time,
        };
        self.apply.change(&mut self.gather, &applied, change)
    }

    fn truncate(&mut self, relation: u32) -> Result<(), Failure> {
        let (Some(transaction), Some(shown)) = (&self.transaction, self.relations.get(&relation)) else {
            return Ok(());
        };
        let Some(table) = shown.table.map(|at| &self.serving.tables[at]) else { return Ok(()) };
        let time = transaction.time;
        let entries: Vec<_> =
            table.destinations.iter().map(|channel| channel.whole(Op::Clear, Bytes::new(), time)).collect();
        let oid = table.table.oid;
        entries.into_iter().try_for_each(|entry| self.gather.push(entry))?;
        // Its rows are in another file now, which is no news.
        let now = self.context.wait.on(catalog::by_oid(&self.client, &[oid]))?.pop();
        if let Some((now, known)) = now.zip(self.known.tables.iter_mut().find(|table| table.oid == oid)) {
            known.emptied(&now);
            self.known_changed = true;
            self.watch.expect(&self.known);
        }
        Ok(())
    }

    /// A row of this table is not known. A comparison that is under way brings it; else one is needed, in a new session,
    /// once this transaction is in the log.
    fn stale(&mut self, oid: u32, why: &'static str) {
        let Some(table) = self.known.tables.iter_mut().find(|table| table.oid == oid) else { return };
        if table.stale && self.comparison.is_some() {
            return;
        }
        table.stale = true;
        self.known_changed = true;
        self.again = Some(why);
    }

    /// The server says what rows look like from now on.
    fn relation(&mut self, relation: Relation, held: bool) -> Result<(), Failure> {
        let id = relation.id;
        self.show(relation);
        if self.relations.get(&id).is_some_and(|shown| !shown.shape.all_known()) {
            // A type that was made since we looked.
            self.serving.types = self.context.wait.on(serving::types(&self.client))?;
            if let Some(shown) = self.relations.remove(&id) {
                self.show(shown.relation);
            }
        }
        match self.relations.get(&id).and_then(|shown| shown.table) {
            Some(at) if !held => self.changed(at),
            _ => Ok(()),
        }
    }

    fn show(&mut self, relation: Relation) {
        let table = self.serving.tables.iter().position(|served| served.table.oid == relation.id);
        self.relations.insert(relation.id, Shown::new(relation, table, &self.serving.types));
    }

    /// If the table looks otherwise than the log knows, its watchers are told here, before the first row that shows
    /// it. Rows that were not touched are compared later.
    fn changed(&mut self, at: usize) -> Result<(), Failure> {
        let served = &self.serving.tables[at];
        let oid = served.table.oid;
        let now = self.context.wait.on(catalog::by_oid(&self.client, &[oid]))?.pop();
        let Some((now, before)) = now.zip(self.known.tables.iter().find(|table| table.oid == oid)) else {
            return Ok(());
        };
        // A shape that has passed already leaves rows behind that nothing else will touch.
        let passing = self.relations.get(&oid).is_some_and(|shown| !shown.is_of(&now));
        let now = KnownTable::of(&now, before.channels.clone(), before.published.clone()).after(Some(before));
        let Some(notice) = schema::notice(before, &now) else {
            if passing {
                self.stale(oid, "a table had another shape for a while");
            }
            return Ok(());
        };
        let entries: Vec<_> = notice_entries(&served.destinations, &notice).collect();
        entries.into_iter().try_for_each(|entry| self.gather.push(entry))?;
        if let Some(known) = self.known.tables.iter_mut().find(|table| table.oid == oid) {
            *known = now;
        }
        self.known_changed = true;
        self.again = Some("a table has changed");
        Ok(())
    }

    /// Compares what has to be, if the stream is about to go beyond the snapshot's place.
    fn compare_before(&mut self, lsn: Lsn) -> Result<(), Failure> {
        let Some(comparison) = self.comparison.take_if(|comparison| lsn >= comparison.exported.at) else {
            return Ok(());
        };
        self.flush()?;
        let snapshot = self.context.open(&comparison.exported.snapshot)?;
        let mut marks = Vec::new();
        for served in &self.serving.tables {
            let stale = |table: &&mut KnownTable| table.oid == served.table.oid && table.stale;
            let Some(known) = self.known.tables.iter_mut().find(stale) else { continue };
            self.context.compare(&snapshot, &self.serving, (served, known), &mut self.gather)?;
            known.compared();
            marks.extend(self.context.marks(served));
        }
        drop(comparison.session);
        marks.push((tables_of(&self.context.name), checkpoint::write(&self.known)));
        self.known_changed = false;
        self.gather.add(Vec::new(), marks);
        self.flush()
    }
}
