//! Which channel an address belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_core::suggest::nearest;
use tidegate_core::{ChannelId, ErrorCode, Problem, Target};
use tidegate_log::Log;
use tokio::sync::Notify;

use crate::channel::Channel;
use crate::config::ChannelConfig;
use crate::lookup::{Lookups, Register};
use crate::policy::{Caller, Entrance};

/// All channels. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    channels: Arc<[Arc<Channel>]>,
    by_id: Arc<HashMap<ChannelId, Arc<Channel>>>,
    registers: Arc<Registers>,
}

/// Of the channels that policies look into.
struct Registers {
    now: ArcSwap<Looked>,
    /// There are others.
    replaced: Notify,
}

/// What policies look into at one time. Both are replaced at once, so that nobody sees one of them older than the other.
struct Looked {
    lookups: Lookups,
    by_id: HashMap<ChannelId, Arc<Register>>,
}

impl Catalog {
    pub(crate) fn new(log: &Log, configs: Vec<ChannelConfig>) -> Catalog {
        let accesses = configs.iter().map(|config| (config, &config.access));
        let lookups = Lookups::new(log, accesses, &Lookups::default());
        let channel = |config: ChannelConfig| {
            let own = lookups.of_access(&config.access);
            Arc::new(Channel::new(config, log.clone(), own))
        };
        let channels: Arc<[Arc<Channel>]> = configs.into_iter().map(channel).collect();
        let by_id = channels.iter().map(|channel| (channel.log.id(), channel.clone())).collect();
        Catalog { channels, by_id: Arc::new(by_id), registers: Arc::new(Registers::new(lookups)) }
    }

    /// In the order of the config.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.iter()
    }

    /// The channel of an address, or the one channel that a pattern can match.
    ///
    /// # Errors
    /// `channel-not-found` with the nearest template; `invalid` for a pattern over several.
    pub fn resolve(&self, target: &Target) -> Result<&Arc<Channel>, Problem> {
        let mut fitting = self.channels.iter().filter(|channel| match target {
            Target::Address(address) => channel.fits(address),
            Target::Pattern(pattern) => channel.meets(pattern),
        });
        let Some(first) = fitting.next() else { return Err(self.not_found(target)) };
        if let Some(second) = fitting.next() {
            let detail = format!(
                "the pattern `{}` spans the channels `{}` and `{}`",
                target.as_str(),
                first.config.name,
                second.config.name
            );
            return Err(Problem::new(ErrorCode::Invalid, detail).hint(
                "a watch has one order and one cursor, so it is about one channel: write more of the address out",
            ));
        }
        Ok(first)
    }

    /// The same for a reader, and what that one sees of it.
    ///
    /// # Errors
    /// Those of [`resolve`](Catalog::resolve); `unauthenticated` or `forbidden`.
    pub fn readable(&self, target: &Target, caller: &Caller) -> Result<(&Arc<Channel>, Entrance), Problem> {
        let channel = self.resolve(target)?;
        Ok((channel, Entrance::ask(&channel.config, &channel.policies(), target, caller)?))
    }

    /// Whether deciding about a target may read the disk, for what is looked up.
    pub(crate) fn lookups_block(&self, target: &Target) -> bool {
        !self.registers.now.load().lookups.is_empty()
            && self.resolve(target).is_ok_and(|channel| channel.policies().lookups.blocks())
    }

    /// What policies look into now.
    pub(crate) fn lookups(&self) -> Lookups {
        self.registers.now.load().lookups.clone()
    }

    /// They look into these from now on.
    pub(crate) fn look_into(&self, lookups: Lookups) {
        self.registers.now.store(Arc::new(Looked::at(lookups)));
        self.registers.replaced.notify_one();
    }

    /// Calls those who have looked something up whenever it changes. Runs for the life of the hub.
    pub async fn keep_lookups(&self) {
        loop {
            tokio::select! {
                () = self.keep_these() => {}
                () = self.registers.replaced.notified() => {}
            }
        }
    }

    /// Those that there are now, for ever.
    async fn keep_these(&self) {
        let mut keeping = tokio::task::JoinSet::new();
        for register in self.registers.now.load().by_id.values().cloned() {
            keeping.spawn(async move {
                loop {
                    // The first time it reads all rows, before somebody has to wait for that.
                    let own = register.clone();
                    let _ = tokio::task::spawn_blocking(move || own.catch_up()).await;
                    register.moved.notified().await;
                }
            });
        }
        keeping.join_all().await;
        std::future::pending().await
    }

    pub(crate) fn notify(&self, id: ChannelId) {
        if let Some(channel) = self.by_id.get(&id) {
            channel.notify();
        }
        if let Some(register) = self.registers.now.load().by_id.get(&id) {
            register.moved.notify_one();
        }
    }

    fn not_found(&self, target: &Target) -> Problem {
        let problem =
            Problem::new(ErrorCode::ChannelNotFound, format!("no channel has the address `{}`", target.as_str()));
        let templates: Vec<&str> = self.channels.iter().map(|channel| channel.config.template.as_str()).collect();
        match nearest_template(target.as_str(), &templates) {
            Some(template) => problem.hint(format!("the nearest template is `{template}`; GET /v1/ lists all")),
            None => problem.hint("GET /v1/ lists what there is"),
        }
    }
}

impl Registers {
    fn new(lookups: Lookups) -> Registers {
        Registers { now: ArcSwap::from_pointee(Looked::at(lookups)), replaced: Notify::new() }
    }
}

impl Looked {
    fn at(lookups: Lookups) -> Looked {
        let by_id = lookups.iter().map(|register| (ChannelId::of(register.name()), register.clone())).collect();
        Looked { lookups, by_id }
    }
}

/// The template that shares most segments, where a parameter takes any text; among equals the one
/// that is spelled most alike.
fn nearest_template<'a>(address: &str, templates: &[&'a str]) -> Option<&'a str> {
    let parts: Vec<&str> = address.split('/').collect();
    let score = |template: &str| -> usize {
        let own: Vec<&str> = template.split('/').collect();
        let alike =
            own.iter().zip(&parts).filter(|(own, part)| own == part || nearest(part, [**own]).is_some()).count();
        let free = own.iter().zip(&parts).filter(|(own, _)| own.starts_with('{')).count();
        alike * 4 + free + usize::from(own.len() == parts.len())
    };
    templates.iter().copied().filter(|template| score(template) >= 4).max_by_key(|template| score(template))
}

#[cfg(test)]
mod tests {
    use super::nearest_template;

    #[test]
    fn the_nearest_template_is_the_one_meant() {
        let templates = ["machine/{group}", "rooms/{room}/messages", "markets/{symbol}/trades"];
        assert_eq!(nearest_template("room/lobby/messages", &templates), Some("rooms/{room}/messages"));
        assert_eq!(nearest_template("rooms/lobby", &templates), Some("rooms/{room}/messages"));
        assert_eq!(nearest_template("mashine/cpu", &templates), Some("machine/{group}"));
        assert_eq!(nearest_template("zzz", &templates), None);
    }
}
