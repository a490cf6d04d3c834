//! The loop: one epoll, publishers and watchers.

use std::ops::Range;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::gauge::{Gauge, Moment};
use crate::head::Cursor;
use crate::mark::{Clock, Run};
use crate::order::Tally;
use crate::process::Process;
use crate::publishers::{Pace, Publishers};
use crate::report::Latency;
use crate::scan::Scanner;
use crate::watchers::Watchers;
use crate::{Error, Target};

/// Sockets of one look; between so many of them what is due is sent.
const READY_MAX: usize = 1024;
const READY_BETWEEN_SENDS: usize = 64;
/// Nobody is told more often how it goes, but for what begins.
const TELL_US: u64 = 1_000_000;

/// What everything here knows.
pub(crate) struct Context {
    pub(crate) target: Target,
    pub(crate) run: Run,
    pub(crate) clock: Clock,
    pub(crate) poll: OwnedFd,
}

/// Who a socket belongs to, in what epoll says.
pub(crate) struct Owner(u64);

pub(crate) const WATCHER: Owner = Owner(0);
pub(crate) const PUBLISHER: Owner = Owner(1 << 32);

impl Owner {
    pub(crate) fn data(self, number: usize) -> epoll::EventData {
        epoll::EventData::new_u64(self.0 | number as u64)
    }
}

/// A load on one server.
pub struct Load<'m> {
    pub(crate) context: Context,
    pub(crate) watchers: Watchers,
    pub(crate) publishers: Publishers,
    pub(crate) gauge: Gauge,
    pub(crate) server: Option<Process>,
    /// Without any news for so long there is nothing more to wait for.
    pub(crate) patience: Duration,
    ready: Vec<epoll::Event>,
    phase: &'static str,
    told_us: u64,
    told_phase: &'static str,
    tell: Box<dyn FnMut(&Moment) + Send + 'm>,
}

