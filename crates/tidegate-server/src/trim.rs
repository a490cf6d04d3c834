//! Memory that goes back to the system when many have come at once.
//!
//! The handshake of a stream takes kilobytes for some milliseconds, and hundreds may be under way
//! together. Their memory is free afterwards, but glibc gives back only what is at the end of a heap, and
//! something that stays, however small, is always in the way. So when a storm has passed, whole pages
//! that are free go back wherever they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_gate::Gate;
use tidegate_transports::Gateway;
use tidegate_wire::Tails;

/// So many streams began since the last time, or so many tokens are forgotten: less is not worth the look at everything
/// that is free.
const STORM: usize = 500;
/// Fewer than these began since the last look: it has passed.
const CALM: usize = 50;
/// How often is looked while it may be a storm; nothing is done while nobody comes.
const LOOK: Duration = Duration::from_millis(500);

/// Forgets tokens that were shown once, for a watch that lasts, and whom nothing is held against any more. Runs for the life
/// of a server.
pub(crate) async fn idle(gateway: Arc<Gateway>) {
    let mut ticks = tokio::time::interval(Gate::IDLE);
    loop {
        ticks.tick().await;
        let forgotten = gateway.gate.forget_idle();
        // Those that are in force now.
        gateway.limits.load().forget_idle();
        // Tokens were among the buffers of their handshakes, whose pages are free only now.
        if forgotten >= STORM {
            gave_back("after tokens were forgotten").await;
        }
    }
}

/// Runs for the life of a server.
pub(crate) async fn after_storms(tails: Tails) {
    let lanes = tails.lanes();
    let mut storm = Storm::default();
    loop {
        lanes.came().await;
        tokio::time::sleep(LOOK).await;
        while storm.look(lanes.opened()) == Weather::Stormy {
            tokio::time::sleep(LOOK).await;
        }
        if storm.is_over(lanes.opened()) {
            gave_back("after many had come").await;
        }
    }
}

async fn gave_back(why: &str) {
    let began = Instant::now();
    // It waits for memory that others are using, a heap at a time.
    let done = tokio::task::spawn_blocking(give_back).await;
    tracing::debug!(took = ?began.elapsed(), gave_back = done.unwrap_or(false), why, "free memory went back");
}

/// How fast streams begin.
#[derive(Default)]
struct Storm {
    /// Streams that had begun at the last look.
    seen: usize,
    /// Those that had when memory was last given back.
    before: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Weather {
    Calm,
    Stormy,
}

impl Storm {
    fn look(&mut self, opened: usize) -> Weather {
        let came = opened.wrapping_sub(std::mem::replace(&mut self.seen, opened));
        if came < CALM { Weather::Calm } else { Weather::Stormy }
    }

    /// Whether enough have come since it last was.
    fn is_over(&mut self, opened: usize) -> bool {
        let over = opened.wrapping_sub(self.before) >= STORM;
        if over {
            self.before = opened;
        }
        over
    }
}

/// Gives free pages back. Returns whether there were any.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the allocator is C's")]
fn give_back() -> bool {
    // SAFETY: it takes no pointers, may be called from any thread at any time, and touches nothing but
    // memory that the allocator knows to be free, under its own locks.
    unsafe { libc::malloc_trim(0) != 0 }
}

/// Other allocators give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_over_when_few_come() {
        let mut storm = Storm::default();
        // A hundred, at leisure: none.
        for opened in (0..=100).step_by(10) {
            assert_eq!(storm.look(opened), Weather::Calm);
            assert!(!storm.is_over(opened));
        }
        assert_eq!(storm.look(1_000), Weather::Stormy);
        assert_eq!(storm.look(1_000 + CALM), Weather::Stormy);
        assert_eq!(storm.look(1_001 + CALM), Weather::Calm);
        assert!(storm.is_over(1_001 + CALM));
        assert!(!storm.is_over(1_002 + CALM), "once for each");
    }

    /// What is free between things that stay goes back, which it does not by itself.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn free_pages_go_back_from_between_others() {
        const PAIRS: usize = 2_000;
        const LARGE: usize = 16 * 1024;
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").expect("status");
            let kilobytes = status.split_once("VmRSS:").and_then(|(_, rest)| rest.split_whitespace().next());
            kilobytes.and_then(|number| number.parse::<usize>().ok()).expect("a number") * 1024
        };
        // All of one size, so that what stays lies between what goes: small things that stay would be put
        // where other tests left room.
        let mut all: Vec<_> = (0..2 * PAIRS).map(|number| vec![number as u8; LARGE]).collect();
        let mut number = 0;
        all.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        let held = resident();
        assert!(give_back());
        let left = resident();
        assert!(left + PAIRS * LARGE / 2 < held, "{held} bytes before, {left} after");
        assert!(all.iter().zip(0..).all(|(own, pair)| own.iter().all(|byte| *byte == (2 * pair + 1) as u8)));
    }
}
