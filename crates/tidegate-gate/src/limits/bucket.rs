//! One token bucket: governor's GCRA, in cells of one or of some bytes.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::rate::Rate;

/// Bytes are counted in cells of so many: governor counts whole nanoseconds from one to the next, of which a byte at
/// 1 GB/s has one.
const BYTES_A_CELL: u64 = 64;

pub(super) struct Bucket<C: Clock = MonotonicClock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    clock: C,
    rate: Rate,
    /// What one cell stands for.
    unit: u64,
    cells: NonZeroU32,
}

/// What came of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// How much could be taken now.
    pub(super) left: u64,
    /// When all of it can be again; after a refusal, when this could be.
    pub(super) again: Duration,
}

impl<C: Clock + Clone> Bucket<C> {
    pub(super) fn new(rate: Rate, bytes: bool, clock: C) -> Bucket<C> {
        let unit = if bytes { BYTES_A_CELL } else { 1 };
        let cells = cells(rate.burst, unit);
        let every = rate.per.mul_f64(unit as f64 / rate.amount.max(1) as f64).max(Duration::from_nanos(1));
        let quota = Quota::with_period(every).expect("a period of a nanosecond or more").allow_burst(cells);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware();
        Bucket { limiter, clock, rate, unit, cells }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes so much, or nothing. What is more than the bucket holds takes all of it: else it could never be.
    pub(super) fn take(&self, amount: u64) -> Result<Taken, Taken> {
        let wanted = cells(amount, self.unit).min(self.cells);
        match self.limiter.check_n(wanted) {
            Ok(Ok(state)) => {
                let left = u64::from(state.remaining_burst_capacity()) * self.unit;
                let gone = self.rate.burst.saturating_sub(left) as f64 / self.rate.burst.max(1) as f64;
                Ok(Taken { left, again: self.rate.window().mul_f64(gone) })
            }
            Ok(Err(until)) => Err(Taken { left: 0, again: until.wait_time_from(self.clock.now()) }),
            Err(_) => unreachable!("no more is asked for than a burst"),
        }
    }
}

fn cells(amount: u64, unit: u64) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(amount.div_ceil(unit)).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_is_full_at_first_and_fills_at_its_rate() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(Rate { amount: 10, per: SECOND, burst: 3 }, false, clock.clone());
        let left = (0..3).map(|_| bucket.take(1).expect("left").left).collect::<Vec<_>>();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(1).expect_err("empty");
        assert_eq!(refused, Taken { left: 0, again: Duration::from_millis(100) });
        clock.advance(Duration::from_millis(99));
        assert!(bucket.take(1).is_err());
        clock.advance(Duration::from_millis(1));
        assert!(bucket.take(1).is_ok());
        assert!(bucket.take(1).is_err());
    }

    #[test]
    fn what_is_larger_than_the_bucket_takes_all_of_it() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(Rate::new(64_000, SECOND), true, clock.clone());
        assert_eq!(bucket.take(1 << 40).map(|taken| taken.left), Ok(0));
        assert!(bucket.take(1).is_err());
        clock.advance(SECOND);
        assert_eq!(bucket.take(32_000).map(|taken| (taken.left, taken.again)), Ok((32_000, SECOND / 2)));
    }

    #[test]
    fn fast_and_slow_rates_are_kept() {
        for (amount, per) in [(1, 3_600), (1_000_000_000, 1), (7, 60)] {
            let clock = FakeRelativeClock::default();
            let bucket = Bucket::new(Rate::new(amount, SECOND * per), amount > 1_000, clock.clone());
            bucket.take(amount).expect("full");
            clock.advance(SECOND * per / 2);
            let half = bucket.take(amount / 2).is_ok();
            assert_eq!(half, amount > 1, "{amount}");
            clock.advance(SECOND * per);
            assert!(bucket.take(amount).is_ok(), "{amount}");
        }
    }
}
