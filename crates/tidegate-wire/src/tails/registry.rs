//! The tails of one channel: which there are, who holds them, and how far they all are.
//!
//! The pump is the only one that feeds them. Whoever takes the lock reads or writes a whole truth:
//! `upto` and the ends of all tails belong together.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tidegate_core::{Offset, Record};
use tidegate_hub::{Channel, Sight};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::audience::Audience;
use crate::memory::Memory;
use crate::tail::{Calls, Pushed, Tail, TailKey};

/// The tails of one channel.
pub(crate) struct ChannelTails {
    pub(crate) channel: Arc<Channel>,
    memory: Arc<Memory>,
    registry: Mutex<Registry>,
    progressed: Notify,
    /// A tick may be due sooner than any that was.
    sooner: Notify,
}

/// What its lock guards.
pub(super) struct Registry {
    /// All tails have got everything up to here.
    upto: Offset,
    tails: HashMap<TailKey, Entry>,
    by_address: HashMap<Arc<str>, Audience>,
    patterns: Audience,
    /// When the ticks of conflated tails end that have something to tell, with the numbers of the tails.
    ticks: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Conflated tails by number.
    conflated: HashMap<u64, Arc<Tail>>,
}

struct Entry {
    tail: Arc<Tail>,
    watchers: usize,
}

impl ChannelTails {
    pub(super) fn new(channel: Arc<Channel>, memory: Arc<Memory>) -> ChannelTails {
        let upto = channel.log.head();
        let registry = Registry {
            upto,
            tails: HashMap::new(),
            by_address: HashMap::new(),
            patterns: Audience::default(),
            ticks: BinaryHeap::new(),
            conflated: HashMap::new(),
        };
        let registry = Mutex::new(registry);
        ChannelTails { channel, memory, registry, progressed: Notify::new(), sooner: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("no holder of this lock panics")
    }

    /// How many tails there are.
    pub(super) fn count(&self) -> usize {
        self.lock().tails.len()
    }

    /// How many watch a tail.
    pub(super) fn watchers(&self, tail: &Tail) -> usize {
        self.lock().tails.get(&tail.key).map_or(0, |entry| entry.watchers)
    }

    /// Ends when the tails have got further.
    pub(super) fn progressed(&self) -> Notified<'_> {
        self.progressed.notified()
    }

    pub(super) fn enter(&self, key: TailKey) -> Arc<Tail> {
        let mut registry = self.lock();
        let registry = &mut *registry;
        if let Some(entry) = registry.tails.get_mut(&key) {
            entry.watchers += 1;
            return entry.tail.clone();
        }
        let tail = Arc::new(Tail::new(key.clone(), &self.channel, registry.upto, self.memory.clone()));
        match key.view.scope.single_address() {
            Some(address) => registry.by_address.entry(address.shared()).or_default().add(&tail),
            None => registry.patterns.add(&tail),
        }
        if tail.key.view.rate().is_some() {
            registry.conflated.insert(tail.number, tail.clone());
        }
        registry.tails.insert(key, Entry { tail: tail.clone(), watchers: 1 });
        tail
    }

    pub(super) fn leave(&self, tail: &Arc<Tail>) {
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
                    tails.remove(tail);
                    if tails.is_empty() {
                        registry.by_address.remove(address.as_str());
                    }
                }
            }
            None => registry.patterns.remove(tail),
        }
        registry.conflated.remove(&tail.number);
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
        let mut calls = Calls::default();
        {
            let mut registry = self.lock();
            let mut fed = Fed::default();
            for record in records {
                registry.push(&Sight::new(record, &self.channel.config), &mut fed);
            }
            registry.upto = upto;
            for tail in fed.dirty {
                tail.seal(&mut calls);
            }
            if !fed.ticks.is_empty() {
                registry.ticks.extend(fed.ticks.into_iter().map(Reverse));
                self.sooner.notify_one();
            }
        }
        self.call(calls);
    }

    /// Ends the ticks that are due, as long as there are conflated tails.
    pub(crate) async fn tick(&self) {
        let due = self.lock().ticks.peek().map(|Reverse((due, _))| *due);
        match due {
            None => return self.sooner.notified().await,
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = self.sooner.notified() => return,
            },
        }
        let mut calls = Calls::default();
        {
            let mut registry = self.lock();
            let registry = &mut *registry;
            let now = Instant::now();
            while let Some(Reverse((due, number))) = registry.ticks.peek().copied()
                && due <= now
            {
                registry.ticks.pop();
                if let Some(tail) = registry.conflated.get(&number) {
                    tail.tick(&self.channel.config, now, &mut calls);
                }
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
            for entry in registry.tails.values() {
                entry.tail.skip(start, &mut calls);
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
            for entry in registry.tails.values() {
                entry.tail.bookmark(registry.upto, before, &mut calls);
            }
        }
        self.call(calls);
    }

    pub(super) fn shrink(&self) {
        self.lock().tails.values().for_each(|entry| entry.tail.shrink());
    }

    fn call(&self, calls: Calls) {
        self.progressed.notify_waiters();
        calls.make();
    }
}

impl Registry {
    pub(super) fn upto(&self) -> Offset {
        self.upto
    }

    fn push(&self, sight: &Sight<'_>, fed: &mut Fed) {
        let mut give = |tail: &Arc<Tail>| {
            let Pushed { fresh, tick } = tail.push(sight, self.upto);
            if fresh {
                fed.dirty.push(tail.clone());
            }
            fed.ticks.extend(tick.map(|due| (due, tail.number)));
        };
        if sight.record().op.is_channel_wide() {
            self.tails.values().for_each(|entry| give(&entry.tail));
            return;
        }
        if let Some(tails) = self.by_address.get(sight.record().address.as_str()) {
            tails.of(sight, &mut give);
        }
        self.patterns.of(sight, &mut give);
    }
}

/// What came of records.
#[derive(Default)]
struct Fed {
    /// Tails that have something to seal.
    dirty: Vec<Arc<Tail>>,
    /// Ticks that have begun.
    ticks: Vec<(Instant, u64)>,
}
