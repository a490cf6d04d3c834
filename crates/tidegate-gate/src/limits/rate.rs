//! So much in such a time.

use std::fmt;
use std::time::Duration;

/// A limit of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many, or so many bytes; at least one.
    pub amount: u64,
    /// In this time.
    pub per: Duration,
    /// So many at once, from who has asked for nothing for a while; at least one.
    pub burst: u64,
}

impl Rate {
    /// `amount` in `per`, and all of them at once where nothing came before.
    pub fn new(amount: u64, per: Duration) -> Rate {
        Rate { amount, per, burst: amount }
    }

    /// How long an empty bucket takes to be full.
    pub(super) fn window(self) -> Duration {
        self.per.mul_f64(self.burst as f64 / self.amount.max(1) as f64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "a second",
            60 => "a minute",
            3_600 => "an hour",
            _ => return write!(f, "{} in {:?}", self.amount, self.per),
        };
        write!(f, "{} {unit}", self.amount)
    }
}
