//! All tails, by channel; and how a watcher finds the boundary at which it goes live.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{ChannelId, Offset, Record, View};
use tidegate_hub::{Channel, Hub};
use tokio::sync::Notify;

use crate::encoding::Encoding;
use crate::pump;
use crate::tail::{Tail, TailKey, Take};

/// The tails of all channels, and the tasks that fill them. Cheap to clone.
#[derive(Clone)]
pub struct Tails {
    shared: Arc<Shared>,
}

struct Shared {
    hub: Hub,
    channels: HashMap<ChannelId, Arc<ChannelTails>>,
    stats: Stats,
}

/// What was sent, over all watchers.
#[derive(Default)]
pub struct Stats {
    /// Frames from tails.
    pub frames: AtomicU64,
    /// Bytes, from tails and from the log.
    pub bytes: AtomicU64,
    /// Times that a watcher fell off a ring.
    pub behind: AtomicU64,
}

/// The tails of one channel.
pub(crate) struct ChannelTails {
    pub(crate) channel: Arc<Channel>,
    registry: Mutex<Registry>,
    progressed: Notify,
}

struct Registry {
    /// All tails have got everything up to here.
    upto: Offset,
    tails: HashMap<TailKey, Entry>,
    by_address: HashMap<Arc<str>, Vec<Arc<Tail>>>,
    patterns: Vec<Arc<Tail>>,
}

struct Entry {
    tail: Arc<Tail>,
    watchers: usize,
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
    /// Starts the tasks that fill the tails; they end with the runtime.
    pub fn start(hub: Hub) -> Tails {
        let channels = hub
            .catalog()
            .iter()
            .map(|channel| (channel.log.id(), Arc::new(ChannelTails::new(channel.clone()))))
            .collect::<HashMap<_, _>>();
        for tails in channels.values() {
            tokio::spawn(pump::pump(tails.clone()));
        }
        let heartbeat = hub.options().heartbeat;
        let tails = Tails { shared: Arc::new(Shared { hub, channels, stats: Stats::default() }) };
        tokio::spawn(pump::bookmarks(tails.clone(), heartbeat));
        tails
    }

    /// The hub below.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// What was sent.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// How many tails there are now.
    pub fn count(&self) -> usize {
        self.shared.channels.values().map(|tails| tails.lock().tails.len()).sum()
    }

    pub(crate) fn count_sent(&self, frames: u64, chunks: &[Bytes]) {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        self.shared.stats.frames.fetch_add(frames, Ordering::Relaxed);
        self.shared.stats.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<ChannelTails>> {
        self.shared.channels.values()
    }

    pub(crate) fn subscribe(&self, channel: &Channel, key: TailKey) -> Subscription {
        let tails = &self.shared.channels[&channel.log.id()];
        let tail = tails.enter(key);
        let slot = tail.enter();
        Subscription { tails: tails.clone(), tail, slot }
    }

    /// Begins to listen for records of a view, for a request that waits for the next one.
    pub fn listen(&self, channel: &Channel, view: View) -> Listener {
        let subscription = self.subscribe(channel, TailKey { view, encoding: Encoding::Ndjson, chain: false });
        let chunk = subscription.boundary().chunk;
        Listener { subscription, chunk }
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
            Take::Behind => self.subscription.boundary().chunk,
        };
    }
}

/// A watcher's hold on a tail; the last one to let go drops the tail.
pub(crate) struct Subscription {
    tails: Arc<ChannelTails>,
    tail: Arc<Tail>,
    slot: usize,
}

impl Subscription {
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
        let mut wakers = Vec::new();
        let boundary = {
            let registry = self.tails.lock();
            self.tail.stand_at(registry.upto, &mut wakers);
            self.boundary_in(&registry)
        };
        wakers.into_iter().for_each(Waker::wake);
        boundary
    }

    /// Takes chunks from number `at` on; waits for the first.
    pub(crate) async fn take(&self, at: u64, out: &mut Vec<Bytes>) -> Take {
        std::future::poll_fn(|context| self.tail.poll_take(at, self.slot, context.waker(), out)).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.tail.leave(self.slot);
        self.tails.leave(&self.tail);
    }
}

