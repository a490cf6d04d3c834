//! What an answer says of limits: the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers
//! (since its version 08: lists of structured fields, an item a policy).

use std::fmt::Write;
use std::time::Duration;

use super::{Limit, Who};

/// As many bytes as an item of `RateLimit` has beside its name.
const LEFT_BYTES: usize = 32;

/// The fields of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// `RateLimit-Policy`: the limits.
    pub policy: String,
    /// `RateLimit`: what is left of them.
    pub limit: String,
}

/// A limit as answers tell of it; its words are on the way of each request, so they are put together once.
pub(super) struct Term {
    /// Its item in `RateLimit-Policy`.
    policy: Box<str>,
    /// How long the name is that it begins with, and that names it in `RateLimit`.
    name: usize,
}

/// One limit that was looked at, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) who: Who,
    pub(super) limit: Limit,
    pub(super) left: u64,
    /// When there is more; `None`: nobody knows.
    pub(super) again: Option<Duration>,
}

impl Term {
    /// `window`: how long it takes until all is left again that was used up.
    pub(super) fn new(who: Who, limit: Limit, quota: u64, window: Option<Duration>) -> Term {
        let mut policy = format!("\"{}-{}\"", who.as_str(), limit.as_str());
        let name = policy.len();
        let unit = match limit {
            Limit::PublishedBytes | Limit::SentBytes => Some("content-bytes"),
            Limit::WatchesMax => Some("concurrent-requests"),
            _ => None,
        };
        // Writing to a text cannot fail.
        let _ = write!(policy, ";q={quota}");
        if let Some(unit) = unit {
            let _ = write!(policy, ";qu=\"{unit}\"");
        }
        if let Some(window) = window {
            let _ = write!(policy, ";w={}", seconds(window).max(1));
        }
        Term { policy: policy.into(), name }
    }
}

impl Fields {
    /// `None` if nothing is said.
    pub(super) fn of<'t>(all: &[Told], term: impl Fn(&Told) -> Option<&'t Term>) -> Option<Fields> {
        let terms = || all.iter().filter_map(|told| Some((told, term(told)?)));
        let bytes = |more: usize| terms().map(|(_, term)| term.policy.len() + more).sum();
        let mut fields =
            Fields { policy: String::with_capacity(bytes(2)), limit: String::with_capacity(bytes(LEFT_BYTES)) };
        for (told, term) in terms() {
            if !fields.policy.is_empty() {
                fields.policy.push_str(", ");
                fields.limit.push_str(", ");
            }
            fields.policy.push_str(&term.policy);
            fields.limit.push_str(&term.policy[..term.name]);
            let mut number = itoa::Buffer::new();
            fields.limit.push_str(";r=");
            fields.limit.push_str(number.format(told.left));
            if let Some(again) = told.again {
                fields.limit.push_str(";t=");
                fields.limit.push_str(number.format(seconds(again)));
            }
        }
        (!fields.policy.is_empty()).then_some(fields)
    }
}

/// Rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
