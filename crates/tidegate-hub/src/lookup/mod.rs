//! What policies look up in other channels: `exists("members", [data.room, claims.sub])`.
//!
//! ```text
//!   a record of `members` ─► register: which keys are there now ─┬─► groups: the keys that one policy asks about
//!                                                                └─► whoever asked about one that changed is called
//!   door, publish ─► is the key there? ──► standing: what was asked, and what the answer was
//!   row rule      ─► group, as it is now ─► part of the view: rows are judged by it until it changes
//! ```
//!
//! Rights are those of now. A view is made with the keys as they were when it was made, and shows nothing more once they
//! are others ([`Standing::holds`]): then its watch is judged again, and begins another one. So a view never changes its
//! mind within its life, and what it has shown at a cursor is what its keys say.
//!
//! A register is asked without waiting for anybody: it reads on to the head of its channel first, so a key that was
//! written before is seen, whoever wrote it. What a lookup answers does not depend on the policies of the channel that it
//! looks into, so policies may look into each other's channels, and into their own.

mod keys;
mod pattern;
mod register;
mod rows;
mod standing;

pub(crate) use pattern::Pattern;
pub(crate) use register::Register;
pub(crate) use standing::{Asked, Found};
pub use standing::{Listening, Standing};

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidegate_cel::Value;
use tidegate_core::{ErrorCode, Key, Problem};
use tidegate_log::Log;

use crate::config::ChannelConfig;
use crate::policy::Access;

/// The registers of the channels that policies look into, by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    registers: Arc<HashMap<Box<str>, Arc<Register>>>,
}

impl Lookups {
    /// Of all that the policies of these channels look into; what was looked into before is known already.
    pub(crate) fn new<'c>(
        log: &Log,
        channels: impl Iterator<Item = (&'c ChannelConfig, &'c Access)> + Clone,
        before: &Lookups,
    ) -> Lookups {
        let register = |config: &ChannelConfig| match before.get(&config.name) {
            Some(register) => Some(register.clone()),
            None => Register::of(config, log).map(Arc::new),
        };
        Lookups::of(channels, register)
    }

    /// The same without a log: these keys are there, by the name of their channel.
    pub fn given(channels: &[ChannelConfig], keys: &[(Box<str>, Key)]) -> Lookups {
        Lookups::of(channels.iter().map(|config| (config, &config.access)), |config| {
            let own = keys.iter().filter(|(name, _)| **name == *config.name);
            Register::given(config, own.map(|(_, key)| key)).map(Arc::new)
        })
    }

    fn of<'c>(
        channels: impl Iterator<Item = (&'c ChannelConfig, &'c Access)> + Clone,
        register: impl Fn(&ChannelConfig) -> Option<Arc<Register>>,
    ) -> Lookups {
        let asked: HashSet<&str> = channels.clone().flat_map(|(_, access)| access.looks_into()).collect();
        let asked = channels.filter(|(config, _)| asked.contains(&*config.name));
        let registers = asked.filter_map(|(config, _)| Some((config.name.as_str().into(), register(config)?)));
        Lookups { registers: Arc::new(registers.collect()) }
    }

    /// Those that the policies of one channel look into.
    pub(crate) fn of_access(&self, access: &Access) -> Lookups {
        let own = access.looks_into().filter_map(|name| Some((name.into(), self.get(name)?.clone())));
        Lookups { registers: Arc::new(own.collect()) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Register>> {
        self.registers.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Register>> {
        self.registers.values()
    }

    /// Whether nothing is looked up.
    pub fn is_empty(&self) -> bool {
        self.registers.is_empty()
    }

    /// Reads on to the heads of the channels that are looked into; whoever asked about a key that changed has been called
    /// when this returns.
    pub fn keep_up(&self) {
        self.iter().for_each(|register| register.keep_up());
    }

    /// Reads what has not been read yet.
    pub(crate) fn read(&self) {
        self.iter().for_each(|register| register.catch_up());
    }

    /// Whether asking may read the disk.
    pub(crate) fn blocks(&self) -> bool {
        self.iter().any(|register| register.blocks())
    }

    /// Refuses to decide where what is looked into is not known.
    pub(crate) fn ready(&self) -> Result<(), Problem> {
        for register in self.iter() {
            if register.loading() {
                let detail = format!("the channel `{}`, which rights depend on, is still loading", register.name());
                return Err(Problem::new(ErrorCode::Loading, detail));
            }
            if register.overfull() {
                let detail =
                    format!("the channel `{}`, which rights depend on, has too many keys to know", register.name());
                return Err(Problem::new(ErrorCode::Internal, detail));
            }
        }
        Ok(())
    }

    /// Whether a row is there, and the answer is noted.
    pub(crate) fn ask(&self, name: &str, key: &[Value<'_>], asked: &Asked) -> Option<bool> {
        let register = self.get(name)?;
        let pattern = Pattern::of_values(key.iter().map(Some))?;
        asked.ask(register, pattern)
    }
}
