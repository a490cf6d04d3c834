//! Who watches now, for the admin listing and the gauges.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tidegate_core::{Millis, Principal, Problem, Shelves};
use tidegate_gate::Place;

use crate::channel::Channel;
use crate::watch::{Renewal, View};

/// One live watch. There are as many as watchers, so it shares what it can.
#[derive(Clone, Debug)]
pub struct WatchEntry {
    /// Random; as in the `begin` frame.
    pub id: WatchId,
    /// What is watched, as its caller may see it.
    pub view: View,
    /// Its channel.
    pub channel: Arc<Channel>,
    /// Whose it is.
    pub principal: Principal,
    /// `sse`, `ndjson` or `websocket`.
    pub transport: &'static str,
    /// The client's network address.
    pub peer: Option<std::net::SocketAddr>,
    /// When it began.
    pub since: Millis,
}

/// Who keeps watches, and is told when something is to happen to one of them.
pub trait Keeper: Send + Sync {
    /// Tells it. One that is over hears nothing. Called with the list at hand, so it must be quick and must not come back
    /// to the list.
    fn tell(&self, place: WatchPlace, order: Order);
}

/// Where its keeper finds a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchPlace {
    /// Its connection.
    pub connection: u64,
    /// Its name there.
    pub name: u32,
}

/// What is to happen to a watch.
#[derive(Debug)]
pub enum Order {
    /// It ends, for this reason.
    End(Problem),
    /// It goes on by another credential.
    Renew(Box<Renewal>),
    /// It is judged anew: something has changed that it was allowed by.
    Judge,
}

/// By what a watch is reached from outside.
#[derive(Clone)]
pub struct WatchHandle {
    keeper: Arc<dyn Keeper>,
    place: WatchPlace,
}

impl WatchHandle {
    /// Of a watch with its keeper.
    pub fn new(keeper: Arc<dyn Keeper>, place: WatchPlace) -> WatchHandle {
        WatchHandle { keeper, place }
    }

    /// Whether this keeper has it on this connection.
    pub fn is_on(&self, keeper: &Arc<impl Keeper>, connection: u64) -> bool {
        self.place.connection == connection && std::ptr::addr_eq(Arc::as_ptr(&self.keeper), Arc::as_ptr(keeper))
    }

    /// Tells its keeper.
    pub fn tell(&self, order: Order) {
        self.keeper.tell(self.place, order);
    }
}

/// Says why a caller may not watch any more.
type Refuses = Box<dyn Fn(&Principal) -> Result<(), Problem> + Send + Sync>;

/// So many are judged before others have the list.
const ORDERED_AT_ONCE: usize = 64;

/// Names a watch in listings: 48 random bits, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(u64);

impl WatchId {
    /// A fresh one.
    pub fn random() -> WatchId {
        WatchId(rand::random::<u64>() >> 16)
    }
}

impl std::str::FromStr for WatchId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<WatchId, Self::Err> {
        u64::from_str_radix(text, 16).map(WatchId)
    }
}

impl std::fmt::Display for WatchId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// All live watches.
#[derive(Clone, Default)]
pub struct Watches {
    shared: Arc<Mutex<Shared>>,
    refuses: Arc<OnceLock<Refuses>>,
}

#[derive(Default)]
struct Shared {
    live: Shelves<Live>,
    next: u64,
}

struct Live {
    /// In the order of coming.
    number: u64,
    /// It is over, and its connection is not.
    ended: bool,
    entry: WatchEntry,
    handle: WatchHandle,
    /// Given back when the watch is off the list.
    allowed: Option<Place>,
}

impl Live {
    fn is(&self, id: WatchId) -> bool {
        self.entry.id == id && !self.ended
    }
}

/// A watch as it was when it was looked for, and where it is.
pub struct FoundWatch {
    /// What it was on the list.
    pub entry: WatchEntry,
    /// By what it is reached.
    pub handle: WatchHandle,
    place: usize,
}

/// Takes its watch off the list when dropped.
pub struct WatchGuard {
    shared: Arc<Mutex<Shared>>,
    place: usize,
}

impl WatchGuard {
    /// The same view, shared with others who have it.
    pub fn share(&self, view: &View) {
        let mut shared = lock(&self.shared);
        let own = &mut shared.live[self.place].entry.view;
        if own == view {
            *own = view.clone();
        }
    }

    /// Changes what it is on the list, in one step with what is made of it.
    pub fn change<T>(&self, change: impl FnOnce(&mut WatchEntry) -> T) -> T {
        change(&mut lock(&self.shared).live[self.place].entry)
    }

    /// Its watch is over: nobody finds it any more by its id. It counts until its connection has ended, too.
    pub fn end(&self) {
        lock(&self.shared).live[self.place].ended = true;
    }

    /// Its place among those that somebody may have at once, for a watch that goes on in its place.
    pub fn take_place(&self) -> Option<Place> {
        lock(&self.shared).live[self.place].allowed.take()
    }

    /// Its watch, as it is on the list.
    pub fn entry(&self) -> WatchEntry {
        lock(&self.shared).live[self.place].entry.clone()
    }
}

impl Watches {
    /// From now on each watch that comes is asked about, after it is on the list: whoever changes what is refused, and
    /// then goes through the list, misses none.
    pub fn refuse_by(&self, refuses: impl Fn(&Principal) -> Result<(), Problem> + Send + Sync + 'static) {
        // The first one stays.
        let _ = self.refuses.set(Box::new(refuses));
    }

