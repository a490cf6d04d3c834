//! A batch that is larger than memory: it goes straight into segments and becomes part of the state in one commit.
//!
//! ```text
//! begin ─► part ─► part ─► … ─► commit: seal segments ─► drain the journal ─► one commit of the state ─► visible
//!            │                     │ Full, State, Busy: can be tried again
//!            └─ failed ─► over     └─ poisoned ─► over
//! ```
//!
//! Nothing of it is in the journal. What it takes of memory does not depend on its size: the cache of its [scratch],
//! the index of the segments that are being written, a buffer of up to 1 MiB for each channel, the part itself.
//!
//! **Invariant:** a channel that an open batch has touched takes nothing from anybody else, so offsets and before-images that the
//! batch was written with hold when it commits. Other channels are not held up; while the state commits they fill the journal,
//! up to the backlog that a drain may have.

mod claims;
mod scratch;
mod writing;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tidegate_core::{Address, ChannelId};

use crate::batch::{AppendError, Appended, Entry, Idempotency};
use crate::channel::ChannelState;
use crate::disk::synced;
use crate::engine::Engine;
use crate::group::{Done, Outcome, size};
use crate::health::Health;
use crate::journal::IdempotencyRecord;
use crate::ledger::{Layer, Remembered, key_bytes};
use crate::page::ReadError;
use crate::segment;
use crate::stage::Stage;

pub(crate) use claims::{Claim, Claims, Places};
pub(crate) use scratch::{DIR, Scratch, tidy};
use writing::Broken;
pub(crate) use writing::Writing;

/// Records that a batch may have in the indexes of segments that it is writing; then it begins a new segment. About 25 MiB.
const INDEXED_MAX: usize = 256 * 1024;

/// A batch that comes in parts and becomes visible at once. Dropping it aborts it.
///
/// It owns the channels that its parts touch: until it ends, batches for them get [`AppendError::Busy`]. The time of append of a
/// record is that of its part.
pub struct LargeBatch {
    engine: Arc<Engine>,
    claim: Claimer,
    owner: u64,
    tx: Option<Box<str>>,
    /// In order of first use.
    channels: Vec<Writing>,
    by_id: HashMap<ChannelId, usize>,
    /// From the first entry of a keyed channel on.
    scratch: Option<Mutex<Scratch>>,
    count: u64,
    /// A commit was tried: the last records have their mark.
    sealed: bool,
    over: bool,
}

/// What a large batch is committed with.
#[derive(Clone, Debug, Default)]
pub struct LargeCommit {
    /// As in [`Batch`](crate::Batch).
    pub checkpoints: Vec<(String, Bytes)>,
    /// As in [`Batch`](crate::Batch).
    pub idempotency: Option<Idempotency>,
}

/// Takes a claim through the journal, behind all that was submitted before.
pub(crate) type Claimer = Box<dyn Fn(Claim) -> Outcome + Send + Sync>;

/// What the state takes over: complete segments, and what goes with them.
pub(crate) struct Complete<'b> {
    pub(crate) channels: Vec<&'b Writing>,
    pub(crate) scratch: Option<MutexGuard<'b, Scratch>>,
    pub(crate) layer: Arc<Layer>,
}

impl LargeBatch {
    pub(crate) fn begin(engine: Arc<Engine>, claim: Claimer, tx: Option<Box<str>>) -> Result<LargeBatch, AppendError> {
        drop(engine.stay_open()?);
        let owner = engine.places.take()?;
        Ok(LargeBatch {
            engine,
            claim,
            owner,
            tx,
            channels: Vec::new(),
            by_id: HashMap::new(),
            scratch: None,
            count: 0,
            sealed: false,
            over: false,
        })
    }

    /// Adds entries; blocks until they are written (they are not durable before the commit).
    ///
    /// # Errors
    /// Refusals leave the batch as it was: [`AppendError::Busy`] if another large batch owns one of the channels,
    /// [`AppendError::TooLarge`] if the part is over `batch_bytes_max`, entries that do not fit (channels that keep nothing on disk
    /// among them). After [`AppendError::Full`] and [`AppendError::State`] the batch is over and its files are gone; begin anew.
    pub fn part(&mut self, entries: Vec<Entry>) -> Result<(), AppendError> {
        let engine = self.engine.clone();
        let _open = engine.stay_open()?;
        if self.sealed {
            return Err(AppendError::Closed);
        }
        self.check(&entries)?;
        self.own(&entries)?;
        let taken = self.take(entries);
        taken.map_err(|broken| {
            let error = match broken {
                Broken::Disk(error) => engine.disk_failed(&error),
                Broken::View(error) => engine.state_failed(&error),
            };
            self.end(false);
            error
        })
    }

