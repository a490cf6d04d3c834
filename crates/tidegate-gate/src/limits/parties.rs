//! Who is remembered: as many as are active, and no more than a limit.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use governor::state::InMemoryState;

use super::{Limit, PartyLimits, Who};

/// Parties of a kind that are remembered at once. More share one account, so that who comes from a million addresses
/// gains nothing by it, and costs no memory.
pub const PARTIES_MAX: usize = 100_000;
/// Parties that have nothing under way are looked for at most this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Fewer are not worth looking for.
const SWEEP_FROM: usize = 1_024;

/// An address as it is limited: of IPv6 the /64, and an IPv4 address that is written as one of IPv6 as what it is.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => four.into(),
            None => Ipv6Addr::from(u128::from(six) >> 64 << 64).into(),
        },
    }
}

/// One that is limited. There may be as many as watchers, so it holds its levels and nothing else.
pub(super) struct Party {
    pub(super) who: Who,
    pub(super) watches: AtomicU32,
    /// Of each limit that is a bucket, in the order of [`Limit::ALL`].
    pub(super) levels: [InMemoryState; Limit::BUCKETS],
    /// In milliseconds since its parties began.
    used_ms: AtomicU64,
}

impl Party {
    /// With everything left.
    pub(super) fn new(who: Who) -> Party {
        Party { who, watches: AtomicU32::new(0), levels: Default::default(), used_ms: AtomicU64::new(0) }
    }
}

/// A party is itself: two with the same levels are two.
impl PartialEq for Party {
    fn eq(&self, other: &Party) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Party {}

impl Hash for Party {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}

/// The parties of one kind.
pub(super) struct Parties<K> {
    who: Who,
    limited: bool,
    since: Instant,
    /// After this time without use, all buckets of a party are full.
    lifetime: Duration,
    known: Mutex<Known<K>>,
    /// Of all for whom there is no place.
    shared: Arc<Party>,
}

struct Known<K> {
    parties: HashMap<K, Arc<Party>>,
    swept: Instant,
}

impl<K: Hash + Eq> Parties<K> {
    pub(super) fn new(who: Who, limits: &PartyLimits) -> Parties<K> {
        let lifetime = Limit::ALL.into_iter().filter_map(|limit| limits.rate(limit)).map(|rate| rate.window()).max();
        let since = Instant::now();
        Parties {
            who,
            limited: !limits.is_none(),
            since,
            lifetime: lifetime.unwrap_or_default(),
            known: Mutex::new(Known { parties: HashMap::new(), swept: since }),
            shared: Arc::new(Party::new(who)),
        }
    }

    /// Whether anything of them is.
    pub(super) fn are_limited(&self) -> bool {
        self.limited
    }

    /// One of them; `None` where nothing of them is limited.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<Arc<Party>>
    where
        Q: Hash + Eq + ToOwned + ?Sized,
        K: Borrow<Q> + From<Q::Owned>,
    {
        if !self.limited {
            return None;
        }
        let now = Instant::now();
        let used_ms = (now - self.since).as_millis() as u64;
        let mut known = self.known.lock().expect("no holder of this lock panics");
        if let Some(party) = known.parties.get(key) {
            party.used_ms.store(used_ms, Ordering::Relaxed);
            return Some(party.clone());
        }
        if known.parties.len() >= SWEEP_FROM && now - known.swept >= SWEEP_EVERY {
            known.swept = now;
            let before_ms = used_ms.saturating_sub(self.lifetime.as_millis() as u64);
            known
                .parties
                .retain(|_, party| Arc::strong_count(party) > 1 || party.used_ms.load(Ordering::Relaxed) >= before_ms);
        }
        if known.parties.len() >= PARTIES_MAX {
            return Some(self.shared.clone());
        }
        let party = Arc::new(Party::new(self.who));
        party.used_ms.store(used_ms, Ordering::Relaxed);
        known.parties.insert(K::from(key.to_owned()), party.clone());
        Some(party)
    }

    pub(super) fn count(&self) -> usize {
        self.known.lock().expect("no holder of this lock panics").parties.len()
    }
}
