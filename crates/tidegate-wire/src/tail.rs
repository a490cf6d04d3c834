//! The shared bytes of one view on one kind of wire: a bounded ring of encoded chunks.
//!
//! A watcher is a [`Place`] in the ring. Lanes hear of new chunks once for all their watchers
//! ([`hooks`]); watchers of the general path wait each for itself.

mod chunk;
mod hooks;
mod ticking;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::frame::Cursors;
use tidegate_core::{Frame, Offset};
use tidegate_hub::{Channel, ChannelConfig, Priority, Sight, View, changes};

pub(crate) use chunk::{Boundary, Chunk, Mark, Place};

use crate::encoding::{Coding, Encoding};
use crate::lane::Inbox;
use crate::memory::{Memory, Step, Use};
use hooks::Hooks;
use ticking::Ticking;

/// A ring holds at most so many bytes (but always its newest chunk): about a second of a busy
/// address. Who is further behind reads from the log.
const RING_BYTES_MAX: usize = 256 * 1024;
/// A ring is this small while there is too little memory.
const RING_BYTES_MIN: usize = 16 * 1024;
/// A chunk ends at so many bytes: the most that a watcher takes in one piece.
const CHUNK_BYTES: usize = 64 * 1024;
/// A watcher takes at most so many chunks at once: the kernel's limit of pieces in one write.
pub(crate) const TAKE_CHUNKS_MAX: usize = 64;
/// What a frame has beside its data, about: names, cursor, address, time.
pub(crate) const ENVELOPE_BYTES: usize = 256;

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
    /// No other tail of this process has it.
    pub(crate) number: u64,
    /// That of its channel.
    pub(crate) priority: Priority,
    /// How many hold it; changed under the lock of the channel's tails.
    pub(crate) holds: AtomicUsize,
    /// It says nothing of values any more, and nobody finds it; changed under the same lock.
    retired: AtomicBool,
    memory: Arc<Memory>,
    state: Mutex<State>,
}

struct State {
    chunks: VecDeque<Chunk>,
    /// Number of the first chunk in the ring; chunks are numbered from 0.
    first: u64,
    ring_bytes: usize,
    /// Frames of the page being pumped, not yet a chunk.
    building: Vec<u8>,
    built: Vec<Mark>,
    /// How far the chunks are, without what is being built.
    upto: Offset,
    cursors: Cursors,
    /// Of a conflated view.
    ticking: Option<Box<Ticking>>,
    hooks: Hooks<Arc<Inbox>>,
    /// Of the general path, which few tails have.
    waiting: Option<Box<Waiting>>,
    spoke: Instant,
}

