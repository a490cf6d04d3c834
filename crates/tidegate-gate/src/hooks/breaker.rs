//! A breaker: what fails again and again is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open it.
const FAILURES_MAX: u32 = 5;
/// So long nothing passes; then one is tried.
const REST: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    /// Nothing passes before this.
    rests_until: Option<Instant>,
}

impl Breaker {
    /// Whether one may be tried now. After a rest that is one; others wait for how it ends.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.rests_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.rests_until = Some(now + REST);
                true
            }
        }
    }

    /// How one ended.
    pub(super) fn ended(&self, well: bool, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if well {
            *state = State::default();
            return;
        }
        state.failures += 1;
        if state.failures >= FAILURES_MAX {
            state.rests_until = Some(now + REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_it_rests_and_then_tries_one() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let fail = |at| breaker.ended(false, at);
        (1..FAILURES_MAX).for_each(|_| fail(start));
        breaker.ended(true, start);
        (1..FAILURES_MAX).for_each(|_| fail(start));
        assert!(breaker.admits(start), "they were not in a row");
        fail(start);
        assert!(!breaker.admits(start + REST - Duration::from_millis(1)));
        assert!(breaker.admits(start + REST));
        assert!(!breaker.admits(start + REST), "one is enough");
        fail(start + REST);
        assert!(!breaker.admits(start + REST + REST - Duration::from_millis(1)));
        assert!(breaker.admits(start + REST + REST));
        breaker.ended(true, start + REST + REST);
        assert!(breaker.admits(start + REST + REST) && breaker.admits(start + REST + REST));
    }
}