impl<'m> Load<'m> {
    /// A load that does nothing yet. `server` is the process whose CPU time is read, if it can be
    /// known; `tell` hears once a second how it goes.
    ///
    /// # Errors
    /// If the system has no epoll for us.
    pub fn new(
        target: Target,
        server: Option<Process>,
        tell: impl FnMut(&Moment) + Send + 'm,
    ) -> Result<Load<'m>, Error> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(Error::errno("epoll"))?;
        let run = Run(rand::random());
        Ok(Load {
            watchers: Watchers::new(&target, Scanner::new(run)),
            publishers: Publishers::new(&target),
            context: Context { target, run, clock: Clock::start(), poll },
            gauge: Gauge::new(),
            server,
            patience: Duration::from_secs(10),
            ready: Vec::with_capacity(READY_MAX),
            phase: "",
            told_us: 0,
            told_phase: "",
            tell: Box::new(tell),
        })
    }

    /// The clock of the marks.
    pub fn clock(&self) -> Clock {
        self.context.clock
    }

    /// What tells its events from others.
    pub fn run(&self) -> Run {
        self.context.run
    }

    /// Adds watchers and returns when all of them have begun.
    ///
    /// # Errors
    /// If the server refuses one.
    pub fn watch(&mut self, count: u32) -> Result<Range<u32>, Error> {
        let first = self.watchers.count();
        (0..count).for_each(|_| self.watchers.add(true, Cursor::NONE, 0));
        self.begun()?;
        Ok(first..first + count)
    }

    /// Returns when all watchers have begun.
    pub(crate) fn begun(&mut self) -> Result<(), Error> {
        let wanted = self.watchers.count();
        let begun = |load: &Load<'_>| u64::from(load.watchers.begun);
        self.while_it_goes_on("connecting", begun, |load| load.watchers.begun == wanted)?;
        let open = self.watchers.begun;
        if open < wanted {
            return Err(Error::Silence { seconds: self.patience.as_secs(), open, wanted });
        }
        Ok(())
    }

    /// Publishes at this pace for `time`, and until the last answer.
    ///
    /// # Errors
    /// If the server refuses an event.
    pub fn publish(&mut self, pace: Pace, time: Duration) -> Result<(), Error> {
        self.begin_to_publish(pace, time, u64::MAX);
        self.until_published("loading")
    }

    pub(crate) fn begin_to_publish(&mut self, pace: Pace, time: Duration, publishes_max: u64) {
        let now_us = self.context.clock.now_us();
        let ends_us = now_us.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.publishers.begin(pace, now_us, ends_us, publishes_max);
    }

    pub(crate) fn until_published(&mut self, phase: &'static str) -> Result<(), Error> {
        self.run_until(phase, u64::MAX, |load, now_us| load.publishers.done(&load.context.target, now_us))
    }

    /// Goes on until a time or until something is so.
    pub(crate) fn run_until(
        &mut self,
        phase: &'static str,
        until_us: u64,
        done: impl Fn(&Load<'_>, u64) -> bool,
    ) -> Result<(), Error> {
        self.phase = phase;
        loop {
            let now_us = self.context.clock.now_us();
            if now_us >= until_us || done(self, now_us) {
                return Ok(());
            }
            self.step(until_us)?;
        }
    }

    /// Events that are published by others, in streams of this load, in all.
    pub fn published_by_others(&mut self, stream: u32, events: u32) {
        self.publishers.published[stream as usize] = events;
    }

    /// Connections that the server ended.
    pub fn cut_by_server(&self) -> u64 {
        self.watchers.cut
    }

    /// From when the events were to be sent until watchers had them.
    pub fn latency(&self) -> Latency {
        self.gauge.latency.read()
    }

    /// Goes on for `time`.
    ///
    /// # Errors
    /// If the server refuses something.
    pub fn run_for(&mut self, phase: &'static str, time: Duration) -> Result<(), Error> {
        let until_us = self.context.clock.now_us() + time.as_micros() as u64;
        self.run_until(phase, until_us, |_, _| false)
    }

    /// Waits until every watcher has everything, or nothing comes any more; what is missing then
    /// is lost.
    ///
    /// # Errors
    /// If the server refuses something.
    pub fn finish(&mut self) -> Result<Tally, Error> {
        let target = &self.context.target;
        let watchers = self.watchers.count();
        let of = |stream: u32| u64::from(target.watchers_of(stream, watchers));
        let published = |load: &Load<'_>| {
            let streams = load.publishers.published.iter().enumerate();
            streams.map(|(stream, events)| u64::from(*events) * of(stream as u32)).sum::<u64>()
        };
        let wanted = published(self);
        let seen = |load: &Load<'_>| load.watchers.order.seen;
        self.while_it_goes_on("draining", seen, |load| load.watchers.order.seen >= wanted)?;
        let Load { watchers, publishers, context, .. } = self;
        for watcher in 0..watchers.count() {
            let (first, step) = context.target.seen_by(watcher);
            let streams = publishers.published.iter().skip(first as usize);
            for (place, published) in streams.step_by(step as usize).enumerate() {
                watchers.order.tally.lost += u64::from(watchers.order.missing(watcher as usize, place, *published));
            }
        }
        Ok(watchers.order.tally)
    }

    /// Goes on until something is so, or the count has stood still for too long.
    pub(crate) fn while_it_goes_on(
        &mut self,
        phase: &'static str,
        count: impl Fn(&Load<'_>) -> u64,
        done: impl Fn(&Load<'_>) -> bool,
    ) -> Result<(), Error> {
        let patience_us = self.patience.as_micros() as u64;
        loop {
            let (before, until_us) = (count(self), self.context.clock.now_us() + patience_us);
            self.run_until(phase, until_us, |load, _| count(load) != before || done(load))?;
            if done(self) || count(self) == before {
                return Ok(());
            }
        }
    }

    fn step(&mut self, until_us: u64) -> Result<(), Error> {
        let Load { context, watchers, publishers, gauge, ready, .. } = self;
        watchers.open_some(context)?;
        let watchers_of_one = u64::from(context.target.watchers_of(context.target.addresses - 1, watchers.count()));
        publishers.seen(&context.target, watchers.order.seen, watchers_of_one);
        publishers.send_due(context)?;
        let next_us = until_us.min(gauge.next_us()).min(publishers.next_us(context).unwrap_or(u64::MAX));
        let left_us = next_us.saturating_sub(context.clock.now_us());
        let timeout = Timespec { tv_sec: (left_us / 1_000_000) as i64, tv_nsec: (left_us % 1_000_000 * 1_000) as i64 };
        ready.clear();
        match epoll::wait(&context.poll, rustix::buffer::spare_capacity(ready), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::errno("epoll")(error)),
        }
        for (count, event) in ready.iter().enumerate() {
            let data = event.data.u64();
            let number = (data & u64::from(u32::MAX)) as usize;
            if data & PUBLISHER.0 == 0 {
                watchers.ready(number, context, gauge)?;
            } else {
                publishers.ready(number, context, gauge)?;
            }
            if count % READY_BETWEEN_SENDS == READY_BETWEEN_SENDS - 1 {
                publishers.seen(&context.target, watchers.order.seen, watchers_of_one);
                publishers.send_due(context)?;
            }
        }
        self.sample();
        Ok(())
    }

    fn sample(&mut self) {
        let now_us = self.context.clock.now_us();
        if now_us < self.gauge.next_us() {
            return;
        }
        let sample = self.gauge.sample(now_us, self.server);
        if now_us - self.told_us >= TELL_US || self.phase != self.told_phase {
            (self.told_us, self.told_phase) = (now_us, self.phase);
            (self.tell)(&Moment {
                phase: self.phase,
                seconds: now_us as f64 / 1e6,
                watchers: self.watchers.begun,
                sample,
                tally: self.watchers.order.tally,
                cut: self.watchers.cut,
            });
        }
    }
}
