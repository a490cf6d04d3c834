//! Sources: systems that change, read into the log.
//!
//! # What a source promises
//!
//! There is one source so far, [`system`], and so no trait yet; this is what the second one has
//! to keep as well.
//!
//! - **Order.** Changes of one key are appended in the order in which they happened upstream.
//!   Nothing is promised between keys, except that what one upstream transaction did is one batch
//!   with one `tx`.
//! - **Checkpoint.** Where to go on upstream is a checkpoint, opaque bytes under the source's name.
//!   It is committed in one batch with the events that it covers, so either both are durable or
//!   neither is. A batch without events may carry a checkpoint too.
//! - **What is confirmed when.** Nothing is acknowledged upstream before the log has answered the
//!   batch. A source dies at any instant and goes on from its checkpoint.
//! - **Duplicates.** A source whose upstream replays from a checkpoint gives each event once. One
//!   whose upstream cannot replay compares with the view and appends differences, which comes to
//!   the same for keyed channels. Each source says in its own docs which of the two it is.
//! - **Loss upstream** (the place of the checkpoint is gone) heals by a new upstream snapshot that
//!   is compared with the view: only differences are appended, rows that are not seen any more are
//!   deleted. Watchers do not reload.
//! - **Loading.** Until the log holds a first checkpoint of the source, its channels are loading:
//!   a read is told to come back, a stream waits. A source that starts again with a checkpoint is
//!   not loading.
//! - **Back-pressure.** A source has at most one batch of its own in flight and waits for the log's
//!   answer before the next; it keeps no queue. What cannot be appended is not read.
//! - **Who retries.** The source does, for ever, with the delay that the error asks for: a full log
//!   recovers, an upstream comes back. After [`Poisoned`](tidegate_log::AppendError) or `Closed` it
//!   stops, since nothing can be appended before a restart.
//! - **An event without a place** (an address parameter or a key that is missing) is not appended:
//!   it is counted and logged once per reason, and the source goes on.
//! - **Stop.** `stop` returns when the batch in flight is answered and nothing more will be
//!   appended. It does not wait for upstream.
//! - **Check.** Looks at what is needed upstream, says what is missing, and changes nothing.
//!
//! A source never sees watches, transports or another source.

mod difference;
mod running;
pub mod system;

pub use running::{Running, SourceStats};
use serde_json::{Map, Value};
use tidegate_core::Placement;
use tidegate_log::ReadError;

/// The settings of a source as the config has them, without its `kind`; scalars are texts.
pub type Settings = Map<String, Value>;

/// All kinds of sources. The config's parser, its JSON Schema, `check` and the reference read this
/// table; a new source is one folder and one line here.
pub const KINDS: &[Kind] = &[system::KIND];

/// One kind of source.
pub struct Kind {
    /// As `kind:` in the config.
    pub name: &'static str,
    /// What it reads, for the reference.
    pub about: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn() -> schemars::Schema,
    /// Reads the settings.
    pub configure: fn(&Settings) -> Result<Source, SettingError>,
    /// The members that every row has, where the source knows them before it runs: address
    /// parameters and keys must be among them.
    pub members: &'static [&'static str],
    /// Whether `table` of a channel says which part of the source it takes.
    pub tables: bool,
}

/// A configured source of one kind. It becomes a trait object with the second kind.
pub type Source = system::System;

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

/// Why a source does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Upstream lacks something.
    #[error("{0}")]
    Upstream(String),
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

/// One channel that a source writes.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub channel: String,
    /// Where its rows go.
    pub placement: Placement,
}

impl Kind {
    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}
