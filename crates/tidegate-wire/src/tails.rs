//! All tails, by channel, with what all of them share: options, figures, memory, blocks, lanes.

mod audience;
mod channel;
mod hold;
mod registry;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_core::{ChannelId, Problem, Target};
use tidegate_hub::{Channel, Hub, View};

pub(crate) use channel::ChannelTails;
pub(crate) use hold::{Hold, Subscription};

use crate::blocks::{BlockFigures, Blocks};
use crate::encoding::{Coding, Encoding};
use crate::lane::Lanes;
use crate::load::{self, Level, Load, LoadFigures};
use crate::memory::{Memory, Step, Use};
use crate::options::StreamOptions;
use crate::pump;
use crate::tail::{TailKey, Take};

/// The tails of all channels, and the tasks that fill them. Cheap to clone.
#[derive(Clone)]
pub struct Tails {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    hub: Hub,
    options: StreamOptions,
    channels: HashMap<ChannelId, Arc<ChannelTails>>,
    stats: Stats,
    memory: Arc<Memory>,
    blocks: Arc<Blocks>,
    lanes: Lanes,
    load: Load,
}

/// What was sent, over all watchers.
#[derive(Debug, Default)]
pub struct Stats {
    /// Frames from tails.
    pub frames: AtomicU64,
    /// Bytes, from tails and from the log.
    pub bytes: AtomicU64,
    /// Times that a watcher fell off a ring.
    pub behind: AtomicU64,
    /// Watchers closed because they took nothing, or were behind, for too long.
    pub too_far_behind: AtomicU64,
}

impl Tails {
    /// Starts the tasks that fill the tails, which end with the runtime, and the lanes that carry
    /// them, which end with the last of these handles.
    ///
    /// # Errors
    /// When the system has no threads or descriptors for the lanes.
    pub fn start(hub: Hub, options: StreamOptions) -> io::Result<Tails> {
        let memory = Arc::new(Memory::new(options.memory_max));
        let channels = hub
            .catalog()
            .iter()
            .map(|channel| (channel.log.id(), Arc::new(ChannelTails::new(channel.clone(), memory.clone()))))
            .collect::<HashMap<_, _>>();
        for tails in channels.values() {
            tokio::spawn(pump::pump(tails.clone()));
            tokio::spawn(pump::ticks(tails.clone()));
        }
        let catalog = hub.catalog().clone();
        tokio::spawn(async move { catalog.keep_lookups().await });
        let heartbeat = hub.options().heartbeat;
        let lanes = Lanes::new(&options)?;
        let blocks = Arc::new(Blocks::new(memory.clone()));
        let load = Load::new(options.load);
        let shared = Shared { hub, options, channels, stats: Stats::default(), memory, blocks, lanes, load };
        let tails = Tails { shared: Arc::new(shared) };
        tails.shared.lanes.start(&tails)?;
        tokio::spawn(pump::bookmarks(Arc::downgrade(&tails.shared), heartbeat));
        tokio::spawn(pump::relief(Arc::downgrade(&tails.shared), tails.memory().clone()));
        tokio::spawn(load::monitor(Arc::downgrade(&tails.shared)));
        Ok(tails)
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Tails {
        Tails { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The threads that own the sockets of streams.
    pub fn lanes(&self) -> &Lanes {
        &self.shared.lanes
    }

    /// How streams are served.
    pub fn options(&self) -> &StreamOptions {
        &self.shared.options
    }

    /// The hub below.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// What was sent.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// What is held in memory for clients.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.shared.memory
    }

    /// Refuses a new watch while there is too little memory, or too much to do.
    ///
    /// # Errors
    /// `rate-limited`, with a time to come back.
    pub fn admit(&self) -> Result<(), Problem> {
        self.shared.count_watches();
        self.memory().admit()?;
        self.load().admit()
    }

    pub(crate) fn load(&self) -> &Load {
        self.shared.load()
    }

    /// Who gives way under load now.
    pub fn level(&self) -> Level {
        self.load().level()
    }

    /// How many watches have given way under load and are not back.
    pub fn slowed(&self) -> usize {
        self.load().slowed_now()
    }

    /// What was done about load.
    pub fn load_figures(&self) -> &LoadFigures {
        &self.load().figures
    }

    /// How much laggards read, and shared.
    pub fn block_figures(&self) -> BlockFigures {
        self.shared.blocks.figures()
    }

    pub(crate) fn blocks(&self) -> &Arc<Blocks> {
        &self.shared.blocks
    }

    /// How many tails there are now.
    pub fn count(&self) -> usize {
        self.shared.channels.values().map(|tails| tails.count()).sum()
    }

    pub(crate) fn count_sent(&self, frames: u64, bytes: usize) {
        self.shared.stats.frames.fetch_add(frames, Ordering::Relaxed);
        self.shared.stats.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn hold(&self, channel: &Channel, key: TailKey) -> Hold {
        let tails = &self.shared.channels[&channel.log.id()];
        Hold::new(tails, key)
    }

    /// The same target, in the text that those share who watch it already: what lives for long keeps
    /// that.
    pub fn shared_target(&self, channel: &Channel, target: &Target) -> Target {
        let registry = self.shared.channels[&channel.log.id()].lock();
        registry.watched(target).unwrap_or_else(|| target.clone())
    }

    /// Begins to listen for records of a view, for a request that waits for the next one.
    pub fn listen(&self, channel: &Channel, view: View) -> Listener {
        let hold = self.hold(channel, TailKey { view, encoding: Encoding::Ndjson(Coding::Identity), chain: false });
        let chunk = hold.boundary().chunk;
        Listener { subscription: Subscription::new(hold), chunk }
    }
}

/// Hears that a view may have something new.
pub struct Listener {
    subscription: Subscription,
    chunk: u64,
}

impl Listener {
    /// Returns when something was said in the view since the last call. It may be old news; what
    /// is new is not missed.
    pub async fn heard(&mut self) {
        let mut ignored = Vec::new();
        self.chunk = match self.subscription.take(self.chunk, &mut ignored).await {
            Take::Chunks { next, .. } => next,
            Take::Behind => self.subscription.hold().boundary().chunk,
        };
    }
}

impl Shared {
    /// Drops what nobody needs any more.
    pub(crate) fn tidy(&self) {
        self.count_watches();
        self.blocks.sweep();
    }

    fn count_watches(&self) {
        self.memory.set(Use::Watches, self.hub.watches().count() * self.options.watch_bytes);
    }

    /// Gives up what can be had again, in the order of the steps.
    pub(crate) fn relieve(&self) {
        self.count_watches();
        // Answers first: one that is asked for again costs one read, a block holds up those who are behind.
        self.memory.give_up_answers();
        self.blocks.shed();
        if self.memory.over(Step::Rings) {
            self.channels().for_each(|channel| channel.shrink());
        }
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Which part of the ceiling of memory is used.
    pub(crate) fn memory_part(&self) -> f64 {
        let used: usize = Use::ALL.iter().map(|what| self.memory.used(*what)).sum();
        used as f64 / self.memory.max().max(1) as f64
    }

    /// How often a record was given to a tail.
    pub(crate) fn given(&self) -> u64 {
        self.channels.values().map(|tails| tails.given()).sum()
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<ChannelTails>> {
        self.channels.values()
    }
}
