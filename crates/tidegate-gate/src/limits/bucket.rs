//! One token bucket of each party of a kind: governor's GCRA, in cells of one or of some bytes.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::party::Party;
use super::rate::Rate;
use super::table::{PARTIES_MAX, Table};
use super::told::Term;
use super::{Limit, Who};

/// Bytes are counted in cells of so many: governor counts whole nanoseconds from one to the next, of which a byte at
/// 1 GB/s has one.
const BYTES_A_CELL: u64 = 64;
/// Parties whose buckets are full are looked for when twice as many are remembered as last time, and at least so many:
/// else a storm of connects would make tables that stay where it was.
const SWEEP_FROM: usize = 1_024;
/// Where there is no room for more, they are looked for at most this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The bucket of a limit, of all parties of a kind.
pub(super) struct Bucket<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Party, Levels, C, StateInformationMiddleware>,
    rate: Rate,
    /// How long it takes to be full when it is empty.
    window: Duration,
    term: Term,
    /// What one cell stands for.
    unit: u64,
    cells: NonZeroU32,
    /// With so many parties, those are forgotten whose buckets are full.
    sweep_from: AtomicUsize,
    swept: Mutex<Option<C::Instant>>,
}

/// How full each bucket is: when it will be full. One that is full need not be remembered.
///
/// Not governor's own table, whose size has no limit.
struct Levels(Table<Nanos>);

impl StateStore for Levels {
    type Key = Party;

    fn measure_and_replace<T, F, E>(&self, party: &Party, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let measure = |level: &mut Option<Nanos>| {
            let (made, next) = decide(*level)?;
            *level = Some(next);
            Ok(made)
        };
        self.0.change(*party, measure).1
    }
}

