//! Other policies while the server runs: made ready, put in force, and what was allowed by those before is judged anew.
//!
//! ```text
//!   revise (may read the disk) ─► put in force: who comes is judged by the new ones
//!                                   └─► each watch on the list is judged anew, and told ─► finish: nothing is told by
//!                                       those before any more, also not to who reads or is about to watch
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::ChannelId;

use crate::Hub;
use crate::channel::Channel;
use crate::lookup::Lookups;
use crate::policy::{Access, Policies};

/// Policies that are ready to be put in force.
pub struct Revision {
    lookups: Lookups,
    /// Of the channels whose policies are others.
    changed: Vec<(Arc<Channel>, Arc<Policies>)>,
}

/// Policies that were put in force. When it is dropped, those before are over.
pub struct Revised {
    before: HashMap<ChannelId, Arc<Policies>>,
}

impl Hub {
    /// Makes policies ready, by the names of their channels; one that is not named keeps its own. Reads what they look
    /// into and was not looked into before, so it may block on the disk.
    pub fn revise(&self, accesses: &HashMap<&str, &Access>) -> Revision {
        let own: Vec<(&Arc<Channel>, Arc<Policies>)> =
            self.catalog().iter().map(|channel| (channel, channel.policies())).collect();
        let next: Vec<(&Arc<Channel>, &Access, &Arc<Policies>)> = own
            .iter()
            .map(|(channel, before)| {
                (*channel, accesses.get(&*channel.config.name).copied().unwrap_or(&before.access), before)
            })
            .collect();
        let all = next.iter().map(|(channel, access, _)| (&channel.config, *access));
        let lookups = Lookups::new(self.log(), all, &self.catalog().lookups());
        lookups.read();
        let changed = next.into_iter().filter(|(_, access, before)| **access != before.access);
        let changed = changed.map(|(channel, access, _)| {
            (channel.clone(), Arc::new(Policies::new(access.clone(), lookups.of_access(access))))
        });
        Revision { changed: changed.collect(), lookups }
    }

    /// Puts policies in force: who comes from now on is judged by them. Who watches is to be judged anew.
    pub fn put_in_force(&self, revision: Revision) -> Revised {
        let Revision { lookups, changed } = revision;
        self.catalog().look_into(lookups);
        let before = changed.into_iter().map(|(channel, policies)| (channel.log.id(), channel.put_in_force(policies)));
        Revised { before: before.collect() }
    }
}

impl Revision {
    /// The channels whose policies are others.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.changed.iter().map(|(channel, _)| channel)
    }

    /// Whether an application is to be asked about watching a channel that did not ask one before.
    pub fn asks_newly(&self, channel: &Channel) -> bool {
        let next = self.changed.iter().find(|(own, _)| own.log.id() == channel.log.id());
        next.is_some_and(|(_, policies)| policies.access.asks.watch) && !channel.policies().access.asks.watch
    }
}

impl Revised {
    /// The policies before, of a channel that has others now.
    pub fn before(&self, channel: &Channel) -> Option<&Arc<Policies>> {
        self.before.get(&channel.log.id())
    }
}

impl Drop for Revised {
    fn drop(&mut self) {
        self.before.values().for_each(|before| before.end());
    }
}
