//! Who is limited: a name, and nothing that would have to be kept for it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU64;

use tidegate_core::Principal;

use super::{LimitsConfig, Who};

/// The parties that somebody is, of each kind at most one: an account's, in the order of [`Who::ALL`].
pub(super) type Parties = [Option<Party>; Who::ALL.len()];

/// One address, subject or API key: 64 bits that are hashed of it with keys of this process.
///
/// They are enough. Two whose bits are the same share one account, which with the 100,000 that are remembered of a kind
/// happens to any two of them once in 4 billion times; and nobody can aim for another's, since nobody knows the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Party(NonZeroU64);

impl Party {
    /// All of a kind for whom there is no room.
    pub(super) const REST: Party = Party(NonZeroU64::MAX);

    pub(super) fn bits(self) -> u64 {
        self.0.get()
    }
}

/// Who is limited at all, and the keys of their names.
pub(super) struct Names {
    limited: [bool; Who::ALL.len()],
    keys: RandomState,
}

impl Names {
    pub(super) fn new(config: &LimitsConfig) -> Names {
        Names { limited: Who::ALL.map(|who| !config.of(who).is_none()), keys: RandomState::new() }
    }

    pub(super) fn address(&self, address: IpAddr) -> Option<Party> {
        self.limited[Who::Address as usize].then(|| self.party(network(address)))
    }

    /// As what its tokens, its certificates or its API keys say of it.
    pub(super) fn subject(&self, principal: &Principal) -> Option<Party> {
        let named = self.limited[Who::Subject as usize] && !principal.is_anonymous();
        named.then(|| self.party(principal.named()))
    }

    pub(super) fn api_key(&self, principal: &Principal) -> Option<Party> {
        let id = principal.api_key_id().filter(|_| self.limited[Who::ApiKey as usize])?;
        Some(self.party(id))
    }

    /// The first number is as good a name as the second.
    pub(super) fn party(&self, name: impl Hash) -> Party {
        Party(NonZeroU64::new(self.keys.hash_one(name)).unwrap_or(NonZeroU64::MIN))
    }
}

/// An address as it is limited: of IPv6 the /64, and an IPv4 address that is written as one of IPv6 as what it is.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => four.into(),
            None => Ipv6Addr::from(u128::from(six) >> 64 << 64).into(),
        },
    }
}
