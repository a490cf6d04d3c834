//! The log without its threads: commit a group, drain, merge, trim, each a plain call.
//!
//! One caller at a time commits groups (the journal's lock sees to it); drains, merges and retention take turns under a lock
//! of their own and hold the journal's only to start a new file. So a test drives all of it from one thread, and two threads
//! drive it in earnest.
//!
//! **Invariant:** nothing is visible before its journal entry is durable, and nothing leaves the journal before segments and
//! view store hold it durably.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::{ChannelId, Millis};

use crate::batch::{AppendError, Appended, Batch, Entry};
use crate::channel::ChannelState;
use crate::counters::{Counters, add, get};
use crate::disk::Disk;
use crate::health::{Health, Stats};
use crate::journal::{IdempotencyRecord, JournalWriter, WriteError, encode};
use crate::ledger::Ledger;
use crate::log::LargeCommit;
use crate::options::Options;
use crate::stage::{Known, Resolved, Stage};
use crate::state::{State, StateError};

/// While so many times `journal_bytes` wait for a drain, nothing more is taken: memory would grow without end.
const BACKLOG_MAX: u64 = 8;
/// What is appended all or nothing, together: as much as may wait in the queue.
const BATCHES_BYTES_MAX: usize = 64 * 1024 * 1024;

type Listener = Box<dyn Fn(ChannelId) + Send + Sync>;

/// See the module.
pub(crate) struct Engine {
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) channels: Vec<Arc<ChannelState>>,
    by_id: HashMap<ChannelId, usize>,
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) counters: Counters,
    pub(crate) core: Mutex<Core>,
    /// Drains, merges and retention take turns.
    pub(crate) maintenance: Mutex<()>,
    pub(crate) next_segment: AtomicU64,
    pub(crate) next_journal: AtomicU64,
    health: AtomicU8,
    listeners: RwLock<Vec<Listener>>,
    /// Held while the log is open.
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// What only the committer of a group touches.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) writer: JournalWriter,
    pub(crate) large: HashMap<u64, OpenLarge>,
    large_bytes: usize,
    next_large: u64,
    /// Bytes of the journal files before the present one that no drain has taken.
    pub(crate) undrained_before: u64,
    buffer: Vec<u8>,
}

/// A large batch before its commit.
#[derive(Debug, Default)]
pub(crate) struct OpenLarge {
    /// Journal file of its beginning; files from there on are kept.
    pub(crate) began_in: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: usize,
}

/// One thing to do in a group. The calls of one large batch come one after the other, each in a group of its own.
#[derive(Debug)]
pub(crate) enum Work {
    /// All of them or none.
    Batches(Vec<Batch>),
    Begin,
    Part {
        id: u64,
        entries: Vec<Entry>,
    },
    Commit {
        id: u64,
        commit: LargeCommit,
    },
    Abort {
        id: u64,
    },
}

impl Work {
    fn aborts(&self) -> Option<u64> {
        match self {
            Work::Abort { id } => Some(*id),
            _ => None,
        }
    }

    fn batches(&self) -> usize {
        match self {
            Work::Batches(batches) => batches.len(),
            _ => 1,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// An answer per batch.
    Appended(Vec<Appended>),
    Begun(u64),
    Noted,
}

pub(crate) type Outcome = Result<Done, AppendError>;

/// How a batch stands before it is put into the group.
enum Admitted {
    New,
    /// It is in the log.
    Known(Appended),
    /// It is that of this index again.
    Repeats(usize),
}

/// Changes to the open large batches, made when the group stands.
enum LargeChange {
    Begin(u64),
    Part(u64, Vec<Entry>, usize),
    End(u64),
}

/// A group while it is put together.
struct Group {
    stage: Stage,
    buffer: Vec<u8>,
    chain: u32,
    large: Vec<LargeChange>,
    needs_sync: bool,
    now: Millis,
}

/// Parts of an engine that recovery found.
pub(crate) struct Recovered {
    pub(crate) options: Options,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) channels: Vec<Arc<ChannelState>>,
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    pub(crate) writer: JournalWriter,
    pub(crate) undrained_before: u64,
    pub(crate) next_journal: u64,
    pub(crate) next_segment: u64,
    pub(crate) lock: Box<dyn Send + Sync>,
}

impl Engine {
    pub(crate) fn new(recovered: Recovered) -> Engine {
        let Recovered {
            options,
            disk,
            channels,
            state,
            ledger,
            writer,
            undrained_before,
            next_journal,
            next_segment,
            lock,
        } = recovered;
        let core = Core {
            next_large: writer.number() << 32,
            writer,
            large: HashMap::new(),
            large_bytes: 0,
            undrained_before,
            buffer: Vec::new(),
        };
        let counters = Counters::default();
        counters.undrained.store(undrained_before, Ordering::Relaxed);
        Engine {
            by_id: channels.iter().enumerate().map(|(index, channel)| (channel.id, index)).collect(),
            options,
            disk,
            channels,
            state,
            ledger,
            counters,
            core: Mutex::new(core),
            maintenance: Mutex::new(()),
            next_segment: AtomicU64::new(next_segment),
            next_journal: AtomicU64::new(next_journal),
            health: AtomicU8::new(0),
            listeners: RwLock::default(),
            lock: Mutex::new(Some(lock)),
        }
    }