impl ShrinkableKeyedStateStore<Party> for Levels {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain(|level| level > drop_below);
    }

    fn shrink_to_fit(&self) {
        self.0.shrink();
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
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

impl<C: Clock> Bucket<C> {
    pub(super) fn new((who, limit): (Who, Limit), rate: Rate, clock: C) -> Bucket<C> {
        let unit = if limit.counts_bytes() { BYTES_A_CELL } else { 1 };
        let cells = cells(rate.burst, unit);
        let every = rate.per.mul_f64(unit as f64 / rate.amount.max(1) as f64).max(Duration::from_nanos(1));
        let quota = Quota::with_period(every).expect("a period of a nanosecond or more").allow_burst(cells);
        let limiter = RateLimiter::new(quota, Levels(Table::new(PARTIES_MAX)), clock);
        let window = rate.window();
        let term = Term::new(who, limit, rate.burst, Some(window));
        Bucket { limiter, rate, window, term, unit, cells, sweep_from: SWEEP_FROM.into(), swept: Mutex::default() }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn term(&self) -> &Term {
        &self.term
    }

    /// Takes so much, or nothing. What is more than the bucket holds takes all of it: else it could never be.
    pub(super) fn take(&self, party: Party, amount: u64) -> Result<Taken, Taken> {
        if self.parties() >= self.sweep_from.load(Ordering::Relaxed) {
            self.make_room();
        }
        let wanted = cells(amount, self.unit).min(self.cells);
        match self.limiter.check_key_n(&party, wanted) {
            Ok(Ok(state)) => {
                let left = u64::from(state.remaining_burst_capacity()) * self.unit;
                let gone = self.rate.burst.saturating_sub(left) as f64 / self.rate.burst.max(1) as f64;
                Ok(Taken { left, again: self.window.mul_f64(gone) })
            }
            Ok(Err(until)) => Err(Taken { left: 0, again: until.wait_time_from(self.limiter.clock().now()) }),
            Err(_) => unreachable!("no more is asked for than a burst"),
        }
    }

    /// Parties of which a level is remembered.
    pub(super) fn parties(&self) -> usize {
        self.limiter.len()
    }

    /// Forgets whose bucket is full again, since the time that one cell takes: it is as if they had never come.
    pub(super) fn forget_full(&self) {
        self.limiter.retain_recent();
        let next = (2 * self.parties()).clamp(SWEEP_FROM, PARTIES_MAX);
        self.sweep_from.store(next, Ordering::Relaxed);
    }

    /// Gives back memory that was for more.
    pub(super) fn shrink(&self) {
        self.limiter.shrink_to_fit();
    }

    fn make_room(&self) {
        // Another is at it.
        let Ok(mut swept) = self.swept.try_lock() else { return };
        let now = self.limiter.clock().now();
        let due = || swept.is_none_or(|before| now.duration_since(before) >= SWEEP_EVERY.into());
        if self.parties() < PARTIES_MAX || due() {
            self.forget_full();
            *swept = Some(now);
        }
    }
}

fn cells(amount: u64, unit: u64) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(amount.div_ceil(unit)).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::super::LimitsConfig;
    use super::super::party::Names;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// So many.
    fn parties<const COUNT: usize>() -> [Party; COUNT] {
        let names = Names::new(&LimitsConfig::default());
        std::array::from_fn(|number| names.party(number))
    }

    #[test]
    fn a_bucket_is_full_at_first_and_fills_at_its_rate() {
        let clock = FakeRelativeClock::default();
        let bucket =
            Bucket::new((Who::Subject, Limit::Requests), Rate { amount: 10, per: SECOND, burst: 3 }, clock.clone());
        let [party] = parties();
        let left = (0..3).map(|_| bucket.take(party, 1).expect("left").left).collect::<Vec<_>>();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(party, 1).expect_err("empty");
        assert_eq!(refused, Taken { left: 0, again: Duration::from_millis(100) });
        clock.advance(Duration::from_millis(99));
        assert!(bucket.take(party, 1).is_err());
        clock.advance(Duration::from_millis(1));
        assert!(bucket.take(party, 1).is_ok());
        assert!(bucket.take(party, 1).is_err());
    }

    #[test]
    fn what_is_larger_than_the_bucket_takes_all_of_it() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new((Who::Subject, Limit::SentBytes), Rate::new(64_000, SECOND), clock.clone());
        let [party] = parties();
        assert_eq!(bucket.take(party, 1 << 40).map(|taken| taken.left), Ok(0));
        assert!(bucket.take(party, 1).is_err());
        clock.advance(SECOND);
        assert_eq!(bucket.take(party, 32_000).map(|taken| (taken.left, taken.again)), Ok((32_000, SECOND / 2)));
    }

    #[test]
    fn fast_and_slow_rates_are_kept() {
        for (amount, per) in [(1, 3_600), (1_000_000_000, 1), (7, 60)] {
            let clock = FakeRelativeClock::default();
            let limit = if amount > 1_000 { Limit::SentBytes } else { Limit::Requests };
            let bucket = Bucket::new((Who::Subject, limit), Rate::new(amount, SECOND * per), clock.clone());
            let [party] = parties();
            bucket.take(party, amount).expect("full");
            clock.advance(SECOND * per / 2);
            let half = bucket.take(party, amount / 2).is_ok();
            assert_eq!(half, amount > 1, "{amount}");
            clock.advance(SECOND * per);
            assert!(bucket.take(party, amount).is_ok(), "{amount}");
        }
    }

    #[test]
    fn each_party_has_its_own_level_of_each_limit() {
        let clock = FakeRelativeClock::default();
        let bucket = |limit| Bucket::new((Who::Subject, limit), Rate::new(1, SECOND), clock.clone());
        let (requests, watches) = (bucket(Limit::Requests), bucket(Limit::Watches));
        let [one, other] = parties();
        assert!(requests.take(one, 1).is_ok() && requests.take(one, 1).is_err());
        assert!(watches.take(one, 1).is_ok());
        clock.advance(SECOND / 2);
        assert!(requests.take(other, 1).is_ok() && requests.take(one, 1).is_err());
    }

    /// A level that is full again and one that was never there are the same.
    #[test]
    fn forgetting_changes_no_decision() {
        let (mut random, mut refused, mut forgotten) = (1u64, 0, 0);
        for (amount, burst, limit) in
            [(1, 1, Limit::Requests), (20, 5, Limit::Watches), (3_000, 9_000, Limit::SentBytes)]
        {
            let clock = FakeRelativeClock::default();
            let bucket = || Bucket::new((Who::Subject, limit), Rate { amount, per: SECOND, burst }, clock.clone());
            let (forgets, keeps, parties) = (bucket(), bucket(), parties::<8>());
            for step in 0..20_000u64 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step | 1);
                let (party, wanted) = (parties[(random >> 33) as usize % 8], (random >> 40) % (burst + 2));
                clock.advance(Duration::from_micros((random >> 20) % 400_000));
                if (random >> 50) % 4 == 0 {
                    let before = forgets.parties();
                    forgets.forget_full();
                    forgotten += before - forgets.parties();
                }
                let taken = forgets.take(party, wanted);
                assert_eq!(taken, keeps.take(party, wanted), "step {step} at {amount} a second");
                refused += usize::from(taken.is_err());
            }
            assert_eq!(keeps.parties(), 8);
        }
        assert!(refused > 1_000 && forgotten > 1_000, "{refused} refused, {forgotten} forgotten");
    }

    /// When all are active, others share one; when they are not any more, there is room.
    #[test]
    fn room_is_made_when_there_is_none() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new((Who::Subject, Limit::Requests), Rate::new(1, SECOND), clock.clone());
        let names = Names::new(&LimitsConfig::default());
        assert!((0..PARTIES_MAX).all(|number| bucket.take(names.party(number), 1).is_ok()));
        let others = [PARTIES_MAX, PARTIES_MAX + 1].map(|number| names.party(number));
        assert_eq!(others.map(|party| bucket.take(party, 1).is_ok()), [true, false]);
        assert_eq!(bucket.parties(), PARTIES_MAX + 1);
        clock.advance(2 * SECOND);
        assert_eq!(others.map(|party| bucket.take(party, 1).is_ok()), [true, true]);
        assert_eq!(bucket.parties(), 2);
    }

    /// Many who come one by one, each of whom is full again before the next: there is no table of all of them.
    #[test]
    fn a_crowd_that_has_gone_makes_no_large_table() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new((Who::Subject, Limit::Requests), Rate::new(1_000, SECOND), clock.clone());
        let names = Names::new(&LimitsConfig::default());
        for number in 0..50_000 {
            assert!(bucket.take(names.party(number), 1).is_ok());
            clock.advance(SECOND / 500);
            assert!(bucket.parties() <= SWEEP_FROM);
        }
    }

    #[test]
    fn what_is_full_again_is_forgotten_with_its_memory() {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::new((Who::Subject, Limit::Requests), Rate::new(2, SECOND), clock.clone());
        for party in parties::<1_000>() {
            assert!(bucket.take(party, 2).is_ok());
        }
        clock.advance(SECOND / 2);
        bucket.forget_full();
        assert_eq!(bucket.parties(), 1_000, "they have half of it");
        clock.advance(SECOND);
        bucket.forget_full();
        assert_eq!(bucket.parties(), 0);
        bucket.shrink();
    }
}
