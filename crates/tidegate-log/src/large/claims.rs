//! What open large batches own: until they end nobody else writes to it.
//!
//! Kept under the journal's lock and taken in the order of the journal: what was submitted before a claim stands before it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_core::ChannelId;

use crate::batch::{AppendError, Batch, Idempotency};
use crate::ledger::key_bytes;

/// Large batches that may be open at once: each has a cache, an index and files of its own.
const OPEN_MAX: u64 = 4;

/// What a large batch asks for; it gets all or nothing.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(crate) owner: u64,
    pub(crate) channels: Vec<ChannelId>,
    /// Checkpoints that the commit sets: an older one that came into the journal meanwhile would come back at the next open.
    pub(crate) checkpoints: Vec<String>,
    /// Of the commit.
    pub(crate) idempotency: Option<Idempotency>,
}

/// What is owned, and by which batch.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    channels: HashMap<ChannelId, u64>,
    checkpoints: HashMap<String, u64>,
    keys: HashMap<Vec<u8>, u64>,
}

/// How many large batches are open.
#[derive(Debug, Default)]
pub(crate) struct Places {
    taken: AtomicU64,
    began: AtomicU64,
}

impl Claims {
    pub(crate) fn take(&mut self, claim: &Claim) -> Result<(), AppendError> {
        let owner = claim.owner;
        let key = claim.idempotency.as_ref().map(key_bytes);
        let free = |owned: Option<&u64>| owned.is_none_or(|other| *other == owner);
        let all = claim.channels.iter().all(|id| free(self.channels.get(id)))
            && claim.checkpoints.iter().all(|name| free(self.checkpoints.get(name)))
            && key.iter().all(|key| free(self.keys.get(key)));
        if !all {
            return Err(AppendError::Busy);
        }
        self.channels.extend(claim.channels.iter().map(|id| (*id, owner)));
        self.checkpoints.extend(claim.checkpoints.iter().map(|name| (name.clone(), owner)));
        self.keys.extend(key.map(|key| (key, owner)));
        Ok(())
    }

    /// Whether a batch touches nothing that is owned.
    pub(crate) fn allow(&self, batch: &Batch) -> bool {
        let free = self.channels.is_empty() || !batch.entries.iter().any(|e| self.channels.contains_key(&e.channel));
        let named = batch.checkpoints.iter().any(|(name, _)| self.checkpoints.contains_key(name));
        let keyed = !self.keys.is_empty()
            && batch.idempotency.as_ref().is_some_and(|key| self.keys.contains_key(&key_bytes(key)));
        free && !named && !keyed
    }

    /// Gives back what a commit took for itself.
    pub(crate) fn release_commit(&mut self, owner: u64) {
        self.checkpoints.retain(|_, other| *other != owner);
        self.keys.retain(|_, other| *other != owner);
    }

    /// Gives back everything.
    pub(crate) fn release(&mut self, owner: u64) {
        self.channels.retain(|_, other| *other != owner);
        self.release_commit(owner);
    }
}

impl Places {
    /// A number for one more, if there is a place.
    pub(crate) fn take(&self) -> Result<u64, AppendError> {
        let more = |taken| (taken < OPEN_MAX).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(self.began.fetch_add(1, Ordering::Relaxed) + 1),
            Err(_) => Err(AppendError::Busy),
        }
    }

    pub(crate) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
