//! Moments of a history at which nothing was on its way: what a time of the past must show.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tidegate_core::{Millis, Offset};

/// A time, and the last record that was appended by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) time: Millis,
    pub(super) offset: Offset,
}

/// Those of one history, shared by its writer and its watchers.
#[derive(Clone, Default)]
pub(super) struct Moments {
    all: Arc<Mutex<Vec<Moment>>>,
}

impl Moments {
    /// The writer has the answers to all that it wrote, the last of it at `offset`. Returns when the clock, which is that of
    /// the server, has moved: what is written then is appended later.
    pub(super) async fn note(&self, offset: Offset) {
        let time = Millis::now();
        while Millis::now() <= time {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Moment { time, offset });
    }

    /// Any of them.
    pub(super) fn choose(&self, rng: &mut StdRng) -> Option<Moment> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).choose(rng).copied()
    }
}
