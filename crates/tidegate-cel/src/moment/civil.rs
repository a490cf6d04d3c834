//! The calendar: days since 1970 to dates and back, in the proleptic Gregorian calendar, and the parts
//! of a time that CEL's accessors give.

use super::{Duration, Timestamp};

const SECONDS_PER_DAY: i64 = 86_400;
/// An era of the Gregorian calendar: 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

/// A part of a point or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The year.
    FullYear,
    /// The month from 0.
    Month,
    /// The day of the month from 1.
    Date,
    /// The day of the month from 0.
    DayOfMonth,
    /// The day of the week from 0, which is Sunday.
    DayOfWeek,
    /// The day of the year from 0.
    DayOfYear,
    /// The hour; of a length of time all of them.
    Hours,
    /// The minute; of a length of time all of them.
    Minutes,
    /// The second; of a length of time all of them.
    Seconds,
    /// The millisecond in its second.
    Milliseconds,
}

impl Timestamp {
    /// A part of it, in a zone that is so many seconds ahead of UTC.
    pub fn part(self, field: Field, ahead_seconds: i32) -> i64 {
        let local = self.seconds + i64::from(ahead_seconds);
        let (days, second) = (local.div_euclid(SECONDS_PER_DAY), local.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date(days);
        match field {
            Field::FullYear => year,
            Field::Month => month - 1,
            Field::Date => day,
            Field::DayOfMonth => day - 1,
            // 1970-01-01 was a Thursday.
            Field::DayOfWeek => (days + 4).rem_euclid(7),
            Field::DayOfYear => days - days_since_1970(year, 1, 1),
            Field::Hours => second / 3600,
            Field::Minutes => second / 60 % 60,
            Field::Seconds => second % 60,
            Field::Milliseconds => i64::from(self.nanos / 1_000_000),
        }
    }
}

impl Duration {
    /// A part of it; `None` for those of dates.
    pub fn part(self, field: Field) -> Option<i64> {
        let seconds = self.nanos / 1_000_000_000;
        match field {
            Field::Hours => Some(seconds / 3600),
            Field::Minutes => Some(seconds / 60),
            Field::Seconds => Some(seconds),
            Field::Milliseconds => Some(self.nanos / 1_000_000 % 1000),
            _ => None,
        }
    }
}

/// Year, month from 1 and day from 1. The year is taken to begin in March, so that the leap day is
/// its last one.
pub(super) fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on have 153 days, again and again.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The inverse of [`date`].
pub(super) fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_1970
}
