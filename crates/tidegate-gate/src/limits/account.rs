//! What one caller may still do: the parties that it is, each with its buckets.

use std::sync::{Arc, Mutex};

use tidegate_core::{ErrorCode, Principal, Problem};

use super::party::{Parties, Party};
use super::places::Place;
use super::told::{Fields, Told};
use super::{Limit, Shared, Who};

/// Nobody knows when a watch of somebody ends; who waits for one asks again after this.
const PLACE_RETRY_MS: u64 = 5_000;

/// Of one request, or of one connection that stays. Cheap to clone; empty where nothing is limited.
#[derive(Clone, Default)]
pub struct Account {
    shared: Option<Arc<Shared>>,
    parties: Parties,
    /// One for each limit that was looked at, while there is an answer to say it in.
    told: Option<Arc<Mutex<Vec<Told>>>>,
}

impl Account {
    pub(super) fn new(shared: Arc<Shared>, address: Option<Party>) -> Account {
        let mut parties = Parties::default();
        parties[Who::Address as usize] = address;
        Account { shared: Some(shared), parties, told: Some(Arc::default()) }
    }

    /// The same caller, now that it is known who it is.
    #[must_use]
    pub fn with(&self, principal: &Principal) -> Account {
        let mut account = self.clone();
        if let Some(shared) = &self.shared {
            account.parties[Who::Subject as usize] = shared.names.subject(principal);
            account.parties[Who::ApiKey as usize] = shared.names.api_key(principal);
        }
        account
    }

    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.as_ref()
    }

    /// The same caller after its answer: nothing is noted any more that an answer would say.
    #[must_use]
    pub fn answered(self) -> Account {
        Account { told: None, ..self }
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
        let Some(shared) = &self.shared else { return Ok(()) };
        for (who, party) in self.parties().filter(|(who, _)| of(*who)) {
            let Some(bucket) = shared.bucket(who, limit) else { continue };
            let taken = bucket.take(party, amount);
            let (Ok(state) | Err(state)) = taken;
            self.tell(Told { who, limit, left: state.left, again: Some(state.again) });
            if taken.is_err() {
                shared.count(who, limit);
                let detail = format!("more {} than {} of this {}", limit.words(), bucket.rate(), who.words());
                return Err(refusal(detail, state.again.as_nanos().div_ceil(1_000_000) as u64));
            }
        }
        Ok(())
    }

    /// Takes so much of a limit that refuses nobody. Returns which part of it is left, of the party that has least; `None`
    /// where there is no such limit.
    pub fn spend(&self, limit: Limit, amount: u64) -> Option<f64> {
        let shared = self.shared.as_ref()?;
        let left = self.parties().filter_map(|(who, party)| {
            let bucket = shared.bucket(who, limit)?;
            let taken = bucket.take(party, amount);
            if taken.is_err() {
                shared.count(who, limit);
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
        let Some(shared) = &self.shared else { return Ok(None) };
        let mut place = Place::new(shared.places.clone());
        for (who, party) in self.parties() {
            let Some(max) = shared.places.max(who) else { continue };
            let left = place.take(who, party);
            self.tell(Told { who, limit: Limit::WatchesMax, left: left.unwrap_or(0).into(), again: None });
            if left.is_none() {
                shared.count(who, Limit::WatchesMax);
                let detail = format!("this {} has {max} watches at once already", who.words());
                return Err(refusal(detail, PLACE_RETRY_MS).hint("end some watches, or come back after the time given"));
            }
        }
        Ok(place.is_taken().then_some(place))
    }

    /// What an answer says of the limits that were looked at so far; `None`: there were none.
    pub fn fields(&self) -> Option<Fields> {
        let (shared, told) = (self.shared.as_ref()?, self.told.as_ref()?);
        let told = told.lock().expect("no holder of this lock panics");
        Fields::of(&told, |told| shared.term(told.who, told.limit))
    }

    fn parties(&self) -> impl Iterator<Item = (Who, Party)> {
        Who::ALL.into_iter().zip(self.parties).filter_map(|(who, party)| Some((who, party?)))
    }

    /// Remembers it for the answer.
    fn tell(&self, told: Told) {
        let Some(all) = &self.told else { return };
        let mut all = all.lock().expect("no holder of this lock panics");
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
