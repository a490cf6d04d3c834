//! A group: all the work that waited, put together, made durable with one write and one sync, then visible.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tidegate_core::{ChannelId, Millis};

use crate::batch::{AppendError, Appended, Batch, Entry};
use crate::counters::{add, get};
use crate::engine::{Core, Engine};
use crate::health::Health;
use crate::journal::{IdempotencyRecord, WriteError, encode};
use crate::large::Claim;
use crate::stage::{Known, Stage};
use crate::state::StateError;

/// While so many times `journal_bytes` wait for a drain, nothing more is taken: memory would grow without end.
const BACKLOG_MAX: u64 = 8;
/// What is appended all or nothing, together: as much as may wait in the queue.
const BATCHES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One thing to do in a group.
#[derive(Debug)]
pub(crate) enum Work {
    /// All of them or none.
    Batches(Vec<Batch>),
    /// Of a large batch, behind all that was submitted before.
    Claim(Claim),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// An answer per batch; of a claim for a commit that is there already.
    Appended(Vec<Appended>),
    Claimed,
}

pub(crate) type Outcome = Result<Done, AppendError>;

/// How a batch stands before it is put into the group.
enum Admitted {
    New,
    /// It is in the log.
    Known(Appended),
    /// It is that of this index again.
    Repeats(usize),
}

/// A group while it is put together.
struct Group {
    stage: Stage,
    buffer: Vec<u8>,
    chain: u32,
    needs_sync: bool,
    now: Millis,
}

