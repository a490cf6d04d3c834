//! The drain: moves what the journal holds into segments and the view store, then lets go of it.
//!
//! A new journal file is started and memory is frozen at a group's border; segments are written and synced; one commit of the
//! state takes over; only then are memory and journal files released. A failure anywhere leaves all of it in the
//! journal and in memory, and the next drain takes it along.

mod commit;
mod large;
mod merging;
mod retention;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tidegate_core::ChannelId;

use crate::channel::ChannelState;
use crate::disk::{is_sync_failure, synced};
use crate::engine::Engine;
use crate::error::DrainError;
use crate::health::Health;
use crate::hot::Part;
use crate::journal::{self, JournalWriter, WriteError, number_of};
use crate::ledger::Layer;
use crate::page::ReadError;
use crate::segment::{self, Segment, SegmentMeta, SegmentWriter};
use crate::state::{META_JOURNAL_FROM, Snapshot, StateError};

/// A channel whose history is bounded has at least so many segments in that bound: retention drops whole ones.
const SEGMENTS_IN_BOUND: u64 = 8;
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// Records are taken from memory so many at a time.
const SLICE: usize = 1024;

/// What a drain took out of the way of the journal.
struct Frozen {
    /// The journal goes on in this file.
    journal_from: u64,
    channels: Vec<FrozenChannel>,
    layers: Vec<Arc<Layer>>,
}

struct FrozenChannel {
    state: Arc<ChannelState>,
    parts: Vec<Arc<Part>>,
    segments: Vec<SegmentMeta>,
    /// The segment that is being written.
    writer: Option<SegmentWriter>,
}

impl From<StateError> for DrainError {
    fn from(error: StateError) -> DrainError {
        match &*error.0 {
            redb::Error::Io(_) => DrainError::Io(error.into_io()),
            _ => DrainError::State(error.to_string()),
        }
    }
}

impl Engine {
    /// Drains all there is; `false` if there was nothing.
    pub(crate) fn drain(&self) -> Result<bool, DrainError> {
        let _turn = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        let drained = self.ready().and_then(|()| self.drain_in_turn());
        if drained.is_err() {
            self.counters.drains_failed.fetch_add(1, Ordering::Relaxed);
        }
        drained
    }

