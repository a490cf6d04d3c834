//! One ceiling over what clients make the server hold in memory, and the order in which it is kept.
//!
//! ```text
//!   of the ceiling:  70 %  kept answers and blocks are dropped  the log is read again
//!                    80 %  rings of tails become small          who is behind reads the log
//!                    90 %  large bodies and answers wait        then 429
//!                    95 %  new watches are refused              with a time to come back
//!                   100 %  who is behind waits to be read for   nobody is cut, nothing is lost
//! ```
//!
//! Shared bytes count once, for as long as anybody holds them: the account is in their owner, so
//! that a delivery counts nothing.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tidegate_core::{ErrorCode, Problem};
use tokio::sync::Notify;

/// What memory is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Chunks of tails, also those that have left their ring and are still being written.
    Rings,
    /// Encoded blocks for laggards, also those that are dropped and still being written.
    Blocks,
    /// Answers that are kept for whoever asks the same, also those that are dropped and still being written.
    Answers,
    /// What was encoded for one watcher alone, until it is written, and the rows that its `at` puts back.
    Outputs,
    /// Large bodies of requests and large answers.
    Bodies,
    /// Watches and their connections, as estimated.
    Watches,
}

/// What is given up, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Encoded blocks are dropped, and answers that are kept.
    Blocks,
    /// Rings become small.
    Rings,
    /// Large bodies and answers wait.
    Bodies,
    /// New watches are refused.
    Watches,
    /// Watchers who are behind wait.
    Laggards,
}

/// The account.
pub struct Memory {
    max: usize,
    used: [AtomicUsize; Use::ALL.len()],
    shed: [AtomicU64; Step::ALL.len()],
    /// More is used than the first step allows.
    pressed: Notify,
    freed: Notify,
    waiting: AtomicUsize,
    answers: OnceLock<GiveUp>,
}

/// Drops what can be had again while the first step says so. Returns how much of it.
type GiveUp = Box<dyn Fn() -> u64 + Send + Sync>;

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({:?} of {})", self.used, self.max)
    }
}

impl Use {
    /// Each of them, in order.
    pub const ALL: [Use; 6] = [Use::Rings, Use::Blocks, Use::Answers, Use::Outputs, Use::Bodies, Use::Watches];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Use::Rings => "rings",
            Use::Blocks => "blocks",
            Use::Answers => "answers",
            Use::Outputs => "outputs",
            Use::Bodies => "bodies",
            Use::Watches => "watches",
        }
    }
}

impl Step {
    /// Each of them, in order.
    pub const ALL: [Step; 5] = [Step::Blocks, Step::Rings, Step::Bodies, Step::Watches, Step::Laggards];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Blocks => "blocks",
            Step::Rings => "rings",
            Step::Bodies => "bodies",
            Step::Watches => "watches",
            Step::Laggards => "laggards",
        }
    }

    /// From which part of the ceiling on, in percent.
    fn percent(self) -> usize {
        match self {
            Step::Blocks => 70,
            Step::Rings => 80,
            Step::Bodies => 90,
            Step::Watches => 95,
            Step::Laggards => 100,
        }
    }
}

impl Memory {
    /// With this ceiling, in bytes.
    pub fn new(max: usize) -> Memory {
        Memory {
            max,
            used: Default::default(),
            shed: Default::default(),
            pressed: Notify::new(),
            freed: Notify::new(),
            waiting: AtomicUsize::new(0),
            answers: OnceLock::new(),
        }
    }

    /// The ceiling, in bytes.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How much is used for this now, in bytes.
    pub fn used(&self, what: Use) -> usize {
        self.used[what as usize].load(Ordering::Relaxed)
    }

