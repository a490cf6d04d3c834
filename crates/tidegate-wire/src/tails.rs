//! All tails, by channel; and how a watcher finds the boundary at which it goes live.

mod registry;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{ChannelId, Offset, Problem, Record, Target, View};
use tidegate_hub::{Channel, Hub};
use tokio::sync::Notify;

use crate::blocks::{BlockFigures, Blocks};
use crate::encoding::Encoding;
use crate::lane::Lanes;
use crate::memory::{Memory, Step, Use};
use crate::options::StreamOptions;
use crate::pump;
use crate::tail::{Calls, Tail, TailKey, Take};
use registry::Registry;

/// The tails of all channels, and the tasks that fill them. Cheap to clone.
#[derive(Clone)]
pub struct Tails {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    hub: Hub,
    options: StreamOptions,
    channels: HashMap<ChannelId, Arc<ChannelTails>>,
    stats: Stats,
    memory: Arc<Memory>,
    blocks: Arc<Blocks>,
    lanes: Lanes,
}

/// What was sent, over all watchers.
#[derive(Debug, Default)]
pub struct Stats {
    /// Frames from tails.
    pub frames: AtomicU64,
    /// Bytes, from tails and from the log.
    pub bytes: AtomicU64,
    /// Times that a watcher fell off a ring.
    pub behind: AtomicU64,
    /// Watchers closed because they took nothing, or were behind, for too long.
    pub too_far_behind: AtomicU64,
}

/// The tails of one channel.
pub(crate) struct ChannelTails {
    pub(crate) channel: Arc<Channel>,
    memory: Arc<Memory>,
    registry: Mutex<Registry>,
    progressed: Notify,
}

/// A place in the log from which a tail goes on.
pub(crate) struct Boundary {
    /// The tail has everything after here, in chunks from `chunk` on.
    pub(crate) upto: Offset,
    pub(crate) chunk: u64,
    /// The last cursor in the tail, not above `upto`.
    pub(crate) last: Offset,
}

