//! RFC 3339 for points in time, `1h2m3.5s` for lengths of time, `+02:00` for zones.

use std::fmt;

use super::civil::{date, days_since_1970};
use super::{Duration, Timestamp};

impl Timestamp {
    /// Reads RFC 3339, with up to nine digits of a second's fraction.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let (date_part, time) = text.split_once('T')?;
        let [year, month, day] = fixed(date_part, '-', [4, 2, 2])?;
        let zone = time.find(['Z', '+', '-'])?;
        let (time, zone) = time.split_at(zone);
        let (time, fraction) = time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
        let [hour, minute, second] = fixed(time, ':', [2, 2, 2])?;
        let days = days_since_1970(year, month, day);
        let exists = hour < 24 && minute < 60 && second < 60 && date(days) == (year, month, day);
        let ahead = if zone == "Z" { 0 } else { i64::from(offset(zone)?) };
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - ahead;
        exists.then(|| Timestamp::new(seconds, fraction.map_or(Some(0), nanos)?)).flatten()
    }
}

impl Duration {
    /// Reads numbers with units of hours to nanoseconds, as Go writes them: `1h2m3.5s`, `-250ms`, `0`.
    pub fn parse(text: &str) -> Option<Duration> {
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Duration::from_nanos(0));
        }
        if rest.is_empty() {
            return None;
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, after) = rest.split_at(number_end);
            let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            total += amount(number, unit_nanos(unit)?)?;
            rest = after;
        }
        i64::try_from(if negative { -total } else { total }).ok().map(Duration::from_nanos)
    }
}

/// Reads `+02:00`, `-02:30` or `02:00` as seconds ahead of UTC.
pub(crate) fn offset(text: &str) -> Option<i32> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let [hours, minutes] = fixed(text, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3600 + minutes * 60) as i32)
}

/// Numbers of so many digits each, with a separator between.
fn fixed<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (slot, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        let valid = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        *slot = valid.then(|| part.parse().ok()).flatten()?;
    }
    parts.next().is_none().then_some(found)
}

/// The digits of a fraction as billionths.
fn nanos(digits: &str) -> Option<u32> {
    let valid = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse::<u32>().ok()).flatten().map(|value| value * 10_u32.pow(9 - digits.len() as u32))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    })
}

/// `number` times `unit`, cut to whole nanoseconds; digits beyond those that can matter are dropped.
fn amount(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    // Nineteen digits are more than any duration has.
    let whole = whole.trim_start_matches('0');
    let whole: i128 = if whole.is_empty() { 0 } else { (whole.len() <= 19).then(|| whole.parse().ok()).flatten()? };
    let fraction = &fraction[..fraction.len().min(15)];
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some(whole * unit + part * unit / 10_i128.pow(fraction.len() as u32))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}Z", Fraction(self.nanos))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos.unsigned_abs();
        let sign = if self.nanos < 0 { "-" } else { "" };
        write!(f, "{sign}{}{}s", nanos / 1_000_000_000, Fraction((nanos % 1_000_000_000) as u32))
    }
}

/// Billionths as `.5`, without zeros at the end; nothing for none.
struct Fraction(u32);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        let digits = format!("{:09}", self.0);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}
