//! Who watches now, for the admin listing and the gauges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tidegate_core::{Millis, Shelves, Target};

use crate::channel::Channel;

/// One live watch. There are as many as watchers, so it shares what it can.
#[derive(Clone, Debug)]
pub struct WatchEntry {
    /// Random; as in the `begin` frame.
    pub id: WatchId,
    /// What is watched.
    pub target: Target,
    /// Its channel.
    pub channel: Arc<Channel>,
    /// `sse`, `ndjson` or `websocket`.
    pub transport: &'static str,
    /// The client's network address.
    pub peer: Option<std::net::SocketAddr>,
    /// When it began.
    pub since: Millis,
    /// What is given back when the watch is off the list: its place among those that somebody may have at once.
    pub place: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

/// Names a watch in listings: 48 random bits, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchId(u64);

impl WatchId {
    /// A fresh one.
    pub fn random() -> WatchId {
        WatchId(rand::random::<u64>() >> 16)
    }
}

impl std::fmt::Display for WatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// All live watches.
#[derive(Clone, Default)]
pub struct Watches {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Each has its number in the order of coming.
    live: Shelves<(u64, WatchEntry)>,
    next: u64,
}

/// Takes its watch off the list when dropped.
pub struct WatchGuard {
    shared: Arc<Mutex<Shared>>,
    place: usize,
}

impl WatchGuard {
    /// Its watch, as it is on the list.
    pub fn entry(&self) -> WatchEntry {
        lock(&self.shared).live[self.place].1.clone()
    }
}

impl Watches {
    /// Puts a watch on the list.
    pub fn enter(&self, entry: WatchEntry) -> WatchGuard {
        let mut shared = lock(&self.shared);
        shared.next += 1;
        let number = shared.next;
        let place = shared.live.insert((number, entry));
        WatchGuard { shared: self.shared.clone(), place }
    }

    /// How many.
    pub fn count(&self) -> usize {
        lock(&self.shared).live.len()
    }

    /// At most `limit` of them, oldest first.
    pub fn list(&self, limit: usize) -> Vec<WatchEntry> {
        let shared = lock(&self.shared);
        let mut live: Vec<&(u64, WatchEntry)> = shared.live.iter().collect();
        live.sort_unstable_by_key(|(number, _)| *number);
        live.into_iter().take(limit).map(|(_, entry)| entry.clone()).collect()
    }

    /// How many on each transport.
    pub fn by_transport(&self) -> HashMap<&'static str, usize> {
        let mut counts = HashMap::new();
        for (_, entry) in lock(&self.shared).live.iter() {
            *counts.entry(entry.transport).or_default() += 1;
        }
        counts
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("no holder of this lock panics")
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        lock(&self.shared).live.remove(self.place);
    }
}
