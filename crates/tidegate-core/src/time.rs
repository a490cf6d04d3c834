//! Times on the wire and in the log: milliseconds since 1970, written as RFC 3339 in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The wall clock.
    pub fn now() -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(since.as_millis() as u64)
    }

    /// Reads RFC 3339 text in UTC, such as `2026-11-21T21:08:13.123Z`.
    pub fn parse_rfc3339(text: &str) -> Option<Millis> {
        let time = humantime::parse_rfc3339(text).ok()?;
        Some(Millis(time.duration_since(UNIX_EPOCH).ok()?.as_millis() as u64))
    }

    /// This time less `duration`, not below 1970.
    pub fn before(self, duration: Duration) -> Millis {
        Millis(self.0.saturating_sub(duration.as_millis() as u64))
    }
}

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // RFC 3339 ends with the year 9999; a source that says more is shown that year.
        let capped = self.0.min(253_402_300_799_999);
        let time = UNIX_EPOCH + Duration::from_millis(capped);
        write!(f, "{}", humantime::format_rfc3339_millis(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let time = Millis(1_795_295_293_123);
        assert_eq!(Millis::parse_rfc3339(&time.to_string()), Some(time));
        assert!(Millis(u64::MAX).to_string().starts_with("9999-"));
    }
}
