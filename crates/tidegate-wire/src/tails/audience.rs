//! Who may be told of a record: the tails of one address, or those of all patterns.
//!
//! Tails that see one key are found by it: a hundred thousand of them cost a record one lookup.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::Key;
use tidegate_hub::Sight;

use crate::tail::Tail;

/// Some tails.
#[derive(Default)]
pub(super) struct Audience {
    /// Those that have to look at each record.
    all: Vec<Arc<Tail>>,
    by_key: HashMap<Key, Vec<Arc<Tail>>>,
}

impl Audience {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.by_key.is_empty()
    }

    pub(super) fn add(&mut self, tail: &Arc<Tail>) {
        let view = &tail.key.view;
        if let Some(key) = &view.scope.key {
            return self.by_key.entry(key.clone()).or_default().push(tail.clone());
        }
        self.all.push(tail.clone());
    }

    pub(super) fn remove(&mut self, tail: &Arc<Tail>) {
        let view = &tail.key.view;
        if let Some(key) = &view.scope.key {
            return leave(&mut self.by_key, key, tail);
        }
        self.all.retain(|own| !Arc::ptr_eq(own, tail));
    }

    /// Calls `each` with every tail whose view may show something of a record, once.
    pub(super) fn of(&self, sight: &Sight<'_>, mut each: impl FnMut(&Arc<Tail>)) {
        self.all.iter().for_each(&mut each);
        if let Some(key) = sight.record().key.as_ref().filter(|_| !self.by_key.is_empty()) {
            self.by_key.get(key).into_iter().flatten().for_each(&mut each);
        }
    }
}

fn leave(map: &mut HashMap<Key, Vec<Arc<Tail>>>, key: &Key, tail: &Arc<Tail>) {
    if let Some(tails) = map.get_mut(key) {
        tails.retain(|own| !Arc::ptr_eq(own, tail));
        if tails.is_empty() {
            map.remove(key);
        }
    }
}
