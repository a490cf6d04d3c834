//! The log without its threads: commit a group, drain, merge, trim, each a plain call.
//!
//! One caller at a time commits groups (the journal's lock sees to it); drains, merges and retention take turns under a lock
//! of their own and hold the journal's only to start a new file. So a test drives all of it from one thread, and two threads
//! drive it in earnest.
//!
//! **Invariant:** nothing is visible before its journal entry is durable, and nothing leaves the journal before segments and
//! view store hold it durably.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use tidegate_core::ChannelId;

use crate::batch::AppendError;
use crate::channel::ChannelState;
use crate::counters::Counters;
use crate::disk::{Disk, is_sync_failure};
use crate::group::Work;
use crate::health::{Health, Stats};
use crate::journal::JournalWriter;
use crate::large::{Claims, Places};
use crate::ledger::{Ledger, Remembered};
use crate::options::Options;
use crate::page::ReadError;
use crate::state::{State, StateError};

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
    /// Of large batches.
    pub(crate) places: Places,
    health: AtomicU8,
    listeners: RwLock<Vec<Listener>>,
    /// The lock on the folder while the log is open; read-locked by those who write files outside of the threads.
    lock: RwLock<Option<Box<dyn Send + Sync>>>,
}

/// What only the committer of a group touches.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) writer: JournalWriter,
    pub(crate) claims: Claims,
    /// Bytes of the journal files before the present one that no drain has taken.
    pub(crate) undrained_before: u64,
    pub(crate) buffer: Vec<u8>,
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
        let core = Core { writer, claims: Claims::default(), undrained_before, buffer: Vec::new() };
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
            lock: RwLock::new(Some(lock)),
            places: Places::default(),
        }
    }

    pub(crate) fn index_of(&self, id: ChannelId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn on_disk(&self, id: ChannelId) -> bool {
        self.index_of(id).is_some_and(|index| self.channels[index].ring.is_none())
    }

    /// Whether the work leaves nothing on disk.
    pub(crate) fn only_in_memory(&self, work: &Work) -> bool {
        let Work::Batches(batches) = work else { return false };
        batches
            .iter()
            .all(|batch| batch.checkpoints.is_empty() && batch.entries.iter().all(|entry| !self.on_disk(entry.channel)))
    }

    pub(crate) fn checkpoint(&self, name: &str) -> Option<Bytes> {
        self.ledger.checkpoint(name).unwrap_or_else(|error| {
            tracing::error!(name, %error, "the checkpoint cannot be read from the view store");
            None
        })
    }

    /// Remembers a key of a channel that is not on disk.
    pub(crate) fn remember_volatile(&self, channel: ChannelId, key: Vec<u8>, remembered: Remembered) {
        let max = self.index_of(channel).map_or(0, |index| self.channels[index].window.keys);
        self.ledger.add_volatile(channel, key, remembered, max);
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

    pub(crate) fn full(&self, why: &str) -> AppendError {
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

    pub(crate) fn recovered(&self) {
        if self.health.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            tracing::info!(folder = %self.disk.describe(), "the log has space again: appends are taken");
        }
    }

    /// A write outside of the journal failed: there was no space, or a sync can no longer be trusted.
    pub(crate) fn disk_failed(&self, error: &io::Error) -> AppendError {
        if is_sync_failure(error) { self.poison(&error.to_string()) } else { self.full(&error.to_string()) }
    }

    /// The view store cannot be read: it is opened anew, and the group is refused meanwhile.
    pub(crate) fn state_failed(&self, error: &StateError) -> AppendError {
        self.state.note_failure();
        tracing::error!(%error, "the view store failed; appends that need it are refused until a drain has opened it again");
        AppendError::State
    }

    /// What a condition is judged by could not be read.
    pub(crate) fn unread(&self, error: &ReadError) -> AppendError {
        if matches!(error, ReadError::State(_)) {
            self.state.note_failure();
        }
        tracing::error!(%error, "a condition cannot be judged; its batch is refused");
        AppendError::State
    }

    /// Keeps the log open while the answer is held.
    pub(crate) fn stay_open(&self) -> Result<impl Drop + '_, AppendError> {
        let open = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() { Ok(open) } else { Err(AppendError::Closed) }
    }

    /// Closes the view store in order, after parts and commits of large batches that are under way. Reads of rows end here.
    pub(crate) fn close(&self) {
        let mut lock = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        self.state.close();
        *lock = None;
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
