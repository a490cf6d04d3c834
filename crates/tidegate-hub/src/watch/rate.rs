//! `rate=`: how often a conflated watch is told.

use std::str::FromStr;
use std::time::Duration;

/// Ticks at this distance. Two ways to write the same are one rate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    period_ms: u32,
}

/// The text is no rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a rate is a number of ticks a second or a minute, from 0.1/s to 50/s or from 1/m to 3000/m")]
pub struct RateError;

/// Slower than a minute is a poll.
const PERIOD_MAX_MS: f64 = 60_000.0;
/// Faster is not seen by people, and for programs there is the watch without a rate.
const PERIOD_MIN_MS: f64 = 20.0;

impl Rate {
    /// With ticks at this distance, as near to it as a rate may be.
    pub fn every(period: Duration) -> Rate {
        Rate { period_ms: (period.as_millis() as f64).clamp(PERIOD_MIN_MS, PERIOD_MAX_MS) as u32 }
    }

    /// From one tick to the next.
    pub fn period(self) -> Duration {
        Duration::from_millis(u64::from(self.period_ms))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// `2/s`, `0.5/s`, `30/m`.
    fn from_str(text: &str) -> Result<Rate, RateError> {
        let (number, unit) = text.split_once('/').ok_or(RateError)?;
        let (unit_ms, period_max_ms) = match unit {
            "s" => (1_000.0, 10_000.0),
            "m" => (60_000.0, PERIOD_MAX_MS),
            _ => return Err(RateError),
        };
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let ticks = number.parse::<f64>().ok().filter(|ticks| plain && *ticks > 0.0).ok_or(RateError)?;
        let period_ms = unit_ms / ticks;
        if !(PERIOD_MIN_MS..=period_max_ms).contains(&period_ms) {
            return Err(RateError);
        }
        Ok(Rate { period_ms: period_ms.round() as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_seconds_or_minutes() {
        let period = |text: &str| text.parse::<Rate>().map(|rate| rate.period().as_millis());
        for (text, wanted) in
            [("2/s", 500), ("0.1/s", 10_000), ("50/s", 20), ("120/m", 500), ("1/m", 60_000), ("3000/m", 20)]
        {
            assert_eq!(period(text), Ok(wanted), "{text}");
        }
        for text in ["", "2", "2/h", "0/s", "0.09/s", "51/s", "-1/s", "1e1/s", "nan/s", "/s", "0.5/m", "3001/m"] {
            assert_eq!(period(text), Err(RateError), "{text}");
        }
    }
}
