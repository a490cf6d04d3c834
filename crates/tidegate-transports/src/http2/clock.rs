//! Since when each body on a connection waits for its client, and the connection for a request.
//!
//! hyper asks a body for more only when the client's windows have taken what it gave before, so no
//! timer within the body would ever run: the connection looks from outside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// Of one connection.
pub(super) struct Clock(Mutex<State>);

struct State {
    /// Requests that are not answered to the end, by number; those whose body waits have the time
    /// at which it is given up.
    open: HashMap<u64, Option<Instant>>,
    next: u64,
    idle_since: Instant,
}

/// What is to be done with a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Good,
    /// No request for too long.
    Idle,
    /// A body waits for too long.
    Stalled,
}

/// One request, from its head to the end of its body.
pub(super) struct Ticket {
    clock: Arc<Clock>,
    number: u64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock(Mutex::new(State { open: HashMap::new(), next: 0, idle_since: Instant::now() }))
    }

    pub(super) fn enter(self: &Arc<Self>) -> Ticket {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, None);
        Ticket { clock: self.clone(), number }
    }

    pub(super) fn verdict(&self, now: Instant, idle_max: Duration) -> Verdict {
        let state = self.lock();
        if state.open.values().any(|until| until.is_some_and(|until| until <= now)) {
            return Verdict::Stalled;
        }
        if state.open.is_empty() && now.saturating_duration_since(state.idle_since) >= idle_max {
            return Verdict::Idle;
        }
        Verdict::Good
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Ticket {
    /// The body has given a piece, which must be taken within `patience`.
    pub(super) fn gave(&self, patience: Duration) {
        self.clock.lock().open.insert(self.number, Some(Instant::now() + patience));
    }

    /// It was taken.
    pub(super) fn taken(&self) {
        self.clock.lock().open.insert(self.number, None);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        state.open.remove(&self.number);
        state.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_body_that_nobody_takes_is_told() {
        let clock = Arc::new(Clock::new());
        let (one, other) = (clock.enter(), clock.enter());
        one.gave(MINUTE);
        other.gave(2 * MINUTE);
        let now = Instant::now();
        assert_eq!(clock.verdict(now + MINUTE / 2, MINUTE), Verdict::Good);
        assert_eq!(clock.verdict(now + MINUTE, MINUTE), Verdict::Stalled);
        one.taken();
        assert_eq!(clock.verdict(now + MINUTE, MINUTE), Verdict::Good);
        drop(other);
        assert_eq!(clock.verdict(now + 3 * MINUTE, MINUTE), Verdict::Good, "a watch may be silent for ever");
    }

    #[test]
    fn a_connection_without_requests_is_idle() {
        let clock = Arc::new(Clock::new());
        assert_eq!(clock.verdict(Instant::now() + 2 * MINUTE, MINUTE), Verdict::Idle);
        let ticket = clock.enter();
        assert_eq!(clock.verdict(Instant::now() + 2 * MINUTE, MINUTE), Verdict::Good);
        drop(ticket);
        assert_eq!(clock.verdict(Instant::now(), MINUTE), Verdict::Good);
        assert_eq!(clock.verdict(Instant::now() + 2 * MINUTE, MINUTE), Verdict::Idle);
    }
}