    fn drain_in_turn(&self) -> Result<bool, DrainError> {
        let core = self.core();
        let nothing = core.writer.is_empty() && core.undrained_before == 0;
        drop(core);
        if nothing {
            return Ok(false);
        }
        let mut frozen = self.freeze()?;
        if let Err(error) = self.write_segments(&mut frozen) {
            self.remove_segments(frozen.segments());
            let unfinished = frozen.channels.iter().filter_map(|channel| channel.writer.as_ref());
            unfinished.for_each(|open| drop(self.disk.remove(&segment::file_name(open.number()))));
            return Err(self.failed(error));
        }
        let committed = self.commit_drain(&frozen);
        let snapshot = self.settle(committed, frozen.journal_from, META_JOURNAL_FROM, frozen.segments())?;
        self.release(frozen, snapshot);
        self.counters.drains.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Nothing is written by a poisoned log; a store that failed is opened anew.
    fn ready(&self) -> Result<(), DrainError> {
        if self.health() == Health::Poisoned {
            return Err(DrainError::Poisoned);
        }
        if self.state.has_failed() {
            self.reopen_state()?;
        }
        Ok(())
    }

    /// Opens the store anew and gives readers its snapshot, which says the same as the one before.
    fn reopen_state(&self) -> Result<Arc<Snapshot>, DrainError> {
        let snapshot = self.reopened_state()?;
        self.show(&snapshot);
        Ok(snapshot)
    }

    fn reopened_state(&self) -> Result<Arc<Snapshot>, DrainError> {
        if self.state.sync_failed() {
            self.poison("the view store failed a sync");
            return Err(DrainError::Poisoned);
        }
        self.state.note_failure(); // until it is open again
        self.state.reopen()?;
        let snapshot = Arc::new(self.state.snapshot()?);
        tracing::info!("the view store was opened anew");
        Ok(snapshot)
    }

    /// Gives readers a snapshot that says the same as the one before.
    fn show(&self, snapshot: &Arc<Snapshot>) {
        for channel in &self.channels {
            channel.publish(channel.start(), |held| held.snapshot = snapshot.clone());
        }
        self.ledger.release(0, snapshot.clone());
    }

    /// Starts a new journal file and freezes what the ones before it hold.
    fn freeze(&self) -> Result<Frozen, DrainError> {
        let number = self.next_journal.fetch_add(1, Ordering::Relaxed);
        let next = JournalWriter::prepare(&*self.disk, number, self.options.journal_bytes);
        let next = next.map_err(|error| self.journal_failed(error))?;
        let mut core = self.core();
        let ended = core.writer.end();
        if let Err(error) = core.writer.rotate(next) {
            // After a failed sync a seal that names the new file may be on the disk.
            if matches!(error, WriteError::Refused(_)) {
                let _ = self.disk.remove(&journal::file_name(number)); // or at the next open
            }
            return Err(self.journal_failed(error));
        }
        core.undrained_before += ended;
        let freeze = |state: &Arc<ChannelState>| FrozenChannel {
            parts: state.freeze(),
            state: state.clone(),
            segments: Vec::new(),
            writer: None,
        };
        let channels = self.channels.iter().filter(|channel| channel.ring.is_none()).map(freeze).collect();
        Ok(Frozen { journal_from: number, channels, layers: self.ledger.freeze() })
    }

    fn journal_failed(&self, error: WriteError) -> DrainError {
        match error {
            WriteError::Refused(error) => error.into(),
            WriteError::Poisoned(error) => {
                self.poison(&error.to_string());
                DrainError::Poisoned
            }
        }
    }

    fn write_segments(&self, frozen: &mut Frozen) -> io::Result<()> {
        for channel in &mut frozen.channels {
            let bytes_max = self.segment_bytes(&channel.state);
            for part in &channel.parts {
                let mut from = 0;
                loop {
                    let records = part.slice(from, SLICE);
                    if records.is_empty() {
                        break;
                    }
                    from += records.len();
                    for record in records {
                        let open = match channel.writer.take() {
                            Some(open) => open,
                            None => SegmentWriter::create(&*self.disk, self.segment_number(), channel.state.id)?,
                        };
                        let open = channel.writer.insert(open);
                        open.push(&record)?;
                        if open.bytes() >= bytes_max {
                            channel.segments.push(open.finish()?);
                            channel.writer = None;
                        }
                    }
                }
            }
            if let Some(open) = &mut channel.writer {
                channel.segments.push(open.finish()?);
                channel.writer = None;
            }
        }
        synced(self.disk.sync_dir(segment::DIR))
    }

    pub(crate) fn segment_number(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    /// How large segments of a channel may grow.
    pub(crate) fn segment_bytes(&self, channel: &ChannelState) -> u64 {
        let bound = channel.retain.bytes.map_or(u64::MAX, |bytes| (bytes / SEGMENTS_IN_BOUND).max(SEGMENT_BYTES_MIN));
        self.options.segment_bytes_max.min(bound)
    }

    /// Settles a commit of the state that may have failed half-way: whether it took place is what the file says.
    /// `number` is what it set the number called `name` to.
    fn settle(
        &self,
        committed: Result<(), StateError>,
        number: u64,
        name: &str,
        segments: Vec<SegmentMeta>,
    ) -> Result<Arc<Snapshot>, DrainError> {
        match committed.and_then(|()| self.state.snapshot()) {
            Ok(snapshot) => Ok(Arc::new(snapshot)),
            Err(error) => {
                let snapshot = self.reopen_state()?;
                if snapshot.number(name)? == number {
                    return Ok(snapshot);
                }
                self.remove_segments(segments);
                Err(error.into())
            }
        }
    }

    /// The state has it: memory and journal files go.
    fn release(&self, frozen: Frozen, snapshot: Arc<Snapshot>) {
        for channel in frozen.channels {
            let cleared = channel.parts.iter().filter_map(|part| part.all_touched().1).max().unwrap_or(0);
            let new = self.segments_of(channel.state.id, channel.segments);
            channel.state.publish(channel.state.start(), |held| {
                held.parts.drain(..channel.parts.len());
                if !new.is_empty() {
                    held.segments = Arc::new(held.segments.iter().cloned().chain(new).collect());
                }
                held.snapshot = snapshot.clone();
                held.cleared = held.cleared.max(cleared);
            });
        }
        for channel in self.channels.iter().filter(|channel| channel.ring.is_some()) {
            channel.publish(channel.start(), |held| held.snapshot = snapshot.clone());
        }
        self.ledger.release(frozen.layers.len(), snapshot);
        let mut core = self.core();
        core.undrained_before = 0;
        self.counters.undrained.store(core.writer.end(), Ordering::Relaxed);
        drop(core);
        self.remove_journal_before(frozen.journal_from);
    }

    fn segments_of(&self, channel: ChannelId, metas: Vec<SegmentMeta>) -> Vec<Arc<Segment>> {
        metas.into_iter().map(|meta| Arc::new(Segment::new(self.disk.clone(), channel, meta))).collect()
    }

    /// What cannot be removed now is removed at the next open.
    fn remove_journal_before(&self, first: u64) {
        for name in self.disk.list(journal::DIR).unwrap_or_default() {
            if let Some(number) = number_of(&name).filter(|number| *number < first) {
                let _ = self.disk.remove(&journal::file_name(number));
            }
        }
    }

    fn remove_segments(&self, metas: Vec<SegmentMeta>) {
        for meta in metas {
            let _ = self.disk.remove(&segment::file_name(meta.number));
        }
    }

    /// A failed write can be tried again, a failed sync cannot.
    fn failed(&self, error: io::Error) -> DrainError {
        if is_sync_failure(&error) {
            self.poison(&error.to_string());
            return DrainError::Poisoned;
        }
        error.into()
    }

    fn read_failed(&self, error: ReadError) -> DrainError {
        match &error {
            ReadError::Io(inner) if is_sync_failure(inner) => {
                self.poison(&error.to_string());
                DrainError::Poisoned
            }
            _ => error.into(),
        }
    }
}

impl Frozen {
    fn segments(&self) -> Vec<SegmentMeta> {
        self.channels.iter().flat_map(|channel| channel.segments.iter().cloned()).collect()
    }
}