impl Tails {
    /// Starts the tasks that fill the tails, which end with the runtime, and the lanes that carry
    /// them, which end with the last of these handles.
    ///
    /// # Errors
    /// When the system has no threads or descriptors for the lanes.
    pub fn start(hub: Hub, options: StreamOptions) -> io::Result<Tails> {
        let memory = Arc::new(Memory::new(options.memory_max));
        let channels = hub
            .catalog()
            .iter()
            .map(|channel| (channel.log.id(), Arc::new(ChannelTails::new(channel.clone(), memory.clone()))))
            .collect::<HashMap<_, _>>();
        for tails in channels.values() {
            tokio::spawn(pump::pump(tails.clone()));
        }
        let heartbeat = hub.options().heartbeat;
        let lanes = Lanes::new(&options)?;
        let blocks = Arc::new(Blocks::new(memory.clone()));
        let shared = Shared { hub, options, channels, stats: Stats::default(), memory, blocks, lanes };
        let tails = Tails { shared: Arc::new(shared) };
        tails.shared.lanes.start(&tails)?;
        tokio::spawn(pump::bookmarks(Arc::downgrade(&tails.shared), heartbeat));
        tokio::spawn(pump::relief(Arc::downgrade(&tails.shared), tails.memory().clone()));
        Ok(tails)
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Tails {
        Tails { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The threads that own the sockets of streams.
    pub fn lanes(&self) -> &Lanes {
        &self.shared.lanes
    }

    /// How streams are served.
    pub fn options(&self) -> &StreamOptions {
        &self.shared.options
    }

    /// The hub below.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// What was sent.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// What is held in memory for clients.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.shared.memory
    }

    /// Refuses a new watch while there is too little memory.
    ///
    /// # Errors
    /// `rate-limited`, with a time to come back.
    pub fn admit(&self) -> Result<(), Problem> {
        self.shared.count_watches();
        self.memory().admit()
    }

    /// How much laggards read, and shared.
    pub fn block_figures(&self) -> BlockFigures {
        self.shared.blocks.figures()
    }

    pub(crate) fn blocks(&self) -> &Arc<Blocks> {
        &self.shared.blocks
    }

    /// How many tails there are now.
    pub fn count(&self) -> usize {
        self.shared.channels.values().map(|tails| tails.lock().len()).sum()
    }

    pub(crate) fn count_sent(&self, frames: u64, bytes: usize) {
        self.shared.stats.frames.fetch_add(frames, Ordering::Relaxed);
        self.shared.stats.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn hold(&self, channel: &Channel, key: TailKey) -> Hold {
        let tails = &self.shared.channels[&channel.log.id()];
        Hold { tail: tails.enter(key), tails: tails.clone() }
    }

    /// The same target, in the text that those share who watch it already: what lives for long keeps
    /// that.
    pub fn shared_target(&self, channel: &Channel, target: &Target) -> Target {
        let registry = self.shared.channels[&channel.log.id()].lock();
        registry.watched(target).map_or(target, |tail| &tail.key.view.scope.target).clone()
    }

    /// Begins to listen for records of a view, for a request that waits for the next one.
    pub fn listen(&self, channel: &Channel, view: View) -> Listener {
        let hold = self.hold(channel, TailKey { view, encoding: Encoding::Ndjson, chain: false });
        let chunk = hold.boundary().chunk;
        Listener { subscription: Subscription::new(hold), chunk }
    }
}

/// Hears that a view may have something new.
pub struct Listener {
    subscription: Subscription,
    chunk: u64,
}

impl Listener {
    /// Returns when something was said in the view since the last call. It may be old news; what
    /// is new is not missed.
    pub async fn heard(&mut self) {
        let mut ignored = Vec::new();
        self.chunk = match self.subscription.take(self.chunk, &mut ignored).await {
            Take::Chunks { next, .. } => next,
            Take::Behind => self.subscription.hold.boundary().chunk,
        };
    }
}

impl Shared {
    /// Drops what nobody needs any more.
    pub(crate) fn tidy(&self) {
        self.count_watches();
        self.blocks.sweep();
    }

    fn count_watches(&self) {
        self.memory.set(Use::Watches, self.hub.watches().count() * self.options.watch_bytes);
    }

    /// Gives up what can be had again, in the order of the steps.
    pub(crate) fn relieve(&self) {
        self.count_watches();
        self.blocks.shed();
        if self.memory.over(Step::Rings) {
            self.channels().for_each(|channel| channel.shrink());
        }
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<ChannelTails>> {
        self.channels.values()
    }
}

/// A watcher's hold on a tail; the last one to let go drops the tail.
pub(crate) struct Hold {
    tails: Arc<ChannelTails>,
    pub(crate) tail: Arc<Tail>,
}

impl Hold {
    /// The channel that is watched.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.tails.channel
    }

    /// Whether nobody else has the same view on the same wire.
    pub(crate) fn alone(&self) -> bool {
        self.tail.holds.load(Ordering::Relaxed) <= 1
    }

    /// Where the tail is now.
    pub(crate) fn boundary(&self) -> Boundary {
        self.boundary_in(&self.tails.lock())
    }

    fn boundary_in(&self, registry: &Registry) -> Boundary {
        let (chunk, last) = self.tail.end();
        Boundary { upto: registry.upto, chunk, last }
    }

    /// Where the tail is, once it has got everything up to `offset`.
    pub(crate) async fn boundary_past(&self, offset: Offset) -> Boundary {
        loop {
            let progressed = self.tails.progressed.notified();
            let boundary = self.boundary();
            if boundary.upto >= offset {
                return boundary;
            }
            progressed.await;
        }
    }

    /// The same after the tail has said a bookmark there, so that its last cursor is not below
    /// `offset`: for a chained watcher whose own cursor is above the tail's.
    pub(crate) async fn boundary_standing_past(&self, offset: Offset) -> Boundary {
        self.boundary_past(offset).await;
        let mut calls = Calls::default();
        let boundary = {
            let registry = self.tails.lock();
            self.tail.stand_at(registry.upto, &mut calls);
            self.boundary_in(&registry)
        };
        calls.make();
        boundary
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.tails.leave(&self.tail);
    }
}

/// A watcher of the general path, which waits for its tail by itself.
pub(crate) struct Subscription {
    slot: Slot,
    hold: Hold,
}

/// Its place to wait at, given back when dropped.
struct Slot {
    tail: Arc<Tail>,
    number: usize,
}

impl Subscription {
    pub(crate) fn new(hold: Hold) -> Subscription {
        Subscription { slot: Slot { number: hold.tail.enter(), tail: hold.tail.clone() }, hold }
    }

    /// Takes chunks from number `at` on; waits for the first.
    pub(crate) async fn take(&self, at: u64, out: &mut Vec<Bytes>) -> Take {
        let Slot { tail, number } = &self.slot;
        std::future::poll_fn(|context| tail.poll_take(at, *number, context.waker(), out)).await
    }

    pub(crate) fn into_hold(self) -> Hold {
        self.hold
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.tail.leave(self.number);
    }
}

impl ChannelTails {
    fn new(channel: Arc<Channel>, memory: Arc<Memory>) -> ChannelTails {
        let upto = channel.log.head();
        ChannelTails { channel, memory, registry: Mutex::new(Registry::new(upto)), progressed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("no holder of this lock panics")
    }

    fn enter(&self, key: TailKey) -> Arc<Tail> {
        let mut registry = self.lock();
        if let Some(tail) = registry.get(&key) {
            tail.holds.fetch_add(1, Ordering::Relaxed);
            return tail.clone();
        }
        let tail = Arc::new(Tail::new(key, &self.channel, registry.upto, self.memory.clone()));
        registry.add(&tail);
        tail
    }

    fn leave(&self, tail: &Arc<Tail>) {
        let mut registry = self.lock();
        if tail.holds.fetch_sub(1, Ordering::Relaxed) == 1 {
            registry.remove(tail);
        }
    }

    /// How far the tails are; `None` if there are none, which then needs no reading: they will
    /// begin at `head`.
    pub(crate) fn pumped(&self, head: Offset) -> Option<Offset> {
        let mut registry = self.lock();
        if !registry.is_empty() {
            return Some(registry.upto);
        }
        registry.upto = registry.upto.max(head);
        drop(registry);
        self.progressed.notify_waiters();
        None
    }

    /// Gives records, all there are up to `upto`, to the tails.
    pub(crate) fn feed(&self, records: &[Arc<Record>], upto: Offset) {
        let mut calls = Calls::default();
        {
            let mut registry = self.lock();
            let mut dirty = Vec::new();
            for record in records {
                registry.push(record, &mut dirty);
            }
            registry.upto = upto;
            for tail in dirty {
                tail.seal(&mut calls);
            }
        }
        self.call(calls);
    }

    /// Records up to `start` were trimmed before the tails got them.
    pub(crate) fn skip(&self, start: Offset) {
        let mut calls = Calls::default();
        {
            let mut registry = self.lock();
            registry.upto = start;
            for tail in registry.iter() {
                tail.skip(start, &mut calls);
            }
        }
        self.call(calls);
    }

    /// Says in each tail that was silent for `silence` that it is current.
    pub(crate) fn bookmark(&self, silence: Duration) {
        let Some(before) = Instant::now().checked_sub(silence) else { return };
        let mut calls = Calls::default();
        {
            let registry = self.lock();
            for tail in registry.iter() {
                tail.bookmark(registry.upto, before, &mut calls);
            }
        }
        self.call(calls);
    }

    fn shrink(&self) {
        self.lock().iter().for_each(|tail| tail.shrink());
    }

    fn call(&self, calls: Calls) {
        self.progressed.notify_waiters();
        calls.make();
    }
}
