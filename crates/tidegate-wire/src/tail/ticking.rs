//! The tick of a conflated tail: what has changed since the last one, and when it ends.

use std::time::{Duration, Instant};

use tidegate_core::{Frame, NoticeCode, Offset};
use tidegate_hub::{ChannelConfig, Rate, Sight, Tick, View};

/// Who asks for less is not to be told more than a ring holds in the time of one tick: a tick that tells more than this
/// takes the time of the next ones, too.
const TICK_BYTES_MAX: usize = 256 * 1024;
/// So many keys wait for the end of a tick; with more it ends sooner.
const TICK_KEYS_MAX: usize = 16 * 1024;

pub(super) struct Ticking {
    period: Duration,
    tick: Tick,
    /// Everything up to here was told when the tick began.
    base: Offset,
    /// The last record that the tail was given.
    seen: Offset,
    /// Ticks end at whole periods after this, but not before `not_before`.
    since: Instant,
    not_before: Instant,
    stretch: Stretch,
}

/// Whether ticks take more than their time.
#[derive(PartialEq, Eq)]
enum Stretch {
    No,
    /// They do, which the next one says.
    Unsaid,
    Said,
}

impl Ticking {
    pub(super) fn new(rate: Rate, now: Instant) -> Ticking {
        let (since, not_before) = (now, now);
        let period = rate.period();
        Ticking { period, tick: Tick::default(), base: 0, seen: 0, since, not_before, stretch: Stretch::No }
    }

    /// Whether nothing has changed.
    pub(super) fn is_idle(&self) -> bool {
        self.tick.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.tick.len() >= TICK_KEYS_MAX
    }

    /// Takes a record, unless it concerns the whole channel. The tail had got everything up to `upto` before the page of
    /// the record.
    pub(super) fn push(&mut self, sight: &Sight<'_>, view: &View, upto: Offset) {
        if self.is_idle() {
            self.base = upto.max(self.seen);
        }
        self.seen = sight.record().offset;
        if !sight.record().op.is_channel_wide() {
            self.tick.push(sight, view);
        }
    }

    /// How far everything has been told, of what the tail has got up to `upto`.
    pub(super) fn settled(&self, upto: Offset) -> Offset {
        if self.is_idle() { upto } else { self.base }
    }

    /// When the tick ends that has just begun.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let passed = now.duration_since(self.since).as_nanos() / self.period.as_nanos();
        let next = self.since + self.period * (u32::try_from(passed).unwrap_or(u32::MAX - 1) + 1);
        next.max(self.not_before)
    }

    /// Tells what has changed. Returns how far everything has been told then.
    pub(super) fn end(&mut self, view: &View, config: &ChannelConfig, mut each: impl FnMut(Frame)) -> Offset {
        if self.stretch == Stretch::Unsaid {
            self.stretch = Stretch::Said;
            let message =
                format!("more changes than the rate is meant for: ticks of over {TICK_BYTES_MAX} bytes come later");
            each(Frame::Notice { code: NoticeCode::Throttled, message });
        }
        self.tick.end(view, config, each);
        self.seen
    }

    /// A tick has ended in its time, and told so many bytes.
    pub(super) fn ended(&mut self, now: Instant, bytes: usize) {
        let more = bytes / TICK_BYTES_MAX;
        self.not_before = now + self.period * more.min(u16::MAX.into()) as u32;
        self.stretch = match (more, &self.stretch) {
            (0, _) => Stretch::No,
            (_, Stretch::No) => Stretch::Unsaid,
            (_, Stretch::Unsaid) => Stretch::Unsaid,
            (_, Stretch::Said) => Stretch::Said,
        };
    }

    /// Forgets what has changed: the watchers read it from the log.
    pub(super) fn clear(&mut self) {
        self.tick = Tick::default();
    }
}