    /// Makes the work durable with one write and one sync, then visible. Outcomes come in the order of the work.
    pub(crate) fn commit_group(&self, work: Vec<Work>) -> Vec<Outcome> {
        let count = work.len();
        let mut core = self.core();
        // An abort holds even if the journal cannot say so: an open batch ends with the process anyway.
        let aborted: Vec<u64> = work.iter().filter_map(Work::aborts).collect();
        let outcomes = self.commit_locked(&mut core, work);
        aborted.into_iter().for_each(|id| core.change(LargeChange::End(id)));
        drop(core);
        match outcomes {
            Ok((outcomes, moved)) => {
                self.tell(&moved);
                outcomes
            }
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }

    /// The error refuses the whole group.
    #[allow(clippy::type_complexity)]
    fn commit_locked(&self, core: &mut Core, work: Vec<Work>) -> Result<(Vec<Outcome>, Vec<ChannelId>), AppendError> {
        let (count, batches) = (work.len(), work.iter().map(Work::batches).sum::<usize>());
        if self.health() == Health::Poisoned {
            return Err(AppendError::Poisoned);
        }
        if get(&self.counters.undrained) > BACKLOG_MAX * self.options.journal_bytes.max(1024 * 1024) {
            return Err(self.full("drains cannot keep up"));
        }
        let mut group = Group {
            stage: Stage::default(),
            buffer: std::mem::take(&mut core.buffer),
            chain: core.writer.chain(),
            large: Vec::new(),
            needs_sync: false,
            now: self.options.clock.now(),
        };
        group.buffer.clear();
        let mut outcomes = Vec::with_capacity(count);
        for work in work {
            // On an error nothing was written yet.
            outcomes.push(self.stage(core, &mut group, work).map_err(|error| self.state_failed(&error))?);
        }
        self.write(core, &group).map_err(|error| match error {
            WriteError::Refused(error) => self.full(&error.to_string()),
            WriteError::Poisoned(error) => self.poison(&error.to_string()),
        })?;
        self.recovered();
        add(&self.counters.groups, 1);
        add(&self.counters.batches, batches as u64);
        add(&self.counters.records, group.stage.records);
        for change in group.large {
            core.change(change);
        }
        let undrained = core.undrained_before + core.writer.end();
        self.counters.undrained.store(undrained, Ordering::Relaxed);
        core.buffer = group.buffer;
        Ok((outcomes, group.stage.apply(self)))
    }

    /// Puts one piece of work into the group. The outer error gives up the group.
    fn stage(&self, core: &mut Core, group: &mut Group, work: Work) -> Result<Outcome, StateError> {
        match work {
            Work::Batches(batches) => self.stage_batches(group, &batches),
            Work::Begin => {
                core.next_large += 1;
                group.chain = encode::begin(&mut group.buffer, group.chain, core.next_large);
                group.large.push(LargeChange::Begin(core.next_large));
                Ok(Ok(Done::Begun(core.next_large)))
            }
            Work::Part { id, entries } => Ok(self.stage_part(core, group, id, entries)),
            Work::Commit { id, commit } => self.stage_commit(core, group, id, &commit),
            Work::Abort { id } => {
                if core.large.contains_key(&id) {
                    group.chain = encode::abort(&mut group.buffer, group.chain, id);
                    group.large.push(LargeChange::End(id));
                }
                Ok(Ok(Done::Noted))
            }
        }
    }

    fn stage_batches(&self, group: &mut Group, batches: &[Batch]) -> Result<Outcome, StateError> {
        let admitted = match self.admit(group, batches) {
            Ok(admitted) => admitted,
            Err(error) => return Ok(Err(error)),
        };
        let mut answers: Vec<Appended> = Vec::with_capacity(batches.len());
        for (batch, admitted) in batches.iter().zip(admitted) {
            answers.push(match admitted {
                Admitted::New => self.stage_batch(group, batch)?,
                Admitted::Known(answer) => answer,
                Admitted::Repeats(at) => Appended { replayed: true, ..answers[at].clone() },
            });
        }
        Ok(Ok(Done::Appended(answers)))
    }

    /// Looks at all of them before anything is put into the group; the error refuses all.
    fn admit(&self, group: &Group, batches: &[Batch]) -> Result<Vec<Admitted>, AppendError> {
        let mut bytes = 0;
        let admit = |(at, batch): (usize, &Batch)| {
            let own = size(&batch.entries);
            bytes += own;
            if own > self.options.batch_bytes_max || (at > 0 && bytes > BATCHES_BYTES_MAX) {
                return Err(AppendError::TooLarge);
            }
            Stage::check(self, &batch.entries)?;
            let Some(key) = &batch.idempotency else { return Ok(Admitted::New) };
            let same = |other: &Batch| other.idempotency.as_ref().is_some_and(|other| other.names_the_same(key));
            let admitted = match batches[..at].iter().position(same) {
                Some(first) if batches[first].idempotency.as_ref() != Some(key) => {
                    return Err(AppendError::IdempotencyMismatch);
                }
                Some(first) => Admitted::Repeats(first),
                None => match group.stage.known(self, key, group.now)? {
                    Known::New => return Ok(Admitted::New),
                    Known::Replay(answer) => Admitted::Known(answer),
                },
            };
            add(&self.counters.replayed, 1);
            Ok(admitted)
        };
        batches.iter().enumerate().map(admit).collect()
    }

    fn stage_batch(&self, group: &mut Group, batch: &Batch) -> Result<Appended, StateError> {
        let commit = LargeCommit {
            checkpoints: batch.checkpoints.clone(),
            idempotency: batch.idempotency.clone(),
            tx: batch.tx.clone(),
        };
        let (resolved, idempotency) = self.resolve(group, &batch.entries, &commit)?;
        let durable = idempotency.as_ref().filter(|record| self.on_disk(record.key.channel));
        if !resolved.first.is_empty() || !commit.checkpoints.is_empty() || durable.is_some() {
            let kept = batch.entries.iter().zip(&resolved.kept).filter(|(_, kept)| **kept).map(|(entry, _)| entry);
            let head = head(&commit, &resolved, durable);
            group.chain = encode::batch(&mut group.buffer, group.chain, &head, kept);
            group.needs_sync = true;
        }
        Ok(resolved.answer)
    }

    fn stage_part(&self, core: &Core, group: &mut Group, id: u64, entries: Vec<Entry>) -> Outcome {
        if !core.large.contains_key(&id) {
            return Err(AppendError::Closed);
        }
        let bytes = size(&entries);
        if bytes > self.options.batch_bytes_max || core.large_bytes + bytes > self.options.large_batch_bytes_max {
            return Err(AppendError::TooLarge);
        }
        Stage::check(self, &entries)?;
        let kept = entries.iter().filter(|entry| self.on_disk(entry.channel));
        group.chain = encode::part(&mut group.buffer, group.chain, id, kept);
        group.large.push(LargeChange::Part(id, entries, bytes));
        Ok(Done::Noted)
    }

    fn stage_commit(
        &self,
        core: &mut Core,
        group: &mut Group,
        id: u64,
        commit: &LargeCommit,
    ) -> Result<Outcome, StateError> {
        let Some(large) = core.large.get(&id) else { return Ok(Err(AppendError::Closed)) };
        if let Some(outcome) = self.settled(group, commit.idempotency.as_ref()) {
            if outcome.is_ok() {
                group.chain = encode::abort(&mut group.buffer, group.chain, id);
                group.large.push(LargeChange::End(id));
            }
            return Ok(outcome);
        }
        let (resolved, idempotency) = self.resolve(group, &large.entries, commit)?;
        let durable = idempotency.as_ref().filter(|record| self.on_disk(record.key.channel));
        group.chain = encode::commit(&mut group.buffer, group.chain, id, &head(commit, &resolved, durable));
        group.large.push(LargeChange::End(id));
        group.needs_sync = true;
        Ok(Ok(Done::Appended(vec![resolved.answer])))
    }

    /// The outcome of a large batch that needs no commit: refused, or there already.
    fn settled(&self, group: &Group, key: Option<&crate::batch::Idempotency>) -> Option<Outcome> {
        match group.stage.known(self, key?, group.now) {
            Ok(Known::New) => None,
            Ok(Known::Replay(answer)) => {
                add(&self.counters.replayed, 1);
                Some(Ok(Done::Appended(vec![answer])))
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn resolve(
        &self,
        group: &mut Group,
        entries: &[Entry],
        commit: &LargeCommit,
    ) -> Result<(Resolved, Option<IdempotencyRecord>), StateError> {
        let resolved = group.stage.resolve(self, entries, commit.tx.as_deref(), group.now)?;
        let record = commit.idempotency.clone();
        let record = record.map(|key| IdempotencyRecord { key, answer: resolved.answer.clone() });
        group.stage.note(self, &commit.checkpoints, record.as_ref(), resolved.appended);
        Ok((resolved, record))
    }

    fn write(&self, core: &mut Core, group: &Group) -> Result<(), WriteError> {
        if group.buffer.is_empty() {
            return Ok(());
        }
        core.writer.write(&group.buffer, group.chain)?;
        add(&self.counters.journal_bytes_written, group.buffer.len() as u64);
        if group.needs_sync {
            let began = Instant::now();
            core.writer.sync()?;
            self.counters.synced(began.elapsed());
        }
        Ok(())
    }

    pub(crate) fn index_of(&self, id: ChannelId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    fn on_disk(&self, id: ChannelId) -> bool {
        self.index_of(id).is_some_and(|index| self.channels[index].ring.is_none())
    }

    pub(crate) fn checkpoint(&self, name: &str) -> Option<Bytes> {
        self.ledger.checkpoint(name).unwrap_or_else(|error| {
            tracing::error!(name, %error, "the checkpoint cannot be read from the view store");
            None
        })
    }

    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(crate) fn tell(&self, moved: &[ChannelId]) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for id in moved {
            listeners.iter().for_each(|listener| listener(*id));
        }
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            0 => Health::Good,
            1 => Health::Full,
            _ => Health::Poisoned,
        }
    }

    fn full(&self, why: &str) -> AppendError {
        if self.health.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            tracing::error!(folder = %self.disk.describe(), why, "the log is full: appends are refused until there is space");
        }
        AppendError::Full
    }

    pub(crate) fn poison(&self, why: &str) -> AppendError {
        if self.health.swap(2, Ordering::AcqRel) != 2 {
            tracing::error!(
                folder = %self.disk.describe(), why,
                "the log is poisoned: a sync failed; appends are refused until it is opened again"
            );
        }
        AppendError::Poisoned
    }

    fn recovered(&self) {
        if self.health.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            tracing::info!(folder = %self.disk.describe(), "the log has space again: appends are taken");
        }
    }

    /// The view store cannot be read: it is opened anew, and the group is refused meanwhile.
    pub(crate) fn state_failed(&self, error: &StateError) -> AppendError {
        self.state.note_failure();
        tracing::error!(%error, "the view store failed; appends that need it are refused until a drain has opened it again");
        AppendError::State
    }

    /// Closes the view store in order. Reads of rows end here.
    pub(crate) fn close(&self) {
        self.state.close();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.stats();
        for channel in &self.channels {
            let seen = channel.see();
            stats.segments += seen.held.segments.len() as u64;
            stats.segment_bytes += seen.held.segments.iter().map(|segment| segment.meta.bytes).sum::<u64>();
            stats.hot_records += seen.held.parts.iter().map(|part| part.len() as u64).sum::<u64>();
            stats.hot_bytes += seen.held.parts.iter().map(|part| part.bytes()).sum::<u64>();
        }
        stats
    }
}

impl Core {
    fn change(&mut self, change: LargeChange) {
        match change {
            LargeChange::Begin(id) => {
                let began_in = self.writer.number();
                self.large.insert(id, OpenLarge { began_in, ..OpenLarge::default() });
            }
            LargeChange::Part(id, entries, bytes) => {
                if let Some(large) = self.large.get_mut(&id) {
                    large.entries.extend(entries);
                    large.bytes += bytes;
                    self.large_bytes += bytes;
                }
            }
            LargeChange::End(id) => {
                if let Some(large) = self.large.remove(&id) {
                    self.large_bytes -= large.bytes;
                }
            }
        }
    }
}

fn head<'a>(
    commit: &'a LargeCommit,
    resolved: &'a Resolved,
    idempotency: Option<&'a IdempotencyRecord>,
) -> encode::Head<'a> {
    encode::Head {
        appended: resolved.appended,
        tx: commit.tx.as_deref(),
        checkpoints: &commit.checkpoints,
        idempotency,
        first: &resolved.first,
    }
}

/// What entries take in memory, about.
pub(crate) fn size(entries: &[Entry]) -> usize {
    let one = |entry: &Entry| {
        entry.data.len() + entry.address.as_str().len() + entry.key.as_ref().map_or(0, |key| key.len()) + 64
    };
    entries.iter().map(one).sum()
}
