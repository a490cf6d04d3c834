//! What is counted and timed while a load runs.

use hdrhistogram::Histogram;

use crate::order::Tally;
use crate::process::Process;
use crate::report::{Latency, Sample};

/// An hour is as good as for ever; three digits are exact to a tenth of a percent.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;
/// A run of any length has at most about so many samples.
const SAMPLES: u64 = 300;
/// Samples are not closer: the CPU time of a process is counted in ticks of 10 ms.
const SAMPLE_US_MIN: u64 = 100_000;
const SAMPLE_US_MAX: u64 = 1_000_000;

/// A latency that is being measured.
pub(crate) struct Timer(Histogram<u64>);

/// What is told while a load runs.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What is going on.
    pub phase: &'static str,
    /// Since the load began.
    pub seconds: f64,
    /// Watchers that have begun.
    pub watchers: u32,
    /// Since the last moment.
    pub sample: Sample,
    /// So far.
    pub tally: Tally,
    /// Watchers that the server cut.
    pub cut: u64,
}

/// Counts and times.
pub(crate) struct Gauge {
    /// Events that were due before this do not count: the load was warming up.
    pub(crate) from_us: u64,
    /// From when an event was to be sent until a watcher had it.
    pub(crate) latency: Timer,
    /// From when it was to be sent until it was acknowledged.
    pub(crate) acknowledgement: Timer,
    /// From connecting until a watch began.
    pub(crate) opening: Timer,
    /// From connecting until a watcher had all that it had missed.
    pub(crate) catch_up: Timer,
    pub(crate) deliveries: u64,
    pub(crate) published: u64,
    pub(crate) bytes: u64,
    pub(crate) samples: Vec<Sample>,
    /// Since the last sample.
    recent: Timer,
    before: (u64, u64, u64, Option<f64>),
    every_us: u64,
}

impl Timer {
    fn new() -> Timer {
        Timer(Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("bounds that a histogram can have"))
    }

    pub(crate) fn record(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    pub(crate) fn read(&self) -> Latency {
        Latency::of(&self.0)
    }
}

impl Gauge {
    pub(crate) fn new() -> Gauge {
        Gauge {
            from_us: 0,
            latency: Timer::new(),
            acknowledgement: Timer::new(),
            opening: Timer::new(),
            catch_up: Timer::new(),
            deliveries: 0,
            published: 0,
            bytes: 0,
            samples: Vec::new(),
            recent: Timer::new(),
            before: (0, 0, 0, None),
            every_us: SAMPLE_US_MAX,
        }
    }

    /// Begins to count: what is known so far is forgotten. It is expected to go on for `time_us`.
    pub(crate) fn begin(&mut self, now_us: u64, time_us: u64, server: Option<Process>) {
        *self = Gauge {
            from_us: now_us,
            every_us: (time_us / SAMPLES).clamp(SAMPLE_US_MIN, SAMPLE_US_MAX).max(time_us / SAMPLES),
            before: (now_us, 0, 0, cores(server)),
            opening: std::mem::replace(&mut self.opening, Timer::new()),
            ..Gauge::new()
        };
    }

    /// Of the connections that are opened only those count that come from now on.
    pub(crate) fn forget_openings(&mut self) {
        self.opening = Timer::new();
    }

    /// A timed watcher has an event that was to be sent then.
    pub(crate) fn delivered(&mut self, at_us: u64, now_us: u64) {
        if at_us >= self.from_us {
            let us = now_us.saturating_sub(at_us);
            self.latency.record(us);
            self.recent.record(us);
        }
    }

    /// When the next sample is due.
    pub(crate) fn next_us(&self) -> u64 {
        self.before.0 + self.every_us
    }

    /// What happened since the last sample.
    pub(crate) fn sample(&mut self, now_us: u64, server: Option<Process>) -> Sample {
        let (then_us, deliveries, published, cpu) = self.before;
        let seconds = now_us.saturating_sub(then_us).max(1) as f64 / 1e6;
        let per_second = |now: u64, then: u64| ((now - then) as f64 / seconds * 10.0).round() / 10.0;
        let cpu_now = cores(server);
        let recent = self.recent.read();
        let sample = Sample {
            seconds: now_us.saturating_sub(self.from_us) as f64 / 1e6,
            deliveries_per_second: per_second(self.deliveries, deliveries),
            published_per_second: per_second(self.published, published),
            latency_p50_us: recent.p50_us,
            latency_p99_us: recent.p99_us,
            server_cores: cpu_now.zip(cpu).map(|(now, then)| (now - then) / seconds),
        };
        self.recent.0.reset();
        self.before = (now_us, self.deliveries, self.published, cpu_now);
        self.samples.push(sample.clone());
        sample
    }
}

fn cores(server: Option<Process>) -> Option<f64> {
    Some(server?.cpu()?.as_secs_f64())
}
