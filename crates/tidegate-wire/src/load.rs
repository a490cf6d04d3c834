//! What gives way under load: watches of less important channels are told less often, so that nobody is cut.
//!
//! ```text
//!   sample, four a second: CPU time of the process, how late passes end, memory
//!      │ over a threshold for a second           all well below for a while, and less to tell
//!      ▼                                                 ▼
//!   calm ─────────► the low give way ─────────► the normal, too
//!        ◄─────────                  ◄─────────
//! ```
//!
//! A watch of the state that gives way leaves its tail for a conflated one, at its cursor, and is told so by a `notice`;
//! later it goes back. A history would lose events by that, so its tails only rest longer: larger writes, fewer of them.
//! While events are very late, new watches are let in at a bounded pace, or those who are there would starve.

mod judge;
mod sample;

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tidegate_core::{ErrorCode, NoticeCode, Problem};
use tidegate_hub::{Priority, Rate};
use tokio::sync::watch;

use crate::tail::TailKey;
use crate::tails::{Hold, Shared};
use judge::Judge;
pub(crate) use sample::Sample;
use sample::{Cpu, Growth};

/// How often it is looked.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// Events so many times later than the threshold: those who watch already would have to wait for those who come.
const CROWDED: u32 = 2;
/// New watches a second meanwhile: each costs a plan, perhaps a snapshot, and a place.
const ADMITTED_A_SECOND: u32 = 100;
/// Who was not let in comes back in this time, each at another moment of it.
const COME_BACK_MS: std::ops::Range<u64> = 1_000..5_000;

/// From where on watches give way, and how far.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// How often a watch is told that gives way.
    pub rate: Rate,
    /// The part of the machine's CPU time that the process uses.
    pub cpu_max: f64,
    /// From an event's place in its tail to the end of the pass over its watchers.
    pub lag_max: Duration,
    /// The part of the ceiling of memory.
    pub memory_max: f64,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            rate: Rate::every(Duration::from_millis(500)),
            cpu_max: 0.9,
            lag_max: Duration::from_millis(500),
            memory_max: 0.85,
        }
    }
}

/// Who gives way now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody.
    #[default]
    Calm,
    /// Those of low priority.
    Low,
    /// Those of normal priority, too.
    Normal,
}

impl Level {
    pub(crate) fn slows(self, priority: Priority) -> bool {
        match priority {
            Priority::High => false,
            Priority::Normal => self >= Level::Normal,
            Priority::Low => self >= Level::Low,
        }
    }
}

/// See the module.
pub(crate) struct Load {
    options: LoadOptions,
    level: watch::Sender<Level>,
    /// The latest end of a pass since the last sample, in microseconds.
    lag_us: AtomicU64,
    /// Who may still come.
    admission: Mutex<Admission>,
    slowed: Arc<AtomicUsize>,
    pub(crate) figures: LoadFigures,
}

/// What is counted, for metrics.
#[derive(Debug, Default)]
pub struct LoadFigures {
    /// Times that the level rose.
    pub rises: AtomicU64,
    /// Watches that gave way, and those that went back.
    pub slowed: AtomicU64,
    /// See there.
    pub restored: AtomicU64,
    /// New watches that were told to come back.
    pub refused: AtomicU64,
    /// Of the last sample: CPU in thousandths, and the lag in microseconds.
    pub cpu_permille: AtomicU32,
    /// See there.
    pub lag_us: AtomicU64,
}

/// How many may still come in this second; `None` while all may.
#[derive(Default)]
struct Admission(Option<(Instant, u32)>);

/// Where a watch goes.
pub(crate) enum Turn {
    /// To this tail, until the load is less.
    Slower(TailKey),
    /// To where it was.
    Back,
}

/// A watch that has given way: where it comes from. Counted while it is there.
pub(crate) struct Slowed {
    pub(crate) from: TailKey,
    count: Arc<AtomicUsize>,
}

impl Drop for Slowed {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    pub(crate) fn new(options: LoadOptions) -> Load {
        Load {
            options,
            level: watch::Sender::new(Level::Calm),
            lag_us: AtomicU64::new(0),
            admission: Mutex::default(),
            slowed: Arc::default(),
            figures: LoadFigures::default(),
        }
    }

    /// Hears of each change of the level.
    pub(crate) fn listen(&self) -> watch::Receiver<Level> {
        self.level.subscribe()
    }

    pub(crate) fn level(&self) -> Level {
        *self.level.borrow()
    }

