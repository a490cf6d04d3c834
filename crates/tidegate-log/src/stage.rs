//! A group on its way into the journal: batches are resolved into records one after the other, each seeing those before it,
//! and nothing of it is visible or lasting until the group is durable.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use tidegate_core::{Address, ChannelId, Key, Millis, Offset, Op, Record, Tx, is_notice};

use crate::batch::{AppendError, Appended, Entry, Idempotency};
use crate::channel::ChannelState;
use crate::condition::{Changes, Expect};
use crate::engine::Engine;
use crate::journal::IdempotencyRecord;
use crate::ledger::{Layer, Remembered, key_bytes};
use crate::state::StateError;

/// What a group adds.
#[derive(Default)]
pub(crate) struct Stage {
    channels: HashMap<usize, Staged>,
    layer: Layer,
    volatile: Vec<(ChannelId, Vec<u8>, Remembered, u64)>,
    pub(crate) records: u64,
}

/// Records of one channel that the group adds, and what they make of its rows.
struct Staged {
    state: Arc<ChannelState>,
    head: Offset,
    last_time: Millis,
    records: Vec<Arc<Record>>,
    values: HashMap<(Address, Key), Option<Bytes>>,
    cleared: bool,
    changes: Changes,
}

/// Most batches have fewer entries. What is asked for as zeros is never taken from what a thread has at hand (glibc's
/// `calloc`): for each publish that was a sixth of the time with ten thousand connections.
const SMALL: usize = 32;

/// A resolved batch: what to write into the journal for it.
pub(crate) struct Resolved {
    /// Entries that became records of channels on disk.
    pub(crate) kept: SmallVec<[bool; SMALL]>,
    /// First offset per channel on disk.
    pub(crate) first: Vec<(ChannelId, Offset)>,
    pub(crate) answer: Appended,
    /// Whether any record was made at all.
    pub(crate) appended: Millis,
}

/// Whether the idempotency key is new.
pub(crate) enum Known {
    New,
    Replay(Appended),
}

impl Stage {
    /// Checks that every entry has its channel and fits it.
    pub(crate) fn check(engine: &Engine, entries: &[Entry]) -> Result<(), AppendError> {
        for entry in entries {
            let index = engine.index_of(entry.channel).ok_or(AppendError::UnknownChannel)?;
            let channel = &engine.channels[index];
            if !channel.configured {
                return Err(AppendError::UnknownChannel);
            }
            match (channel.keyed, entry.op, &entry.key) {
                (_, Op::Notice, None) if !is_notice(&entry.data) => {
                    return Err(AppendError::Unfit("a notice is an object with `code` and `message`"));
                }
                (_, Op::Gap | Op::Notice, None) => {}
                (_, Op::Gap | Op::Notice, Some(_)) => return Err(AppendError::Unfit("a gap or a notice has no key")),
                (false, Op::Append, None) | (true, Op::Upsert | Op::Delete, Some(_)) | (true, Op::Clear, None) => {}
                (false, Op::Append, Some(_)) => return Err(AppendError::Unfit("a plain channel has no keys")),
                (false, ..) => return Err(AppendError::Unfit("a plain channel takes appends only")),
                (true, Op::Append, _) => return Err(AppendError::Unfit("a keyed channel takes no appends")),
                (true, Op::Clear, _) => return Err(AppendError::Unfit("a clear has no key")),
                (true, ..) => return Err(AppendError::Unfit("an entry of a keyed channel needs a key")),
            }
        }
        Ok(())
    }

    /// Looks an idempotency key up in the group and in what is durable.
    pub(crate) fn known(&self, engine: &Engine, key: &Idempotency, now: Millis) -> Result<Known, AppendError> {
        let index = engine.index_of(key.channel).ok_or(AppendError::UnknownChannel)?;
        let bytes = key_bytes(key);
        let staged = self.layer.keys.get(&bytes).cloned();
        let staged =
            staged.or_else(|| self.volatile.iter().find(|found| found.1 == bytes).map(|found| found.2.clone()));
        let found = match staged {
            Some(found) => Some(found),
            None => engine.ledger.remembered(&bytes).map_err(|error| engine.state_failed(&error))?,
        };
        let window = engine.channels[index].window;
        match found.filter(|found| found.appended >= now.before(window.age)) {
            None => Ok(Known::New),
            Some(found) if found.body_hash != key.body_hash => Err(AppendError::IdempotencyMismatch),
            Some(found) => Ok(Known::Replay(Appended { replayed: true, ..found.answer })),
        }
    }

    /// Whether what a batch expects holds after all that the group adds so far.
    pub(crate) fn judge(&mut self, engine: &Engine, expect: &Expect) -> Result<(), AppendError> {
        let index = engine.index_of(expect.channel).ok_or(AppendError::UnknownChannel)?;
        let Staged { state, records, changes, .. } = self.channel(engine, index);
        if expect.key.is_some() && !state.keyed {
            return Err(AppendError::Unfit("a plain channel has no keys"));
        }
        changes.catch_up(records, state.keyed);
        let standing = changes.standing(state, expect).map_err(|error| engine.unread(&error))?;
        if expect.condition.holds(standing) { Ok(()) } else { Err(AppendError::Unexpected(standing)) }
    }

