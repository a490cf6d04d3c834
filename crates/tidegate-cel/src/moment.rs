//! Points in time and lengths of time: their ranges, their arithmetic, their texts.

mod civil;
mod text;

pub(crate) use civil::Field;
pub(crate) use text::offset;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// 0001-01-01T00:00:00Z, in seconds since 1970.
const SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

/// A point in time of the years 1 to 9999, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    /// Since that second.
    nanos: u32,
}

/// A length of time up to about 292 years, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    nanos: i64,
}

impl Timestamp {
    /// From seconds since 1970 and nanoseconds in that second; `None` outside the years 1 to 9999.
    pub fn new(seconds: i64, nanos: u32) -> Option<Timestamp> {
        ((SECONDS_MIN..=SECONDS_MAX).contains(&seconds) && i128::from(nanos) < NANOS_PER_SECOND)
            .then_some(Timestamp { seconds, nanos })
    }

    /// From milliseconds since 1970; those after the year 9999 are its end.
    pub fn from_millis(millis: u64) -> Timestamp {
        let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX).min(SECONDS_MAX);
        Timestamp { seconds, nanos: (millis % 1000) as u32 * 1_000_000 }
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds in its second.
    pub fn nanos(self) -> u32 {
        self.nanos
    }

    pub(crate) fn add(self, by: Duration) -> Option<Timestamp> {
        let nanos = self.total() + i128::from(by.nanos);
        let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
        Timestamp::new(seconds, nanos.rem_euclid(NANOS_PER_SECOND) as u32)
    }

    pub(crate) fn since(self, other: Timestamp) -> Option<Duration> {
        i64::try_from(self.total() - other.total()).ok().map(Duration::from_nanos)
    }

    fn total(self) -> i128 {
        i128::from(self.seconds) * NANOS_PER_SECOND + i128::from(self.nanos)
    }
}

impl Duration {
    /// From nanoseconds.
    pub fn from_nanos(nanos: i64) -> Duration {
        Duration { nanos }
    }

    /// Nanoseconds.
    pub fn nanos(self) -> i64 {
        self.nanos
    }

    pub(crate) fn add(self, other: Duration) -> Option<Duration> {
        self.nanos.checked_add(other.nanos).map(Duration::from_nanos)
    }

    pub(crate) fn subtract(self, other: Duration) -> Option<Duration> {
        self.nanos.checked_sub(other.nanos).map(Duration::from_nanos)
    }

    pub(crate) fn negate(self) -> Option<Duration> {
        self.nanos.checked_neg().map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests;
