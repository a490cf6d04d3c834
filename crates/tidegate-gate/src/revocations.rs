//! What was good, and is not any more: subjects, single tokens and API keys that an operator has revoked.
//!
//! As with [API keys](crate::ApiKeys), entries are given and taken as bytes: whoever has a store puts what
//! [`create`](Revocations::create) returns into it, and then gives it to [`load`](Revocations::load), from which moment on
//! it holds.

mod entry;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tidegate_core::Principal;
use tokio::sync::watch;

use crate::error::{Reason, Refusal};
pub use entry::{NewRevocation, Revocation, Revoked};

/// More are not taken; those whose time is over make room.
pub const REVOCATIONS_MAX: usize = 100_000;

/// All revocations. Shared by those who change them and those who ask.
pub struct Revocations {
    held: RwLock<Held>,
    /// How many there are, for those who ask when there are none, which is nearly always.
    count: AtomicUsize,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Held {
    by_id: HashMap<Box<str>, Arc<Revocation>>,
    /// By what they name; of one text there may be some of several issuers.
    by_name: HashMap<Revoked, HashMap<Box<str>, Vec<Arc<Revocation>>>>,
}

/// Why nothing was revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// A text is empty, or too long.
    #[error("{0}")]
    Wrong(&'static str),
    /// There are [`REVOCATIONS_MAX`].
    #[error("there are {REVOCATIONS_MAX} revocations already; take some back")]
    Full,
    /// Bytes that are no entry of ours.
    #[error("no entry of a revocation: {0}")]
    Entry(String),
}

impl Default for Revocations {
    fn default() -> Revocations {
        Revocations { held: RwLock::default(), count: AtomicUsize::new(0), changed: watch::Sender::new(()) }
    }
}

impl Revocations {
    /// None.
    pub fn new() -> Revocations {
        Revocations::default()
    }

    /// What is to be stored of a revocation, under its id. It does not hold before [`load`](Revocations::load) has been
    /// given it. The same revoked again has the same id.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn create(&self, new: NewRevocation, now: u64) -> Result<(Arc<Revocation>, Bytes), RevocationError> {
        let revocation = Revocation::new(new, now)?;
        self.purge(now);
        let held = self.read();
        if held.by_id.len() >= REVOCATIONS_MAX && !held.by_id.contains_key(&revocation.id) {
            return Err(RevocationError::Full);
        }
        let bytes = serde_json::to_vec(&revocation).map_err(|error| RevocationError::Entry(error.to_string()))?;
        Ok((Arc::new(revocation), bytes.into()))
    }

    /// Takes an entry as it was stored, in place of the one of the same id.
    ///
    /// # Errors
    /// It is none.
    pub fn load(&self, entry: &[u8]) -> Result<(), RevocationError> {
        let revocation: Revocation =
            serde_json::from_slice(entry).map_err(|error| RevocationError::Entry(error.to_string()))?;
        let revocation = Arc::new(revocation);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.remove(&revocation.id);
        if held.by_id.len() >= REVOCATIONS_MAX {
            return Err(RevocationError::Full);
        }
        held.by_id.insert(revocation.id.clone(), revocation.clone());
        let of_kind = held.by_name.entry(revocation.what).or_default();
        of_kind.entry(revocation.name.clone()).or_default().push(revocation);
        self.count.store(held.by_id.len(), Ordering::Release);
        drop(held);
        self.changed.send_replace(());
        Ok(())
    }

    /// Takes a revocation back. Returns whether it was there.
    pub fn remove(&self, id: &str) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let was_there = held.remove(id);
        self.count.store(held.by_id.len(), Ordering::Release);
        was_there
    }

    /// Forgets those whose time is over. Returns their ids, for whoever has stored them.
    pub fn purge(&self, now: u64) -> Vec<Box<str>> {
        let over: Vec<Box<str>> =
            self.read().by_id.values().filter(|own| own.is_over(now)).map(|own| own.id.clone()).collect();
        over.iter().for_each(|id| {
            self.remove(id);
        });
        over
    }

    /// All that hold, the oldest first.
    pub fn list(&self, now: u64) -> Vec<Arc<Revocation>> {
        let held = self.read();
        let mut list: Vec<_> = held.by_id.values().filter(|own| !own.is_over(now)).cloned().collect();
        list.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
        list
    }

    /// Refuses a caller whose credential, or all of whose credentials, were revoked.
    ///
    /// # Errors
    /// [`Reason::Revoked`].
    pub fn check(&self, principal: &Principal, now: u64) -> Result<(), Refusal> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let held = self.read();
        let found = Revoked::ALL.into_iter().find_map(|what| {
            let name = what.name_of(principal)?;
            let mut named = held.by_name.get(&what)?.get(name)?.iter();
            named.find(|own| !own.is_over(now) && own.is_of(principal))
        });
        match found {
            None => Ok(()),
            Some(own) => Err(Refusal::new(Reason::Revoked, format!("what was revoked as {} ({})", own.id, own.what))),
        }
    }

    /// Has all who listen ask again.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    /// Tells of each revocation from now on.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn remove(&mut self, id: &str) -> bool {
        let Some(revocation) = self.by_id.remove(id) else { return false };
        if let Some(of_kind) = self.by_name.get_mut(&revocation.what)
            && let Some(named) = of_kind.get_mut(&revocation.name)
        {
            named.retain(|own| own.id != revocation.id);
            if named.is_empty() {
                of_kind.remove(&revocation.name);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
