//! The two threads around the engine: one takes what is queued and commits it in groups, one drains, merges and trims.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::batch::AppendError;
use crate::counters::get;
use crate::engine::Engine;
use crate::error::DrainError;
use crate::group::{Outcome, Work};
use crate::health::Health;

/// Batches that may wait; then producers wait.
const QUEUE_WORK_MAX: usize = 4096;
/// Their payload, likewise.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A group takes no more than this at once, so that its first batch does not wait for a flood behind it.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The drain thread looks around this often.
const TICK: Duration = Duration::from_secs(1);
/// Whatever is in the journal is drained after this long.
const DRAIN_AFTER: Duration = Duration::from_secs(60);
/// A failed drain is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Beyond so many times `journal_bytes` groups wait for the drain.
const BACKLOG_WAIT: u64 = 4;

type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// The engine with its threads.
pub(crate) struct Running {
    pub(crate) engine: Arc<Engine>,
    queue: Arc<Queue>,
    drains: Arc<Drains>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    inner: Mutex<Queued>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct Queued {
    work: VecDeque<(Work, usize, Callback)>,
    bytes: usize,
    /// A group that was taken is being committed.
    busy: bool,
    closed: bool,
}

#[derive(Default)]
struct Drains {
    inner: Mutex<DrainState>,
    changed: Condvar,
}

#[derive(Default)]
struct DrainState {
    due: bool,
    failing: bool,
    stop: bool,
    /// Rounds that ended.
    rounds: u64,
}

impl Running {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Running> {
        let engine = Arc::new(engine);
        let (queue, drains) = (Arc::<Queue>::default(), Arc::<Drains>::default());
        let committer = {
            let (engine, queue, drains) = (engine.clone(), queue.clone(), drains.clone());
            std::thread::Builder::new()
                .name("log-journal".into())
                .spawn(move || commit_all(&engine, &queue, &drains))?
        };
        let drainer = {
            let (engine, drains) = (engine.clone(), drains.clone());
            std::thread::Builder::new().name("log-drain".into()).spawn(move || drain_all(&engine, &drains))?
        };
        Ok(Running { engine, queue, drains, threads: Mutex::new(vec![committer, drainer]) })
    }

    /// Queues work; waits while the queue is full. What touches no disk is done at once, on the
    /// caller's thread, unless something is before it.
    pub(crate) fn submit(&self, work: Work, bytes: usize, done: Callback) {
        let mut queued = self.queue.lock();
        let alone = queued.work.is_empty() && !queued.busy && !queued.closed;
        if alone && self.engine.only_in_memory(&work) {
            drop(queued);
            let outcome = self.engine.commit_group(vec![work]).pop();
            return done(outcome.unwrap_or(Err(AppendError::Closed)));
        }
        // One that is larger than the queue itself goes in when it is alone.
        while !queued.closed
            && !queued.work.is_empty()
            && (queued.work.len() >= QUEUE_WORK_MAX || queued.bytes + bytes > QUEUE_BYTES_MAX)
        {
            queued = self.queue.emptied.wait(queued).unwrap_or_else(PoisonError::into_inner);
        }
        if queued.closed {
            drop(queued);
            return done(Err(AppendError::Closed));
        }
        queued.bytes += bytes;
        queued.work.push_back((work, bytes, done));
        let first = queued.work.len() == 1;
        drop(queued);
        if first {
            self.queue.filled.notify_one();
        }
    }

    pub(crate) fn queued(&self) -> u64 {
        self.queue.lock().work.len() as u64
    }

