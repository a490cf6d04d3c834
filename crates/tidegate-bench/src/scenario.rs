//! What a load does, from its first connection to its report.

use std::ops::Range;
use std::time::Duration;

use crate::gauge::Moment;
use crate::kernel;
use crate::load::Load;
use crate::process::Process;
use crate::publishers::Pace;
use crate::report::{Latency, Report, ServerCost, Stalled};
use crate::{Error, Target};

/// Bytes of a publish while a backlog is made: well below what a server takes.
const BACKLOG_BYTES: usize = 512 * 1024;
/// Watchers that come before memory is looked at, so that what the first one brings with it
/// (pools, caches, rings) is not counted for each.
const FIRST: u32 = 100;

/// What a load does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// Each event goes to all watchers of its address.
    Fanout,
    /// The same; meant for many publishers and few watchers.
    Publish,
    /// Watchers watch, and nothing happens.
    Idle,
    /// Watchers come back after they have missed this many events, while others watch live.
    Resume {
        /// Events missed.
        backlog: u32,
        /// Watchers that miss nothing; the latencies are theirs.
        live: u32,
    },
    /// Watchers are cut off, so many a second, and come back.
    Churn {
        /// Cuts.
        cuts_per_second: f64,
    },
    /// Half of the time some of the watchers do not read.
    Slow {
        /// How many.
        stalled: u32,
    },
}

/// How much of it, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub target: Target,
    /// How many watchers.
    pub watchers: u32,
    /// How fast events come.
    pub pace: Pace,
    /// For how long, after the warm-up.
    pub time: Duration,
    /// Before it counts.
    pub warm_up: Duration,
    /// Without any news for so long, what is missing is lost.
    pub patience: Duration,
    /// The server, where its costs can be looked at.
    pub server: Option<Process>,
}

impl Scenario {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::Fanout => "fanout",
            Scenario::Publish => "publish",
            Scenario::Idle => "idle",
            Scenario::Resume { .. } => "resume",
            Scenario::Churn { .. } => "churn",
            Scenario::Slow { .. } => "slow",
        }
    }
}

/// Runs a scenario; `tell` hears once a second how it goes.
///
/// # Errors
/// If it cannot go on. Loss is none: it is in the report.
pub fn run(scenario: Scenario, options: &Options, tell: impl FnMut(&Moment) + Send) -> Result<Report, Error> {
    let mut load = Load::new(options.target.clone(), options.server, tell)?;
    load.patience = options.patience;
    let mut running = Running {
        options,
        load,
        pss_before: None,
        kernel_before: None,
        cut_on_purpose: 0,
        stalled: None,
        published_us: 0,
    };
    let window = match scenario {
        Scenario::Fanout | Scenario::Publish => running.steady()?,
        Scenario::Idle => running.idle()?,
        Scenario::Resume { backlog, live } => running.resume(backlog, live)?,
        Scenario::Churn { cuts_per_second } => running.churn(cuts_per_second)?,
        Scenario::Slow { stalled } => running.slow(stalled.min(options.watchers))?,
    };
    running.report(scenario, &window)
}

struct Running<'o, 'm> {
    options: &'o Options,
    load: Load<'m>,
    pss_before: Option<u64>,
    /// Memory of the kernel at the same time.
    kernel_before: Option<u64>,
    cut_on_purpose: u64,
    stalled: Option<Stalled>,
    /// When the last event was acknowledged.
    published_us: u64,
}

/// What is counted begins here.
struct Window {
    began_us: u64,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
}

impl Running<'_, '_> {
    fn steady(&mut self) -> Result<Window, Error> {
        self.watch()?;
        let Options { pace, time, warm_up, .. } = *self.options;
        self.load.begin_to_publish(pace, warm_up + time, u64::MAX);
        self.load.run_for("warming up", warm_up)?;
        let window = self.window(time);
        self.published("loading")?;
        Ok(window)
    }

    fn idle(&mut self) -> Result<Window, Error> {
        self.watch()?;
        let window = self.window(self.options.time);
        self.load.run_for("idle", self.options.time)?;
        Ok(window)
    }

