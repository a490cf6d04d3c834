//! The tails of one channel: who holds them, and how far they all are.
//!
//! The pump is the only one that feeds them. Whoever takes the lock reads or writes a whole truth:
//! `upto` and the ends of all tails belong together.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tidegate_core::{Offset, Record};
use tidegate_hub::{Channel, Sight};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::registry::{Fed, Registry};
use crate::memory::Memory;
use crate::tail::{Calls, Tail, TailKey};

/// The tails of one channel.
pub(crate) struct ChannelTails {
    pub(crate) channel: Arc<Channel>,
    memory: Arc<Memory>,
    registry: Mutex<Registry>,
    progressed: Notify,
    /// How often a record was given to a tail.
    given: AtomicU64,
    /// A tick may be due sooner than any that was.
    sooner: Notify,
}

impl ChannelTails {
    pub(super) fn new(channel: Arc<Channel>, memory: Arc<Memory>) -> ChannelTails {
        let upto = channel.log.head();
        let registry = Mutex::new(Registry::new(upto));
        let (progressed, sooner, given) = (Notify::new(), Notify::new(), AtomicU64::new(0));
        ChannelTails { channel, memory, registry, progressed, given, sooner }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().expect("no holder of this lock panics")
    }

    /// How many tails there are.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// How often a record was given to a tail, whether it is told at once or with others.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Ends when the tails have got further.
    pub(super) fn progressed(&self) -> Notified<'_> {
        self.progressed.notified()
    }

    pub(super) fn enter(&self, key: TailKey) -> Arc<Tail> {
        let mut registry = self.lock();
        if let Some(tail) = registry.get(&key).filter(|tail| !tail.is_retired()) {
            tail.holds.fetch_add(1, Ordering::Relaxed);
            return tail.clone();
        }
        if let Some(retired) = registry.get(&key).cloned() {
            registry.remove(&retired);
        }
        let tail = Arc::new(Tail::new(key, &self.channel, registry.upto, self.memory.clone()));
        registry.add(&tail);
        tail
    }

    pub(super) fn leave(&self, tail: &Arc<Tail>) {
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
        // Whoever has lost a right before these records were written hears of it first.
        self.channel.keep_up();
        let mut calls = Calls::default();
        {
            let mut registry = self.lock();
            let mut fed = Fed::default();
            for record in records {
                registry.push(&Sight::new(record, &self.channel.config), &mut fed);
            }
            registry.upto = upto;
            self.given.fetch_add(fed.given, Ordering::Relaxed);
            for tail in fed.dirty {
                tail.seal(&mut calls);
            }
            for tail in fed.retired {
                registry.remove(&tail);
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
                if let Some(tail) = registry.conflated.get(&number).filter(|tail| !tail.retires()) {
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

    pub(super) fn shrink(&self) {
        self.lock().iter().for_each(|tail| tail.shrink());
    }

    fn call(&self, calls: Calls) {
        self.progressed.notify_waiters();
        calls.make();
    }
}
