//! How fast: token buckets and caps for network addresses, subjects and API keys.
//!
//! ```text
//!   request ─► Limits::of_address ─► Account ─► with(principal) ─► take(limit, amount), place()
//!                                      │                             │
//!                     its address, and later its subject             └─► told: what the answer's
//!                     and API key: a `Party` each                        RateLimit fields say
//! ```
//!
//! A party is a name of 64 bits, and nothing is kept of it but what each limit remembers: how full its bucket is, or
//! how many watches it has. A bucket is GCRA of the `governor` crate; one that is full again is forgotten, which is as if
//! its party had never come. Each rate is of at most [`PARTIES_MAX`]; watches at once are counted of all who have some. Where
//! nothing is configured, an account is empty and costs a branch.

mod account;
mod bucket;
mod party;
mod places;
mod rate;
mod table;
mod told;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use account::Account;
use bucket::Bucket;
use governor::clock::MonotonicClock;
use party::Names;
pub use party::network;
pub use places::Place;
use places::Places;
pub use rate::Rate;
pub use table::PARTIES_MAX;
pub use told::Fields;
use told::Term;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Connections, when they are accepted.
    Connects,
    /// Requests of HTTP, of every kind.
    Requests,
    /// Watches begun.
    Watches,
    /// Publishes; a batch is one.
    Publishes,
    /// Bytes of the bodies of publishes.
    PublishedBytes,
    /// Bytes sent to watches. Who has more is not refused but told less often.
    SentBytes,
    /// Watches at once.
    WatchesMax,
}

impl Limit {
    /// All of them, in the order of the reference; those that are buckets first.
    pub const ALL: [Limit; 7] = [
        Limit::Connects,
        Limit::Requests,
        Limit::Watches,
        Limit::Publishes,
        Limit::PublishedBytes,
        Limit::SentBytes,
        Limit::WatchesMax,
    ];

    /// How many of them are buckets.
    const BUCKETS: usize = Limit::WatchesMax as usize;

    /// As in metrics and in the fields of answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Connects => "connects",
            Limit::Requests => "requests",
            Limit::Watches => "watches",
            Limit::Publishes => "publishes",
            Limit::PublishedBytes => "published-bytes",
            Limit::SentBytes => "sent-bytes",
            Limit::WatchesMax => "watches-max",
        }
    }

    /// In sentences.
    fn words(self) -> &'static str {
        match self {
            Limit::Connects => "connections",
            Limit::Requests => "requests",
            Limit::Watches => "watches begun",
            Limit::Publishes => "publishes",
            Limit::PublishedBytes => "bytes published",
            Limit::SentBytes => "bytes sent",
            Limit::WatchesMax => "watches at once",
        }
    }

    fn counts_bytes(self) -> bool {
        matches!(self, Limit::PublishedBytes | Limit::SentBytes)
    }
}

/// Who is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// All who come from one network address; of IPv6 from one /64, which is what one customer has.
    Address,
    /// A caller that has said who it is, from everywhere.
    Subject,
    /// Who shows one API key.
    ApiKey,
}

impl Who {
    /// All of them.
    pub const ALL: [Who; 3] = [Who::Address, Who::Subject, Who::ApiKey];

    /// As in metrics and in the fields of answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Who::Address => "address",
            Who::Subject => "subject",
            Who::ApiKey => "api-key",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Who::Address => "network address",
            Who::Subject => "subject",
            Who::ApiKey => "API key",
        }
    }
}

/// The limits of each kind of party; without any, nothing is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Of a network address.
    pub address: PartyLimits,
    /// Of a subject.
    pub subject: PartyLimits,
    /// Of an API key.
    pub api_key: PartyLimits,
}

impl LimitsConfig {
    fn of(&self, who: Who) -> &PartyLimits {
        match who {
            Who::Address => &self.address,
            Who::Subject => &self.subject,
            Who::ApiKey => &self.api_key,
        }
    }
}

/// The limits of one party; what is `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartyLimits {
    /// See [`Limit::Connects`]; of addresses alone.
    pub connects: Option<Rate>,
    /// See [`Limit::Requests`].
    pub requests: Option<Rate>,
    /// See [`Limit::Watches`].
    pub watches: Option<Rate>,
    /// See [`Limit::Publishes`].
    pub publishes: Option<Rate>,
    /// See [`Limit::PublishedBytes`].
    pub published_bytes: Option<Rate>,
    /// See [`Limit::SentBytes`].
    pub sent_bytes: Option<Rate>,
    /// See [`Limit::WatchesMax`].
    pub watches_max: Option<u32>,
}

