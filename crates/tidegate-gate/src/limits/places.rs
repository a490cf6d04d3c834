//! Watches at once: how many each party has.

use std::fmt;
use std::sync::Arc;

use super::party::Party;
use super::table::Table;
use super::told::Term;
use super::{Limit, LimitsConfig, Who};

/// Of each kind of party that is limited so.
pub(super) struct Places([Option<Counted>; Who::ALL.len()]);

struct Counted {
    max: u32,
    term: Term,
    /// None of them is 0.
    watches: Table<u32>,
}

/// A watch among those that its parties may have at once, of each kind at most one: given back when dropped. A watcher has
/// one for as long as it is there, so it is no more than the names that its watch is counted under.
pub struct Place {
    places: Arc<Places>,
    taken: [Option<Party>; Who::ALL.len()],
}

impl Places {
    pub(super) fn new(config: &LimitsConfig) -> Places {
        // There are no more of them than watches, which are bounded by the connections.
        let counted = |who, max: u32| {
            let term = Term::new(who, Limit::WatchesMax, max.into(), None);
            Counted { max, term, watches: Table::new(usize::MAX) }
        };
        Places(Who::ALL.map(|who| config.of(who).watches_max.map(|max| counted(who, max))))
    }

    /// How many such parties may have; `None` where they are not limited so.
    pub(super) fn max(&self, who: Who) -> Option<u32> {
        self.0[who as usize].as_ref().map(|counted| counted.max)
    }

    pub(super) fn term(&self, who: Who) -> Option<&Term> {
        self.0[who as usize].as_ref().map(|counted| &counted.term)
    }

    /// Parties that have watches.
    pub(super) fn parties(&self, who: Who) -> usize {
        self.0[who as usize].as_ref().map_or(0, |counted| counted.watches.len())
    }

    /// Gives back memory that was for more.
    pub(super) fn shrink(&self) {
        self.0.iter().flatten().for_each(|counted| counted.watches.shrink());
    }
}

impl Place {
    /// Of nobody yet.
    pub(super) fn new(places: Arc<Places>) -> Place {
        Place { places, taken: Default::default() }
    }

    /// Takes one of a party. Returns how many it has left, also where it is not limited so; `None` if there was none.
    pub(super) fn take(&mut self, who: Who, party: Party) -> Option<u32> {
        let Some(Counted { max, watches, .. }) = &self.places.0[who as usize] else { return Some(u32::MAX) };
        let (party, left) = watches.change(party, |count| {
            let left = max.checked_sub(count.unwrap_or(0))?.checked_sub(1)?;
            *count = Some(max - left);
            Some(left)
        });
        if left.is_some() {
            self.taken[who as usize] = Some(party);
        }
        left
    }

    /// Whether anybody is limited by it.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.iter().any(Option::is_some)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[place]")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (counted, party) in self.places.0.iter().zip(self.taken) {
            if let (Some(Counted { watches, .. }), Some(party)) = (counted, party) {
                watches.change(party, |count| {
                    *count = count.and_then(|count| count.checked_sub(1)).filter(|&left| left > 0)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::party::Names;
    use super::super::{PARTIES_MAX, PartyLimits};
    use super::*;

    fn limited(max: u32) -> (Arc<Places>, Names) {
        let subject = PartyLimits { watches_max: Some(max), ..PartyLimits::default() };
        let config = LimitsConfig { subject, ..LimitsConfig::default() };
        (Arc::new(Places::new(&config)), Names::new(&config))
    }

    #[test]
    fn a_place_is_small() {
        assert_eq!(size_of::<Option<Place>>(), 32);
    }

    /// Each has its own places, though of so many no rate would be remembered.
    #[test]
    fn any_number_may_watch_at_once() {
        let (places, names) = limited(1);
        let take = |number: usize| {
            let mut place = Place::new(places.clone());
            place.take(Who::Subject, names.party(number)).map(|_| place)
        };
        let held: Vec<Place> = (0..PARTIES_MAX + 10).map(|number| take(number).expect("its first")).collect();
        assert!(take(PARTIES_MAX + 9).is_none(), "its second");
        drop(held);
        assert_eq!(places.parties(Who::Subject), 0);
    }

    #[test]
    fn who_has_none_is_not_remembered() {
        let (places, names) = limited(2);
        let take = |number: u32| {
            let mut place = Place::new(places.clone());
            place.take(Who::Subject, names.party(number)).map(|left| (left, place))
        };
        let (one, two) = (take(1).expect("one"), take(1).expect("two"));
        assert_eq!((one.0, two.0, take(1).is_none(), take(2).map(|other| other.0)), (1, 0, true, Some(1)));
        assert_eq!(places.parties(Who::Subject), 1, "the other one's is given back");
        drop((one, two));
        assert_eq!(places.parties(Who::Subject), 0);
        let (none, names) = limited(0);
        assert!(Place::new(none.clone()).take(Who::Subject, names.party(1)).is_none());
        assert_eq!(none.parties(Who::Subject), 0);
    }

    /// Many at once: nobody ever has more than it may, and nothing is left of them.
    #[test]
    fn counts_are_exact_whoever_comes_at_once() {
        const MAX: u32 = 3;
        const PARTIES: usize = 5;
        let (places, names) = limited(MAX);
        let have: [AtomicU32; PARTIES] = Default::default();
        let (taken, refused) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for seed in 1..=8u64 {
                let (places, names, have, taken, refused) = (&places, &names, &have, &taken, &refused);
                scope.spawn(move || {
                    let mut random = seed;
                    let mut held: Vec<(usize, Place)> = Vec::new();
                    for _ in 0..20_000 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let party = (random >> 33) as usize % PARTIES;
                        if held.len() > 2 || (random >> 20) % 3 == 0 {
                            if let Some((party, place)) = held.pop() {
                                // Before it is given back, so that this count is never too large.
                                have[party].fetch_sub(1, Ordering::SeqCst);
                                drop(place);
                            }
                            continue;
                        }
                        let mut place = Place::new(places.clone());
                        if place.take(Who::Subject, names.party(party)).is_none() {
                            refused.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        assert!(have[party].fetch_add(1, Ordering::SeqCst) < MAX);
                        taken.fetch_add(1, Ordering::Relaxed);
                        held.push((party, place));
                    }
                    for (party, place) in held {
                        have[party].fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 1_000 && refused.into_inner() > 0);
        assert_eq!(places.parties(Who::Subject), 0);
        assert_eq!(Arc::strong_count(&places), 1);
    }
}
