//! What is remembered of parties: one small number each, in tables.
//!
//! There may be as many as watchers, and what is remembered of them is remembered between the handshakes of others. A box
//! for each would keep the pages of handshakes from going back to the system; a table is one piece of memory, however many
//! it is of.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::party::Party;

/// Parties of a kind of which one rate is remembered at once. More are remembered as one, so that who comes from a million
/// addresses gains nothing by it, and costs no memory.
pub const PARTIES_MAX: usize = 100_000;
/// One is locked for some ten nanoseconds at a time, so more would not be felt.
const SHARDS: usize = 16;
/// A shard with room for so many times what is in it gives memory back.
const ROOMY: usize = 4;

/// So many parties, and [`Party::REST`] for all others.
pub(super) struct Table<V> {
    parties_max: usize,
    shards: [Mutex<Shard<V>>; SHARDS],
    /// In all shards.
    len: AtomicUsize,
}

type Shard<V> = HashMap<Party, V, BuildHasherDefault<Known>>;

impl<V: Copy> Table<V> {
    pub(super) fn new(parties_max: usize) -> Table<V> {
        Table { parties_max, shards: std::array::from_fn(|_| Mutex::default()), len: AtomicUsize::new(0) }
    }

    /// Changes what is remembered of a party: `None` is nothing, before and after. Returns whose it was, which is
    /// [`Party::REST`] for one that is not remembered where there is no room.
    pub(super) fn change<T>(&self, party: Party, change: impl FnOnce(&mut Option<V>) -> T) -> (Party, T) {
        let mut shard = self.shard(party);
        if let Some(kept) = shard.get_mut(&party) {
            let mut value = Some(*kept);
            let made = change(&mut value);
            match value {
                Some(value) => *kept = value,
                None => {
                    shard.remove(&party);
                    self.len.fetch_sub(1, Ordering::Relaxed);
                }
            }
            return (party, made);
        }
        let room = |len| (len < self.parties_max || party == Party::REST).then_some(len + 1);
        if self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            drop(shard);
            return self.change(Party::REST, change);
        }
        let mut value = None;
        let made = change(&mut value);
        match value {
            Some(value) => {
                shard.insert(party, value);
            }
            None => {
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
        }
        (party, made)
    }

    /// Forgets what need not be remembered.
    pub(super) fn retain(&self, needed: impl Fn(V) -> bool) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let before = shard.len();
            shard.retain(|_, value| needed(*value));
            self.len.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }

    /// Gives back the memory of those that went, where they were most.
    pub(super) fn shrink(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            if shard.capacity() > ROOMY * shard.len() {
                // It would be made larger for the next one else.
                let wanted = 2 * shard.len();
                shard.shrink_to(wanted);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn shard(&self, party: Party) -> MutexGuard<'_, Shard<V>> {
        // The lowest and the highest bits choose a place within the shard.
        lock(&self.shards[(party.bits() >> 32) as usize % SHARDS])
    }
}

fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().expect("no holder of this lock panics")
}

/// A party is a hash already.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }

    fn write(&mut self, bytes: &[u8]) {
        unreachable!("a party is one number, and {} bytes are none", bytes.len());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::LimitsConfig;
    use super::super::party::Names;
    use super::*;

    impl<V: Copy> Table<V> {
        pub(in super::super) fn capacity(&self) -> usize {
            self.shards.iter().map(|shard| lock(shard).capacity()).sum()
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_one_for_all_others() {
        let (table, names) = (Table::new(PARTIES_MAX), Names::new(&LimitsConfig::default()));
        let party = |number: usize| names.party(number);
        let put = |number| table.change(party(number), |value| *value = Some(number)).0;
        assert!((0..PARTIES_MAX).all(|number| put(number) == party(number)));
        assert_eq!((put(PARTIES_MAX), put(PARTIES_MAX + 1)), (Party::REST, Party::REST));
        assert_eq!(table.len(), PARTIES_MAX + 1);
        // Who is remembered has its own as before, and who comes when one has gone has one, too.
        assert_eq!(table.change(party(7), |value| value.take()), (party(7), Some(7)));
        assert_eq!(table.change(party(8), |value| *value), (party(8), Some(8)));
        assert_eq!(table.change(Party::REST, |value| value.take()).1, Some(PARTIES_MAX + 1));
        assert_eq!(put(PARTIES_MAX), party(PARTIES_MAX));
        assert_eq!(table.len(), PARTIES_MAX);
    }

    #[test]
    fn memory_is_for_those_who_are_remembered() {
        let (table, names) = (Table::new(PARTIES_MAX), Names::new(&LimitsConfig::default()));
        for number in 0..10_000 {
            table.change(names.party(number), |value| *value = Some(number));
        }
        let many = table.capacity();
        assert!(many >= 10_000);
        table.shrink();
        assert_eq!(table.capacity(), many, "they are there");
        table.retain(|number| number < 100);
        table.shrink();
        assert_eq!(table.len(), 100);
        assert!(table.capacity() < 1_000, "{}", table.capacity());
        assert_eq!(table.change(names.party(99), |value| *value).1, Some(99));
        table.retain(|_| false);
        table.shrink();
        assert_eq!((table.len(), table.capacity()), (0, 0));
    }

    #[test]
    fn what_is_nothing_takes_no_room() {
        let (table, names) = (Table::<u8>::new(PARTIES_MAX), Names::new(&LimitsConfig::default()));
        table.change(names.party(1), |value| assert_eq!(*value, None));
        assert_eq!(table.len(), 0);
    }
}