impl PartyLimits {
    fn rate(&self, limit: Limit) -> Option<Rate> {
        match limit {
            Limit::Connects => self.connects,
            Limit::Requests => self.requests,
            Limit::Watches => self.watches,
            Limit::Publishes => self.publishes,
            Limit::PublishedBytes => self.published_bytes,
            Limit::SentBytes => self.sent_bytes,
            Limit::WatchesMax => None,
        }
    }

    fn is_none(&self) -> bool {
        *self == PartyLimits::default()
    }
}

/// All parties and what is left to them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Limits {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    config: LimitsConfig,
    /// Of each kind of party, by its limits.
    buckets: [[Option<Bucket>; Limit::BUCKETS]; Who::ALL.len()],
    /// On its own, for watches that go on with it when other limits are in force.
    places: Arc<Places>,
    names: Names,
    refused: [[AtomicU64; Limit::ALL.len()]; Who::ALL.len()],
}

impl Limits {
    /// With everything left to everybody.
    pub fn new(config: LimitsConfig) -> Limits {
        if config == LimitsConfig::default() {
            return Limits::default();
        }
        let shared = Shared {
            config,
            buckets: Who::ALL.map(|who| buckets(who, config.of(who))),
            places: Arc::new(Places::new(&config)),
            names: Names::new(&config),
            refused: Default::default(),
        };
        Limits { shared: Some(Arc::new(shared)) }
    }

    /// The account of somebody of whom only the address is known.
    pub fn of_address(&self, address: IpAddr) -> Account {
        match &self.shared {
            None => Account::default(),
            Some(shared) => Account::new(shared.clone(), shared.names.address(address)),
        }
    }

    /// Whether an account is by these limits, and not by those before a change of the config.
    pub fn are_of(&self, account: &Account) -> bool {
        match (&self.shared, account.shared()) {
            (Some(own), Some(shared)) => Arc::ptr_eq(own, shared),
            (own, shared) => own.is_none() && shared.is_none(),
        }
    }

    /// Whether any kind of party has this limit.
    pub fn has(&self, limit: Limit) -> bool {
        let of = |party: &PartyLimits| match limit {
            Limit::WatchesMax => party.watches_max.is_some(),
            _ => party.rate(limit).is_some(),
        };
        self.shared.as_ref().is_some_and(|shared| Who::ALL.into_iter().any(|who| of(shared.config.of(who))))
    }

    /// How often each limit was reached.
    pub fn refused(&self) -> Vec<(Who, Limit, u64)> {
        let count = |who: Who, limit: Limit| match &self.shared {
            None => 0,
            Some(shared) => shared.refused[who as usize][limit as usize].load(Ordering::Relaxed),
        };
        Who::ALL.into_iter().flat_map(|who| Limit::ALL.map(|limit| (who, limit, count(who, limit)))).collect()
    }

    /// How many parties of each kind are remembered: by that one of its limits that remembers most.
    pub fn parties(&self) -> [(Who, usize); 3] {
        Who::ALL.map(|who| (who, self.shared.as_ref().map_or(0, |shared| shared.parties(who))))
    }

    /// Forgets parties to which everything is left again, and gives back the memory that was for them.
    pub fn forget_idle(&self) {
        let Some(shared) = &self.shared else { return };
        for bucket in shared.buckets.iter().flatten().flatten() {
            bucket.forget_full();
            bucket.shrink();
        }
        shared.places.shrink();
    }
}

impl Shared {
    fn parties(&self, who: Who) -> usize {
        let levels = self.buckets[who as usize].iter().flatten().map(Bucket::parties);
        levels.chain([self.places.parties(who)]).max().unwrap_or_default()
    }

    /// The bucket of all such parties; `None` where they are not limited so.
    fn bucket(&self, who: Who, limit: Limit) -> Option<&Bucket> {
        self.buckets[who as usize].get(limit as usize)?.as_ref()
    }

    /// How answers tell of a limit, if there is such a one.
    fn term(&self, who: Who, limit: Limit) -> Option<&Term> {
        match limit {
            Limit::WatchesMax => self.places.term(who),
            _ => self.bucket(who, limit).map(Bucket::term),
        }
    }

    fn count(&self, who: Who, limit: Limit) {
        self.refused[who as usize][limit as usize].fetch_add(1, Ordering::Relaxed);
    }
}

fn buckets(who: Who, limits: &PartyLimits) -> [Option<Bucket>; Limit::BUCKETS] {
    std::array::from_fn(|at| {
        let limit = Limit::ALL[at];
        Some(Bucket::new((who, limit), limits.rate(limit)?, MonotonicClock))
    })
}

#[cfg(test)]
mod tests;
