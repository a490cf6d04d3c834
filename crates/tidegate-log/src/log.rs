//! The log as its users hold it.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use tidegate_core::ChannelId;

use crate::batch::{AppendError, Appended, Batch};
use crate::channel::Channel;
use crate::disk::{Disk, RealDisk};
use crate::error::{DrainError, OpenError};
use crate::group::{Done, Outcome, Work, size};
use crate::health::{Health, Stats};
use crate::large::LargeBatch;
use crate::options::{ChannelSpec, Options};
use crate::page::ReadError;
use crate::recovery;
use crate::thread::Running;

/// An open log. Cheap to clone; closed by [`Log::close`] or when the last clone is dropped.
#[derive(Clone)]
pub struct Log {
    running: Arc<Running>,
}

impl Log {
    /// Opens the folder of `options`, or makes it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process (or this one) has it open.
    pub fn open(options: Options, channels: Vec<ChannelSpec>) -> Result<Log, OpenError> {
        let disk = Arc::new(RealDisk::new(&options.path)?);
        Log::open_on(disk, options, channels)
    }

    /// The same on another disk; `options.path` is not used.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options, channels: Vec<ChannelSpec>) -> Result<Log, OpenError> {
        let engine = recovery::open(disk, options, &channels)?;
        Ok(Log { running: Arc::new(Running::start(engine)?) })
    }

    /// A channel of the specs.
    pub fn channel(&self, name: &str) -> Option<Channel> {
        self.channel_by_id(ChannelId::of(name)).filter(|channel| channel.name() == name)
    }

    /// The same by id.
    pub fn channel_by_id(&self, id: ChannelId) -> Option<Channel> {
        let engine = &self.running.engine;
        let state = engine.channels[engine.index_of(id)?].clone();
        state.configured.then_some(Channel { state })
    }

    /// Queues a batch; blocks while 4,096 batches or 64 MiB wait. `done` is called on the log's thread, once the batch
    /// is durable and visible or was refused; it must be quick and must not append with [`Log::append`].
    pub fn submit(&self, batch: Batch, done: impl FnOnce(Result<Appended, AppendError>) + Send + 'static) {
        let bytes = size(&batch.entries);
        self.running.submit(Work::Batches(vec![batch]), bytes, Box::new(|outcome| done(appended(outcome))));
    }

    /// The blocking form of [`Log::submit`].
    pub fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let bytes = size(&batch.entries);
        appended(self.running.call(Work::Batches(vec![batch]), bytes))
    }

    /// Appends batches in order, in one group: either all stand or none does. Each is whole by itself: a crash before the
    /// answer may leave the first few.
    ///
    /// # Errors
    /// What refuses one refuses all, before anything is written; [`AppendError::TooLarge`] also if all are over 64 MiB.
    pub fn append_all(&self, batches: Vec<Batch>) -> Result<Vec<Appended>, AppendError> {
        let bytes = batches.iter().map(|batch| size(&batch.entries)).sum();
        all_appended(self.running.call(Work::Batches(batches), bytes))
    }

    /// Begins a batch that comes in parts and may be larger than memory; `tx` is the transaction id for all its records, the last of
    /// each channel is marked.
    ///
    /// # Errors
    /// [`AppendError::Busy`] if four are open.
    pub fn begin(&self, tx: Option<Box<str>>) -> Result<LargeBatch, AppendError> {
        let running = self.running.clone();
        let claim = Box::new(move |claim| running.call(Work::Claim(claim), 0));
        LargeBatch::begin(self.running.engine.clone(), claim, tx)
    }

    /// The last durable checkpoint of this name.
    pub fn checkpoint(&self, name: &str) -> Option<Bytes> {
        self.running.engine.checkpoint(name)
    }

    /// What is [kept](Batch::keeping) of a kind, in order of name. It blocks on the disk.
    pub fn kept(&self, kind: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
        Ok(self.running.engine.ledger.kept(kind)?.into_iter().collect())
    }

    /// `listener` is called after a channel's head or start moved, on the log's threads; it must be quick.
    pub fn on_advance(&self, listener: impl Fn(ChannelId) + Send + Sync + 'static) {
        self.running.engine.listen(Box::new(listener));
    }

    /// Whether appends are taken.
    pub fn health(&self) -> Health {
        self.running.engine.health()
    }

    /// Moves everything from the journal into segments and the view store, now, and merges segments.
    pub fn drain_now(&self) -> Result<(), DrainError> {
        self.running.drain_now()
    }

    /// Applies retention now; what is in memory only stays.
    pub fn retain_now(&self) -> Result<(), DrainError> {
        self.running.engine.retain().map(|_| ())
    }

    /// Figures for metrics.
    pub fn stats(&self) -> Stats {
        Stats { queued: self.running.queued(), ..self.running.engine.stats() }
    }

    /// Finishes what is queued, drains, releases the folder. Other clones find it closed; reads go on from memory and
    /// open files as long as a clone lives, and those that need the view store end with [`ReadError::Closed`](crate::ReadError).
    pub fn close(self) {
        self.running.close();
    }
}

impl Running {
    /// Submits and waits.
    fn call(&self, work: Work, bytes: usize) -> Outcome {
        let (sender, receiver) = sync_channel(1);
        self.submit(work, bytes, Box::new(move |outcome| drop(sender.send(outcome))));
        receiver.recv().unwrap_or(Err(AppendError::Closed))
    }
}

/// The answer to one batch.
pub(crate) fn appended(outcome: Outcome) -> Result<Appended, AppendError> {
    all_appended(outcome)?.pop().ok_or(AppendError::Closed)
}

pub(crate) fn all_appended(outcome: Outcome) -> Result<Vec<Appended>, AppendError> {
    match outcome? {
        Done::Appended(answers) => Ok(answers),
        Done::Claimed => Err(AppendError::Closed),
    }
}