    /// Takes nothing more, finishes what is queued, drains, lets go of the folder.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_all();
        self.queue.emptied.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let was_running = !threads.is_empty();
        // The committer first: it may wait for the drainer.
        for (index, thread) in threads.drain(..).enumerate() {
            if index == 1 {
                self.drains.lock().stop = true;
                self.drains.changed.notify_all();
            }
            // The last holder of a log may be one of its own callbacks.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        if !was_running {
            return;
        }
        if let Err(error) = self.engine.drain() {
            tracing::warn!(%error, "the last drain failed; the journal is read again at the next start");
        }
        self.engine.close();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work and takes a group of it; `None` when closed and empty.
    fn take(&self) -> Option<Vec<(Work, Callback)>> {
        let mut queued = self.lock();
        queued.busy = false;
        while queued.work.is_empty() {
            if queued.closed {
                return None;
            }
            queued = self.filled.wait(queued).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::with_capacity(queued.work.len());
        let mut bytes = 0;
        while bytes < GROUP_BYTES_MAX
            && let Some((work, size, done)) = queued.work.pop_front()
        {
            bytes += size;
            group.push((work, done));
        }
        queued.bytes -= bytes;
        queued.busy = true;
        drop(queued);
        self.emptied.notify_all();
        Some(group)
    }
}

impl Drains {
    fn lock(&self) -> MutexGuard<'_, DrainState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self) {
        self.lock().due = true;
        self.changed.notify_all();
    }

    /// Lets the drain catch up, unless it cannot.
    fn wait_for_room(&self, engine: &Engine) {
        let most = BACKLOG_WAIT * engine.options.journal_bytes.max(1024 * 1024);
        let mut state = self.lock();
        while get(&engine.counters.undrained) > most && !state.failing && !state.stop {
            state.due = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn commit_all(engine: &Engine, queue: &Queue, drains: &Drains) {
    while let Some(group) = queue.take() {
        drains.wait_for_room(engine);
        let (work, callbacks): (Vec<Work>, Vec<Callback>) = group.into_iter().unzip();
        for (outcome, done) in engine.commit_group(work).into_iter().zip(callbacks) {
            done(outcome);
        }
        if get(&engine.counters.undrained) > engine.options.journal_bytes || engine.state.has_failed() {
            drains.ask();
        }
    }
}

fn drain_all(engine: &Engine, drains: &Drains) {
    let mut drained = Instant::now();
    let mut retry: Option<Instant> = None;
    loop {
        let mut state = drains.lock();
        if !state.due && !state.stop {
            state = drains.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.stop {
            return;
        }
        let asked = std::mem::take(&mut state.due);
        drop(state);
        if engine.health() == Health::Poisoned {
            end_round(drains, true);
            wait_tick(drains);
            continue;
        }
        if retry.is_some_and(|at| Instant::now() < at) {
            end_round(drains, true);
            wait_tick(drains);
            continue;
        }
        let late = drained.elapsed() > DRAIN_AFTER;
        let result = if asked || late || retry.is_some() || engine.retention_needs_drain() {
            drained = Instant::now();
            engine.drain().and_then(|_| engine.merge()).map(|_| ())
        } else {
            Ok(())
        };
        let result = result.and_then(|()| engine.retain().map(|_| ()));
        retry = result.as_ref().err().map(|_| Instant::now() + RETRY_AFTER);
        if let Err(error) = &result {
            tracing::warn!(%error, "a drain failed; nothing is lost, it is tried again");
        }
        end_round(drains, result.is_err());
    }
}

fn end_round(drains: &Drains, failing: bool) {
    let mut state = drains.lock();
    state.failing = failing;
    state.rounds += 1;
    drop(state);
    drains.changed.notify_all();
}

/// While nothing can be done, asking more often changes nothing.
fn wait_tick(drains: &Drains) {
    let state = drains.lock();
    if !state.stop {
        drop(drains.changed.wait_timeout_while(state, TICK, |state| !state.stop));
    }
}

impl Running {
    /// Drains now, on the caller's thread.
    pub(crate) fn drain_now(&self) -> Result<(), DrainError> {
        self.engine.drain()?;
        self.engine.merge()?;
        drop(self.drains.lock());
        self.drains.changed.notify_all();
        Ok(())
    }
}
