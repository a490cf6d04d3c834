//! The tails of one channel: found by their key by those who come, by their address by records.
//!
//! There may be as many as watchers, so an entry is no more than a pointer: what it is found by is in
//! its tail.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tidegate_core::{Address, Offset, Record, Target};

use crate::tail::{Tail, TailKey};

/// See the module.
pub(super) struct Registry {
    /// All tails have got everything up to here.
    pub(super) upto: Offset,
    tails: HashSet<Keyed>,
    by_address: HashSet<Here>,
    patterns: Vec<Arc<Tail>>,
}

impl Registry {
    pub(super) fn new(upto: Offset) -> Registry {
        Registry { upto, tails: HashSet::new(), by_address: HashSet::new(), patterns: Vec::new() }
    }

    pub(super) fn get(&self, key: &TailKey) -> Option<&Arc<Tail>> {
        self.tails.get(key).map(|Keyed(tail)| tail)
    }

    /// A tail of an address, whatever else its view is, if there is one. Patterns would have to be
    /// looked through.
    pub(super) fn watched(&self, target: &Target) -> Option<&Arc<Tail>> {
        match target {
            Target::Address(address) => self.by_address.get(address.as_str())?.tails().first(),
            Target::Pattern(_) => None,
        }
    }

    /// A tail whose key none here has.
    pub(super) fn add(&mut self, tail: &Arc<Tail>) {
        match tail.key.view.scope.single_address() {
            Some(address) => {
                let here = match self.by_address.take(address.as_str()) {
                    None => Here::One(tail.clone()),
                    Some(here) => here.with(tail.clone()),
                };
                self.by_address.insert(here);
            }
            None => self.patterns.push(tail.clone()),
        }
        self.tails.insert(Keyed(tail.clone()));
    }

    pub(super) fn remove(&mut self, tail: &Arc<Tail>) {
        self.tails.remove(&tail.key);
        match tail.key.view.scope.single_address() {
            Some(address) => {
                let left = self.by_address.take(address.as_str()).and_then(|here| here.without(tail));
                self.by_address.extend(left);
            }
            None => self.patterns.retain(|own| !Arc::ptr_eq(own, tail)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Tail>> {
        self.tails.iter().map(|Keyed(tail)| tail)
    }

    pub(super) fn len(&self) -> usize {
        self.tails.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tails.is_empty()
    }

    /// Gives a record to the tails that it may belong to. Those that have something to seal now go to
    /// `dirty`.
    pub(super) fn push(&self, record: &Arc<Record>, dirty: &mut Vec<Arc<Tail>>) {
        let mut give = |tail: &Arc<Tail>| {
            if tail.push(record) {
                dirty.push(tail.clone());
            }
        };
        if record.op.is_channel_wide() {
            self.iter().for_each(give);
            return;
        }
        if let Some(here) = self.by_address.get(record.address.as_str()) {
            here.tails().iter().for_each(&mut give);
        }
        self.patterns.iter().for_each(&mut give);
    }
}

/// A tail, found by its key.
struct Keyed(Arc<Tail>);

impl Borrow<TailKey> for Keyed {
    fn borrow(&self) -> &TailKey {
        &self.0.key
    }
}

impl Hash for Keyed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for Keyed {
    fn eq(&self, other: &Keyed) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Keyed {}

/// The tails of one address, found by it; never none, and mostly one.
enum Here {
    One(Arc<Tail>),
    Several(Vec<Arc<Tail>>),
}

impl Here {
    fn tails(&self) -> &[Arc<Tail>] {
        match self {
            Here::One(tail) => std::slice::from_ref(tail),
            Here::Several(tails) => tails,
        }
    }

    fn with(self, tail: Arc<Tail>) -> Here {
        Here::Several(match self {
            Here::One(own) => vec![own, tail],
            Here::Several(mut tails) => {
                tails.push(tail);
                tails
            }
        })
    }

    fn without(self, tail: &Arc<Tail>) -> Option<Here> {
        let mut tails = match self {
            Here::One(own) => vec![own],
            Here::Several(tails) => tails,
        };
        tails.retain(|own| !Arc::ptr_eq(own, tail));
        match tails.len() {
            0 | 1 => tails.pop().map(Here::One),
            _ => Some(Here::Several(tails)),
        }
    }
}

impl Borrow<str> for Here {
    fn borrow(&self) -> &str {
        self.tails().first().and_then(|tail| tail.key.view.scope.single_address()).map_or("", Address::as_str)
    }
}

impl Hash for Here {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<str>::borrow(self).hash(state);
    }
}

impl PartialEq for Here {
    fn eq(&self, other: &Here) -> bool {
        Borrow::<str>::borrow(self) == Borrow::<str>::borrow(other)
    }
}

impl Eq for Here {}
