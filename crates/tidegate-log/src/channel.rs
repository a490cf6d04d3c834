//! One channel of the log, for reading.

mod keeping;
mod records;
mod rows;
mod standing;
mod unchanged;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Epoch, Key, Millis, Offset, Record, Scope};

pub use keeping::Keeping;

use crate::hot::{Part, RowState};
use crate::options::{Retain, Window};
use crate::page::{Page, ReadError, ReadLimit, RowPage, ViewRow};
use crate::ring::Ring;
use crate::segment::Segment;
use crate::state::{Snapshot, StateError};

/// A handle on a channel. Cheap to clone; all reads may block on the disk but for those that say otherwise.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(crate) state: Arc<ChannelState>,
}

/// What the log holds of a channel.
#[derive(Debug)]
pub(crate) struct ChannelState {
    pub(crate) id: ChannelId,
    pub(crate) name: String,
    pub(crate) keyed: bool,
    /// Whether it keeps an index of its keys.
    pub(crate) by_key: bool,
    pub(crate) retain: Retain,
    pub(crate) window: Window,
    pub(crate) epoch: Epoch,
    /// Whether the specs name it; others are kept as they are.
    pub(crate) configured: bool,
    /// Instead of everything below, on channels that are not on disk.
    pub(crate) ring: Option<Ring>,
    pub(crate) scan_bytes_max: usize,
    head: AtomicU64,
    start: AtomicU64,
    /// Time of append of the newest record; times never go back.
    last_time: AtomicU64,
    held: RwLock<Held>,
}

/// What a reader takes hold of; all of it fits together, and what is behind it does not change but for the
/// last part, which grows beyond the reader's head.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The last is being filled.
    pub(crate) parts: Vec<Arc<Part>>,
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Offset of the last clear that `snapshot` holds.
    pub(crate) cleared: Offset,
}

/// [`Held`] with where it begins and ends.
pub(crate) struct Seen {
    pub(crate) held: Held,
    pub(crate) head: Offset,
    pub(crate) start: Offset,
}

impl Channel {
    /// A stable hash of its name.
    pub fn id(&self) -> ChannelId {
        self.state.id
    }

    /// As in its spec.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Whether it has a view.
    pub fn keyed(&self) -> bool {
        self.state.keyed
    }

    /// Whether nothing of it is on disk.
    pub fn ephemeral(&self) -> bool {
        self.state.ring.is_some()
    }

    /// Which life of the channel's log this is.
    pub fn epoch(&self) -> Epoch {
        self.state.epoch
    }

    /// Offset of the last visible record; 0 before the first.
    pub fn head(&self) -> Offset {
        self.state.head()
    }

    /// Records after this offset are held; a position before it has a gap.
    pub fn start(&self) -> Offset {
        self.state.start()
    }

    /// Records of `scope` in `(after, until]`, oldest first. What concerns the whole channel belongs to every scope.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] if `after` is before [`Channel::start`].
    pub fn read(&self, after: Offset, until: Offset, scope: &Scope, limit: ReadLimit) -> Result<Page, ReadError> {
        self.state.read(after, until, scope, limit)
    }

    /// The same from memory, never blocking on the disk; `None` if the range begins before what memory holds.
    pub fn read_hot(&self, after: Offset, until: Offset, scope: &Scope, limit: ReadLimit) -> Option<Page> {
        self.state.read_hot(after, until, scope, limit)
    }

    /// The newest `limit` records of `scope`, oldest first. For patterns and keys it looks back over
    /// `Options::scan_bytes_max` at most, and may find fewer.
    pub fn newest(&self, scope: &Scope, limit: usize) -> Result<Vec<Arc<Record>>, ReadError> {
        self.state.newest(scope, limit)
    }

    /// The position after which records with a time of append of `time` or later begin, not below `start`.
    pub fn position_at(&self, time: Millis) -> Result<Offset, ReadError> {
        self.state.position_at(time)
    }

    /// Time of append of the oldest record held, or of the newest ever if none is; `None` if there never was one. From memory,
    /// never blocking on the disk. A [position](Channel::position_at) of a time before it is not told by the records.
    pub fn oldest_time(&self) -> Option<Millis> {
        self.state.oldest_time()
    }

    /// One row and the head that it is the state of.
    pub fn row(&self, address: &Address, key: &str) -> Result<(Option<ViewRow>, Offset), ReadError> {
        self.state.row(address, key)
    }

    /// The same from memory, never blocking on the disk; `None` if memory does not say.
    pub fn row_hot(&self, address: &Address, key: &str) -> Option<(Option<ViewRow>, Offset)> {
        self.state.row_hot(address, key)
    }

    /// The head, if nothing that concerns `scope` came after `after`: then what was read there, rows and
    /// records, is what would be read at the head. From memory, never blocking on the disk, and looking at a
    /// bounded number of records; `None` if something came, or if memory does not say.
    pub fn unchanged(&self, after: Offset, scope: &Scope) -> Option<Offset> {
        self.state.unchanged(after, scope)
    }

    /// What keeps records after `after` from being trimmed; `None` where there are none, where some are gone, and where
    /// nothing is on disk, so that any new record may push them out. It never blocks on the disk.
    pub fn keeping(&self, after: Offset) -> Option<Keeping> {
        self.state.keeping(after)
    }

