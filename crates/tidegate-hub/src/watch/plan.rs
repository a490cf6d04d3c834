//! Decides where a watch begins. One function for all transports.

use std::sync::Arc;

use tidegate_core::{Cursor, ErrorCode, Fields, GapReason, Kind, Millis, Offset, Problem, ResetReason, Scope, Target};

use crate::Hub;
use crate::channel::Channel;
use crate::lookup::Standing;
use crate::policy::{Caller, Entrance, History, Reach, refuse_history};
use crate::publish::key_text;
use crate::watch::filter::Filter;
use crate::watch::lens::{Lens, Mode};
use crate::watch::rate::Rate;
use crate::watch::view::View;

/// What a client asks for, read and checked.
#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// Address or pattern.
    pub target: Target,
    /// One key of it, in any spelling.
    pub key: Option<Box<str>>,
    /// `from=`: where history begins.
    pub from: Option<From>,
    /// `at=`: the time whose state the watch begins with.
    pub at: Option<Millis>,
    /// The cursor to go on from; it beats `at` and `from`, which still says what kind of watch it is, since
    /// `EventSource` repeats its URL when it resumes.
    pub after: Option<Cursor>,
    /// `snapshot=false` asks for history on a keyed channel; `None` if not given.
    pub snapshot: Option<bool>,
    /// `filter=`: an expression, not read yet.
    pub filter: Option<Box<str>>,
    /// `fields=`.
    pub fields: Option<Fields>,
    /// `mode=`.
    pub mode: Mode,
    /// `rate=`.
    pub rate: Option<Rate>,
}

impl WatchRequest {
    /// For an address or pattern, without any option.
    pub fn new(target: Target) -> WatchRequest {
        WatchRequest {
            target,
            key: None,
            from: None,
            at: None,
            after: None,
            snapshot: None,
            filter: None,
            fields: None,
            mode: Mode::Full,
            rate: None,
        }
    }
}

/// Where history begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the oldest record held.
    Start,
    /// With the next one.
    Now,
    /// With the first appended at this time or later.
    Time(Millis),
}

/// A watch that is allowed, and where it begins.
pub struct Plan {
    /// The channel.
    pub channel: Arc<Channel>,
    /// What it sees.
    pub view: View,
    /// How it begins.
    pub start: Start,
    /// History that begins with the next record, because nothing was said or `from=now`: `start` is
    /// the head as it was a moment ago, and any later one is as good.
    pub now: bool,
    /// What was appended before is not among the newest that are shown; `None`: all that is kept may be.
    pub oldest: Option<Millis>,
    /// What was looked up to decide it. When that changes, it is to be decided again.
    pub standing: Standing,
    pub(super) reach: Reach,
}

/// The beginning of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the records after this position.
    At(Offset),
    /// With the same, for who holds rows of which some may be newer: an unfinished snapshot, of which the changes since
    /// this position are still to come.
    Fuzzy(Offset),
    /// With a snapshot.
    Snapshot(ResetReason),
    /// With a snapshot as of this position, and the records after it.
    AsOf(Offset),
    /// With an announced loss: `from` as the client gave it.
    Gap {
        /// The cursor that was presented.
        from: Cursor,
        /// Why.
        reason: GapReason,
        /// Where history goes on, unless the log begins later.
        to: Offset,
    },
}

impl Plan {
    /// Where a client stands that has not heard of it yet.
    pub fn stands(&self) -> Option<Cursor> {
        match &self.start {
            Start::At(offset) => Some(self.channel.cursor(&self.view, *offset)),
            Start::Fuzzy(offset) => Some(self.channel.rows_cursor(&self.view, *offset, false)),
            Start::Gap { from, .. } => Some(*from),
            Start::Snapshot(_) | Start::AsOf(_) => None,
        }
    }

    /// The same, but it begins where another watch of the channel has left off.
    ///
    /// # Errors
    /// `cursor-invalid` for a cursor of another channel.
    pub fn after(self, cursor: Cursor) -> Result<Plan, Problem> {
        let start = resume(&self.channel, &self.view, self.reach, cursor)?;
        Ok(Plan { start, now: false, ..self })
    }
}