    /// How often this was given up.
    pub fn shed(&self, step: Step) -> u64 {
        self.shed[step as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn count_shed(&self, step: Step, times: u64) {
        self.shed[step as usize].fetch_add(times, Ordering::Relaxed);
    }

    /// How much more than this step allows would be used with `bytes` more.
    pub(crate) fn excess(&self, step: Step, bytes: usize) -> usize {
        let used: usize = self.used.iter().map(|used| used.load(Ordering::SeqCst)).sum();
        (used + bytes).saturating_sub(self.max / 100 * step.percent())
    }

    /// Whether this step has been reached.
    pub fn over(&self, step: Step) -> bool {
        self.excess(step, 0) > 0
    }

    /// Says who keeps answers, and drops them when the first step is reached. Once.
    pub fn give_up_answers_by(&self, give_up: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.answers.set(Box::new(give_up));
    }

    pub(crate) fn give_up_answers(&self) {
        let given_up = self.answers.get().map_or(0, |give_up| give_up());
        self.count_shed(Step::Blocks, given_up);
    }

    /// Counts bytes until the answer is dropped.
    pub fn take(self: &Arc<Self>, what: Use, bytes: usize) -> Held {
        self.used[what as usize].fetch_add(bytes, Ordering::SeqCst);
        if self.over(Step::Blocks) {
            self.pressed.notify_one();
        }
        Held { memory: self.clone(), what, bytes }
    }

    /// Makes shared bytes that count until the last of them is dropped, with what is kept `beside`.
    pub fn share(self: &Arc<Self>, what: Use, bytes: Vec<u8>, beside: usize) -> Bytes {
        let held = self.take(what, bytes.capacity() + beside);
        Bytes::from_owner(Counted { bytes, _held: held })
    }

    /// Counts what is not counted one by one.
    pub(crate) fn set(&self, what: Use, bytes: usize) {
        self.used[what as usize].store(bytes, Ordering::SeqCst);
    }

    /// Returns when more is used than the first step allows, at once if it has been since the last time.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Returns when this step allows `bytes` more.
    pub async fn room(&self, step: Step, bytes: usize) {
        if self.excess(step, bytes) == 0 {
            return;
        }
        self.count_shed(step, 1);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waits = Waits(&self.waiting);
        loop {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.excess(step, bytes) == 0 {
                // There may be room for the next one too.
                self.freed.notify_one();
                return;
            }
            freed.await;
        }
    }

    /// Refuses a new watch, and says when to come back, where no more may begin.
    pub(crate) fn admit(&self) -> Result<(), Problem> {
        if !self.over(Step::Watches) {
            return Ok(());
        }
        self.count_shed(Step::Watches, 1);
        let detail = "the server holds as much in memory as it may; no more watches begin at the moment";
        Err(Problem::new(ErrorCode::RateLimited, detail))
    }
}

struct Waits<'m>(&'m AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A part of the account, given back when dropped.
#[derive(Debug)]
pub struct Held {
    memory: Arc<Memory>,
    what: Use,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.used[self.what as usize].fetch_sub(self.bytes, Ordering::SeqCst);
        if self.memory.waiting.load(Ordering::SeqCst) > 0 {
            self.memory.freed.notify_one();
        }
    }
}

struct Counted {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_bytes_count_once_until_the_last_is_dropped() {
        let memory = Arc::new(Memory::new(1_000));
        let bytes = memory.share(Use::Blocks, vec![7; 100], 20);
        let part = bytes.slice(90..);
        assert_eq!(memory.used(Use::Blocks), 120);
        drop(bytes);
        assert_eq!((memory.used(Use::Blocks), &part[..]), (120, &[7; 10][..]));
        drop(part);
        assert_eq!(memory.used(Use::Blocks), 0);
    }

    #[test]
    fn steps_come_in_their_order() {
        let memory = Arc::new(Memory::new(1_000));
        let mut held = Vec::new();
        let mut first = Vec::new();
        for _ in 0..=100 {
            held.push(memory.take(Use::Rings, 10));
            first.extend(Step::ALL.into_iter().find(|step| memory.over(*step) && !first.contains(step)));
        }
        assert_eq!(first, Step::ALL);
        assert_eq!(memory.admit().expect_err("full").retry_ms, ErrorCode::RateLimited.retry_ms());
        assert!(memory.admit().is_err() && memory.shed(Step::Watches) == 2);
        held.clear();
        assert!(memory.admit().is_ok());
    }

    /// What is given back lets in as many as there is room for, however few gave it back.
    #[tokio::test]
    async fn all_who_wait_are_let_in_when_there_is_room() {
        let memory = Arc::new(Memory::new(1_000));
        let held = memory.take(Use::Bodies, 1_000);
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let memory = memory.clone();
                tokio::spawn(async move {
                    memory.room(Step::Bodies, 100).await;
                    memory.take(Use::Bodies, 100)
                })
            })
            .collect();
        while memory.waiting.load(Ordering::SeqCst) < 5 {
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut shares = Vec::new();
        for waiter in waiters {
            shares.push(waiter.await.expect("a share"));
        }
        assert_eq!((memory.used(Use::Bodies), memory.shed(Step::Bodies)), (500, 5));
    }
}
