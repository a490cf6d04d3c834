//! Who watches now, for the admin listing and the gauges.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tidegate_core::Millis;

/// One live watch.
#[derive(Clone, Debug)]
pub struct WatchEntry {
    /// Random; as in the `begin` frame.
    pub id: Arc<str>,
    /// What is watched.
    pub address: Arc<str>,
    /// The name of its channel.
    pub channel: Arc<str>,
    /// `sse`, `ndjson` or `websocket`.
    pub transport: &'static str,
    /// The client's network address.
    pub peer: Option<std::net::SocketAddr>,
    /// When it began.
    pub since: Millis,
}

/// All live watches.
#[derive(Clone, Default)]
pub struct Watches {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    live: Mutex<HashMap<u64, WatchEntry>>,
    next: AtomicU64,
}

/// Takes its watch off the list when dropped.
pub struct WatchGuard {
    shared: Arc<Shared>,
    number: u64,
}

impl Watches {
    /// Puts a watch on the list.
    pub fn enter(&self, entry: WatchEntry) -> WatchGuard {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.lock().insert(number, entry);
        WatchGuard { shared: self.shared.clone(), number }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.shared.lock().len()
    }

    /// At most `limit` of them, oldest first.
    pub fn list(&self, limit: usize) -> Vec<WatchEntry> {
        let live = self.shared.lock();
        let mut numbers: Vec<u64> = live.keys().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().take(limit).map(|number| live[&number].clone()).collect()
    }

    /// How many on each transport.
    pub fn by_transport(&self) -> HashMap<&'static str, usize> {
        let mut counts = HashMap::new();
        for entry in self.shared.lock().values() {
            *counts.entry(entry.transport).or_default() += 1;
        }
        counts
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, WatchEntry>> {
        self.live.lock().expect("no holder of this lock panics")
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.shared.lock().remove(&self.number);
    }
}
