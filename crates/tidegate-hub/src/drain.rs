//! How the server stops: publishes are refused, watches are closed paced, each told when to come
//! back, so that a deploy does not meet all clients at once.

use std::time::Duration;

use rand::Rng;
use tokio::sync::watch;

/// The terms of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Watches are closed at random moments within this time.
    pub pace: Duration,
    /// Each is told to come back after a random time up to this, in milliseconds.
    pub retry_ms_max: u64,
}

impl Drain {
    /// Spreads `watches` clients: at most a thousand a second leave, and come back.
    pub fn for_watches(watches: usize) -> Drain {
        let spread = Duration::from_millis(watches as u64);
        Drain {
            pace: spread.clamp(Duration::from_millis(50), Duration::from_secs(5)),
            retry_ms_max: 500 + watches as u64,
        }
    }

    /// When one client comes back; drawn anew for each, or they would all come at once.
    pub fn retry_ms(&self) -> u64 {
        rand::rng().random_range(0..=self.retry_ms_max)
    }
}

/// Tells everyone once.
pub struct DrainSignal {
    sender: watch::Sender<Option<Drain>>,
}

impl DrainSignal {
    pub(crate) fn new() -> DrainSignal {
        DrainSignal { sender: watch::Sender::new(None) }
    }

    /// Begins to drain.
    pub fn begin(&self, drain: Drain) {
        self.sender.send_replace(Some(drain));
    }

    /// Whether it has begun.
    pub fn draining(&self) -> bool {
        self.current().is_some()
    }

    /// The terms, once it has begun.
    pub fn current(&self) -> Option<Drain> {
        *self.sender.borrow()
    }

    /// Returns when a drain begins; at once if it has.
    pub async fn begun(&self) -> Drain {
        let mut receiver = self.sender.subscribe();
        loop {
            if let Some(drain) = *receiver.borrow_and_update() {
                return drain;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