    /// Puts a watch on the list, which has its place among those that somebody may have at once until it is off again.
    pub fn enter(&self, entry: WatchEntry, allowed: Option<Place>, handle: WatchHandle) -> WatchGuard {
        let principal = entry.principal.clone();
        let guard = {
            let mut shared = lock(&self.shared);
            shared.next += 1;
            let number = shared.next;
            let place = shared.live.insert(Live { number, ended: false, entry, handle: handle.clone(), allowed });
            WatchGuard { shared: self.shared.clone(), place }
        };
        if let Some(problem) = self.refused(&principal) {
            handle.tell(Order::End(problem));
        }
        guard
    }

    /// A watch by its id. It looks at all of them, which takes a millisecond for a hundred thousand.
    pub fn find(&self, id: WatchId) -> Option<FoundWatch> {
        let shared = lock(&self.shared);
        let at = |place: usize| Some((place, shared.live.get(place).filter(|live| live.is(id))?));
        let (place, live) = (0..shared.live.end()).find_map(at)?;
        Some(FoundWatch { entry: live.entry.clone(), handle: live.handle.clone(), place })
    }

    /// Changes the entry of a watch that was found and tells its keeper what that comes to: whoever changes it at the same
    /// time does so before or after, there and here. `None`: it is over by now.
    ///
    /// # Errors
    /// Those of `change`; then nothing was told.
    pub fn order(
        &self,
        found: &FoundWatch,
        change: impl FnOnce(&mut WatchEntry) -> Result<Order, Problem>,
    ) -> Option<Result<(), Problem>> {
        let mut shared = lock(&self.shared);
        // Its place may be another watch's by now.
        let live = shared.live.get_mut(found.place).filter(|live| live.is(found.entry.id))?;
        Some(change(&mut live.entry).map(|order| self.tell(live, order)))
    }

    /// Those that are looked for.
    pub fn list_where(&self, wanted: impl Fn(&WatchEntry, &WatchHandle) -> bool) -> Vec<WatchEntry> {
        let shared = lock(&self.shared);
        shared.live.iter().filter(|live| wanted(&live.entry, &live.handle)).map(|live| live.entry.clone()).collect()
    }

    /// What callers of watches have of something, each once.
    pub fn principals<T: Eq + Hash>(&self, what: impl Fn(&Principal) -> Option<T>) -> HashSet<T> {
        lock(&self.shared).live.iter().filter_map(|live| what(&live.entry.principal)).collect()
    }

    /// Changes those that are looked for, and tells their keepers.
    pub fn order_all(&self, wanted: impl Fn(&WatchHandle) -> bool, mut change: impl FnMut(&mut WatchEntry) -> Order) {
        for live in lock(&self.shared).live.iter_mut().filter(|live| wanted(&live.handle)) {
            let order = change(&mut live.entry);
            self.tell(live, order);
        }
    }

    /// Changes those that are looked for, and tells their keepers, some at a time, so that others have the list in between.
    /// Whoever comes meanwhile may be missed.
    pub fn order_each(&self, wanted: impl Fn(&WatchEntry) -> bool, mut change: impl FnMut(&mut WatchEntry) -> Order) {
        let mut from = 0;
        loop {
            let mut shared = lock(&self.shared);
            let upto = shared.live.end().min(from + ORDERED_AT_ONCE);
            if from >= upto {
                return;
            }
            for place in from..upto {
                if let Some(live) = shared.live.get_mut(place).filter(|live| !live.ended && wanted(&live.entry)) {
                    let order = change(&mut live.entry);
                    self.tell(live, order);
                }
            }
            from = upto;
        }
    }

    /// Also a caller in place of another may be refused since it was asked about.
    fn tell(&self, live: &Live, order: Order) {
        live.handle.tell(self.refused(&live.entry.principal).map_or(order, Order::End));
    }

    fn refused(&self, principal: &Principal) -> Option<Problem> {
        self.refuses.get()?(principal).err()
    }

    /// Ends all watches whose caller is refused now. Returns how many.
    pub fn end_refused(&self) -> usize {
        let mut ended = 0;
        for live in lock(&self.shared).live.iter() {
            if let Some(problem) = self.refused(&live.entry.principal) {
                live.handle.tell(Order::End(problem));
                ended += 1;
            }
        }
        ended
    }

    /// How many.
    pub fn count(&self) -> usize {
        lock(&self.shared).live.len()
    }

    /// At most `limit` of them, oldest first.
    pub fn list(&self, limit: usize) -> Vec<WatchEntry> {
        let shared = lock(&self.shared);
        let mut live: Vec<&Live> = shared.live.iter().collect();
        live.sort_unstable_by_key(|live| live.number);
        live.into_iter().take(limit).map(|live| live.entry.clone()).collect()
    }

    /// How many on each transport.
    pub fn by_transport(&self) -> HashMap<&'static str, usize> {
        let mut counts = HashMap::new();
        for live in lock(&self.shared).live.iter() {
            *counts.entry(live.entry.transport).or_default() += 1;
        }
        counts
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("no holder of this lock panics")
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let gone = lock(&self.shared).live.remove(self.place);
        // Not with the list at hand: its place is given back under another lock.
        drop(gone);
    }
}

#[cfg(test)]
mod tests;