impl Hub {
    /// Whether [`plan`](Hub::plan) may read the disk.
    pub fn plan_blocks(&self, request: &WatchRequest) -> bool {
        let bounded = || {
            let channel = self.catalog().resolve(&request.target);
            channel.is_ok_and(|channel| !matches!(channel.policies().access.history, History::All))
        };
        if self.catalog().lookups_block(&request.target) {
            return true;
        }
        matches!(request.from, Some(From::Time(_)))
            || ((request.from.is_some() || request.after.is_some()) && bounded())
    }

    /// Decides whether a watch is allowed, what it sees, and where it begins.
    ///
    /// # Errors
    /// `channel-not-found`, `unauthenticated`, `forbidden`, `invalid` for options that do not fit the channel,
    /// `unprocessable` for a key that is none, `cursor-invalid` for a cursor of another channel, `out-of-reach` for an `at` that history does not
    /// reach. Reads the log for `from=TIME`, `at=TIME`, and where `history` has a bound, so it may block on the disk there.
    pub fn plan(&self, request: &WatchRequest, caller: &Caller) -> Result<Plan, Problem> {
        let (channel, entrance) = self.catalog().readable(&request.target, caller)?;
        let view = view(channel, request, &entrance)?;
        let start = start(channel, &view, request, &entrance, caller)?;
        let Entrance { reach, now: asked, standing, .. } = entrance;
        let now =
            request.after.is_none() && view.kind == Kind::History && matches!(request.from, None | Some(From::Now));
        Ok(Plan { channel: channel.clone(), view, start, now, oldest: reach.oldest(asked), standing, reach })
    }
}

fn view(channel: &Channel, request: &WatchRequest, entrance: &Entrance) -> Result<View, Problem> {
    if !channel.keyed() {
        if request.key.is_some() {
            return Err(not_keyed(channel, "key"));
        }
        if request.snapshot == Some(true) {
            return Err(not_keyed(channel, "snapshot"));
        }
        if request.at.is_some() {
            return Err(not_keyed(channel, "at"));
        }
    }
    if request.at.is_some() && (request.from.is_some() || request.snapshot == Some(false)) {
        return Err(Problem::new(
            ErrorCode::Invalid,
            "`at` asks for the state at a time, and `from` and `snapshot=false` for history",
        )
        .hint("leave `at` out, or the others; a watch with `at` has the changes since then after its snapshot"));
    }
    if request.from.is_some() && request.snapshot == Some(true) {
        return Err(Problem::new(ErrorCode::Invalid, "`from` asks for history and `snapshot=true` for state")
            .hint("leave one of the two out"));
    }
    let history = !channel.keyed() || request.from.is_some() || request.snapshot == Some(false);
    let kind = if history { Kind::History } else { Kind::State };
    let key = request.key.as_deref().map(|text| key_text(channel, text)).transpose()?;
    let lens = lens(channel, kind, request, entrance)?;
    Ok(View { scope: Scope { target: request.target.clone(), key }, kind, lens })
}

fn lens(
    channel: &Channel,
    kind: Kind,
    request: &WatchRequest,
    entrance: &Entrance,
) -> Result<Option<Arc<Lens>>, Problem> {
    if kind == Kind::History && request.mode != Mode::Full {
        let detail = "`mode` tells how the value of a row changes, and this watch has events instead of rows";
        return Err(Problem::new(ErrorCode::Invalid, detail).hint("leave `mode` out"));
    }
    if channel.keyed() && kind == Kind::History && request.rate.is_some() {
        let detail = "`rate` leaves out all but the newest value of a key, and a history has them all";
        return Err(Problem::new(ErrorCode::Invalid, detail)
            .hint("leave `rate` out, or watch the state: without `from` and `snapshot`"));
    }
    let filter = request.filter.as_deref().map(|text| Filter::parse(text, channel, kind)).transpose()?;
    let Entrance { rows, mask, .. } = entrance;
    let (rows, mask, fields) = (rows.clone(), mask.clone(), request.fields.clone());
    let lens = Lens { rows, mask, filter, fields, mode: request.mode, rate: request.rate };
    lens.spares_the_mask()?;
    Ok((!lens.is_clear()).then(|| Arc::new(lens)))
}