    /// Watches that have given way and are not back.
    pub(crate) fn slowed_now(&self) -> usize {
        self.slowed.load(Ordering::Relaxed)
    }

    /// A pass has ended so long after its first event was there.
    pub(crate) fn late(&self, lag: Duration) {
        self.lag_us.fetch_max(lag.as_micros() as u64, Ordering::Relaxed);
    }

    /// Lets a new watch in, at a bounded pace while there is too much to do.
    ///
    /// # Errors
    /// `rate-limited`.
    pub(crate) fn admit(&self) -> Result<(), Problem> {
        let mut admission = self.admission.lock().expect("no holder of this lock panics");
        let Some((since, admitted)) = &mut admission.0 else { return Ok(()) };
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *admitted) = (Instant::now(), 0);
        }
        if *admitted < ADMITTED_A_SECOND {
            *admitted += 1;
            return Ok(());
        }
        self.figures.refused.fetch_add(1, Ordering::Relaxed);
        let problem = Problem::new(ErrorCode::RateLimited, "the server is busy; those who watch already come first");
        Err(Problem { retry_ms: Some(rand::random_range(COME_BACK_MS)), ..problem })
    }

    /// Where a watch goes that is at this tail; `None`: it stays. `slowed`: it has given way already; `over`: its caller
    /// was told more than it may be.
    pub(crate) fn turn(&self, level: Level, hold: &Hold, slowed: bool, over: bool) -> Option<Turn> {
        match (over || level.slows(hold.channel().config.priority), slowed) {
            (true, false) => {
                let key = &hold.tail.key;
                Some(Turn::Slower(TailKey { view: key.view.slowed(self.options.rate)?, ..key.clone() }))
            }
            (false, true) => Some(Turn::Back),
            _ => None,
        }
    }

    /// Counts a watch that gives way, which comes from this tail.
    pub(crate) fn slow(&self, from: TailKey) -> Slowed {
        self.slowed.fetch_add(1, Ordering::Relaxed);
        self.figures.slowed.fetch_add(1, Ordering::Relaxed);
        Slowed { from, count: self.slowed.clone() }
    }

    /// What its client is told.
    pub(crate) fn told(&self, turn: &Turn, over: bool) -> (NoticeCode, String) {
        match turn {
            Turn::Slower(_) => {
                let seconds = self.options.rate.period().as_secs_f64();
                if over {
                    let message = format!(
                        "more bytes than you may be told: each change comes with its newest value, every {seconds} s"
                    );
                    return (NoticeCode::Throttled, message);
                }
                let message =
                    format!("the server is busy: each change is told with its newest value, every {seconds} s");
                (NoticeCode::Degraded, message)
            }
            Turn::Back => {
                self.figures.restored.fetch_add(1, Ordering::Relaxed);
                (NoticeCode::Restored, "each change is told at once again".to_owned())
            }
        }
    }

    fn admission(&self, crowded: bool) {
        let mut admission = self.admission.lock().expect("no holder of this lock panics");
        match (crowded, &admission.0) {
            (true, None) => admission.0 = Some((Instant::now(), 0)),
            (false, Some(_)) => admission.0 = None,
            _ => {}
        }
    }
}

/// Looks at the load for as long as there are tails.
pub(crate) async fn monitor(tails: Weak<Shared>) {
    let (mut cpu, mut given, mut judge) = (Cpu::new(), Growth::new(), Judge::new(Instant::now()));
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(tails) = tails.upgrade() else { return };
        let load = tails.load();
        let lag = Duration::from_micros(load.lag_us.swap(0, Ordering::Relaxed));
        let Some(cpu) = cpu.part() else { continue };
        let sample = Sample { cpu, lag, memory: tails.memory_part(), demand: given.rate(tails.given()) };
        load.figures.cpu_permille.store((cpu * 1_000.0) as u32, Ordering::Relaxed);
        load.figures.lag_us.store(lag.as_micros() as u64, Ordering::Relaxed);
        load.admission(sample.lag >= load.options.lag_max * CROWDED);
        let (before, now) = (load.level(), judge.judge(&sample, &load.options, Instant::now()));
        if now == before {
            continue;
        }
        tracing::warn!(?now, ?before, ?sample, "who gives way under load has changed");
        if now > before {
            load.figures.rises.fetch_add(1, Ordering::Relaxed);
        }
        load.level.send_replace(now);
        tails.lanes().load_changed(now);
    }
}
