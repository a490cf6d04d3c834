//! One look at the load.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::LoadOptions;

/// Well below something is this part of it.
pub(super) const CALM_PART: f64 = 0.7;

/// What is under load, and how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) cpu: f64,
    pub(crate) lag: Duration,
    pub(crate) memory: f64,
    /// What there would be to tell if nobody gave way: records given to tails, a second.
    pub(crate) demand: f64,
}

impl Sample {
    /// Whether any of it is over its threshold.
    pub(super) fn is_over(&self, options: &LoadOptions) -> bool {
        self.cpu >= options.cpu_max || self.lag >= options.lag_max || self.memory >= options.memory_max
    }

    /// Whether all of it is well below. Memory is slow to be given back, so it only has to be below.
    pub(super) fn is_calm(&self, options: &LoadOptions) -> bool {
        self.cpu < options.cpu_max * CALM_PART
            && self.lag < options.lag_max.mul_f64(CALM_PART)
            && self.memory < options.memory_max
    }
}

/// How fast something grows.
pub(super) struct Growth {
    before: (Instant, u64),
}

impl Growth {
    pub(super) fn new() -> Growth {
        Growth { before: (Instant::now(), 0) }
    }

    /// A second, since the last call.
    pub(super) fn rate(&mut self, count: u64) -> f64 {
        let now = Instant::now();
        let (then, before) = std::mem::replace(&mut self.before, (now, count));
        count.saturating_sub(before) as f64 / (now - then).as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The CPU time of the process, as a part of what there is.
pub(super) struct Cpu {
    cores: f64,
    before: (Instant, Duration),
}

impl Cpu {
    pub(super) fn new() -> Cpu {
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        Cpu { cores, before: (Instant::now(), used()) }
    }

    /// Since the last call; `None` when no time has passed.
    pub(super) fn part(&mut self) -> Option<f64> {
        let (now, used) = (Instant::now(), used());
        let (then, used_then) = std::mem::replace(&mut self.before, (now, used));
        let passed = (now - then).as_secs_f64();
        (passed > 0.0).then(|| used.saturating_sub(used_then).as_secs_f64() / passed / self.cores)
    }
}

fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
