//! The sampling loop: read, compare, append, wait.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_core::{Millis, PlacementError};
use tidegate_log::{AppendError, Batch, Log, loaded_mark};

use super::reading::Reading;
use super::rows::rows;
use super::settings::System;
use crate::difference::{Difference, Known};
use crate::finding::Finding;
use crate::running::{Running, Stop};
use crate::stats::{SourceState, SourceStats};
use crate::{Source, StartError, Takes, Target};

/// The first rates are taken over this time, so that a channel does not load for a whole interval.
const FIRST_INTERVAL_MAX: Duration = Duration::from_millis(250);
/// Reasons of events without a place that are logged; the rest is only counted.
const REASONS_MAX: usize = 16;

/// Where the source is: nothing upstream can be resumed, so this only counts.
#[derive(Serialize, Deserialize, Default)]
struct Checkpoint {
    sample: u64,
    time: String,
}

/// The loop and what it knows.
struct Sampler {
    name: String,
    log: Log,
    known: Vec<Known>,
    /// What the first batch says to be loaded.
    marks: Vec<(String, Bytes)>,
    sample: u64,
    stats: Arc<SourceStats>,
    /// Why events had no place, as far as it was logged.
    reasons: HashSet<String>,
    /// What fails now, as it was logged.
    failing: Option<String>,
}

/// The log takes nothing more before a restart.
struct Over;

impl Source for System {
    fn check(&self, _: &str, _: &[Target]) -> Vec<Finding> {
        vec![match readable() {
            Ok(()) => Finding::good("/proc can be read"),
            Err(why) => Finding::missing(why),
        }]
    }

    fn start(&self, name: &str, log: Log, targets: Vec<Target>) -> Result<Running, StartError> {
        readable().map_err(StartError::Machine)?;
        let mut known = Vec::with_capacity(targets.len());
        let mut marks = Vec::with_capacity(targets.len());
        for target in targets {
            // Every row has its group and its name, so nothing can be a dead letter.
            let Takes::Rows(placement) = target.takes else { continue };
            let channel = log.channel(&target.channel).ok_or(StartError::NoChannel(target.channel))?;
            marks.push((loaded_mark(name, channel.name()), Bytes::new()));
            known.push(Known::load(&channel, placement)?);
        }
        let before = log.checkpoint(name);
        let checkpoint: Checkpoint = before.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let stats = Arc::new(SourceStats::default());
        let sampler = Sampler {
            name: name.to_owned(),
            log,
            known,
            marks,
            sample: checkpoint.sample,
            stats: stats.clone(),
            reasons: HashSet::new(),
            failing: None,
        };
        let interval = self.interval;
        Ok(Running::start(name, stats, move |stop| sampler.run(interval, &stop))?)
    }
}

/// Without /proc there never will be figures.
fn readable() -> Result<(), String> {
    Reading::take().map(|_| ()).map_err(|error| format!("cannot read /proc: {error}; `kind: system` needs Linux"))
}

impl Sampler {
    fn run(mut self, interval: Duration, stop: &Stop) {
        self.stats.set_state(SourceState::Loading);
        let mut before = self.read();
        let mut next = Instant::now() + interval.min(FIRST_INTERVAL_MAX);
        while stop.wait_until(next) {
            let now = self.read();
            if let (Some(before), Some(now)) = (&before, &now) {
                let data: Vec<Bytes> = rows(before, now).iter().map(super::rows::Row::json).collect();
                if self.append(&data).is_err() {
                    tracing::error!(source = self.name, "the log takes nothing more; the source stops");
                    return;
                }
            }
            before = now;
            // A machine that was asleep, or too slow, is not asked for the samples that it missed.
            next = (next + interval).max(Instant::now());
        }
    }

    fn read(&mut self) -> Option<Reading> {
        match Reading::take() {
            Ok(reading) => Some(reading),
            Err(error) => {
                self.failed(format!("cannot read /proc: {error}"));
                None
            }
        }
    }

    /// Appends what differs. A sample that the log cannot take now is forgotten: the next one is
    /// compared with the same rows, so nothing but the moment is lost.
    fn append(&mut self, data: &[Bytes]) -> Result<(), Over> {
        let time = Millis::now();
        let mut differences: Vec<Difference> = self.known.iter().map(|known| known.difference(data, time)).collect();
        for error in differences.iter().flat_map(|difference| difference.unplaced.clone()).collect::<Vec<_>>() {
            self.unplaced(&error);
        }
        let entries: Vec<_> =
            differences.iter_mut().flat_map(|difference| std::mem::take(&mut difference.entries)).collect();
        let count = entries.len() as u64;
        let sample = self.sample + 1;
        let checkpoint = Checkpoint { sample, time: time.to_string() };
        let mut checkpoints = self.marks.clone();
        checkpoints.push((self.name.clone(), serde_json::to_vec(&checkpoint).unwrap_or_default().into()));
        let batch = Batch {
            entries,
            checkpoints,
            idempotency: None,
            expect: None,
            tx: Some(format!("{}-{sample}", self.name).into()),
        };
        match self.log.append(batch) {
            Ok(_) => {
                self.sample = sample;
                self.marks.clear();
                for (known, difference) in self.known.iter_mut().zip(differences) {
                    known.apply(difference);
                }
                SourceStats::add(&self.stats.batches, 1);
                self.stats.last_batch_ms.store(time.0, Ordering::Relaxed);
                SourceStats::add(&self.stats.events, count);
                self.worked();
                Ok(())
            }
            Err(AppendError::Poisoned | AppendError::Closed) => Err(Over),
            Err(error) => {
                self.failed(format!("a sample was not appended: {error}"));
                Ok(())
            }
        }
    }

    /// Logs each reason once.
    fn unplaced(&mut self, error: &PlacementError) {
        SourceStats::add(&self.stats.unplaced, 1);
        let reason = error.to_string();
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            tracing::warn!(source = self.name, "an event has no place and is left out: {reason}");
            self.reasons.insert(reason);
        }
    }

    /// Logs a failure when it begins, not at each sample.
    fn failed(&mut self, what: String) {
        SourceStats::add(&self.stats.failures, 1);
        self.stats.set_state(SourceState::Waiting);
        if self.failing.as_ref() != Some(&what) {
            tracing::warn!(source = self.name, "{what}");
            self.failing = Some(what);
        }
    }

    fn worked(&mut self) {
        self.stats.set_state(SourceState::Live);
        if self.failing.take().is_some() {
            tracing::info!(source = self.name, "works again");
        }
    }
}