    fn resume(&mut self, backlog: u32, live: u32) -> Result<Window, Error> {
        self.load.watch(live.max(1))?;
        let missed_from = self.load.watchers.held(0);
        let batch = self.load.context.target.batch;
        let events = (BACKLOG_BYTES / (self.options.target.event_bytes + 1)).clamp(1, backlog.max(1) as usize) as u32;
        self.load.context.target.batch = events;
        let publishes = backlog.div_ceil(events);
        self.load.begin_to_publish(Pace::Fastest, Duration::MAX, u64::from(publishes));
        self.load.until_published("filling")?;
        self.load.context.target.batch = batch;
        let Options { pace, time, .. } = *self.options;
        let window = self.window(time);
        self.load.begin_to_publish(pace, time, u64::MAX);
        for _ in 0..self.options.watchers {
            self.load.watchers.add(false, missed_from, publishes * events);
        }
        self.load.begun()?;
        self.published("catching up")?;
        let seen = |load: &Load<'_>| load.watchers.order.seen;
        self.load.while_it_goes_on("catching up", seen, |load| load.watchers.behind == 0)?;
        Ok(window)
    }

    fn churn(&mut self, cuts_per_second: f64) -> Result<Window, Error> {
        self.watch()?;
        let Options { pace, time, warm_up, watchers, .. } = *self.options;
        self.load.begin_to_publish(pace, warm_up + time, u64::MAX);
        self.load.run_for("warming up", warm_up)?;
        let window = self.window(time);
        self.load.gauge.forget_openings();
        let ends_us = window.began_us + time.as_micros() as u64;
        for cut in 1_u64.. {
            let due_us = window.began_us + (cut as f64 / cuts_per_second * 1e6) as u64;
            self.load.run_until("cutting", due_us.min(ends_us), |_, _| false)?;
            if due_us >= ends_us || watchers == 0 {
                break;
            }
            self.cut_on_purpose += u64::from(self.load.watchers.cut_off(rand::random_range(0..watchers as usize)));
        }
        self.published("loading")?;
        Ok(window)
    }

    fn slow(&mut self, stalled: u32) -> Result<Window, Error> {
        let all = self.watch()?;
        let stalled = all.end - stalled..all.end;
        let Options { pace, time, warm_up, server, .. } = *self.options;
        let half = time / 2;
        let pss = || Some(server?.pss_bytes()? as i64);
        let growth = |from: Option<i64>, to: Option<i64>| Some(to? - from?);
        self.load.publish(pace, warm_up)?;
        let _ = self.window(half);
        let began = pss();
        self.load.publish(pace, half)?;
        let latency_before = self.load.gauge.latency.read();
        let stall = pss();
        let window = self.window(half);
        self.load.watchers.read(stalled.clone(), false, &self.load.context)?;
        self.load.begin_to_publish(pace, half, u64::MAX);
        self.published("some do not read")?;
        self.stalled = Some(Stalled {
            watchers: stalled.len() as u32,
            latency_before,
            pss_growth_before_bytes: growth(began, stall),
            pss_growth_bytes: growth(stall, pss()),
        });
        self.load.watchers.read(stalled, true, &self.load.context)?;
        Ok(window)
    }

    /// Connects the watchers.
    fn watch(&mut self) -> Result<Range<u32>, Error> {
        let watchers = self.options.watchers;
        let first = if watchers >= 2 * FIRST { FIRST } else { 0 };
        self.load.watch(first)?;
        self.pss_before = self.options.server.and_then(Process::pss_bytes);
        self.kernel_before = kernel::memory_bytes();
        self.load.watch(watchers - first)?;
        Ok(0..watchers)
    }

    fn published(&mut self, phase: &'static str) -> Result<(), Error> {
        self.load.until_published(phase)?;
        self.published_us = self.load.clock().now_us();
        Ok(())
    }

