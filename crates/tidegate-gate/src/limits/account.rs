//! What one caller may still do: the parties that it is, each with its buckets.

use std::any::Any;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tidegate_core::{ErrorCode, Principal, Problem};

use super::parties::Party;
use super::told::Told;
use super::{Limit, Shared, Who};

/// Nobody knows when a watch of somebody ends; who waits for one asks again after this.
const PLACE_RETRY_MS: u64 = 5_000;

/// Of one request, or of one connection that stays. Cheap to clone; empty where nothing is limited.
#[derive(Clone, Default)]
pub struct Account {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    shared: Arc<Shared>,
    parties: Box<[Arc<Party>]>,
    /// One for each limit that was looked at.
    told: Arc<Mutex<Vec<Told>>>,
}

/// A watch among those that its parties may have at once; dropped with it.
pub type Place = Arc<dyn Any + Send + Sync>;

/// A watch of these parties: there may be one of each kind.
#[derive(Default)]
struct Taken([Option<Arc<Party>>; Who::ALL.len()]);

impl Drop for Taken {
    fn drop(&mut self) {
        for party in self.0.iter().flatten() {
            party.watches.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Account {
    pub(super) fn new(shared: Arc<Shared>, address: Option<Arc<Party>>) -> Account {
        let parties = address.into_iter().collect();
        Account { inner: Some(Arc::new(Inner { shared, parties, told: Arc::default() })) }
    }

    /// The same caller, now that it is known who it is.
    #[must_use]
    pub fn with(&self, principal: &Principal) -> Account {
        let Some(inner) = self.inner.as_ref().filter(|_| !principal.is_anonymous()) else { return self.clone() };
        let parties = inner.parties.iter().cloned().chain(inner.shared.of(principal)).collect();
        let (shared, told) = (inner.shared.clone(), inner.told.clone());
        Account { inner: Some(Arc::new(Inner { shared, parties, told })) }
    }

    /// Takes so much of a limit.
    ///
    /// # Errors
    /// `rate-limited`, which says of whom which limit is used up, and when to come back.
    pub fn take(&self, limit: Limit, amount: u64) -> Result<(), Problem> {
        self.take_of(limit, amount, |_| true)
    }

    /// The same of all that it is beside its address.
    ///
    /// # Errors
    /// As [`take`](Account::take).
    pub fn take_known(&self, limit: Limit, amount: u64) -> Result<(), Problem> {
        self.take_of(limit, amount, |who| who != Who::Address)
    }

    fn take_of(&self, limit: Limit, amount: u64, of: impl Fn(Who) -> bool) -> Result<(), Problem> {
        let Some(inner) = &self.inner else { return Ok(()) };
        for party in inner.parties.iter().filter(|party| of(party.who)) {
            let Some(bucket) = inner.shared.bucket(party.who, limit) else { continue };
            let taken = bucket.take(party, amount);
            let (Ok(state) | Err(state)) = taken;
            inner.tell(Told::of(party.who, limit, bucket.rate(), state));
            if taken.is_err() {
                inner.shared.count(party.who, limit);
                let detail = format!("more {} than {} of this {}", limit.words(), bucket.rate(), party.who.words());
                return Err(refusal(detail, state.again.as_nanos().div_ceil(1_000_000) as u64));
            }
        }
        Ok(())
    }

    /// Takes so much of a limit that refuses nobody. Returns which part of it is left, of the party that has least; `None`
    /// where there is no such limit.
    pub fn spend(&self, limit: Limit, amount: u64) -> Option<f64> {
        let inner = self.inner.as_ref()?;
        let left = inner.parties.iter().filter_map(|party| {
            let bucket = inner.shared.bucket(party.who, limit)?;
            let taken = bucket.take(party, amount);
            if taken.is_err() {
                inner.shared.count(party.who, limit);
            }
            let (Ok(state) | Err(state)) = taken;
            Some(state.left as f64 / bucket.rate().burst.max(1) as f64)
        });
        left.min_by(f64::total_cmp)
    }

    /// Takes a place among the watches at once; `None` where they are not limited.
    ///
    /// # Errors
    /// `rate-limited`.
    pub fn place(&self) -> Result<Option<Place>, Problem> {
        let Some(inner) = &self.inner else { return Ok(None) };
        let mut taken = Taken::default();
        for party in inner.parties.iter() {
            let Some(max) = inner.shared.config.of(party.who).watches_max else { continue };
            let watches = &party.watches;
            let before =
                watches.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < max).then_some(now + 1));
            inner.tell(Told::places(party.who, max, before.map_or(0, |before| max - before - 1)));
            if before.is_err() {
                inner.shared.count(party.who, Limit::WatchesMax);
                drop(taken);
                let detail = format!("this {} has {max} watches at once already", party.who.words());
                return Err(refusal(detail, PLACE_RETRY_MS).hint("end some watches, or come back after the time given"));
            }
            taken.0[party.who as usize] = Some(party.clone());
        }
        Ok(taken.0.iter().any(Option::is_some).then(|| Arc::new(taken) as Place))
    }

    /// What was looked at so far.
    pub fn told(&self) -> Vec<Told> {
        self.inner
            .as_ref()
            .map(|inner| inner.told.lock().expect("no holder of this lock panics").clone())
            .unwrap_or_default()
    }
}

impl Inner {
    /// Remembers it for the answer.
    fn tell(&self, told: Told) {
        let mut all = self.told.lock().expect("no holder of this lock panics");
        match all.iter_mut().find(|before| (before.who, before.limit) == (told.who, told.limit)) {
            Some(before) => *before = told,
            None => all.push(told),
        }
    }
}

fn refusal(detail: String, retry_ms: u64) -> Problem {
    let problem = Problem::new(ErrorCode::RateLimited, detail);
    Problem { retry_ms: Some(retry_ms.max(1)), ..problem }
}
