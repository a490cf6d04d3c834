//! Encoded blocks of the log, shared by the laggards of a view: a thousand watchers who fell off the
//! ring cost one read of the log.
//!
//! ```text
//!   offsets of a view   ──[ block (100, 612] )[ block (612, 990] )[ being read (990, …
//!                              ▲ a watcher at 300 takes the block from its mark there on
//!                      ▲ one at 50 reads (50, 100], so that from there on it shares
//! ```
//!
//! Blocks hold what was read, never what a watcher may still have: where it ends, what it counts
//! and which cursor it holds is the walk's.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::frame::Cursors;
use tidegate_core::{Frame, Offset};
use tidegate_hub::{Channel, changes};
use tidegate_log::{ReadError, ReadLimit};
use tokio::sync::{Semaphore, watch};

use crate::memory::{Memory, Step, Use};
use crate::tail::{ENVELOPE_BYTES, Mark, Tail};
use crate::tails::Hold;

/// What one block is made of: as much as a watcher that reads alone takes at once.
const BLOCK: ReadLimit = ReadLimit { records: 512, bytes: 64 * 1024 };
/// All blocks together may take this part of the ceiling; the least recently used are dropped.
const MEMORY_PART: usize = 4;
/// A block that nobody has used for so long is dropped: its laggards are past it, or gone.
const IDLE: Duration = Duration::from_secs(5);
/// So many read the log at once: more would wait for the same processors and the same disk, and each
/// thread keeps memory for what it has read.
const READS_MAX: usize = 8;
/// What a block takes beside its bytes and marks, about: its entries in the maps.
const ENTRY_BYTES: usize = 512;

/// The blocks of all views.
pub(crate) struct Blocks {
    state: Mutex<State>,
    memory: Arc<Memory>,
    /// Of those who read.
    turns: Semaphore,
    /// Blocks read from the log.
    read: AtomicU64,
    /// Bytes of these, encoded.
    read_bytes: AtomicU64,
    /// Times that a watcher took one that another had read.
    shared: AtomicU64,
}

#[derive(Default)]
struct State {
    /// By the number of the tail, and where they begin.
    views: HashMap<u64, BTreeMap<Offset, Slot>>,
    /// In the order of their last use.
    uses: BTreeMap<u64, (u64, Offset)>,
    next_use: u64,
    bytes: usize,
}

/// Hears of the block when it has been read; of the end without one when it cannot be.
type Flying = watch::Receiver<Option<Arc<Block>>>;

enum Slot {
    /// Somebody reads it.
    Flying(Flying),
    Here {
        block: Arc<Block>,
        last_use: u64,
        used: Instant,
    },
}

/// What the log has of a view in a range of offsets, encoded.
pub(crate) struct Block {
    /// It begins after this; a chain links to a cursor here.
    from: Offset,
    /// Everything of the view up to here is in it.
    upto: Offset,
    bytes: Bytes,
    /// The ends of its records; none if there is nothing of the view in the range.
    marks: Vec<Mark>,
    /// Records that reset the replica, which are counted.
    resets: Vec<Offset>,
    size: usize,
}

/// What one watcher takes of a block.
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) frames: u64,
    pub(crate) resets: u64,
    /// In a chain its first frame links to this cursor.
    pub(crate) link: Offset,
    /// The first record in it, and the last: their offsets are cursors. `None` if it is empty.
    pub(crate) cursors: Option<(Offset, Offset)>,
    /// Everything of the view up to here has been taken then.
    pub(crate) upto: Offset,
}

/// How much was read and shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFigures {
    /// Blocks read from the log.
    pub read: u64,
    /// Bytes of these, encoded.
    pub read_bytes: u64,
    /// Times that a watcher took one that another had read.
    pub shared: u64,
}

impl Blocks {
    pub(crate) fn new(memory: Arc<Memory>) -> Blocks {
        let counter = AtomicU64::default;
        Blocks {
            state: Mutex::default(),
            memory,
            turns: Semaphore::new(READS_MAX),
            read: counter(),
            read_bytes: counter(),
            shared: counter(),
        }
    }

