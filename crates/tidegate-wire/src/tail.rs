//! The shared bytes of one view on one kind of wire: a bounded ring of encoded chunks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::frame::Cursors;
use tidegate_core::{Frame, Offset, Record, View};
use tidegate_hub::{Channel, changes};

use crate::encoding::Encoding;

/// A ring holds at most so many bytes (but always its newest chunk): about a second of a busy
/// address. Who is further behind reads from the log.
const RING_BYTES_MAX: usize = 256 * 1024;
/// A chunk ends at so many bytes: the most that a watcher takes in one piece.
const CHUNK_BYTES: usize = 64 * 1024;
/// A watcher takes at most so many chunks at once: the kernel's limit of pieces in one write.
const TAKE_CHUNKS_MAX: usize = 64;

/// What makes two watchers share bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TailKey {
    pub(crate) view: View,
    pub(crate) encoding: Encoding,
    pub(crate) chain: bool,
}

/// One tail.
pub(crate) struct Tail {
    pub(crate) key: TailKey,
    state: Mutex<State>,
}

struct State {
    chunks: VecDeque<Chunk>,
    /// Number of the first chunk in the ring; chunks are numbered from 0.
    first: u64,
    ring_bytes: usize,
    /// Frames of the page being pumped, not yet a chunk.
    building: Vec<u8>,
    built_upto: Offset,
    built_frames: u64,
    cursors: Cursors,
    slots: Vec<Slot>,
    free: Vec<usize>,
    spoke: Instant,
}

/// A watcher's place to wait at.
type Slot = Option<Waker>;

struct Chunk {
    bytes: Bytes,
    frames: u64,
    /// The last cursor in it: everything up to here is in this chunk and those before.
    upto: Offset,
}

/// What a watcher took.
pub(crate) enum Take {
    /// Bytes to write: the number of the next chunk, how far the bytes reach, and their frames.
    Chunks { next: u64, upto: Offset, frames: u64 },
    /// The watcher is behind the ring.
    Behind,
}

impl Tail {
    /// `upto` is where the pump is: the tail holds what comes after.
    pub(crate) fn new(key: TailKey, channel: &Channel, upto: Offset) -> Tail {
        let prefix = channel.cursor(&key.view, 0).prefix();
        let cursors = Cursors::new(prefix, key.chain, Some(upto));
        Tail {
            key,
            state: Mutex::new(State {
                chunks: VecDeque::new(),
                first: 0,
                ring_bytes: 0,
                building: Vec::new(),
                built_upto: upto,
                built_frames: 0,
                cursors,
                slots: Vec::new(),
                free: Vec::new(),
                spoke: Instant::now(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Encodes a record that may belong to the view. Returns whether the tail has something to
    /// seal that it had not before.
    pub(crate) fn push(&self, record: &Arc<Record>) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let fresh = state.building.is_empty();
        changes(record, self.key.view.kind, &self.key.view.scope, true, |frame| {
            self.key.encoding.write(&frame, &mut state.cursors, &mut state.building);
            state.built_frames += 1;
            state.built_upto = record.offset;
        });
        if state.building.len() >= CHUNK_BYTES {
            state.seal();
            return fresh;
        }
        fresh && !state.building.is_empty()
    }

    /// Makes what was pushed visible. The caller wakes the watchers when it holds no lock.
    pub(crate) fn seal(&self, wakers: &mut Vec<Waker>) {
        let mut state = self.lock();
        state.seal();
        wakers.extend(state.slots.iter_mut().filter_map(Option::take));
    }

    /// Drops the ring, so that each watcher reads from the log, where it learns of a loss.
    pub(crate) fn skip(&self, upto: Offset, wakers: &mut Vec<Waker>) {
        let mut state = self.lock();
        state.clear();
        state.first += 1;
        state.built_upto = upto;
        state.cursors.continue_from(upto);
        wakers.extend(state.slots.iter_mut().filter_map(Option::take));
    }

    /// Says that watchers are current up to `upto`, if nothing was said since `before`.
    pub(crate) fn bookmark(&self, upto: Offset, before: Instant, wakers: &mut Vec<Waker>) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            if state.spoke > before {
                return;
            }
            // An idle tail holds nothing but what it says now.
            state.clear();
            self.key.encoding.write(&Frame::Bookmark(upto), &mut state.cursors, &mut state.building);
            state.built_upto = upto;
            state.built_frames = 1;
        }
        self.seal(wakers);
    }

    /// Says a bookmark at `upto` unless the last cursor stands there, so that a chained watcher
    /// can join here without its cursor going back.
    pub(crate) fn stand_at(&self, upto: Offset, wakers: &mut Vec<Waker>) {
        {
            let mut state = self.lock();
            let state = &mut *state;
            if state.cursors.last() >= Some(upto) {
                return;
            }
            self.key.encoding.write(&Frame::Bookmark(upto), &mut state.cursors, &mut state.building);
            state.built_upto = upto;
            state.built_frames = 1;
        }
        self.seal(wakers);
    }

    /// The number of the next chunk, and the last cursor written into the tail.
    pub(crate) fn end(&self) -> (u64, Offset) {
        let state = self.lock();
        (state.end(), state.cursors.last().unwrap_or_default())
    }

    /// A place to wait at, for one watcher.
    pub(crate) fn enter(&self) -> usize {
        let mut state = self.lock();
        state.free.pop().unwrap_or_else(|| {
            state.slots.push(None);
            state.slots.len() - 1
        })
    }

    /// Gives the place back.
    pub(crate) fn leave(&self, slot: usize) {
        let mut state = self.lock();
        state.slots[slot] = None;
        state.free.push(slot);
    }

    /// Takes chunks from number `at` on, or leaves `waker` at the watcher's place if there are
    /// none yet.
    pub(crate) fn poll_take(&self, at: u64, slot: usize, waker: &Waker, out: &mut Vec<Bytes>) -> Poll<Take> {
        let mut state = self.lock();
        if at < state.first {
            return Poll::Ready(Take::Behind);
        }
        let (mut next, mut upto, mut frames, mut bytes) = (at, None, 0, 0);
        for chunk in state.chunks.iter().skip((at - state.first) as usize).take(TAKE_CHUNKS_MAX) {
            out.push(chunk.bytes.clone());
            next += 1;
            upto = Some(chunk.upto);
            frames += chunk.frames;
            bytes += chunk.bytes.len();
            if bytes >= RING_BYTES_MAX {
                break;
            }
        }
        if let Some(upto) = upto {
            return Poll::Ready(Take::Chunks { next, upto, frames });
        }
        state.slots[slot] = Some(waker.clone());
        Poll::Pending
    }
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    fn clear(&mut self) {
        self.first = self.end();
        self.chunks.clear();
        self.ring_bytes = 0;
    }

    fn seal(&mut self) {
        if self.building.is_empty() {
            return;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.building));
        let frames = std::mem::take(&mut self.built_frames);
        self.ring_bytes += bytes.len();
        self.chunks.push_back(Chunk { bytes, frames, upto: self.built_upto });
        while self.ring_bytes > RING_BYTES_MAX && self.chunks.len() > 1 {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.ring_bytes -= oldest.bytes.len();
            self.first += 1;
        }
        self.spoke = Instant::now();
    }
}
