//! From samples to a level, slowly enough that nothing swings.

use std::time::{Duration, Instant};

use super::sample::{CALM_PART, Sample};
use super::{Level, LoadOptions};

/// It has to be over a threshold for so long before anybody gives way, or more do.
const OVER: Duration = Duration::from_secs(1);
/// It has to be calm for so long before anybody goes back; longer each time that this was too soon.
const CALM: Duration = Duration::from_secs(5);
const CALM_MAX: Duration = Duration::from_secs(120);
/// While there is as much to tell as when they gave way, going back would only bring the load back. But perhaps it was
/// something else: after this time it is tried.
const TRY_AFTER: Duration = CALM_MAX;
/// When it is over again within this time, it was too soon.
const TOO_SOON: Duration = Duration::from_secs(60);

pub(super) struct Judge {
    level: Level,
    /// When it was last not over, and last not calm.
    fine: Instant,
    busy: Instant,
    /// When there was last as much to tell as when the load came.
    pressed: Instant,
    /// What there was to tell then, a second.
    demand: f64,
    calm: Duration,
    /// When somebody last went back.
    went_back: Option<Instant>,
}

impl Judge {
    pub(super) fn new(now: Instant) -> Judge {
        Judge { level: Level::Calm, fine: now, busy: now, pressed: now, demand: 0.0, calm: CALM, went_back: None }
    }

    pub(super) fn judge(&mut self, sample: &Sample, options: &LoadOptions, now: Instant) -> Level {
        if !sample.is_over(options) {
            self.fine = now;
        }
        if !sample.is_calm(options) {
            self.busy = now;
        }
        if sample.demand > 0.0 && sample.demand >= self.demand * CALM_PART {
            self.pressed = now;
        }
        if now - self.fine >= OVER && self.level < Level::Normal {
            let too_soon = self.went_back.take().is_some_and(|then| now - then < TOO_SOON);
            self.calm = if too_soon { (self.calm * 2).min(CALM_MAX) } else { self.calm };
            // What was told at once then was too much; what is told less often is not known to be.
            if self.level == Level::Calm {
                self.demand = sample.demand;
            }
            self.level = if self.level == Level::Calm { Level::Low } else { Level::Normal };
            self.fine = now;
        } else if self.may_go_back(now) {
            self.level = if self.level == Level::Normal { Level::Low } else { Level::Calm };
            (self.busy, self.went_back) = (now, Some(now));
        } else if self.level == Level::Calm && now - self.busy >= TOO_SOON {
            self.calm = CALM;
        }
        self.level
    }

    fn may_go_back(&self, now: Instant) -> bool {
        let calm = now - self.busy;
        self.level > Level::Calm && calm >= self.calm && (now - self.pressed >= self.calm || calm >= TRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(250);

    struct Course {
        judge: Judge,
        now: Instant,
    }

    impl Course {
        fn new() -> Course {
            let now = Instant::now();
            Course { judge: Judge::new(now), now }
        }

        /// How long it takes with this CPU until the level is another one.
        fn until_change(&mut self, cpu: f64, max: Duration) -> Option<(Level, Duration)> {
            self.until_change_with(cpu, 0.0, max)
        }

        /// The same with so much to tell.
        fn until_change_with(&mut self, cpu: f64, demand: f64, max: Duration) -> Option<(Level, Duration)> {
            let (before, began) = (self.judge.level, self.now);
            while self.now - began < max {
                self.now += STEP;
                let sample = Sample { cpu, lag: Duration::ZERO, memory: 0.0, demand };
                let level = self.judge.judge(&sample, &LoadOptions::default(), self.now);
                if level != before {
                    return Some((level, self.now - began));
                }
            }
            None
        }
    }

    #[test]
    fn who_gives_way_is_more_under_lasting_load_and_fewer_when_it_is_calm() {
        let mut course = Course::new();
        let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
        assert_eq!(course.until_change(0.5, hour), None);
        assert_eq!(course.until_change(0.95, hour), Some((Level::Low, second)));
        assert_eq!(course.until_change(0.95, hour), Some((Level::Normal, second)));
        assert_eq!(course.until_change(0.95, hour), None);
        // Between the thresholds nothing changes.
        assert_eq!(course.until_change(0.8, hour), None);
        assert_eq!(course.until_change(0.2, hour), Some((Level::Low, CALM)));
        assert_eq!(course.until_change(0.2, hour), Some((Level::Calm, CALM)));
    }

    #[test]
    fn while_there_is_as_much_to_tell_nobody_goes_back_for_long() {
        let mut course = Course::new();
        let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
        assert_eq!(course.until_change_with(0.95, 1_000.0, hour), Some((Level::Low, second)));
        // Those who gave way have made it calm.
        assert_eq!(course.until_change_with(0.3, 900.0, TRY_AFTER / 2), None);
        assert_eq!(course.until_change_with(0.3, 600.0, hour), Some((Level::Calm, CALM)));
        // It may be something else that has gone.
        assert_eq!(course.until_change_with(0.95, 1_000.0, hour), Some((Level::Low, second)));
        assert_eq!(course.until_change_with(0.3, 1_000.0, hour), Some((Level::Calm, TRY_AFTER)));
    }

    #[test]
    fn a_peak_is_no_load_and_going_back_too_soon_is_learnt_from() {
        let mut course = Course::new();
        for _ in 0..100 {
            assert_eq!(course.until_change(1.0, STEP * 3), None);
            assert_eq!(course.until_change(0.1, STEP), None);
        }
        let mut waited = Vec::new();
        for _ in 0..6 {
            course.until_change(1.0, CALM_MAX).expect("load");
            waited.push(course.until_change(0.1, CALM_MAX * 2).expect("calm").1);
        }
        assert_eq!(waited, [5, 10, 20, 40, 80, 120].map(Duration::from_secs));
    }
}
