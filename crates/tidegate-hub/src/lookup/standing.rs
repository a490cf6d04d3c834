//! What a decision has looked up, and whether it is still so.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::keys::Keys;
use super::pattern::Pattern;
use super::register::{Call, Register};
use crate::policy::Policies;

/// One lookup: what was asked, and the keys as they were.
pub(crate) struct Found {
    register: Arc<Register>,
    pattern: Pattern,
    keys: Arc<Keys>,
    /// It was so at this number of changes.
    seen: AtomicU64,
}

/// What is asked while something is decided.
#[derive(Default)]
pub(crate) struct Asked {
    found: RefCell<Vec<Arc<Found>>>,
}

/// All that a decision rests on. Cheap to clone.
#[derive(Clone, Default)]
pub struct Standing {
    /// What it was decided by; `None`: by nobody.
    policies: Option<Arc<Policies>>,
    /// Nothing where nothing was looked up.
    found: Option<Arc<[Arc<Found>]>>,
}

/// Calls whenever what a decision rests on has changed, until it is dropped.
#[derive(Default)]
pub struct Listening {
    to: Vec<(Arc<Found>, u64)>,
}

impl Found {
    pub(crate) fn new(register: &Arc<Register>, pattern: Pattern) -> Option<Found> {
        if register.parts() != pattern.parts || register.overfull() || register.loading() {
            return None;
        }
        let (keys, changes) = register.keys(&pattern);
        Some(Found { register: register.clone(), pattern, keys, seen: AtomicU64::new(changes) })
    }

    /// The channel.
    pub(crate) fn table(&self) -> &str {
        self.register.name()
    }

    /// Whether a key was there; `None` if it was not asked about.
    pub(crate) fn has(&self, key: &Pattern) -> Option<bool> {
        (key.only(self.pattern.known)? == self.pattern).then(|| self.keys.has(&key.text))
    }

    pub(crate) fn digest(&self) -> &str {
        self.keys.digest()
    }

    /// Whether the same keys are there now.
    pub(crate) fn holds(&self) -> bool {
        if self.register.changes() == self.seen.load(Ordering::Relaxed) {
            return true;
        }
        let (keys, changes) = self.register.keys(&self.pattern);
        let same = !self.register.overfull() && (Arc::ptr_eq(&keys, &self.keys) || keys == self.keys);
        if same {
            self.seen.store(changes, Ordering::Relaxed);
        }
        same
    }

    fn is_of(&self, register: &Arc<Register>, pattern: &Pattern) -> bool {
        Arc::ptr_eq(&self.register, register) && self.pattern == *pattern
    }
}

impl PartialEq for Found {
    fn eq(&self, other: &Found) -> bool {
        self.is_of(&other.register, &other.pattern) && self.keys == other.keys
    }
}

impl Eq for Found {}

impl Hash for Found {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
        self.digest().hash(state);
    }
}

impl Asked {
    /// Whether the one key of a pattern is there.
    pub(super) fn ask(&self, register: &Arc<Register>, pattern: Pattern) -> Option<bool> {
        let found = self.group(register, pattern)?;
        Some(!found.keys.is_empty())
    }

    /// The keys of a pattern; the same that were told before within one decision.
    pub(crate) fn group(&self, register: &Arc<Register>, pattern: Pattern) -> Option<Arc<Found>> {
        if let Some(found) = self.found.borrow().iter().find(|found| found.is_of(register, &pattern)) {
            return Some(found.clone());
        }
        let found = Arc::new(Found::new(register, pattern)?);
        self.found.borrow_mut().push(found.clone());
        Some(found)
    }

    /// All that was asked elsewhere too.
    pub(crate) fn extend(&mut self, other: Asked) {
        self.found.get_mut().extend(other.found.into_inner());
    }

    pub(crate) fn standing(self, policies: &Arc<Policies>) -> Standing {
        let found = self.found.into_inner();
        Standing { policies: Some(policies.clone()), found: (!found.is_empty()).then(|| found.into()) }
    }
}

impl Standing {
    /// Whether nothing was looked up, so that it holds for as long as its policies.
    pub fn is_settled(&self) -> bool {
        self.found.is_none()
    }

    /// Whether all of it is still so. Asked after something was read, it has missed nothing that was written before.
    pub fn holds(&self) -> bool {
        self.policies.as_ref().is_none_or(|policies| !policies.are_over()) && self.iter().all(|found| found.holds())
    }

    /// The same for a watch that comes onto the list: who has other policies put in force may have been through it, and
    /// nobody else tells it of them.
    pub fn holds_from_now(&self) -> bool {
        self.policies.as_ref().is_none_or(|policies| !policies.are_superseded()) && self.holds()
    }

    /// Returns when the policies that it was decided by are over.
    pub async fn over(&self) {
        match &self.policies {
            Some(policies) => policies.over().await,
            None => std::future::pending().await,
        }
    }

    /// Calls whenever it may not be so any more. It is to be asked afterwards: what has changed before is not told.
    pub fn listen(&self, call: impl Fn() + Send + Sync + 'static) -> Listening {
        let call: Call = Arc::new(call);
        let to = self.iter().map(|found| (found.clone(), found.register.listen(&found.pattern, call.clone())));
        Listening { to: to.collect() }
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Found>> {
        self.found.iter().flat_map(|found| found.iter())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        for (found, number) in self.to.drain(..) {
            found.register.forget(&found.pattern, number);
        }
    }
}

impl fmt::Debug for Standing {
    /// Without what was asked: it holds what claims say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_settled() { "Standing(settled)" } else { "Standing" })
    }
}