/// Watchers of the general path.
#[derive(Default)]
struct Waiting {
    /// Their places to wait at.
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// What came of a record.
pub(crate) struct Pushed {
    /// The tail has something to seal that it had not before.
    pub(crate) fresh: bool,
    /// A tick has begun, which ends then.
    pub(crate) tick: Option<Instant>,
}

/// What a watcher took.
pub(crate) enum Take {
    /// Bytes to write: the number of the next chunk, how far the bytes reach, and their frames.
    Chunks { next: u64, upto: Offset, frames: u64 },
    /// The watcher is behind the ring.
    Behind,
}

/// Who is to hear of new chunks; told when no lock is held.
#[derive(Default)]
pub(crate) struct Calls {
    wakers: Vec<Waker>,
    lanes: Vec<(Arc<Inbox>, u32)>,
}

impl Calls {
    pub(crate) fn make(self) {
        self.wakers.into_iter().for_each(Waker::wake);
        for (inbox, number) in self.lanes {
            inbox.dirty(number);
        }
    }
}

impl Tail {
    /// Held once. `upto` is where the pump is: the tail has what comes after.
    pub(crate) fn new(key: TailKey, channel: &Channel, upto: Offset, memory: Arc<Memory>) -> Tail {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let prefix = channel.cursor(&key.view, 0).prefix();
        let cursors = Cursors::new(prefix, key.chain, Some(upto));
        let ticking = key.view.rate().map(|rate| Box::new(Ticking::new(rate, Instant::now())));
        Tail {
            key,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            priority: channel.config.priority,
            holds: AtomicUsize::new(1),
            retired: AtomicBool::new(false),
            memory,
            state: Mutex::new(State {
                chunks: VecDeque::new(),
                first: 0,
                ring_bytes: 0,
                building: Vec::new(),
                built: Vec::new(),
                upto,
                cursors,
                ticking,
                hooks: Hooks::new(),
                waiting: None,
                spoke: Instant::now(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Whether what its view looks up has changed. Then it says nothing of values ever again: its watchers are judged
    /// anew, and have other tails.
    pub(crate) fn retires(&self) -> bool {
        if self.key.view.looks_up() && !self.is_retired() && !self.key.view.holds() {
            self.retired.store(true, Ordering::Relaxed);
        }
        self.is_retired()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Encodes a record that may belong to the view, or keeps it for the end of the tick. `upto`: the tail has got
    /// everything up to there.
    pub(crate) fn push(&self, sight: &Sight<'_>, upto: Offset) -> Pushed {
        let mut state = self.lock();
        let state = &mut *state;
        let fresh = state.building.is_empty();
        let wide = sight.record().op.is_channel_wide();
        // What concerns the whole channel has its place in the order, so it ends a tick.
        if state.ticking.as_ref().is_some_and(|ticking| wide || ticking.is_full()) {
            state.end_tick(&self.key, sight.config());
        }
        let mut tick = None;
        if let Some(ticking) = &mut state.ticking {
            let idle = ticking.is_idle();
            ticking.push(sight, &self.key.view, upto);
            tick = (idle && !ticking.is_idle()).then(|| ticking.due(Instant::now()));
        }
        if wide || state.ticking.is_none() {
            state.write(&self.key, sight);
        }
        let fresh = fresh && !state.building.is_empty();
        if state.building.len() >= CHUNK_BYTES {
            state.seal(self.key.encoding, &self.memory);
        }
        Pushed { fresh, tick }
    }

    /// Ends a tick that is due.
    pub(crate) fn tick(&self, config: &ChannelConfig, now: Instant, calls: &mut Calls) {
        let mut state = self.lock();
        let state = &mut *state;
        state.end_tick(&self.key, config);
        if let Some(ticking) = &mut state.ticking {
            ticking.ended(now, state.building.len());
        }
        state.seal(self.key.encoding, &self.memory);
        state.tell(calls);
    }

    /// Makes what was pushed visible.
    pub(crate) fn seal(&self, calls: &mut Calls) {
        let mut state = self.lock();
        state.seal(self.key.encoding, &self.memory);
        state.tell(calls);
    }

    /// Makes the ring small: there is too little memory. Who is behind reads the log.
    pub(crate) fn shrink(&self) {
        if self.lock().shrink(RING_BYTES_MIN) {
            self.memory.count_shed(Step::Rings, 1);
        }
    }

    /// Drops the ring, so that each watcher reads from the log, where it learns of a loss.
    pub(crate) fn skip(&self, upto: Offset, calls: &mut Calls) {
        let mut state = self.lock();
        state.clear();
        state.drop_tick();
        state.first += 1;
        state.upto = upto;
        state.cursors.continue_from(upto);
        state.tell(calls);
    }

    /// Says that watchers are current up to `upto`, if nothing was said since `before`.
    pub(crate) fn bookmark(&self, upto: Offset, before: Instant, calls: &mut Calls) {
        let mut state = self.lock();
        if state.spoke > before {
            return;
        }
        // An idle tail holds nothing but what it says now.
        state.clear();
        let upto = state.settled(upto);
        state.say(self.key.encoding, upto, &self.memory);
        state.tell(calls);
    }

    /// Says a bookmark at `upto` unless the last cursor stands there, so that a chained watcher
    /// can join here without its cursor going back.
    pub(crate) fn stand_at(&self, upto: Offset, calls: &mut Calls) {
        let mut state = self.lock();
        let upto = state.settled(upto);
        if state.cursors.last() >= Some(upto) {
            return;
        }
        state.say(self.key.encoding, upto, &self.memory);
        state.tell(calls);
    }

    /// Where a watcher may join; the pump has given everything up to `upto`. It is one truth while nothing is being
    /// built: under the lock of the channel's tails.
    pub(crate) fn boundary(&self, upto: Offset) -> Boundary {
        let state = self.lock();
        Boundary { upto: state.settled(upto), chunk: state.end(), last: state.cursors.last().unwrap_or_default() }
    }

    /// Tells a lane of chunks from now on. Returns where the tail is: the place of its watchers.
    pub(crate) fn hook(&self, inbox: Arc<Inbox>, number: u32) -> Place {
        let mut state = self.lock();
        state.hooks.add(inbox, number);
        state.place()
    }

    /// The place behind all chunks, at any time.
    pub(crate) fn place(&self) -> Place {
        self.lock().place()
    }

    /// The number under which a lane knows this tail.
    pub(crate) fn number_in(&self, inbox: &Arc<Inbox>) -> Option<u32> {
        self.lock().hooks.number(|own| Arc::ptr_eq(own, inbox))
    }

    /// The lane has no watchers here any more.
    pub(crate) fn unhook(&self, inbox: &Arc<Inbox>) {
        self.lock().hooks.remove(|own| Arc::ptr_eq(own, inbox));
    }

    /// The chunks from number `at` on, for all watchers of a lane; `None` if they are gone.
    /// The lane is told again of what comes after these.
    pub(crate) fn look(&self, inbox: &Arc<Inbox>, at: u64) -> Option<Vec<Chunk>> {
        let mut state = self.lock();
        state.hooks.look(|own| Arc::ptr_eq(own, inbox));
        state.from(at, usize::MAX)
    }

    /// The chunks from number `at` to before `end`, as many as one write takes; `None` if they are
    /// gone.
    pub(crate) fn between(&self, at: u64, end: u64) -> Option<Vec<Chunk>> {
        let count = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        self.lock().from(at, count.min(TAKE_CHUNKS_MAX))
    }

    /// A place to wait at, for one watcher.
    pub(crate) fn enter(&self) -> usize {
        let mut state = self.lock();
        let Waiting { slots, free } = &mut **state.waiting.get_or_insert_default();
        free.pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        })
    }

    /// Gives the place back.
    pub(crate) fn leave(&self, slot: usize) {
        if let Some(Waiting { slots, free }) = self.lock().waiting.as_deref_mut() {
            slots[slot] = None;
            free.push(slot);
        }
    }

    /// Takes chunks from number `at` on, or leaves `waker` at the watcher's place if there are
    /// none yet.
    pub(crate) fn poll_take(&self, at: u64, slot: usize, waker: &Waker, out: &mut Vec<Bytes>) -> Poll<Take> {
        let mut state = self.lock();
        let Some(skipped) = at.checked_sub(state.first) else { return Poll::Ready(Take::Behind) };
        let (mut next, mut frames, mut upto) = (at, 0, None);
        for chunk in state.chunks.iter().skip(skipped as usize).take(TAKE_CHUNKS_MAX) {
            let last = chunk.last();
            out.push(chunk.bytes.clone());
            next += 1;
            frames += u64::from(last.frames);
            upto = Some(last.upto);
        }
        let Some(upto) = upto else {
            if let Some(waiting) = &mut state.waiting {
                waiting.slots[slot] = Some(waker.clone());
            }
            return Poll::Pending;
        };
        Poll::Ready(Take::Chunks { next, upto, frames })
    }
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    fn place(&self) -> Place {
        Place { chunk: self.end(), bytes: 0, upto: self.upto }
    }

    fn from(&self, at: u64, count_max: usize) -> Option<Vec<Chunk>> {
        let skipped = at.checked_sub(self.first)? as usize;
        Some(self.chunks.iter().skip(skipped).take(count_max).cloned().collect())
    }

    /// How far everything has been told, of what was given up to `upto`.
    fn settled(&self, upto: Offset) -> Offset {
        self.ticking.as_ref().map_or(upto, |ticking| ticking.settled(upto))
    }

    /// Writes the frames of a record.
    fn write(&mut self, key: &TailKey, sight: &Sight<'_>) {
        let mut frames = 0;
        changes(sight, &key.view, true, |frame| {
            if self.building.capacity() == 0 {
                self.building.reserve(sight.record().data.len() + ENVELOPE_BYTES);
            }
            key.encoding.write(&frame, &mut self.cursors, &mut self.building);
            frames += 1;
        });
        if frames > 0 {
            self.mark(frames, sight.record().offset);
        }
    }

    /// Writes what a tick has to tell, as one record: nobody joins or leaves amid a tick.
    fn end_tick(&mut self, key: &TailKey, config: &ChannelConfig) {
        let State { ticking: Some(ticking), building, cursors, .. } = self else { return };
        if ticking.is_idle() {
            return;
        }
        let mut frames = 0;
        let upto = ticking.end(&key.view, config, |frame| {
            key.encoding.write(&frame, cursors, building);
            frames += 1;
        });
        if frames > 0 {
            self.mark(frames, upto);
        }
    }

    fn drop_tick(&mut self) {
        if let Some(ticking) = &mut self.ticking {
            ticking.clear();
        }
    }

    fn clear(&mut self) {
        self.first = self.end();
        self.chunks = VecDeque::new();
        self.ring_bytes = 0;
    }

    /// A bookmark, as a chunk of its own.
    fn say(&mut self, encoding: Encoding, upto: Offset, memory: &Arc<Memory>) {
        encoding.write(&Frame::Bookmark(upto), &mut self.cursors, &mut self.building);
        self.mark(1, upto);
        self.seal(encoding, memory);
    }

    fn mark(&mut self, frames: u32, upto: Offset) {
        let before = self.built.last().map_or(0, |mark| mark.frames);
        self.built.push(Mark { end: self.building.len() as u32, frames: before + frames, upto });
    }

    fn seal(&mut self, encoding: Encoding, memory: &Arc<Memory>) {
        if self.building.is_empty() {
            return;
        }
        let bytes = encoding.pack(std::mem::take(&mut self.building));
        let mut built = std::mem::take(&mut self.built);
        if encoding.coding() != Coding::Identity {
            // A compressed run is taken whole.
            let last = built.pop();
            built.clear();
            built.extend(last.map(|last| Mark { end: bytes.len() as u32, ..last }));
        }
        self.upto = built.last().map_or(self.upto, |mark| mark.upto);
        let bytes = memory.share(Use::Rings, bytes, size_of_val(built.as_slice()));
        let marks = Arc::from(built);
        self.ring_bytes += bytes.len();
        if self.chunks.capacity() == 0 {
            // Most tails speak rarely, one chunk at a time.
            self.chunks.reserve_exact(1);
        }
        self.chunks.push_back(Chunk { bytes, marks, sealed: Instant::now() });
        self.shrink(RING_BYTES_MAX);
        if memory.over(Step::Rings) && self.shrink(RING_BYTES_MIN) {
            memory.count_shed(Step::Rings, 1);
        }
        self.spoke = Instant::now();
    }

    /// Drops the oldest chunks beyond so many bytes, but never the newest. Returns whether there were any.
    fn shrink(&mut self, bytes_max: usize) -> bool {
        let before = self.first;
        while self.ring_bytes > bytes_max && self.chunks.len() > 1 {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.ring_bytes -= oldest.bytes.len();
            self.first += 1;
        }
        self.first > before
    }

    fn tell(&mut self, calls: &mut Calls) {
        let slots = self.waiting.iter_mut().flat_map(|waiting| &mut waiting.slots);
        calls.wakers.extend(slots.filter_map(Option::take));
        self.hooks.tell(&mut calls.lanes);
    }
}

#[cfg(test)]
mod tests;