    pub(crate) fn figures(&self) -> BlockFigures {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        BlockFigures { read: load(&self.read), read_bytes: load(&self.read_bytes), shared: load(&self.shared) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// A block with everything of the view from `at` on, read now if there is none; `None` if the
    /// watcher is to read alone: it is the only one of its view, or the log cannot be read there.
    pub(crate) async fn from(self: &Arc<Self>, hold: &Hold, at: Offset) -> Option<Arc<Block>> {
        let mut waited = None;
        loop {
            let found = self.lock().find(hold.tail.number, at, waited);
            let (begins, mut flying, own) = match found {
                Found::Here(block) => return Some(self.share(block)),
                Found::Flying(begins, flying) => (begins, flying, false),
                Found::Nothing if hold.alone() => return None,
                Found::Nothing => match self.take_off(hold, at) {
                    Some(flying) => (at, flying, true),
                    None => continue,
                },
            };
            let landed = match flying.wait_for(Option::is_some).await {
                Ok(block) => block.clone(),
                Err(_) => None,
            };
            match landed {
                Some(block) if own => return Some(block),
                Some(block) if block.upto > at => return Some(self.share(block)),
                None if begins == at => return None,
                // It ended before `at`.
                _ => waited = Some(begins),
            }
        }
    }

    fn share(&self, block: Arc<Block>) -> Arc<Block> {
        self.shared.fetch_add(1, Ordering::Relaxed);
        block
    }

    /// Begins to read from `at`, up to where there is a block already; `None` if somebody was faster.
    fn take_off(self: &Arc<Self>, hold: &Hold, at: Offset) -> Option<Flying> {
        let (sender, receiver) = watch::channel(None);
        let mut state = self.lock();
        let slots = state.views.entry(hold.tail.number).or_default();
        if slots.contains_key(&at) {
            return None;
        }
        let until = slots.range(at..).next().map(|(from, _)| *from);
        slots.insert(at, Slot::Flying(receiver.clone()));
        drop(state);
        let flight = Flight {
            blocks: self.clone(),
            tail: hold.tail.clone(),
            channel: hold.channel().clone(),
            from: at,
            until,
            landed: sender,
        };
        // It lands for the others, too: it does not end with the watcher that began it.
        tokio::spawn({
            let blocks = self.clone();
            async move { blocks.read(move || flight.read()).await }
        });
        Some(receiver)
    }

    /// Reads the log where blocking is allowed, a few at a time.
    pub(crate) async fn read<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = self.turns.acquire().await;
        let work = tokio::task::spawn_blocking(read).await;
        drop(turn);
        work.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn keep(&self, tail: u64, block: Arc<Block>) {
        self.lock().insert(tail, block);
        self.shed();
    }

    /// Keeps the memory of blocks within what they may have.
    pub(crate) fn shed(&self) {
        let mut state = self.lock();
        state.drop_while(|state, _| state.bytes > self.memory.max() / MEMORY_PART);
        let given_up = state.drop_while(|_, _| self.memory.over(Step::Blocks));
        self.memory.count_shed(Step::Blocks, given_up);
    }

    /// Drops what nobody has used for a while.
    pub(crate) fn sweep(&self) {
        let Some(before) = Instant::now().checked_sub(IDLE) else { return };
        self.lock().drop_while(|state, oldest| state.used(oldest).is_none_or(|used| used < before));
    }
}

/// What there is for a watcher.
enum Found {
    Here(Arc<Block>),
    /// Somebody reads what it wants, or what may reach so far, from this offset on.
    Flying(Offset, Flying),
    Nothing,
}

impl State {
    fn find(&mut self, tail: u64, at: Offset, waited: Option<Offset>) -> Found {
        let Some(slots) = self.views.get_mut(&tail) else { return Found::Nothing };
        let Some((from, slot)) = slots.range_mut(..=at).next_back() else { return Found::Nothing };
        match slot {
            Slot::Here { block, last_use, used } if block.upto > at => {
                let block = block.clone();
                *used = Instant::now();
                self.uses.remove(&std::mem::replace(last_use, self.next_use));
                self.uses.insert(self.next_use, (tail, *from));
                self.next_use += 1;
                Found::Here(block)
            }
            // It reaches so far unless its records are large.
            Slot::Flying(flying) if *from == at || at - *from < BLOCK.records as Offset && waited < Some(*from) => {
                Found::Flying(*from, flying.clone())
            }
            _ => Found::Nothing,
        }
    }

    fn insert(&mut self, tail: u64, block: Arc<Block>) {
        self.bytes += block.size;
        self.uses.insert(self.next_use, (tail, block.from));
        let slot = Slot::Here { block: block.clone(), last_use: self.next_use, used: Instant::now() };
        self.next_use += 1;
        self.views.entry(tail).or_default().insert(block.from, slot);
    }

    fn used(&self, &(tail, from): &(u64, Offset)) -> Option<Instant> {
        match self.views.get(&tail)?.get(&from)? {
            Slot::Here { used, .. } => Some(*used),
            Slot::Flying(_) => None,
        }
    }

    /// Drops the least recently used. Returns how many.
    fn drop_while(&mut self, wanted: impl Fn(&State, &(u64, Offset)) -> bool) -> u64 {
        let mut dropped = 0;
        while let Some((number, oldest)) = self.uses.first_key_value().map(|(number, oldest)| (*number, *oldest))
            && wanted(self, &oldest)
        {
            self.uses.remove(&number);
            self.remove(oldest);
            dropped += 1;
        }
        dropped
    }

    fn remove(&mut self, (tail, from): (u64, Offset)) {
        let Some(slots) = self.views.get_mut(&tail) else { return };
        if let Some(Slot::Here { block, .. }) = slots.remove(&from) {
            self.bytes -= block.size;
        }
        if slots.is_empty() {
            self.views.remove(&tail);
        }
    }
}

/// A block that is being read. Dropped without one, those who wait read by themselves.
struct Flight {
    blocks: Arc<Blocks>,
    tail: Arc<Tail>,
    channel: Arc<Channel>,
    from: Offset,
    until: Option<Offset>,
    landed: watch::Sender<Option<Arc<Block>>>,
}

impl Flight {
    /// Where blocking is allowed. What cannot be read is left to each watcher, which says so.
    fn read(self) {
        let Some(block) = self.encode().ok().filter(|block| block.upto > self.from).map(Arc::new) else { return };
        self.blocks.read.fetch_add(1, Ordering::Relaxed);
        self.blocks.read_bytes.fetch_add(block.bytes.len() as u64, Ordering::Relaxed);
        self.blocks.keep(self.tail.number, block.clone());
        self.landed.send_replace(Some(block));
    }
    fn encode(&self) -> Result<Block, ReadError> {
        let Flight { blocks, tail, channel, from, until, .. } = self;
        let view = &tail.key.view;
        let until = until.unwrap_or(Offset::MAX).min(channel.log.head());
        let page = channel.log.read(*from, until, &view.scope, BLOCK)?;
        let mut cursors = Cursors::new(channel.cursor(view, 0).prefix(), tail.key.chain, Some(*from));
        let size = page.records.iter().map(|record| record.data.len() + ENVELOPE_BYTES).sum();
        let mut bytes = Vec::with_capacity(size);
        let (mut marks, mut frames, mut resets) = (Vec::new(), 0, Vec::new());
        for record in &page.records {
            let before = frames;
            changes(record, view.kind, &view.scope, true, |frame| {
                if matches!(frame, Frame::Reset(_)) {
                    resets.push(record.offset);
                }
                tail.key.encoding.write(&frame, &mut cursors, &mut bytes);
                frames += 1;
            });
            if frames > before {
                marks.push(Mark { end: bytes.len() as u32, frames, upto: record.offset });
            }
        }
        bytes.shrink_to_fit();
        let beside = ENTRY_BYTES + marks.len() * size_of::<Mark>();
        let size = bytes.len() + beside;
        let bytes = blocks.memory.share(Use::Blocks, bytes, beside);
        Ok(Block { from: *from, upto: page.upto, bytes, marks, resets, size })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.landed.borrow().is_none() {
            self.blocks.lock().remove((self.tail.number, self.from));
        }
    }
}

impl Block {
    /// What a watcher takes that has everything up to `at`, which is in the block, and is to stop at
    /// `goal`, which is above.
    pub(crate) fn part(&self, at: Offset, goal: Offset) -> Part {
        let before = |offset: Offset| self.marks.partition_point(|mark| mark.upto <= offset);
        let (first, end) = (before(at), before(goal));
        let beginning = Mark { end: 0, frames: 0, upto: self.from };
        let ahead = |index: usize| index.checked_sub(1).map_or(beginning, |index| self.marks[index]);
        let (from, to) = (ahead(first), ahead(end));
        Part {
            bytes: self.bytes.slice(from.end as usize..to.end as usize),
            frames: u64::from(to.frames - from.frames),
            resets: self.resets.iter().filter(|reset| **reset > at && **reset <= goal).count() as u64,
            link: from.upto,
            cursors: (first < end).then(|| (self.marks[first].upto, to.upto)),
            upto: self.upto.min(goal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records at 10, 20 and 30 of two frames each, in a block from 5 to 35, taken from anywhere up to
    /// any goal: the parts are the whole, and each links to the one before.
    #[test]
    fn parts_are_cut_between_records() {
        let bytes = Bytes::from_static(b"aabbbcccc");
        let mark = |end, frames, upto| Mark { end, frames, upto };
        let marks = vec![mark(2, 2, 10), mark(5, 4, 20), mark(9, 6, 30)];
        let block = Block { from: 5, upto: 35, bytes: bytes.clone(), marks, resets: vec![20], size: 0 };
        for at in 5..35 {
            for goal in at + 1..=40 {
                let within: Vec<Offset> = [10, 20, 30].into_iter().filter(|own| *own > at && *own <= goal).collect();
                let part = block.part(at, goal);
                assert_eq!(part.frames, 2 * within.len() as u64);
                assert_eq!(part.cursors, within.first().copied().zip(within.last().copied()));
                assert_eq!(part.upto, goal.min(35));
                assert_eq!(part.link, [5, 10, 20, 30].into_iter().rfind(|own| *own <= at).expect("from"));
                assert_eq!(part.resets, u64::from(within.contains(&20)));
                if part.upto < 35 {
                    let rest = block.part(part.upto, 40);
                    let whole = block.part(at, 40);
                    assert_eq!([&part.bytes[..], &rest.bytes[..]].concat(), &whole.bytes[..]);
                    assert!(bytes.ends_with(&whole.bytes));
                }
            }
        }
    }
}
