//! The log as its users hold it.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::ChannelId;

use crate::batch::{AppendError, Appended, Batch, Entry, Idempotency};
use crate::channel::Channel;
use crate::disk::Disk;
use crate::error::{DrainError, OpenError};
use crate::health::{Health, Stats};
use crate::options::{ChannelSpec, Options};

/// An open log. Cheap to clone; closed by [`Log::close`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Log {}

/// A batch that comes in parts and becomes visible at once. Dropping it aborts it.
pub struct LargeBatch {}

/// What a large batch is committed with.
#[derive(Clone, Debug, Default)]
pub struct LargeCommit {
    /// As in [`Batch`].
    pub checkpoint: Option<(String, Bytes)>,
    /// As in [`Batch`].
    pub idempotency: Option<Idempotency>,
    /// As in [`Batch`].
    pub tx: Option<Box<str>>,
}

impl Log {
    /// Opens the folder of `options`, or makes it.
    pub fn open(_options: Options, _channels: Vec<ChannelSpec>) -> Result<Log, OpenError> { unimplemented!() }
    /// The same on another disk; `options.path` is not used.
    pub fn open_on(_disk: Arc<dyn Disk>, _options: Options, _channels: Vec<ChannelSpec>) -> Result<Log, OpenError> { unimplemented!() }
    /// A channel of the specs.
    pub fn channel(&self, _name: &str) -> Option<Channel> { unimplemented!() }
    /// The same by id.
    pub fn channel_by_id(&self, _id: ChannelId) -> Option<Channel> { unimplemented!() }
    /// Queues a batch; blocks while the queue is full. `done` is called on the log's thread.
    pub fn submit(&self, _batch: Batch, _done: impl FnOnce(Result<Appended, AppendError>) + Send + 'static) { unimplemented!() }
    /// The blocking form of [`Log::submit`].
    pub fn append(&self, _batch: Batch) -> Result<Appended, AppendError> { unimplemented!() }
    /// Begins a batch that comes in parts.
    pub fn begin(&self) -> Result<LargeBatch, AppendError> { unimplemented!() }
    /// The last durable checkpoint of a source.
    pub fn checkpoint(&self, _source: &str) -> Option<Bytes> { unimplemented!() }
    /// `listener` is called after a channel's head or start moved, on the log's threads; it must be quick.
    pub fn on_advance(&self, _listener: impl Fn(ChannelId) + Send + Sync + 'static) { unimplemented!() }
    /// Whether appends are taken.
    pub fn health(&self) -> Health { unimplemented!() }
    /// Moves everything from the journal into segments and the view store, now.
    pub fn drain_now(&self) -> Result<(), DrainError> { unimplemented!() }
    /// Applies retention now.
    pub fn retain_now(&self) -> Result<(), DrainError> { unimplemented!() }
    /// Figures for metrics.
    pub fn stats(&self) -> Stats { unimplemented!() }
    /// Finishes what is queued, drains, releases the folder.
    pub fn close(self) { }
}

impl LargeBatch {
    /// Adds entries; blocks until they are in the journal.
    pub fn part(&mut self, _entries: Vec<Entry>) -> Result<(), AppendError> { unimplemented!() }
    /// Makes all parts durable and visible at once.
    pub fn commit(self, _commit: LargeCommit) -> Result<Appended, AppendError> { unimplemented!() }
    /// Forgets all parts.
    pub fn abort(self) {}
}
