//! A channel as the hub knows it: its config, its log, and whether it has loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tidegate_core::{Address, Cursor, Kind, Millis, Offset, Pattern, Scope, Target};
use tidegate_log::{Log, loaded_mark};
use tokio::sync::Notify;

use crate::config::ChannelConfig;
use crate::lookup::Lookups;
use crate::policy::{Caller, Entrance, Policies, may_publish};
use crate::watch::View;

/// One channel.
pub struct Channel {
    /// As configured, but for its `access`, which may change: see [`Channel::policies`].
    pub config: ChannelConfig,
    /// Its log and view.
    pub log: tidegate_log::Channel,
    /// All its addresses.
    everything: Scope,
    /// Has a stored permit whenever the head or the start of the log moved; for one waiter.
    advanced: Notify,
    loaded: Loaded,
    policies: ArcSwap<Policies>,
}

/// Whether the source of a channel has delivered its first state; once it has, that stays.
pub(crate) struct Loaded {
    loaded: AtomicBool,
    /// What the log remembers it by.
    mark: String,
    log: Log,
}

impl Loaded {
    pub(crate) fn new(config: &ChannelConfig, log: Log) -> Loaded {
        // A plain channel has no state that a source could owe it.
        let loaded = AtomicBool::new(config.source.is_none() || config.key.is_none());
        let mark = loaded_mark(config.source.as_deref().unwrap_or_default(), &config.name);
        Loaded { loaded, mark, log }
    }

    pub(crate) fn loading(&self) -> bool {
        if self.loaded.load(Ordering::Relaxed) {
            return false;
        }
        let loaded = self.log.checkpoint(&self.mark).is_some();
        self.loaded.store(loaded, Ordering::Relaxed);
        !loaded
    }
}

impl Channel {
    pub(crate) fn new(mut config: ChannelConfig, whole_log: Log, lookups: Lookups) -> Channel {
        let log = whole_log
            .channel(&config.name)
            .unwrap_or_else(|| panic!("the log was opened without the channel {}", config.name));
        let target = Target::parse(&config.template.pattern()).expect("a template's pattern is one");
        let loaded = Loaded::new(&config, whole_log);
        let policies = ArcSwap::from_pointee(Policies::new(std::mem::take(&mut config.access), lookups));
        Channel { config, log, everything: Scope { target, key: None }, advanced: Notify::new(), loaded, policies }
    }

    /// Whether events have keys, so that there is state.
    pub fn keyed(&self) -> bool {
        self.config.key.is_some()
    }

    /// Whether whoever asks may read it, so that an answer to one may be given to any other. This is the one place
    /// that says so; what is not for everyone never leaves here for a shared cache.
    pub fn read_by_everyone(&self) -> bool {
        self.policies.load().access.is_for_everyone()
    }

    /// The kind of watch that the channel gives when nothing is asked.
    pub fn default_kind(&self) -> Kind {
        if self.keyed() { Kind::State } else { Kind::History }
    }

    /// A scope that holds every record.
    pub fn everything(&self) -> &Scope {
        &self.everything
    }

    /// The cursor of a view of this channel at a position.
    pub fn cursor(&self, view: &View, offset: Offset) -> Cursor {
        Cursor { channel: self.log.id(), epoch: self.log.epoch(), view: view.fingerprint(), offset }
    }

    /// The cursor of who holds rows of a view: exactly the state at a position, or none older and some newer.
    pub fn rows_cursor(&self, view: &View, offset: Offset, exact: bool) -> Cursor {
        let cursor = self.cursor(view, offset);
        if exact { cursor } else { Cursor { view: view.fuzzy_fingerprint(), ..cursor } }
    }

    /// The head, if nothing of `scope` came after `since`, so that what was read then holds there. It never
    /// blocks; `None` also where it cannot be said without reading the disk.
    pub fn unchanged(&self, since: Offset, scope: &Scope) -> Option<Offset> {
        self.log.unchanged(since, scope)
    }

    /// Whether the source has not delivered its first state yet.
    pub fn loading(&self) -> bool {
        self.loaded.loading()
    }

    /// The policies that are in force now.
    pub fn policies(&self) -> Arc<Policies> {
        self.policies.load_full()
    }

    /// Puts others in their place. Returns those before.
    pub(crate) fn put_in_force(&self, policies: Arc<Policies>) -> Arc<Policies> {
        let before = self.policies.swap(policies);
        before.supersede();
        before
    }

    /// Whoever has lost a right by what was written up to now has been called when this returns.
    pub fn keep_up(&self) {
        self.policies.load().lookups.keep_up();
    }

    /// Returns at once if the log moved since the last call, else when it moves. One caller only.
    pub async fn advanced(&self) {
        self.advanced.notified().await;
    }

    /// Whether a caller may watch some address of it.
    pub fn readable_by(&self, caller: &Caller) -> bool {
        Entrance::ask(&self.config, &self.policies(), &self.everything.target, caller).is_ok()
    }

    /// When the sign-in of a caller is too old for it.
    pub fn sign_in_ends(&self, caller: &Caller) -> Option<Millis> {
        caller.sign_in_ends(&self.policies.load().access.requires)
    }

    /// Whether a caller may publish something to some address of it.
    pub fn publishable_by(&self, caller: &Caller) -> bool {
        self.config.source.is_none()
            && may_publish(&self.config, &self.policies.load(), &self.everything.target, caller).is_ok()
    }

    pub(crate) fn notify(&self) {
        self.advanced.notify_one();
    }

    pub(crate) fn fits(&self, address: &Address) -> bool {
        self.config.template.fits(address)
    }

    pub(crate) fn meets(&self, pattern: &Pattern) -> bool {
        self.config.template.meets(pattern)
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channel({})", self.config.name)
    }
}