    /// Makes all parts durable and visible at once. After [`AppendError::Full`], [`AppendError::State`] and [`AppendError::Busy`]
    /// (another commit sets one of the checkpoints) it can be tried again; parts are not taken any more.
    pub fn commit(&mut self, commit: LargeCommit) -> Result<Appended, AppendError> {
        let engine = self.engine.clone();
        let _open = engine.stay_open()?;
        self.check(&[])?;
        let checkpoints = commit.checkpoints.iter().map(|(name, _)| name.clone()).collect();
        let claim =
            Claim { owner: self.owner, channels: Vec::new(), checkpoints, idempotency: commit.idempotency.clone() };
        let answer = match (self.claim)(claim)? {
            Done::Appended(replayed) => {
                self.end(false);
                return replayed.into_iter().next().ok_or(AppendError::Closed);
            }
            Done::Claimed => self.answer(),
        };
        match self.finish(commit, &answer) {
            Ok(moved) => {
                self.end(true);
                engine.tell(&moved);
                Ok(answer)
            }
            Err(error) => {
                engine.core().claims.release_commit(self.owner);
                Err(error)
            }
        }
    }

    /// Forgets all parts.
    pub fn abort(self) {}

    /// The value of a row with the parts so far.
    ///
    /// # Errors
    /// [`ReadError::NotKeyed`] if the log has no such keyed channel.
    pub fn row(&self, channel: ChannelId, address: &Address, key: &str) -> Result<Option<Bytes>, ReadError> {
        let state = self.keyed(channel)?;
        let Some(writing) = self.by_id.get(&channel).map(|index| &self.channels[*index]) else {
            return Ok(state.value(&(address.clone(), key.into()))?);
        };
        let touched = match self.scratch() {
            Some(scratch) => scratch.rows()?.get(channel, address, key)?,
            None => None,
        };
        Ok(writing.value_before(touched, address, key)?)
    }

    /// Where a key has rows with the parts so far, in order.
    ///
    /// # Errors
    /// As [`Channel::addresses_of`](crate::Channel::addresses_of).
    pub fn addresses_of(&self, channel: ChannelId, key: &str) -> Result<Vec<Address>, ReadError> {
        let before = self.keyed(channel)?.addresses_of(key)?;
        let Some(writing) = self.by_id.get(&channel).map(|index| &self.channels[*index]) else { return Ok(before) };
        let mut found: BTreeSet<Address> = before.into_iter().filter(|_| writing.cleared == 0).collect();
        if let Some(scratch) = self.scratch() {
            let rows = scratch.rows()?;
            for address in rows.addresses_of(channel, key)? {
                let touched = rows.get(channel, &address, key)?;
                match touched.is_some_and(|touched| touched.offset > writing.cleared && touched.data.is_some()) {
                    true => found.insert(address),
                    false => found.remove(&address),
                };
            }
        }
        Ok(found.into_iter().collect())
    }

    fn keyed(&self, channel: ChannelId) -> Result<&Arc<ChannelState>, ReadError> {
        let state = self.engine.index_of(channel).map(|index| &self.engine.channels[index]);
        state.filter(|state| state.keyed).ok_or(ReadError::NotKeyed)
    }

