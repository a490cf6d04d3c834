//! Which blocks there are, in memory or on their way, and which was used last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tidegate_core::Offset;

use super::block::{BLOCK, Block};
use super::flight::Flying;

/// The blocks of all views, in memory.
#[derive(Default)]
pub(super) struct Cache {
    /// By the number of the tail, and where they begin.
    views: HashMap<u64, BTreeMap<Offset, Slot>>,
    /// In the order of their last use.
    uses: BTreeMap<u64, (u64, Offset)>,
    next_use: u64,
    bytes: usize,
}

enum Slot {
    /// Somebody reads it.
    Flying(Flying),
    Here {
        block: Arc<Block>,
        last_use: u64,
        used: Instant,
    },
}

/// What there is for a watcher.
pub(super) enum Found {
    Here(Arc<Block>),
    /// Somebody reads what it wants, or what may reach so far, from this offset on.
    Flying(Offset, Flying),
    Nothing,
}

impl Cache {
    /// Of all blocks, as they are counted.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What there is with everything from `at` on; `waited` is where the flight began that has been
    /// waited for in vain.
    pub(super) fn find(&mut self, tail: u64, at: Offset, waited: Option<Offset>) -> Found {
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

    /// Notes that somebody reads from `at`, up to where there is a block already, which is returned;
    /// `None` if somebody was faster.
    pub(super) fn reserve(&mut self, tail: u64, at: Offset, flying: &Flying) -> Option<Option<Offset>> {
        let slots = self.views.entry(tail).or_default();
        if slots.contains_key(&at) {
            return None;
        }
        let until = slots.range(at..).next().map(|(from, _)| *from);
        slots.insert(at, Slot::Flying(flying.clone()));
        Some(until)
    }

    /// The block has been read.
    pub(super) fn insert(&mut self, tail: u64, block: Arc<Block>) {
        self.bytes += block.size;
        self.uses.insert(self.next_use, (tail, block.from));
        let slot = Slot::Here { block: block.clone(), last_use: self.next_use, used: Instant::now() };
        self.next_use += 1;
        self.views.entry(tail).or_default().insert(block.from, slot);
    }

    /// When it was used last.
    pub(super) fn used(&self, &(tail, from): &(u64, Offset)) -> Option<Instant> {
        match self.views.get(&tail)?.get(&from)? {
            Slot::Here { used, .. } => Some(*used),
            Slot::Flying(_) => None,
        }
    }

    /// Drops the least recently used. Returns how many.
    pub(super) fn drop_while(&mut self, wanted: impl Fn(&Cache, &(u64, Offset)) -> bool) -> u64 {
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

    /// Drops one, read or not.
    pub(super) fn remove(&mut self, (tail, from): (u64, Offset)) {
        let Some(slots) = self.views.get_mut(&tail) else { return };
        if let Some(Slot::Here { block, .. }) = slots.remove(&from) {
            self.bytes -= block.size;
        }
        if slots.is_empty() {
            self.views.remove(&tail);
        }
    }
}
