//! The tails of one channel: found by their key by those who come, by their address by records.
//!
//! There may be as many as watchers, so an entry is no more than a pointer: what it is found by is in
//! its tail.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use tidegate_core::{Address, Offset, Target};
use tidegate_hub::Sight;

use super::audience::Audience;
use crate::tail::{Pushed, Tail, TailKey};

/// See the module.
pub(super) struct Registry {
    /// All tails have got everything up to here.
    pub(super) upto: Offset,
    tails: HashSet<Keyed>,
    by_address: HashSet<Here>,
    patterns: Audience,
    /// When the ticks of conflated tails end that have something to tell, with the numbers of the tails.
    pub(super) ticks: BinaryHeap<Reverse<(Instant, u64)>>,
    /// Conflated tails by number.
    pub(super) conflated: HashMap<u64, Arc<Tail>>,
}

/// What came of records.
#[derive(Default)]
pub(super) struct Fed {
    /// Tails that have something to seal.
    pub(super) dirty: Vec<Arc<Tail>>,
    /// Ticks that have begun.
    pub(super) ticks: Vec<(Instant, u64)>,
    /// Tails that have retired.
    pub(super) retired: Vec<Arc<Tail>>,
    /// How often a record was given to a tail.
    pub(super) given: u64,
}

impl Registry {
    pub(super) fn new(upto: Offset) -> Registry {
        Registry {
            upto,
            tails: HashSet::new(),
            by_address: HashSet::new(),
            patterns: Audience::default(),
            ticks: BinaryHeap::new(),
            conflated: HashMap::new(),
        }
    }

    pub(super) fn get(&self, key: &TailKey) -> Option<&Arc<Tail>> {
        self.tails.get(key).map(|Keyed(tail)| tail)
    }

    /// An address in the text of those who watch it, if somebody does. Patterns would have to be looked through.
    pub(super) fn watched(&self, target: &Target) -> Option<Target> {
        match target {
            Target::Address(address) => self.by_address.get(address.as_str()).map(Here::target),
            Target::Pattern(_) => None,
        }
    }

    /// A tail whose key none here has.
    pub(super) fn add(&mut self, tail: &Arc<Tail>) {
        match tail.key.view.scope.single_address() {
            Some(address) => {
                let here = match self.by_address.take(address.as_str()) {
                    None => Here::One(tail.clone()),
                    Some(here) => here.with(address, tail),
                };
                self.by_address.insert(here);
            }
            None => self.patterns.add(tail),
        }
        if tail.key.view.rate().is_some() {
            self.conflated.insert(tail.number, tail.clone());
        }
        self.tails.insert(Keyed(tail.clone()));
    }

    /// Unless it is gone already: another one may have its key.
    pub(super) fn remove(&mut self, tail: &Arc<Tail>) {
        if !self.get(&tail.key).is_some_and(|own| Arc::ptr_eq(own, tail)) {
            return;
        }
        self.tails.remove(&tail.key);
        match tail.key.view.scope.single_address() {
            Some(address) => {
                let left = self.by_address.take(address.as_str()).and_then(|here| here.without(tail));
                self.by_address.extend(left);
            }
            None => self.patterns.remove(tail),
        }
        self.conflated.remove(&tail.number);
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

    /// Gives a record to the tails that it may belong to.
    pub(super) fn push(&self, sight: &Sight<'_>, fed: &mut Fed) {
        let mut give = |tail: &Arc<Tail>| {
            if tail.is_retired() {
                return;
            }
            if tail.retires() {
                fed.retired.push(tail.clone());
                return;
            }
            fed.given += 1;
            let Pushed { fresh, tick } = tail.push(sight, self.upto);
            if fresh {
                fed.dirty.push(tail.clone());
            }
            fed.ticks.extend(tick.map(|due| (due, tail.number)));
        };
        if sight.record().op.is_channel_wide() {
            self.iter().for_each(give);
            return;
        }
        match self.by_address.get(sight.record().address.as_str()) {
            None => {}
            Some(Here::One(tail)) => give(tail),
            Some(Here::Several(crowd)) => crowd.audience.of(sight, &mut give),
        }
        self.patterns.of(sight, &mut give);
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
    Several(Box<Crowd>),
}

struct Crowd {
    address: Address,
    audience: Audience,
}

impl Here {
    fn address(&self) -> Option<&Address> {
        match self {
            Here::One(tail) => tail.key.view.scope.single_address(),
            Here::Several(crowd) => Some(&crowd.address),
        }
    }

    fn target(&self) -> Target {
        match self {
            Here::One(tail) => tail.key.view.scope.target.clone(),
            Here::Several(crowd) => Target::Address(crowd.address.clone()),
        }
    }

    fn with(self, address: &Address, tail: &Arc<Tail>) -> Here {
        let mut crowd = match self {
            Here::One(own) => {
                let mut audience = Audience::default();
                audience.add(&own);
                Box::new(Crowd { address: address.clone(), audience })
            }
            Here::Several(crowd) => crowd,
        };
        crowd.audience.add(tail);
        Here::Several(crowd)
    }

    fn without(self, tail: &Arc<Tail>) -> Option<Here> {
        let Here::Several(mut crowd) = self else { return None };
        crowd.audience.remove(tail);
        (!crowd.audience.is_empty()).then_some(Here::Several(crowd))
    }
}

impl Borrow<str> for Here {
    fn borrow(&self) -> &str {
        self.address().map_or("", Address::as_str)
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
