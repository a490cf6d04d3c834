//! What the owner of a log decides: where it lives, how large its parts grow, which channels it has.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_core::Millis;

const MIB: u64 = 1024 * 1024;

/// Where a log is and how large its parts may grow.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder; made if it is not there. One process at a time.
    pub path: PathBuf,
    /// A drain begins when so many bytes of journal are not yet in segments. Memory holds about twice as much.
    pub journal_bytes: u64,
    /// A merge makes no segment larger than this.
    pub segment_bytes_max: u64,
    /// Cache of the view store.
    pub view_cache_bytes: usize,
    /// A batch, or a part of a large one, larger than this is refused.
    pub batch_bytes_max: usize,
    /// One read looks at no more than this where an index does not help (patterns); the page then ends early.
    pub scan_bytes_max: usize,
    /// The time of append.
    pub clock: Clock,
}

/// Where the time of append comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The wall clock.
    #[default]
    System,
    /// Milliseconds that a test moves.
    Manual(Arc<AtomicU64>),
}

/// One channel of a log.
#[derive(Clone, Debug)]
pub struct ChannelSpec {
    /// Its name; its id is a hash of it.
    pub name: String,
    /// Whether it has a view: the last value per address and key.
    pub keyed: bool,
    /// Keyed channels: keeps an index from key to the addresses where it has a row, for `Channel::addresses_of`. It costs
    /// an entry a row; asked for later, it is built when the log is opened.
    pub by_key: bool,
    /// How much history is kept.
    pub retain: Retain,
    /// How long idempotency keys are remembered.
    pub idempotency: Window,
}

/// How much history of a channel is kept. The view is never trimmed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retain {
    /// Records older than this go (whole segments, so a little later).
    pub age: Option<Duration>,
    /// The oldest records go when the channel holds more.
    pub bytes: Option<u64>,
    /// `retain: none`: never on disk, a small ring in memory, a new epoch at each open.
    pub ephemeral: bool,
}

/// Bounds of a memory of keys.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Forgotten after this long.
    pub age: Duration,
    /// The oldest are forgotten beyond this many.
    pub keys: u64,
}

impl Options {
    /// The defaults, in this folder.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            journal_bytes: 64 * MIB,
            segment_bytes_max: 128 * MIB,
            view_cache_bytes: 64 * MIB as usize,
            batch_bytes_max: 16 * MIB as usize,
            scan_bytes_max: 16 * MIB as usize,
            clock: Clock::System,
        }
    }
}

impl ChannelSpec {
    /// A channel without a view that keeps everything.
    pub fn plain(name: impl Into<String>) -> ChannelSpec {
        let (retain, idempotency) = (Retain::default(), Window::default());
        ChannelSpec { name: name.into(), keyed: false, by_key: false, retain, idempotency }
    }

    /// A channel with a view that keeps everything.
    pub fn keyed(name: impl Into<String>) -> ChannelSpec {
        ChannelSpec { keyed: true, ..ChannelSpec::plain(name) }
    }
}

impl Default for Window {
    fn default() -> Window {
        Window { age: Duration::from_secs(600), keys: 1_000_000 }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Millis {
        match self {
            Clock::System => Millis::now(),
            Clock::Manual(millis) => Millis(millis.load(Ordering::Relaxed)),
        }
    }
}
