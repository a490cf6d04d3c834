//! What an answer says of limits: the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers
//! (since its version 08: lists of structured fields, an item a policy).

use std::fmt::Write;
use std::time::Duration;

use super::bucket::Taken;
use super::rate::Rate;
use super::{Limit, Who};

/// As many bytes as an item of a field seldom has.
const ITEM_BYTES: usize = 72;

/// One limit that was looked at, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub(super) who: Who,
    pub(super) limit: Limit,
    quota: u64,
    window: Option<Duration>,
    left: u64,
    again: Option<Duration>,
}

impl Told {
    pub(super) fn of(who: Who, limit: Limit, rate: Rate, taken: Taken) -> Told {
        let (window, again) = (Some(rate.window()), Some(taken.again));
        Told { who, limit, quota: rate.burst, window, left: taken.left, again }
    }

    pub(super) fn places(who: Who, max: u32, left: u32) -> Told {
        let (quota, left) = (max.into(), left.into());
        Told { who, limit: Limit::WatchesMax, quota, window: None, left, again: None }
    }

    /// The values of both fields, policy first.
    pub fn fields(all: &[Told]) -> (String, String) {
        // On the way of each request, so there is one piece of memory for each.
        let (mut policies, mut limits) =
            (String::with_capacity(all.len() * ITEM_BYTES), String::with_capacity(all.len() * ITEM_BYTES));
        for told in all {
            for field in [&mut policies, &mut limits] {
                let before = if field.is_empty() { "\"" } else { ", \"" };
                field.extend([before, told.who.as_str(), "-", told.limit.as_str(), "\""]);
            }
            // Writing to a text cannot fail.
            let _ = write!(policies, ";q={}", told.quota);
            if let Some(unit) = told.unit() {
                let _ = write!(policies, ";qu=\"{unit}\"");
            }
            if let Some(window) = told.window {
                let _ = write!(policies, ";w={}", seconds(window).max(1));
            }
            let _ = write!(limits, ";r={}", told.left);
            if let Some(again) = told.again {
                let _ = write!(limits, ";t={}", seconds(again));
            }
        }
        (policies, limits)
    }

    /// Where it is not requests.
    fn unit(&self) -> Option<&'static str> {
        match self.limit {
            Limit::PublishedBytes | Limit::SentBytes => Some("content-bytes"),
            Limit::WatchesMax => Some("concurrent-requests"),
            _ => None,
        }
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}
