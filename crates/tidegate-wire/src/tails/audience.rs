//! Who may be told of a record: the tails of one address, or those of all patterns.
//!
//! Tails that see one key, or one value of one field, are found by it: a hundred thousand of them cost a record one
//! lookup a field, whatever it is they wait for.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::Key;
use tidegate_hub::{FieldPath, IndexKey, Sight};

use crate::tail::Tail;

/// Some tails.
#[derive(Default)]
pub(super) struct Audience {
    /// Those that have to look at each record.
    all: Vec<Arc<Tail>>,
    by_key: HashMap<Key, Vec<Arc<Tail>>>,
    by_value: Vec<Index>,
}

/// The tails whose filter wants one of a few values at this path.
struct Index {
    path: FieldPath,
    tails: HashMap<IndexKey<'static>, Vec<Arc<Tail>>>,
}

impl Audience {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.by_key.is_empty() && self.by_value.is_empty()
    }

    pub(super) fn add(&mut self, tail: &Arc<Tail>) {
        let view = &tail.key.view;
        if let Some(key) = &view.scope.key {
            return self.by_key.entry(key.clone()).or_default().push(tail.clone());
        }
        let Some(equality) = view.equality() else { return self.all.push(tail.clone()) };
        let at = self.by_value.iter().position(|index| index.path == equality.path).unwrap_or_else(|| {
            self.by_value.push(Index { path: equality.path.clone(), tails: HashMap::new() });
            self.by_value.len() - 1
        });
        for key in &equality.keys {
            self.by_value[at].tails.entry(key.clone()).or_default().push(tail.clone());
        }
    }

    pub(super) fn remove(&mut self, tail: &Arc<Tail>) {
        let view = &tail.key.view;
        if let Some(key) = &view.scope.key {
            return leave(&mut self.by_key, key, tail);
        }
        let Some(equality) = view.equality() else { return self.all.retain(|own| !Arc::ptr_eq(own, tail)) };
        let Some(at) = self.by_value.iter().position(|index| index.path == equality.path) else { return };
        for key in &equality.keys {
            leave(&mut self.by_value[at].tails, key, tail);
        }
        if self.by_value[at].tails.is_empty() {
            self.by_value.swap_remove(at);
        }
    }

    /// Calls `each` with every tail whose view may show something of a record, once.
    pub(super) fn of(&self, sight: &Sight<'_>, mut each: impl FnMut(&Arc<Tail>)) {
        self.all.iter().for_each(&mut each);
        if let Some(key) = sight.record().key.as_ref().filter(|_| !self.by_key.is_empty()) {
            self.by_key.get(key).into_iter().flatten().for_each(&mut each);
        }
        for Index { path, tails } in &self.by_value {
            let now = sight.after().and_then(|image| image.key_at(path));
            let was = sight.before().and_then(|image| image.key_at(path));
            let told = find(tails, now.as_ref());
            told.iter().for_each(&mut each);
            if was != now {
                // A filter with both values was found by the first.
                let others =
                    find(tails, was.as_ref()).iter().filter(|tail| !told.iter().any(|own| Arc::ptr_eq(own, tail)));
                others.for_each(&mut each);
            }
        }
    }
}

fn find<'t, 'k>(tails: &'t HashMap<IndexKey<'k>, Vec<Arc<Tail>>>, key: Option<&IndexKey<'k>>) -> &'t [Arc<Tail>] {
    key.and_then(|key| tails.get(key)).map_or(&[], Vec::as_slice)
}

fn leave<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Tail>>>, key: &K, tail: &Arc<Tail>) {
    if let Some(tails) = map.get_mut(key) {
        tails.retain(|own| !Arc::ptr_eq(own, tail));
        if tails.is_empty() {
            map.remove(key);
        }
    }
}
