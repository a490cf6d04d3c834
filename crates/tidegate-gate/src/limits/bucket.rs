//! One token bucket of each party of a kind: governor's GCRA, in cells of one or of some bytes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::Limit;
use super::parties::Party;
use super::rate::Rate;

/// Bytes are counted in cells of so many: governor counts whole nanoseconds from one to the next, of which a byte at
/// 1 GB/s has one.
const BYTES_A_CELL: u64 = 64;

/// The bucket of a limit. How full it is, each party knows of its own.
pub(super) struct Bucket<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Arc<Party>, Levels, C, StateInformationMiddleware>,
    clock: C,
    rate: Rate,
    /// What one cell stands for.
    unit: u64,
    cells: NonZeroU32,
}

/// Where governor finds the level of a party.
struct Levels(Limit);

impl StateStore for Levels {
    type Key = Arc<Party>;

    fn measure_and_replace<T, F, E>(&self, party: &Arc<Party>, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        party.levels[self.0 as usize].measure_and_replace(&NotKeyed::NonKey, decide)
    }
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
    pub(super) fn new(limit: Limit, rate: Rate, clock: C) -> Bucket<C> {
        let unit = if limit.counts_bytes() { BYTES_A_CELL } else { 1 };
        let cells = cells(rate.burst, unit);
        let every = rate.per.mul_f64(unit as f64 / rate.amount.max(1) as f64).max(Duration::from_nanos(1));
        let quota = Quota::with_period(every).expect("a period of a nanosecond or more").allow_burst(cells);
        let limiter = RateLimiter::new(quota, Levels(limit), clock.clone());
        Bucket { limiter, clock, rate, unit, cells }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes so much, or nothing. What is more than the bucket holds takes all of it: else it could never be.
    pub(super) fn take(&self, party: &Arc<Party>, amount: u64) -> Result<Taken, Taken> {
        let wanted = cells(amount, self.unit).min(self.cells);
        match self.limiter.check_key_n(party, wanted) {
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

    use super::super::Who;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_is_full_at_first_and_fills_at_its_rate() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(Limit::Requests, Rate { amount: 10, per: SECOND, burst: 3 }, clock.clone());
        let party = Arc::new(Party::new(Who::Address));
        let left = (0..3).map(|_| bucket.take(&party, 1).expect("left").left).collect::<Vec<_>>();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(&party, 1).expect_err("empty");
        assert_eq!(refused, Taken { left: 0, again: Duration::from_millis(100) });
        clock.advance(Duration::from_millis(99));
        assert!(bucket.take(&party, 1).is_err());
        clock.advance(Duration::from_millis(1));
        assert!(bucket.take(&party, 1).is_ok());
        assert!(bucket.take(&party, 1).is_err());
    }

    #[test]
    fn what_is_larger_than_the_bucket_takes_all_of_it() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new(Limit::SentBytes, Rate::new(64_000, SECOND), clock.clone());
        let party = Arc::new(Party::new(Who::Address));
        assert_eq!(bucket.take(&party, 1 << 40).map(|taken| taken.left), Ok(0));
        assert!(bucket.take(&party, 1).is_err());
        clock.advance(SECOND);
        assert_eq!(bucket.take(&party, 32_000).map(|taken| (taken.left, taken.again)), Ok((32_000, SECOND / 2)));
    }

    #[test]
    fn fast_and_slow_rates_are_kept() {
        for (amount, per) in [(1, 3_600), (1_000_000_000, 1), (7, 60)] {
            let clock = FakeRelativeClock::default();
            let limit = if amount > 1_000 { Limit::SentBytes } else { Limit::Requests };
            let bucket = Bucket::new(limit, Rate::new(amount, SECOND * per), clock.clone());
            let party = Arc::new(Party::new(Who::Address));
            bucket.take(&party, amount).expect("full");
            clock.advance(SECOND * per / 2);
            let half = bucket.take(&party, amount / 2).is_ok();
            assert_eq!(half, amount > 1, "{amount}");
            clock.advance(SECOND * per);
            assert!(bucket.take(&party, amount).is_ok(), "{amount}");
        }
    }

    #[test]
    fn each_party_has_its_own_level_of_each_limit() {
        let clock = FakeRelativeClock::default();
        let bucket = |limit| Bucket::new(limit, Rate::new(1, SECOND), clock.clone());
        let (requests, watches) = (bucket(Limit::Requests), bucket(Limit::Watches));
        let [one, other] = [Who::Address, Who::Address].map(|who| Arc::new(Party::new(who)));
        assert!(requests.take(&one, 1).is_ok() && requests.take(&one, 1).is_err());
        assert!(watches.take(&one, 1).is_ok());
        clock.advance(SECOND / 2);
        assert!(requests.take(&other, 1).is_ok() && requests.take(&one, 1).is_err());
    }
}