    /// Makes records of entries. An error leaves the stage in the middle: the whole group has to be given up.
    ///
    /// `replayed` entries come from the journal: all of them are known to be records.
    pub(crate) fn resolve(
        &mut self,
        engine: &Engine,
        entries: &[Entry],
        tx: Option<&str>,
        now: Millis,
    ) -> Result<Resolved, StateError> {
        let mut kept: SmallVec<[bool; SMALL]> = smallvec![false; entries.len()];
        let mut befores: Vec<Option<Bytes>> = Vec::with_capacity(entries.len());
        let mut order: Vec<(usize, Option<usize>)> = Vec::new(); // channel, its last kept entry
        let mut appended = now;
        for (at, entry) in entries.iter().enumerate() {
            let Some(index) = engine.index_of(entry.channel) else {
                befores.push(None);
                continue;
            };
            let staged = self.channel(engine, index);
            appended = appended.max(staged.last_time);
            let before = staged.replace(entry)?;
            kept[at] = entry.op != Op::Delete || before.is_some();
            befores.push(before);
            let slot = match order.iter().position(|(channel, _)| *channel == index) {
                Some(slot) => slot,
                None => {
                    order.push((index, None));
                    order.len() - 1
                }
            };
            if kept[at] {
                order[slot].1 = Some(at);
            }
        }
        let mut first = Vec::new();
        for (index, last) in &order {
            let staged = self.channel(engine, *index);
            if last.is_some() && staged.state.ring.is_none() {
                first.push((staged.state.id, staged.head + 1));
            }
        }
        first.sort_unstable(); // not in order of use: deletes of nothing are no use when the journal is read again
        for ((at, entry), before) in entries.iter().enumerate().zip(befores) {
            let Some(index) = engine.index_of(entry.channel).filter(|_| kept[at]) else { continue };
            let last = order.iter().any(|(channel, last)| *channel == index && *last == Some(at));
            self.records += 1;
            self.channel(engine, index).push(entry, before, appended, tx.map(|id| Tx { id: id.into(), last }));
        }
        let last = order.iter().map(|(index, _)| {
            let staged = self.channel(engine, *index);
            (staged.state.id, staged.head)
        });
        let answer = Appended { last: last.collect(), count: entries.len() as u64, replayed: false };
        for (at, entry) in entries.iter().enumerate() {
            let ring = engine.index_of(entry.channel).is_some_and(|index| engine.channels[index].ring.is_some());
            kept[at] &= !ring;
        }
        Ok(Resolved { kept, first, answer, appended })
    }

    /// Remembers what stands with a batch.
    pub(crate) fn note(
        &mut self,
        engine: &Engine,
        checkpoints: &[(String, Bytes)],
        record: Option<&IdempotencyRecord>,
        appended: Millis,
    ) {
        self.layer.checkpoints.extend(checkpoints.iter().cloned());
        let Some(record) = record else { return };
        let remembered = Remembered::of(record, appended);
        match engine.index_of(record.key.channel).map(|index| &engine.channels[index]) {
            Some(channel) if channel.ring.is_some() => {
                self.volatile.push((channel.id, key_bytes(&record.key), remembered, channel.window.keys));
            }
            _ => {
                self.layer.keys.insert(key_bytes(&record.key), remembered);
            }
        }
    }

    /// The group is durable: makes it visible. Returns the channels whose heads moved.
    pub(crate) fn apply(self, engine: &Engine) -> Vec<ChannelId> {
        let moved = self.channels.values().filter(|staged| !staged.records.is_empty());
        for staged in moved.clone() {
            if staged.state.ring.is_none() {
                staged.state.push(&staged.records);
            }
        }
        if !self.layer.checkpoints.is_empty() || !self.layer.keys.is_empty() {
            engine.ledger.add(self.layer);
        }
        for (channel, key, remembered, max) in self.volatile {
            engine.ledger.add_volatile(channel, key, remembered, max);
        }
        let mut ids = Vec::new();
        for staged in moved {
            staged.state.note_time(staged.last_time);
            match &staged.state.ring {
                Some(ring) => staged.state.push_ring(ring, &staged.records),
                None => staged.state.advance(staged.head),
            }
            ids.push(staged.state.id);
        }
        ids
    }

    fn channel(&mut self, engine: &Engine, index: usize) -> &mut Staged {
        self.channels.entry(index).or_insert_with(|| {
            let state = engine.channels[index].clone();
            Staged {
                head: state.head(),
                last_time: state.last_time(),
                records: Vec::new(),
                values: HashMap::new(),
                cleared: false,
                changes: Changes::default(),
                state,
            }
        })
    }
}

impl Staged {
    /// Notes what an entry makes of its row; returns the value before it.
    fn replace(&mut self, entry: &Entry) -> Result<Option<Bytes>, StateError> {
        if entry.op == Op::Clear {
            self.values.clear();
            self.cleared = true;
            return Ok(None);
        }
        let Some(key) = entry.key.as_ref().filter(|_| self.state.keyed) else { return Ok(None) };
        let name = (entry.address.clone(), key.clone());
        let after = (entry.op == Op::Upsert).then(|| entry.data.clone());
        if let Some(value) = self.values.get_mut(&name) {
            return Ok(std::mem::replace(value, after));
        }
        let before = if self.cleared { None } else { self.state.value(&name)? };
        self.values.insert(name, after);
        Ok(before)
    }

    fn push(&mut self, entry: &Entry, before: Option<Bytes>, appended: Millis, tx: Option<Tx>) {
        self.head += 1;
        self.last_time = appended;
        self.records.push(Arc::new(Record {
            offset: self.head,
            appended,
            time: entry.time,
            op: entry.op,
            address: entry.address.clone(),
            key: entry.key.clone(),
            data: entry.data.clone(),
            before,
            tx,
        }));
    }
}
