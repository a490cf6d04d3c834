//! What was found out about a secret, by its hash, until it ends.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;

/// What the table itself costs for each entry.
const ENTRY_BYTES: usize = 128;

/// An entry that nobody asks for is forgotten after one to two times this many seconds: whoever watches shows a token once,
/// and does not need it to be remembered for as long as the watch lasts.
pub(crate) const IDLE_SECONDS: u64 = 30;

/// A table of bounded memory. It has two halves: entries go into the young one, and when that is
/// full or has lasted its time, it becomes the old one, whose entries are forgotten unless they are asked for. So both
/// are constant: the work for an entry, and that what is used is kept.
pub(crate) struct Cache<V> {
    half_bytes_max: usize,
    halves: Mutex<Halves<V>>,
}

struct Halves<V> {
    young: HashMap<Digest, Entry<V>>,
    young_bytes: usize,
    /// Since which second.
    young_since: u64,
    old: HashMap<Digest, Entry<V>>,
}

struct Entry<V> {
    value: V,
    /// From this second on it is not there.
    until: u64,
    bytes: usize,
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(bytes_max: usize) -> Cache<V> {
        let halves = Halves { young: HashMap::new(), young_bytes: 0, young_since: 0, old: HashMap::new() };
        Cache { half_bytes_max: bytes_max / 2, halves: Mutex::new(halves) }
    }

    pub(crate) fn get(&self, digest: &Digest, now: u64) -> Option<V> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = halves.young.get(digest) {
            return (now < entry.until).then(|| entry.value.clone());
        }
        let entry = halves.old.remove(digest)?;
        if now >= entry.until {
            return None;
        }
        let value = entry.value.clone();
        halves.add(*digest, entry, self.half_bytes_max);
        Some(value)
    }

    /// Keeps `value`, which weighs `bytes` beside its entry, until the second `until`.
    pub(crate) fn put(&self, digest: Digest, value: V, bytes: usize, until: u64) {
        let entry = Entry { value, until, bytes: bytes + ENTRY_BYTES };
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.add(digest, entry, self.half_bytes_max);
    }

    /// Forgets what nobody has asked for. Returns how many these are. Whoever owns it calls this now and then: where nobody
    /// comes, nothing else would.
    pub(crate) fn forget_idle(&self, now: u64) -> usize {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_sub(halves.young_since);
        let mut forgotten = 0;
        if age >= IDLE_SECONDS {
            forgotten += halves.turn();
            halves.young_since = now;
        }
        if age >= 2 * IDLE_SECONDS {
            forgotten += halves.turn();
        }
        forgotten
    }

    pub(crate) fn remove(&self, digest: &Digest) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = halves.young.remove(digest) {
            halves.young_bytes -= entry.bytes;
        }
        halves.old.remove(digest);
    }
}

impl<V> Halves<V> {
    /// The old half is forgotten, and the young one is the old one. Returns how many were forgotten.
    fn turn(&mut self) -> usize {
        self.young_bytes = 0;
        let young = std::mem::take(&mut self.young);
        std::mem::replace(&mut self.old, young).len()
    }

    fn add(&mut self, digest: Digest, entry: Entry<V>, bytes_max: usize) {
        if entry.bytes > bytes_max {
            return;
        }
        if self.young_bytes + entry.bytes > bytes_max {
            self.turn();
        }
        self.young_bytes += entry.bytes;
        if let Some(before) = self.young.insert(digest, entry) {
            self.young_bytes -= before.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        Digest::of(&[&number.to_be_bytes()])
    }

    #[test]
    fn an_entry_ends_with_its_second() {
        let cache = Cache::new(10_000);
        cache.put(digest(1), "one", 0, 100);
        assert_eq!(cache.get(&digest(1), 99), Some("one"));
        assert_eq!(cache.get(&digest(1), 100), None);
        // In the old half as in the young one.
        cache.put(digest(3), "three", 0, 100);
        cache.put(digest(4), "four", 4_900 - ENTRY_BYTES, 100);
        assert_eq!(cache.get(&digest(3), 100), None);
        cache.put(digest(2), "two", 0, 100);
        cache.remove(&digest(2));
        assert_eq!(cache.get(&digest(2), 0), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let cache = Cache::new(100 * 1_000);
        cache.put(digest(0), 0, 1_000 - ENTRY_BYTES, u64::MAX);
        for number in 1..10_000 {
            cache.put(digest(number), number, 1_000 - ENTRY_BYTES, u64::MAX);
            assert_eq!(cache.get(&digest(0), 0), Some(0), "after {number}");
        }
        let kept = (0..10_000).filter(|number| cache.get(&digest(*number), 0).is_some()).count();
        assert!((50..=150).contains(&kept), "{kept} entries");
        let halves = cache.halves.lock().expect("not poisoned");
        assert!(halves.young.len() + halves.old.len() <= 100);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let cache = Cache::new(10_000);
        cache.forget_idle(1_000);
        for number in 0..3 {
            cache.put(digest(number), number, 0, u64::MAX);
        }
        for now in 1_001..1_000 + 2 * IDLE_SECONDS {
            cache.forget_idle(now);
            assert_eq!(cache.get(&digest(1), now), Some(1), "asked for each second");
        }
        assert_eq!(cache.get(&digest(0), 1_059), Some(0), "within its time");
        assert_eq!(cache.forget_idle(1_090) + cache.forget_idle(1_120), 3);
        let halves = cache.halves.lock().expect("not poisoned");
        assert_eq!((halves.young.len(), halves.old.len(), halves.young_bytes), (0, 0, 0));
    }

    #[test]
    fn what_is_larger_than_the_table_is_not_kept() {
        let cache = Cache::new(1_000);
        cache.put(digest(1), (), 1_000, u64::MAX);
        assert_eq!(cache.get(&digest(1), 0), None);
    }
}
