//! Tokens whose issuer is asked about them: it is asked again for as long as somebody goes on by one.
//!
//! Nobody shows the token of a watch a second time, and an issuer does not tell when it takes a token back. So the text of
//! such a token is held while a watch goes on by it, and nowhere else.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_core::principal::Asked;

use crate::digest::Digest;
use crate::secret::Secret;

/// More are not asked about again; who comes then ends with the cache time of its last answer, as far as requests go.
const HELD_MAX: usize = 100_000;
/// Those that are not active any more are remembered for so long, in seconds: their watches end at once.
const GONE_SECONDS: u64 = 3_600;

/// See the module.
#[derive(Default)]
pub(crate) struct AskedAbout {
    held: Mutex<HashMap<Digest, Held>>,
    /// Until when each is remembered.
    gone: Mutex<HashMap<Digest, u64>>,
}

struct Held {
    token: Secret,
    /// Its place in the list of issuers.
    issuer: usize,
    every: u64,
    /// When its issuer was asked last.
    at: u64,
}

/// A token that is to be asked about now.
pub(crate) struct Due {
    pub(crate) token: Secret,
    pub(crate) digest: Digest,
    pub(crate) issuer: usize,
}

impl AskedAbout {
    /// Its issuer has just said that it is active.
    pub(crate) fn remember(&self, (token, digest): (&Secret, Digest), issuer: usize, every: u64, now: u64) -> Asked {
        let mut held = lock(&self.held);
        if held.len() < HELD_MAX || held.contains_key(&digest) {
            held.insert(digest, Held { token: token.clone(), issuer, every, at: now });
        }
        Asked { digest: digest.to_bytes(), every_seconds: every }
    }

    /// Those of `live` that are due within `soon` seconds; others are forgotten when their answer is too old to be used.
    pub(crate) fn due(&self, live: &HashSet<[u8; 32]>, soon: u64, now: u64) -> Vec<Due> {
        let mut held = lock(&self.held);
        held.retain(|digest, own| live.contains(&digest.to_bytes()) || now < own.at.saturating_add(own.every));
        let due = held.iter_mut().filter(|(digest, own)| {
            now.saturating_add(soon) >= own.at.saturating_add(own.every) && live.contains(&digest.to_bytes())
        });
        let due = due.map(|(digest, own)| {
            own.at = now;
            Due { token: own.token.clone(), digest: *digest, issuer: own.issuer }
        });
        due.collect()
    }

    /// Its issuer says that it is not active any more.
    pub(crate) fn lose(&self, digest: Digest, now: u64) {
        lock(&self.held).remove(&digest);
        let mut gone = lock(&self.gone);
        gone.retain(|_, until| now < *until);
        gone.insert(digest, now.saturating_add(GONE_SECONDS));
    }

    pub(crate) fn is_gone(&self, asked: &Asked) -> bool {
        lock(&self.gone).contains_key(&Digest::from_bytes(asked.digest))
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
