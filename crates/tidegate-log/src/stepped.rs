//! The log without threads, for tests that drive it a step at a time on a simulated disk.

use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{AppendError, Appended, Batch, Entry};
use crate::channel::Channel;
use crate::disk::Disk;
use crate::engine::{Done, Engine, Outcome, Work};
use crate::error::{DrainError, OpenError};
use crate::health::{Health, Stats};
use crate::log::{LargeCommit, all_appended, appended};
use crate::options::{ChannelSpec, Options};
use crate::verify::{Report, VerifyError, verify_on};

/// An open log whose every step is a call. Dropping it is a killed process: nothing is drained.
pub struct SteppedLog {
    engine: Engine,
}

impl SteppedLog {
    /// As `Log::open_on`.
    pub fn open(disk: Arc<dyn Disk>, options: Options, channels: &[ChannelSpec]) -> Result<SteppedLog, OpenError> {
        Ok(SteppedLog { engine: crate::recovery::open(disk, options, channels)? })
    }

    /// Commits batches as one group.
    pub fn append_group(&self, batches: Vec<Batch>) -> Vec<Result<Appended, AppendError>> {
        let outcomes = self.engine.commit_group(batches.into_iter().map(|batch| Work::Batches(vec![batch])).collect());
        outcomes.into_iter().map(appended).collect()
    }

    /// Commits one batch.
    pub fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        appended(self.one(Work::Batches(vec![batch])))
    }

    /// As `Log::append_all`.
    pub fn append_all(&self, batches: Vec<Batch>) -> Result<Vec<Appended>, AppendError> {
        all_appended(self.one(Work::Batches(batches)))
    }

    /// Begins a large batch.
    pub fn begin(&self) -> Result<u64, AppendError> {
        match self.one(Work::Begin)? {
            Done::Begun(id) => Ok(id),
            _ => Err(AppendError::Closed),
        }
    }

    /// Adds to it.
    pub fn part(&self, id: u64, entries: Vec<Entry>) -> Result<(), AppendError> {
        self.one(Work::Part { id, entries }).map(|_| ())
    }

    /// Makes it visible.
    pub fn commit(&self, id: u64, commit: LargeCommit) -> Result<Appended, AppendError> {
        appended(self.one(Work::Commit { id, commit }))
    }

    /// Forgets it.
    pub fn abort(&self, id: u64) {
        drop(self.one(Work::Abort { id }));
    }

    /// Moves the journal into segments and the view store.
    pub fn drain(&self) -> Result<bool, DrainError> {
        self.engine.drain()
    }

    /// Merges segments where it is due.
    pub fn merge(&self) -> Result<bool, DrainError> {
        self.engine.merge()
    }

    /// Applies retention.
    pub fn retain(&self) -> Result<bool, DrainError> {
        self.engine.retain()
    }

    /// As `Log::channel`.
    pub fn channel(&self, name: &str) -> Option<Channel> {
        let state = self.engine.channels.iter().find(|channel| channel.name == name && channel.configured)?;
        Some(Channel { state: state.clone() })
    }

    /// As `Log::checkpoint`.
    pub fn checkpoint(&self, name: &str) -> Option<Bytes> {
        self.engine.checkpoint(name)
    }

    /// As `Log::health`.
    pub fn health(&self) -> Health {
        self.engine.health()
    }

    /// As `Log::stats`.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Closes in order, without a drain.
    pub fn close(self) {
        self.engine.close();
    }

    /// As [`crate::verify()`].
    pub fn verify(disk: Arc<dyn Disk>) -> Result<Report, VerifyError> {
        verify_on(disk)
    }

    fn one(&self, work: Work) -> Outcome {
        self.engine.commit_group(vec![work]).pop().unwrap_or(Err(AppendError::Closed))
    }
}
