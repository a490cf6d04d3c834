//! Which part of a channel a watch is about: its scope (address or pattern, key) and its kind.

use crate::address::{Address, Target};

/// The part of a channel that a watch is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Scope {
    /// One address or a pattern.
    pub target: Target,
    /// One key of it, on keyed channels.
    pub key: Option<Box<str>>,
}

/// State follows the last value per key, history every record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Snapshot, then changes; only keyed channels have it.
    State,
    /// Records as they were appended.
    History,
}

impl Scope {
    /// The whole of one address.
    pub fn address(address: Address) -> Scope {
        Scope { target: Target::Address(address), key: None }
    }

    /// Whether a record with this canonical address and key belongs to the scope.
    pub fn matches(&self, address: &str, key: Option<&str>) -> bool {
        self.target.matches(address) && self.key.as_deref().is_none_or(|own| Some(own) == key)
    }

    /// The one address, where the target is no pattern.
    pub fn single_address(&self) -> Option<&Address> {
        match &self.target {
            Target::Address(address) => Some(address),
            Target::Pattern(_) => None,
        }
    }
}