    fn scratch(&self) -> Option<MutexGuard<'_, Scratch>> {
        self.scratch.as_ref().map(|scratch| scratch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses what cannot be taken, before anything of it is.
    fn check(&self, entries: &[Entry]) -> Result<(), AppendError> {
        if self.over {
            return Err(AppendError::Closed);
        }
        if self.engine.health() == Health::Poisoned {
            return Err(AppendError::Poisoned);
        }
        if size(entries) > self.engine.options.batch_bytes_max {
            return Err(AppendError::TooLarge);
        }
        Stage::check(&self.engine, entries)?;
        if entries.iter().any(|entry| !self.engine.on_disk(entry.channel)) {
            return Err(AppendError::Unfit("a channel that keeps nothing on disk takes no large batches"));
        }
        Ok(())
    }

    /// Takes the channels that are not owned yet.
    fn own(&mut self, entries: &[Entry]) -> Result<(), AppendError> {
        let mut channels: Vec<ChannelId> = Vec::new();
        for entry in entries {
            if !self.by_id.contains_key(&entry.channel) && !channels.contains(&entry.channel) {
                channels.push(entry.channel);
            }
        }
        if channels.is_empty() {
            return Ok(());
        }
        (self.claim)(Claim { owner: self.owner, channels: channels.clone(), ..Claim::default() })?;
        for id in channels {
            let index = self.engine.index_of(id).ok_or(AppendError::UnknownChannel)?;
            self.by_id.insert(id, self.channels.len());
            self.channels.push(Writing::new(self.engine.channels[index].clone()));
        }
        Ok(())
    }

    fn take(&mut self, entries: Vec<Entry>) -> Result<(), Broken> {
        let (engine, now) = (self.engine.clone(), self.engine.options.clock.now());
        if self.scratch.is_none() && self.channels.iter().any(|writing| writing.state.keyed) {
            self.scratch = Some(Mutex::new(Scratch::create(engine.disk.clone(), self.owner)?));
        }
        let scratch = self.scratch.as_mut().map(|scratch| scratch.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut rows = match &scratch {
            Some(scratch) => Some(scratch.rows()?),
            None => None,
        };
        let mut indexed: usize = self.channels.iter().map(Writing::indexed).sum();
        for entry in entries {
            let Some(index) = self.by_id.get(&entry.channel) else { continue };
            self.count += 1;
            self.channels[*index].take(&engine, rows.as_mut(), entry, now, self.tx.as_deref())?;
            indexed += 1;
            if indexed > INDEXED_MAX {
                if let Some(largest) = self.channels.iter_mut().max_by_key(|writing| writing.indexed()) {
                    largest.roll()?;
                }
                indexed = self.channels.iter().map(Writing::indexed).sum();
            }
        }
        Ok(())
    }

    fn answer(&self) -> Appended {
        let last = self.channels.iter().map(|writing| (writing.state.id, writing.head)).collect();
        Appended { last, count: self.count, replayed: false }
    }

    /// Completes the segments and has the state take all over. Returns the channels whose heads moved.
    fn finish(&mut self, commit: LargeCommit, answer: &Appended) -> Result<Vec<ChannelId>, AppendError> {
        let engine = self.engine.clone();
        let mut layer = Layer { checkpoints: commit.checkpoints.into_iter().collect(), ..Layer::default() };
        let mut volatile = None;
        if let Some(key) = commit.idempotency {
            let (bytes, record) = (key_bytes(&key), IdempotencyRecord { key, answer: answer.clone() });
            let remembered = Remembered::of(&record, engine.options.clock.now());
            if engine.on_disk(record.key.channel) {
                layer.keys.insert(bytes, remembered);
            } else {
                volatile = Some((record.key.channel, bytes, remembered));
            }
        }
        self.sealed = true;
        let sealed = self.channels.iter_mut().try_for_each(|writing| writing.finish(&engine));
        let sealed = sealed.and_then(|()| synced(engine.disk.sync_dir(segment::DIR)));
        sealed.map_err(|error| engine.disk_failed(&error))?;
        let complete = Complete {
            channels: self.channels.iter().filter(|writing| writing.moved()).collect(),
            scratch: self.scratch(),
            layer: Arc::new(layer),
        };
        let moved = engine.take_over(&complete)?;
        if let Some((channel, key, remembered)) = volatile {
            engine.remember_volatile(channel, key, remembered);
        }
        Ok(moved)
    }

    /// The batch is over: what it owns is free again, and files that the state does not name go.
    fn end(&mut self, committed: bool) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if let Some(scratch) = self.scratch.take() {
            scratch.into_inner().unwrap_or_else(PoisonError::into_inner).remove();
        }
        let files: Vec<u64> = self.channels.iter().flat_map(Writing::files).collect();
        self.channels.clear();
        self.by_id.clear();
        // A poisoned log does not know what its state says; the next one to open it does.
        if !committed && self.engine.health() != Health::Poisoned {
            for number in files {
                let _ = self.engine.disk.remove(&segment::file_name(number)); // or at the next open
            }
        }
        self.engine.core().claims.release(self.owner);
        self.engine.places.give_back();
    }
}

impl Drop for LargeBatch {
    fn drop(&mut self) {
        let engine = self.engine.clone();
        // After the log was closed the folder may be another's; the next open removes what is left.
        if let Ok(_open) = engine.stay_open() {
            self.end(false);
        }
    }
}
