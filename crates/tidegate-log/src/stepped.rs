//! The log without threads, for tests that drive it a step at a time on a simulated disk.

use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{AppendError, Appended, Batch};
use crate::channel::Channel;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{DrainError, OpenError};
use crate::group::{Outcome, Work};
use crate::health::{Health, Stats};
use crate::large::LargeBatch;
use crate::log::{all_appended, appended};
use crate::options::{ChannelSpec, Options};
use crate::page::ReadError;
use crate::verify::{Report, VerifyError, verify_on};

/// An open log whose every step is a call. Dropping it is a killed process: nothing is drained.
pub struct SteppedLog {
    engine: Arc<Engine>,
}

impl SteppedLog {
    /// As `Log::open_on`.
    pub fn open(disk: Arc<dyn Disk>, options: Options, channels: &[ChannelSpec]) -> Result<SteppedLog, OpenError> {
        Ok(SteppedLog { engine: Arc::new(crate::recovery::open(disk, options, channels)?) })
    }

    /// Commits batches as one group.
    pub fn append_group(&self, batches: Vec<Batch>) -> Vec<Result<Appended, AppendError>> {
        let outcomes = self.engine.commit_group(batches.into_iter().map(|batch| Work::Batches(vec![batch])).collect());
        outcomes.into_iter().map(appended).collect()
    }

    /// Commits one batch.
    pub fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        appended(one(&self.engine, Work::Batches(vec![batch])))
    }

    /// As `Log::append_all`.
    pub fn append_all(&self, batches: Vec<Batch>) -> Result<Vec<Appended>, AppendError> {
        all_appended(one(&self.engine, Work::Batches(batches)))
    }

    /// As `Log::begin`.
    pub fn begin(&self, tx: Option<Box<str>>) -> Result<LargeBatch, AppendError> {
        let engine = self.engine.clone();
        let claim = Box::new(move |claim| one(&engine, Work::Claim(claim)));
        LargeBatch::begin(self.engine.clone(), claim, tx)
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

    /// As `Log::kept`.
    pub fn kept(&self, kind: &str) -> Result<Vec<(String, Bytes)>, ReadError> {
        Ok(self.engine.ledger.kept(kind)?.into_iter().collect())
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
}

fn one(engine: &Engine, work: Work) -> Outcome {
    engine.commit_group(vec![work]).pop().unwrap_or(Err(AppendError::Closed))
}
