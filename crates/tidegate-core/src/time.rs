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

    /// That many seconds after 1970; as late as can be said where that is more.
    pub fn of_seconds(seconds: u64) -> Millis {
        Millis(seconds.saturating_mul(1_000))
    }

    /// Whole seconds since 1970, as tokens have them.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// Reads RFC 3339 text with any offset, such as `2026-11-21T21:08:13.123Z` or
    /// `2026-11-22T11:08:13+14:00`. Digits below the millisecond are dropped; a time before 1970 is
    /// taken as 1970, since no record is older.
    pub fn parse_rfc3339(text: &str) -> Option<Millis> {
        let (date, time) = (text.get(..10)?, text.get(11..19)?);
        if !matches!(text.as_bytes()[10], b'T' | b't') {
            return None;
        }
        let (year, month, day) = triple(date, 4, '-')?;
        let (hour, minute, second) = triple(time, 2, ':')?;
        // RFC 3339 allows second 60; as elsewhere it is the first of the next minute.
        if !(1..=12).contains(&month)
            || day == 0
            || day > days_of(year, month)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let (fraction_ms, zone) = fraction(text.get(19..)?)?;
        let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes(zone)?;
        let millis = (minutes * 60 + second) * 1_000 + fraction_ms;
        Some(Millis(u64::try_from(millis).unwrap_or(0)))
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

/// `2026-11-21` or `21:08:13`; the first number has `width` digits, the others two.
fn triple(text: &str, width: usize, separator: char) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(separator);
    let mut next = |width| digits(parts.next()?, width);
    let found = (next(width)?, next(2)?, next(2)?);
    parts.next().is_none().then_some(found)
}

fn digits(text: &str, width: usize) -> Option<i64> {
    (text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `.123456Z`: milliseconds, and what follows them.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, zone) = rest.split_at(count);
    let millis = digits.bytes().chain(*b"00").take(3).fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    (count > 0).then_some((millis, zone))
}

/// `Z`, `+14:00`, or `-00:00`, which is UTC of an unknown place.
fn offset_minutes(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts years from March, so that a leap day is the last of its year; then months have 30.6 days.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 306 + 5) / 10 + day - 1 - 719_468
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

    #[test]
    fn offsets_and_small_letters_are_read() {
        let millis = |text| Millis::parse_rfc3339(text).map(|time| time.0);
        let noon = millis("2026-11-21T12:00:00Z");
        assert_eq!(noon, Some(1_795_262_400_000));
        for same in [
            "2026-11-21t12:00:00z",
            "2026-11-22T02:00:00+14:00",
            "2026-11-21T12:00:00-00:00",
            "2026-11-21T06:30:00-05:30",
        ] {
            assert_eq!(millis(same), noon, "{same}");
        }
        assert_eq!(millis("2026-11-21T12:00:00.0129Z"), noon.map(|noon| noon + 12));
        assert_eq!(millis("2026-11-21T12:00:00.5+00:00"), noon.map(|noon| noon + 500));
        assert_eq!(millis("1969-12-31T23:59:59Z"), Some(0));
        assert_eq!(millis("0000-01-01T00:00:00Z"), Some(0));
        assert_eq!(millis("1970-01-01T01:00:00+02:00"), Some(0));
        assert_eq!(millis("2016-12-31T23:59:60Z"), millis("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-11-21 12:00:00Z",
            "2026-11-21T12:00:00+1400",
            "2026-11-21T12:00:00+24:00",
            "2026-11-21T12:00:00.Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00:00Zz",
            "2026-11-2éT12:00:00Z",
            "+026-11-21T12:00:00Z",
            "2026-11-21T12:00:00é",
            "2026-11-21T12:00:00+é1:00",
        ] {
            assert_eq!(Millis::parse_rfc3339(text), None, "{text}");
        }
    }

    /// Every day of four centuries, against the other direction.
    #[test]
    fn days_agree_with_what_is_written() {
        for day in 0..146_097 {
            let time = Millis(day * 86_400_000 + 1);
            assert_eq!(Millis::parse_rfc3339(&time.to_string()), Some(time), "{time}");
        }
    }
}
