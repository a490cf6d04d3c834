//! How many connections are open, for those who wait for their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts connections that carry many requests at once.
#[derive(Clone, Debug, Default)]
pub struct Multiplexed(Arc<AtomicUsize>);

/// Counts one less when dropped.
pub(super) struct Open(Arc<AtomicUsize>);

impl Multiplexed {
    /// How many are open.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn enter(&self) -> Open {
        self.0.fetch_add(1, Ordering::AcqRel);
        Open(self.0.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
