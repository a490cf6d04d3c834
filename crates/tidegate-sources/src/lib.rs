//! Sources: systems that change, read into the log.
//!
//! [`Source`] is the contract; [`KINDS`] is the table of all there are. A source is one folder here
//! and one line in the table; it never sees watches, transports or another source.

mod difference;
mod discovery;
mod finding;
#[cfg(feature = "postgres")]
mod postgres;
mod running;
mod stats;
pub mod system;
mod target;

use std::fmt::Debug;
use std::sync::Arc;

pub use discovery::{DiscoverError, Discovered, Discovery, LeftOut, Made};
pub use finding::{Finding, Level};
pub use running::Running;
use serde_json::{Map, Value};
pub use stats::{SourceState, SourceStats};
pub use target::{Numbers, Takes, Target};
use tidegate_log::{Log, ReadError};

/// All kinds of sources. The config's parser, its JSON Schema, `check`, `serve URL` and the
/// reference read this table; a new source is one folder and one line here.
pub const KINDS: &[Kind] = &[
    system::KIND,
    #[cfg(feature = "postgres")]
    postgres::KIND,
];

/// A system that changes, read into the log. Its settings are in it, read and good.
///
/// # What every source promises
///
/// - **Order.** Changes of one key are appended in the order in which they happened upstream.
///   Nothing is promised between keys, except that what one upstream transaction did is one batch
///   with one `tx`, or one large batch that becomes visible at once.
/// - **Checkpoint.** Where to go on upstream is a checkpoint, opaque bytes under the source's name.
///   It is committed in one batch with the events that it covers, so either both are durable or
///   neither is. A batch without events may carry a checkpoint too.
/// - **What is confirmed when.** Nothing is acknowledged upstream before the log has answered the
///   batch. A source dies at any instant and goes on from its checkpoint.
/// - **Duplicates.** A source whose upstream replays from a checkpoint gives each event once. One
///   whose upstream cannot replay compares with the view and appends differences, which comes to
///   the same for keyed channels. Each source says in its own docs which of the two it is.
/// - **Loss upstream** (the place of the checkpoint is gone) heals by a resync: everything upstream
///   is compared with the view, only differences are appended, rows that are not seen any more are
///   deleted. Watchers of the state do not reload. What happened in between is lost to histories,
///   so each channel that had loaded gets an [`Op::Gap`](tidegate_core::Op) before the differences,
///   in a batch without `tx`. It is counted in [`SourceStats::resyncs`].
/// - **Schema changes** are announced in-band: [`Op::Notice`](tidegate_core::Op) with the code
///   `schema` ([`is_notice`](tidegate_core::is_notice) says of what form), before the first event of
///   the new shape. A source goes on with what it can read.
/// - **Loading.** A channel is loading until the log holds
///   [`loaded_mark`](tidegate_log::loaded_mark) of the source and the channel: a read is told to
///   come back, a stream waits. The mark is a checkpoint of the batch that completes the channel's
///   first state. A source that starts again finds the mark and is not loading; a channel that was
///   added later has none and is loaded alone, while the others go on. A plain channel never loads.
/// - **An event without a place** (an address parameter or a key that is missing), or one that
///   cannot be read, does not stop the source: it goes to the target that takes
///   [`DeadLetters`](Takes::DeadLetters), with its reason, in the batch that covers it. Without such
///   a target it is left out. Either way it is counted, and logged once per reason.
/// - **Back-pressure.** A source has a bounded number of batches in flight, keeps no queue of its
///   own beyond them, and does not read what it cannot append.
/// - **Who retries.** The source does, for ever, with the delay that the error asks for: a full log
///   recovers, an upstream comes back. After [`Poisoned`](tidegate_log::AppendError) or `Closed` it
///   stops, since nothing can be appended before a restart.
/// - **State.** [`SourceStats::state`] says where it is, and the gauges what it costs upstream.
pub trait Source: Send + Sync + Debug {
    /// Looks at what `targets` need upstream and says what is there, what is missing and what to
    /// run; changes nothing. `name` is the source's own, as in the config. Blocks as long as a
    /// connection takes, so it is not called on an async worker.
    fn check(&self, name: &str, targets: &[Target]) -> Vec<Finding>;

    /// Begins to write and returns at once: upstream may be down. `name` is that of its checkpoint.
    /// Of a table several targets may take rows; at most one target takes dead letters.
    ///
    /// [`Running::stop`] returns when the batch in flight is answered and nothing more will be
    /// appended. It does not wait for upstream.
    fn start(&self, name: &str, log: Log, targets: Vec<Target>) -> Result<Running, StartError>;
}

/// The settings of a source as the config has them, without its `kind`; scalars are texts.
pub type Settings = Map<String, Value>;

/// Libraries that log what they also return: what of it matters is logged by the source, once and in its words.
pub const QUIET: &[&str] = &[
    #[cfg(feature = "postgres")]
    "pgwire_replication",
];

/// One kind of source.
pub struct Kind {
    /// As `kind:` in the config.
    pub name: &'static str,
    /// What it reads, for the reference.
    pub about: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
    /// Reads the settings. Looks at nothing else.
    pub configure: fn(&Settings) -> Result<Arc<dyn Source>, SettingError>,
    /// The members that every row has, where the kind alone says them: address parameters and keys
    /// must be among them. Empty: only upstream knows.
    pub members: &'static [&'static str],
    /// Whether `table` of a channel says which part of the source it takes. Such a source gives
    /// rows of any shape, so its channels may also say how `numbers` are written and take its dead
    /// letters.
    pub tables: bool,
    /// The schemes of its URLs, for `tidegate serve URL`; empty: it has none.
    pub schemes: &'static [&'static str],
    /// Looks at what stands behind a URL of these schemes; changes nothing. Blocks, so it is not
    /// called on an async worker. Never asked where there are no schemes.
    pub discover: fn(url: &str) -> Result<Discovery, DiscoverError>,
}

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {what}")]
pub struct SettingError {
    /// Its name.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

/// Why a source does not start. Upstream is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This machine lacks something that no waiting brings.
    #[error("{0}")]
    Machine(String),
    /// The log was opened without a channel.
    #[error("the log has no channel `{0}`")]
    NoChannel(String),
    /// The view cannot be compared with.
    #[error("the view cannot be read: {0}")]
    View(#[from] ReadError),
    /// No thread.
    #[error("no thread for the source: {0}")]
    Thread(#[from] std::io::Error),
}

impl Kind {
    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The kind whose URLs look like this.
    pub fn of_url(url: &str) -> Option<&'static Kind> {
        let (scheme, _) = url.split_once("://")?;
        KINDS.iter().find(|kind| kind.schemes.contains(&scheme))
    }
}