    fn window(&mut self, time: Duration) -> Window {
        let server = self.options.server;
        let began_us = self.load.clock().now_us();
        self.load.gauge.begin(began_us, time.as_micros() as u64, server);
        let own_cpu = Process::own().cpu().unwrap_or_default();
        Window { began_us, server_cpu: server.and_then(Process::cpu), own_cpu }
    }

    fn report(mut self, scenario: Scenario, window: &Window) -> Result<Report, Error> {
        let tally = self.load.finish()?;
        let now_us = self.load.clock().now_us();
        let options = self.options;
        self.load.gauge.sample(now_us, options.server);
        let load_cpu = Process::own().cpu().unwrap_or_default().saturating_sub(window.own_cpu);
        let seconds = (now_us - window.began_us) as f64 / 1e6;
        let publishing = self.published_us.saturating_sub(window.began_us).max(1) as f64 / 1e6;
        let (gauge, target) = (&self.load.gauge, &options.target);
        let per_second = |count: u64, seconds: f64| (count as f64 / seconds * 10.0).round() / 10.0;
        Ok(Report {
            scenario: scenario.as_str().to_owned(),
            transport: target.transport.as_str().to_owned(),
            address: target.address.clone(),
            addresses: target.addresses,
            watchers: self.load.watchers.count(),
            publishers: target.publishers,
            batch: target.batch,
            event_bytes: target.event_bytes as u64,
            rate_per_second: match options.pace {
                Pace::PerSecond(rate) => Some(rate),
                Pace::Fastest => None,
                Pace::Never => Some(0.0),
            },
            seconds,
            published: gauge.published,
            deliveries: gauge.deliveries,
            bytes: gauge.bytes,
            published_per_second: per_second(gauge.published, publishing),
            deliveries_per_second: per_second(gauge.deliveries, seconds),
            latency: gauge.latency.read(),
            acknowledgement: gauge.acknowledgement.read(),
            opening: gauge.opening.read(),
            catch_up: matches!(scenario, Scenario::Resume { .. }).then(|| gauge.catch_up.read()),
            stalled: self.stalled.take(),
            lost: tally.lost,
            doubled: tally.doubled,
            reordered: tally.reordered,
            broken_links: tally.broken_links,
            cut_by_server: self.load.watchers.cut,
            cut_on_purpose: self.cut_on_purpose,
            server: self.cost(scenario, window),
            load_cpu_seconds: load_cpu.as_secs_f64(),
            samples: self.load.gauge.samples,
        })
    }

    fn cost(&self, scenario: Scenario, window: &Window) -> Option<ServerCost> {
        let server = self.options.server?;
        let cpu = server.cpu()?.saturating_sub(window.server_cpu?);
        let gauge = &self.load.gauge;
        let per = |count: u64| (count > 0).then(|| cpu.as_secs_f64() * 1e6 / count as f64);
        let Latency { count: opened, .. } = gauge.opening.read();
        let pss_bytes = server.pss_bytes();
        let grown = |(before, now): (u64, u64)| now.saturating_sub(before);
        let watchers = self.options.watchers;
        let counted = if watchers >= 2 * FIRST { watchers - FIRST } else { watchers };
        let weighed = scenario == Scenario::Idle && counted > 0;
        let each = |grown: u64| (weighed && grown > 0).then(|| grown as f64 / f64::from(counted));
        Some(ServerCost {
            pid: server.pid(),
            cpu_seconds: cpu.as_secs_f64(),
            cpu_us_per_delivery: per(gauge.deliveries),
            cpu_us_per_event: matches!(scenario, Scenario::Fanout | Scenario::Publish | Scenario::Slow { .. })
                .then(|| per(gauge.published))
                .flatten(),
            cpu_us_per_connection: matches!(scenario, Scenario::Churn { .. }).then(|| per(opened)).flatten(),
            pss_bytes_before: self.pss_before,
            pss_bytes,
            pss_bytes_per_watcher: self.pss_before.zip(pss_bytes).map(grown).and_then(each),
            kernel_bytes_per_watcher: self.kernel_before.zip(kernel::memory_bytes()).map(grown).and_then(each),
        })
    }
}
