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

mod block;
mod cache;
mod flight;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tidegate_core::Offset;
use tokio::sync::{Semaphore, watch};

pub(crate) use block::{Block, Packed};
use cache::{Cache, Found};
use flight::{Flight, Flying};

use crate::memory::{Memory, Step};
use crate::tails::Hold;

/// All blocks together may take this part of the ceiling; the least recently used are dropped.
const MEMORY_PART: usize = 4;
/// A block that nobody has used for so long is dropped: its laggards are past it, or gone.
const IDLE: Duration = Duration::from_secs(5);
/// So many read the log at once: more would wait for the same processors and the same disk, and each
/// thread keeps memory for what it has read.
const READS_MAX: usize = 8;

/// The blocks of all views.
pub(crate) struct Blocks {
    cache: Mutex<Cache>,
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
            cache: Mutex::default(),
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

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().expect("no holder of this lock panics")
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
        let (landed, flying) = watch::channel(None);
        let until = self.lock().reserve(hold.tail.number, at, &flying)?;
        let (tail, channel) = (hold.tail.clone(), hold.channel().clone());
        let flight = Flight { blocks: self.clone(), tail, channel, from: at, until, landed };
        // It lands for the others, too: it does not end with the watcher that began it.
        tokio::spawn({
            let blocks = self.clone();
            async move { blocks.read(move || flight.read()).await }
        });
        Some(flying)
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
        let mut cache = self.lock();
        cache.drop_while(|cache, _| cache.bytes() > self.memory.max() / MEMORY_PART);
        let given_up = cache.drop_while(|_, _| self.memory.over(Step::Blocks));
        self.memory.count_shed(Step::Blocks, given_up);
    }

    /// Drops what nobody has used for a while.
    pub(crate) fn sweep(&self) {
        let Some(before) = Instant::now().checked_sub(IDLE) else { return };
        self.lock().drop_while(|cache, oldest| cache.used(oldest).is_none_or(|used| used < before));
    }
}