    /// Rows of `scope` in order of address and key, after `after`; the state at `RowPage::at` exactly. A page
    /// may have few rows or none and still have a `next`, where a pattern matches little.
    pub fn rows(&self, scope: &Scope, after: Option<&(Address, Key)>, limit: ReadLimit) -> Result<RowPage, ReadError> {
        self.state.rows(scope, after, limit)
    }

    /// Where a key has rows, at the head, in order; empty if nowhere.
    ///
    /// # Errors
    /// [`ReadError::NotByKey`] unless the spec of the channel asks for it.
    pub fn addresses_of(&self, key: &str) -> Result<Vec<Address>, ReadError> {
        self.state.addresses_of(key)
    }

    /// Offset of the last change at an address, deletes and clears included; `None` if it never had a row.
    pub fn touched(&self, address: &Address) -> Result<Option<Offset>, ReadError> {
        self.state.touched(address)
    }
}

impl ChannelState {
    pub(crate) fn new(
        identity: ChannelIdentity,
        held: Held,
        head: Offset,
        start: Offset,
        last_time: Millis,
    ) -> ChannelState {
        let ChannelIdentity { id, name, keyed, by_key, retain, window, epoch, configured, scan_bytes_max } = identity;
        ChannelState {
            id,
            name,
            keyed,
            by_key,
            retain,
            window,
            epoch,
            configured,
            ring: retain.ephemeral.then(|| Ring::new(by_key)),
            scan_bytes_max,
            head: AtomicU64::new(head),
            start: AtomicU64::new(start),
            last_time: AtomicU64::new(last_time.0),
            held: RwLock::new(held),
        }
    }

    pub(crate) fn head(&self) -> Offset {
        self.head.load(Ordering::Acquire)
    }

    pub(crate) fn start(&self) -> Offset {
        self.start.load(Ordering::Acquire)
    }

    pub(crate) fn last_time(&self) -> Millis {
        Millis(self.last_time.load(Ordering::Relaxed))
    }

    pub(crate) fn note_time(&self, time: Millis) {
        self.last_time.fetch_max(time.0, Ordering::Relaxed);
    }

    /// A consistent hold on everything.
    pub(crate) fn see(&self) -> Seen {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: no drain can put records beyond this head into the snapshot.
        Seen { held: held.clone(), head: self.head(), start: self.start() }
    }

    /// The part that is being filled. Only the holder of the journal calls this, so it stays the last until it is done.
    fn active(&self) -> Option<Arc<Part>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).parts.last().cloned()
    }

    /// Adds durable records, unseen until [`Self::advance`].
    pub(crate) fn push(&self, records: &[Arc<Record>]) {
        if let Some(active) = self.active() {
            active.push(records, self.keyed);
        }
    }

    /// Makes records up to `head` visible.
    pub(crate) fn advance(&self, head: Offset) {
        self.head.store(head, Ordering::Release);
    }

    /// Adds records of a channel that is not on disk, and makes them visible.
    pub(crate) fn push_ring(&self, ring: &Ring, records: &[Arc<Record>]) {
        let (head, start) = ring.push(records, self.keyed);
        self.start.store(start, Ordering::Release);
        self.advance(head);
    }

    /// Starts a new part; returns the ones before it that hold records, oldest first.
    pub(crate) fn freeze(&self) -> Vec<Arc<Part>> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.parts.last().is_some_and(|active| active.len() > 0) {
            held.parts.push(Arc::new(Part::new(self.head(), self.by_key)));
        }
        let frozen = held.parts.len() - 1;
        held.parts[..frozen].to_vec()
    }

    /// Replaces what is held; `start` rises with it.
    pub(crate) fn publish(&self, start: Offset, change: impl FnOnce(&mut Held)) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        self.start.store(start, Ordering::Release);
    }

    /// Replaces what is held together with the head, at `head` all of it is in segments.
    pub(crate) fn install(&self, head: Offset, last_time: Millis, change: impl FnOnce(&mut Held)) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        held.parts = vec![Arc::new(Part::new(head, self.by_key))];
        self.note_time(last_time);
        self.advance(head);
    }

    /// The value of a key at the channel's head: what the next record's before-image is.
    pub(crate) fn value(&self, row: &(Address, Key)) -> Result<Option<Bytes>, StateError> {
        if let Some(ring) = &self.ring {
            return Ok(ring.value(row));
        }
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        for part in held.parts.iter().rev() {
            match part.row(row, Offset::MAX - 1) {
                RowState::Unknown => {}
                RowState::Gone => return Ok(None),
                RowState::Value(record) => return Ok(Some(record.data.clone())),
            }
        }
        let snapshot = held.snapshot.clone();
        drop(held);
        Ok(snapshot.row(self.id, &row.0, &row.1)?.map(|row| row.data))
    }
}

/// What does not change while a log is open.
pub(crate) struct ChannelIdentity {
    pub(crate) id: ChannelId,
    pub(crate) name: String,
    pub(crate) keyed: bool,
    pub(crate) by_key: bool,
    pub(crate) retain: Retain,
    pub(crate) window: Window,
    pub(crate) epoch: Epoch,
    pub(crate) configured: bool,
    pub(crate) scan_bytes_max: usize,
}