impl Engine {
    /// Makes the work durable with one write and one sync, then visible. Outcomes come in the order of the work.
    pub(crate) fn commit_group(&self, work: Vec<Work>) -> Vec<Outcome> {
        let count = work.len();
        let outcomes = self.commit_locked(&mut self.core(), work);
        match outcomes {
            Ok((outcomes, moved)) => {
                self.tell(&moved);
                outcomes
            }
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }

    /// The error refuses the whole group.
    #[allow(clippy::type_complexity)]
    fn commit_locked(&self, core: &mut Core, work: Vec<Work>) -> Result<(Vec<Outcome>, Vec<ChannelId>), AppendError> {
        if self.health() == Health::Poisoned {
            return Err(AppendError::Poisoned);
        }
        if get(&self.counters.undrained) > BACKLOG_MAX * self.options.journal_bytes.max(1024 * 1024) {
            return Err(self.full("drains cannot keep up"));
        }
        let mut group = Group {
            stage: Stage::default(),
            buffer: std::mem::take(&mut core.buffer),
            chain: core.writer.chain(),
            needs_sync: false,
            now: self.options.clock.now(),
        };
        group.buffer.clear();
        let (mut outcomes, mut batches) = (Vec::with_capacity(work.len()), 0);
        for work in work {
            // On an error nothing was written yet.
            outcomes.push(match work {
                Work::Batches(all) => {
                    batches += all.len() as u64;
                    let outcome = self.stage_batches(core, &mut group, &all);
                    outcome.map_err(|error| self.state_failed(&error))?
                }
                Work::Claim(claim) => self.claim(core, &group, &claim),
            });
        }
        self.write(core, &group).map_err(|error| match error {
            WriteError::Refused(error) => self.full(&error.to_string()),
            WriteError::Poisoned(error) => self.poison(&error.to_string()),
        })?;
        if !group.buffer.is_empty() {
            self.recovered();
        }
        add(&self.counters.groups, 1);
        add(&self.counters.batches, batches);
        add(&self.counters.records, group.stage.records);
        let undrained = core.undrained_before + core.writer.end();
        self.counters.undrained.store(undrained, Ordering::Relaxed);
        core.buffer = group.buffer;
        Ok((outcomes, group.stage.apply(self)))
    }

    /// Gives a large batch what it asks for, unless its commit is there already.
    fn claim(&self, core: &mut Core, group: &Group, claim: &Claim) -> Outcome {
        if let Some(key) = &claim.idempotency
            && let Known::Replay(answer) = group.stage.known(self, key, group.now)?
        {
            add(&self.counters.replayed, 1);
            return Ok(Done::Appended(vec![answer]));
        }
        core.claims.take(claim).map(|()| Done::Claimed)
    }

    fn stage_batches(&self, core: &Core, group: &mut Group, batches: &[Batch]) -> Result<Outcome, StateError> {
        let admitted = match self.admit(core, &mut group.stage, group.now, batches) {
            Ok(admitted) => admitted,
            Err(error) => return Ok(Err(error)),
        };
        let mut answers: Vec<Appended> = Vec::with_capacity(batches.len());
        for (batch, admitted) in batches.iter().zip(admitted) {
            answers.push(match admitted {
                Admitted::New => self.stage_batch(group, batch)?,
                Admitted::Known(answer) => answer,
                Admitted::Repeats(at) => Appended { replayed: true, ..answers[at].clone() },
            });
        }
        Ok(Ok(Done::Appended(answers)))
    }

    /// Looks at all of them before anything is put into the group; the error refuses all. What one expects must hold before the
    /// first of them.
    fn admit(
        &self,
        core: &Core,
        stage: &mut Stage,
        now: Millis,
        batches: &[Batch],
    ) -> Result<Vec<Admitted>, AppendError> {
        let mut bytes = 0;
        let admit = |(at, batch): (usize, &Batch)| {
            let own = size(&batch.entries);
            bytes += own;
            if own > self.options.batch_bytes_max || (at > 0 && bytes > BATCHES_BYTES_MAX) {
                return Err(AppendError::TooLarge);
            }
            Stage::check(self, &batch.entries)?;
            let new = |stage: &mut Stage| {
                if !core.claims.allow(batch) {
                    return Err(AppendError::Busy);
                }
                batch.expect.as_ref().map_or(Ok(()), |expect| stage.judge(self, expect))?;
                Ok(Admitted::New)
            };
            let Some(key) = &batch.idempotency else { return new(stage) };
            let same = |other: &Batch| other.idempotency.as_ref().is_some_and(|other| other.names_the_same(key));
            let admitted = match batches[..at].iter().position(same) {
                Some(first) if batches[first].idempotency.as_ref() != Some(key) => {
                    return Err(AppendError::IdempotencyMismatch);
                }
                Some(first) => Admitted::Repeats(first),
                None => match stage.known(self, key, now)? {
                    Known::New => return new(stage),
                    Known::Replay(answer) => Admitted::Known(answer),
                },
            };
            add(&self.counters.replayed, 1);
            Ok(admitted)
        };
        batches.iter().enumerate().map(admit).collect()
    }

    fn stage_batch(&self, group: &mut Group, batch: &Batch) -> Result<Appended, StateError> {
        let resolved = group.stage.resolve(self, &batch.entries, batch.tx.as_deref(), group.now)?;
        let record = batch.idempotency.clone();
        let record = record.map(|key| IdempotencyRecord { key, answer: resolved.answer.clone() });
        group.stage.note(self, &batch.checkpoints, record.as_ref(), resolved.appended);
        let durable = record.as_ref().filter(|record| self.on_disk(record.key.channel));
        if !resolved.first.is_empty() || !batch.checkpoints.is_empty() || durable.is_some() {
            let kept = batch.entries.iter().zip(&resolved.kept).filter(|(_, kept)| **kept).map(|(entry, _)| entry);
            let head = encode::Head {
                appended: resolved.appended,
                tx: batch.tx.as_deref(),
                checkpoints: &batch.checkpoints,
                idempotency: durable,
                first: &resolved.first,
            };
            group.chain = encode::batch(&mut group.buffer, group.chain, &head, kept);
            group.needs_sync = true;
        }
        Ok(resolved.answer)
    }

    fn write(&self, core: &mut Core, group: &Group) -> Result<(), WriteError> {
        if group.buffer.is_empty() {
            return Ok(());
        }
        core.writer.write(&group.buffer, group.chain)?;
        add(&self.counters.journal_bytes_written, group.buffer.len() as u64);
        if group.needs_sync {
            let began = Instant::now();
            core.writer.sync()?;
            self.counters.synced(began.elapsed());
        }
        Ok(())
    }
}

/// What entries take in memory, about.
pub(crate) fn size(entries: &[Entry]) -> usize {
    let one = |entry: &Entry| {
        entry.data.len() + entry.address.as_str().len() + entry.key.as_ref().map_or(0, |key| key.len()) + 64
    };
    entries.iter().map(one).sum()
}
