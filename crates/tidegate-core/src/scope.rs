//! What a watch sees of a channel: its scope (address or pattern, key) and its kind.

use crate::address::{Address, Target};
use crate::cursor::Fingerprint;

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

/// All that makes the frames of two watches the same: watches of one view share bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// Which records.
    pub scope: Scope,
    /// State or history.
    pub kind: Kind,
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

impl View {
    /// Changed when the meaning of a view changes between releases, so that old cursors reset.
    const VERSION: u8 = 1;

    /// A stable hash of the view, the same on every machine and in every later release.
    pub fn fingerprint(&self) -> Fingerprint {
        let kind = match self.kind {
            Kind::State => b's',
            Kind::History => b'h',
        };
        let key = self.scope.key.as_deref();
        Fingerprint::of(&[
            &[Self::VERSION, kind],
            self.scope.target.as_str().as_bytes(),
            &[u8::from(key.is_some())],
            key.unwrap_or_default().as_bytes(),
        ])
    }
}