impl ChannelTails {
    fn new(channel: Arc<Channel>) -> ChannelTails {
        let upto = channel.log.head();
        let registry = Registry { upto, tails: HashMap::new(), by_address: HashMap::new(), patterns: Vec::new() };
        ChannelTails { channel, registry: Mutex::new(registry), progressed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("no holder of this lock panics")
    }

    fn enter(&self, key: TailKey) -> Arc<Tail> {
        let mut registry = self.lock();
        let registry = &mut *registry;
        if let Some(entry) = registry.tails.get_mut(&key) {
            entry.watchers += 1;
            return entry.tail.clone();
        }
        let tail = Arc::new(Tail::new(key.clone(), &self.channel, registry.upto));
        match key.view.scope.single_address() {
            Some(address) => registry.by_address.entry(address.shared()).or_default().push(tail.clone()),
            None => registry.patterns.push(tail.clone()),
        }
        registry.tails.insert(key, Entry { tail: tail.clone(), watchers: 1 });
        tail
    }

    fn leave(&self, tail: &Arc<Tail>) {
        let mut registry = self.lock();
        let Some(entry) = registry.tails.get_mut(&tail.key) else { return };
        entry.watchers -= 1;
        if entry.watchers > 0 {
            return;
        }
        registry.tails.remove(&tail.key);
        match tail.key.view.scope.single_address() {
            Some(address) => {
                if let Some(tails) = registry.by_address.get_mut(address.as_str()) {
                    tails.retain(|own| !Arc::ptr_eq(own, tail));
                    if tails.is_empty() {
                        registry.by_address.remove(address.as_str());
                    }
                }
            }
            None => registry.patterns.retain(|own| !Arc::ptr_eq(own, tail)),
        }
    }

    /// How far the tails are; `None` if there are none, which then needs no reading: they will
    /// begin at `head`.
    pub(crate) fn pumped(&self, head: Offset) -> Option<Offset> {
        let mut registry = self.lock();
        if !registry.tails.is_empty() {
            return Some(registry.upto);
        }
        registry.upto = registry.upto.max(head);
        drop(registry);
        self.progressed.notify_waiters();
        None
    }

    /// Gives records, all there are up to `upto`, to the tails.
    pub(crate) fn feed(&self, records: &[Arc<Record>], upto: Offset) {
        let mut wakers = Vec::new();
        {
            let mut registry = self.lock();
            let mut dirty = Vec::new();
            for record in records {
                registry.push(record, &mut dirty);
            }
            registry.upto = upto;
            for tail in dirty {
                tail.seal(&mut wakers);
            }
        }
        self.wake(wakers);
    }

    /// Records up to `start` were trimmed before the tails got them.
    pub(crate) fn skip(&self, start: Offset) {
        let mut wakers = Vec::new();
        {
            let mut registry = self.lock();
            registry.upto = start;
            for entry in registry.tails.values() {
                entry.tail.skip(start, &mut wakers);
            }
        }
        self.wake(wakers);
    }

    /// Says in each tail that was silent for `silence` that it is current.
    pub(crate) fn bookmark(&self, silence: Duration) {
        let Some(before) = Instant::now().checked_sub(silence) else { return };
        let mut wakers = Vec::new();
        {
            let registry = self.lock();
            for entry in registry.tails.values() {
                entry.tail.bookmark(registry.upto, before, &mut wakers);
            }
        }
        self.wake(wakers);
    }

    fn wake(&self, wakers: Vec<Waker>) {
        self.progressed.notify_waiters();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Registry {
    fn push(&self, record: &Arc<Record>, dirty: &mut Vec<Arc<Tail>>) {
        let mut give = |tail: &Arc<Tail>| {
            if tail.push(record) {
                dirty.push(tail.clone());
            }
        };
        if record.op.is_channel_wide() {
            self.tails.values().for_each(|entry| give(&entry.tail));
            return;
        }
        if let Some(tails) = self.by_address.get(record.address.as_str()) {
            tails.iter().for_each(&mut give);
        }
        self.patterns.iter().for_each(&mut give);
    }
}
