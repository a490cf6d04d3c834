//! What caches are told of an answer of frames: for how long it may stand for what would be answered now.
//!
//! | answer | as long as | told |
//! |---|---|---|
//! | a page that ends before the head | what follows its cursor is kept, see [`fixed`] | `max-age`, `immutable` |
//! | one that ends at the head, or begins with a gap or a reset | a moment | `s-maxage` |
//! | nothing came, 204 | a moment | `s-maxage` |
//! | not asked by its URL alone, or not for everyone | – | `no-store` |
//!
//! The log is only appended to, so what was between two cursors is so for ever; what a moment later would be
//! longer is no lie while it is short, and the next question brings the rest. A moment is there for caches that
//! collapse requests: what may not be stored they would fetch once for each who waits, one after the other.

use std::time::Duration;

use http::HeaderValue;
use http::header::{CACHE_CONTROL, VARY};
use tidegate_core::{Millis, Offset};
use tidegate_hub::{Channel, View};

use crate::answer::Answer;
use crate::options::Options;

/// Where the next one is another answer soon. Browsers ask; who shares may give it to all who waited for it, and
/// while it fetches the next one still to those who come late.
const MOMENT: &str = "public, max-age=0, s-maxage=1, stale-while-revalidate=5";
/// The same of an answer that says nothing: who does not go on where it links to asks for it again and again.
const MOMENT_OF_NOTHING: &str = "public, max-age=0, s-maxage=1, stale-while-revalidate=2";
/// Nobody may keep it.
const NONE: &str = "no-store";
/// No longer than this is anything kept (RFC 9111 has no limit, and this is what others take for one).
const LONGEST: Duration = Duration::from_secs(365 * 86_400);
/// What a filter or fields make of a record may be another thing in the next release, or with another config.
const LONGEST_VIEWED: Duration = Duration::from_secs(3_600);
/// A page that is kept for less than this is one of the moment.
const SHORTEST: Duration = Duration::from_secs(2);
/// Taken as the fastest that a channel is written, in bytes a second: the room that retention leaves lasts that long.
const WRITTEN_MAX: u64 = 128 * 1024 * 1024;

/// What an answer of frames holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// All records of the view after this position, up to a cursor before the head.
    Fixed(Offset),
    /// Up to the head of this moment, or a loss, or the word that the state is another.
    ToHead,
    /// Nothing but a cursor.
    Nothing,
}

/// Says on the answer who may keep it and for how long, and that it does not vary by what its URL says already.
pub(crate) fn mark(answer: &mut Answer, channel: &Channel, view: &View, options: &Options, held: Held) {
    let headers = answer.headers_mut();
    let control = control(channel, view, options, held, Millis::now());
    headers.insert(CACHE_CONTROL, HeaderValue::from_str(&control).expect("directives are ASCII"));
    if options.representation.is_some() {
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

fn control(channel: &Channel, view: &View, options: &Options, held: Held, now: Millis) -> String {
    // A header that a cache does not look at must not decide what it gives to others.
    if !channel.read_by_everyone() || !options.in_url {
        return NONE.to_owned();
    }
    match held {
        Held::Nothing => MOMENT_OF_NOTHING.to_owned(),
        Held::ToHead => MOMENT.to_owned(),
        Held::Fixed(after) => match fixed(channel, view, after, now) {
            None => MOMENT.to_owned(),
            Some((age, true)) => format!("public, max-age={}, immutable", age.as_secs()),
            Some((age, false)) => format!("public, max-age={}", age.as_secs()),
        },
    }
}

/// For how long the records after a position are there for certain, and whether the bytes made of them are the
/// same until then. Where retention goes by size that depends on what is written next, so it is not long.
fn fixed(channel: &Channel, view: &View, after: Offset, now: Millis) -> Option<(Duration, bool)> {
    let keeping = channel.log.keeping(after)?;
    let by_age = keeping.until.map_or(LONGEST, |until| Duration::from_millis(until.0.saturating_sub(now.0)));
    let by_size = keeping.room.map_or(LONGEST, |room| Duration::from_secs(room / WRITTEN_MAX));
    let longest = if view.lens.is_none() { LONGEST } else { LONGEST_VIEWED };
    let age = by_age.min(by_size).min(longest);
    (age >= SHORTEST).then_some((age, keeping.room.is_none() && view.lens.is_none()))
}

#[cfg(test)]
mod tests;
