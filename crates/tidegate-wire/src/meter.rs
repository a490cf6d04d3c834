//! How much somebody is told, against how much that may be: asked now and then of what a tail had for its watchers, never
//! frame by frame. Who is told more moves to a conflated tail until there is room again.

use std::sync::Arc;

/// Somebody's account of bytes. Watches of one caller share it.
pub trait Meter: Send + Sync {
    /// So many bytes were told. Returns what is left.
    fn spend(&self, bytes: u64) -> Balance;
}

/// What is left on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Nothing: less is told from now on.
    Nothing,
    /// Too little to change anything.
    Little,
    /// Enough to go back.
    Enough,
}

/// A watch with its meter.
pub(crate) struct Metered {
    meter: Arc<dyn Meter>,
    /// What its tail had told when it was last asked, and the tail's number.
    seen: Option<(u64, u64)>,
    /// It is told less.
    pub(crate) over: bool,
}

impl Metered {
    pub(crate) fn new(meter: Arc<dyn Meter>) -> Metered {
        Metered { meter, seen: None, over: false }
    }

    /// Its tail has told so many bytes since it began to.
    pub(crate) fn look(&mut self, tail: u64, told: u64) {
        let bytes = match self.seen.replace((tail, told)) {
            Some((before, seen)) if before == tail => told.saturating_sub(seen),
            _ => 0,
        };
        self.over = match self.meter.spend(bytes) {
            Balance::Nothing => true,
            Balance::Little => self.over,
            Balance::Enough => false,
        };
    }
}