fn not_keyed(channel: &Channel, option: &str) -> Problem {
    Problem::new(
        ErrorCode::Invalid,
        format!("`{option}` makes no sense here: the channel `{}` has no keys", channel.config.name),
    )
    .hint(format!("leave `{option}` out, or give the channel a `key` in the config"))
}

fn start(
    channel: &Channel,
    view: &View,
    request: &WatchRequest,
    entrance: &Entrance,
    caller: &Caller,
) -> Result<Start, Problem> {
    if let Some(cursor) = request.after {
        return resume(channel, view, entrance.reach, cursor);
    }
    if let Some(time) = request.at {
        let hidden = matches!(entrance.reach, Reach::Nothing { .. });
        if hidden || entrance.reach.oldest(entrance.now).is_some_and(|oldest| time < oldest) {
            return Err(refuse_history(&channel.config, &channel.policies().access, caller));
        }
        return as_of(channel, time).map(Start::AsOf);
    }
    let from = match request.from {
        None if view.kind == Kind::State => return Ok(Start::Snapshot(ResetReason::Start)),
        None | Some(From::Now) => return Ok(Start::At(channel.log.head())),
        Some(From::Start) => None,
        Some(From::Time(time)) => Some(time),
    };
    if let Reach::Nothing { .. } = entrance.reach {
        return Err(refuse_history(&channel.config, &channel.policies().access, caller));
    }
    Ok(Start::At(match from.max(entrance.reach.oldest(entrance.now)) {
        None => channel.log.start(),
        Some(time) => channel.log.position_at(time).map_err(crate::query::read_problem)?,
    }))
}

/// The position of the last record appended at `time` or before.
fn as_of(channel: &Channel, time: Millis) -> Result<Offset, Problem> {
    let now = Millis::now();
    if time > now {
        return Err(Problem::new(ErrorCode::Invalid, format!("`at={time}` is in the future"))
            .hint(format!("by the clock of the server it is {now}; leave `at` out for the state now")));
    }
    let at = channel.log.position_at(Millis(time.0 + 1)).map_err(crate::query::read_problem)?;
    // Looked at afterwards: what is held of a time now was held then.
    match channel.log.oldest_time() {
        Some(oldest) if time >= oldest => Ok(at),
        _ => Err(super::past::trimmed(channel)),
    }
}

pub(super) fn resume(channel: &Channel, view: &View, reach: Reach, cursor: Cursor) -> Result<Start, Problem> {
    if cursor.channel != channel.log.id() {
        return Err(Problem::new(
            ErrorCode::CursorInvalid,
            format!("the cursor belongs to another channel than `{}`", channel.config.name),
        ));
    }
    let lost = if cursor.epoch != channel.log.epoch() || cursor.offset > channel.log.head() {
        let ephemeral = channel.log.ephemeral() && cursor.epoch != channel.log.epoch();
        Some(if ephemeral { GapReason::Ephemeral } else { GapReason::Epoch })
    } else if cursor.offset < channel.log.start() {
        Some(trimmed(channel))
    } else {
        None
    };
    // To who may not look back further, the log begins there.
    let begins = match reach.resumes() {
        None => channel.log.start(),
        Some(time) => channel.log.position_at(time).map_err(crate::query::read_problem)?,
    };
    if let Some(reason) = lost.or_else(|| (cursor.offset < begins).then_some(GapReason::Retention)) {
        return Ok(Start::Gap { from: cursor, reason, to: begins });
    }
    Ok(match view.kind {
        Kind::State if cursor.view == view.fuzzy_fingerprint() => Start::Fuzzy(cursor.offset),
        Kind::State if cursor.view != view.fingerprint() => Start::Snapshot(ResetReason::View),
        _ => Start::At(cursor.offset),
    })
}

/// Why a record below the start of the log is gone.
pub(crate) fn trimmed(channel: &Channel) -> GapReason {
    if channel.log.ephemeral() { GapReason::Ephemeral } else { GapReason::Retention }
}

#[cfg(test)]
mod tests;
