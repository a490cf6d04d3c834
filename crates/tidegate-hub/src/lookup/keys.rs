//! Some keys of a channel, as they were at one moment.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

/// A set of keys that does not change while somebody holds it: who changes it makes another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    set: BTreeSet<Arc<str>>,
    digest: OnceLock<Box<str>>,
}

impl Keys {
    pub(crate) fn one(key: Arc<str>) -> Keys {
        Keys { set: BTreeSet::from([key]), digest: OnceLock::new() }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.set.contains(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    pub(crate) fn set(&mut self, key: &Arc<str>, there: bool) {
        self.digest = OnceLock::new();
        if there {
            self.set.insert(key.clone());
        } else {
            self.set.remove(key);
        }
    }

    /// The same for the same keys, on every machine and in every later release: it is in cursors.
    pub(crate) fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let mut hash = Sha256::new();
            for key in &self.set {
                hash.update((key.len() as u64).to_be_bytes());
                hash.update(key.as_bytes());
            }
            let bytes = hash.finalize();
            bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        })
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Keys) -> bool {
        self.set == other.set
    }
}

impl Eq for Keys {}
