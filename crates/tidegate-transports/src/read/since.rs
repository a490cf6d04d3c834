//! What came in a view since a position: read and encoded once for all who wait for the same.
//!
//! A thousand long-polls wake at one change. The first of them reads; what it made is kept for the others, and
//! is given to them for as long as a read would make the same bytes.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Cursor, Frame, Kind, Offset, Op, Problem, Record, ResetReason};
use tidegate_hub::{FramePage, Plan, Sight, changes};

use super::answers::{Asked, Position};
use super::made::{Made, What};
use super::{ANSWER_BYTES, HISTORY, body};
use crate::Gateway;
use crate::options::Options;

/// What came.
pub(crate) enum Came {
    /// A page of frames.
    Frames(Page),
    /// The state is another: the body of an answer that says so.
    Cleared(Bytes),
    /// Nothing of the view, up to here.
    Nothing(Offset),
    /// Some of it is not held any more.
    Trimmed,
}

/// Frames up to a cursor.
pub(crate) struct Page {
    pub(crate) body: Bytes,
    pub(crate) cursor: Cursor,
    /// More is there: what is here ends before the head, and stays as it is.
    pub(crate) more: bool,
}

/// What the client holds.
#[derive(Clone, Copy)]
pub(crate) struct Holds {
    /// The cursor of it.
    pub(crate) began: Offset,
    /// It is the state there. Else its rows may be newer, and changes are told in full.
    pub(crate) exact: bool,
}

/// What came after a position, up to which nothing came after what the client holds.
pub(crate) async fn since(
    gateway: &Gateway,
    plan: &Plan,
    options: &Options,
    after: Offset,
    Holds { began, exact }: Holds,
) -> Result<Came, Problem> {
    let Plan { channel, view, .. } = plan;
    if let Some(head) = channel.unchanged(after, &view.scope) {
        return Ok(Came::Nothing(head.max(after)));
    }
    let position = Position { after, exact, prev: options.chain.then_some(began) };
    let asked = Asked {
        channel: channel.log.id(),
        view: view.clone(),
        limit: options.limit.unwrap_or(HISTORY),
        chain: options.chain,
        after: Some(position),
        oldest: None,
    };
    let made = gateway.answers.get(channel, &asked, read(gateway, plan, &asked, position)).await?;
    Ok(match made.what {
        What::Frames { more, .. } => {
            let cursor = channel.rows_cursor(view, made.at, exact || !more);
            Came::Frames(Page { body: made.body.clone(), cursor, more })
        }
        What::Cleared => Came::Cleared(made.body.clone()),
        What::Trimmed => Came::Trimmed,
        _ => Came::Nothing(made.at),
    })
}

/// Reads the log, past what does not show in the view.
pub(super) async fn read(gateway: &Gateway, plan: &Plan, asked: &Asked, from: Position) -> Result<Made, Problem> {
    let Plan { channel, view, .. } = plan;
    let mut after = from.after;
    loop {
        let Some(page) = gateway.hub.page(channel, view, after, asked.limit).await? else {
            let cursor = channel.cursor(view, after);
            return Ok(Made::new(What::Trimmed, &cursor, after, Bytes::new()));
        };
        after = page.upto;
        if page.records.iter().any(|record| shows(plan, record)) {
            return page_of(gateway, plan, asked, from, &page).await;
        }
        if !page.more {
            return Ok(Made::new(What::Nothing, &channel.cursor(view, after), after, Bytes::new()));
        }
    }
}

/// A record need not show in every kind of watch.
fn shows(plan: &Plan, record: &Arc<Record>) -> bool {
    let mut shows = false;
    changes(&Sight::new(record, &plan.channel.config), &plan.view, true, |_| shows = true);
    shows
}

/// The frames of records. A cleared channel is a new state, which a long-poll never carries.
async fn page_of(
    gateway: &Gateway,
    plan: &Plan,
    asked: &Asked,
    from: Position,
    page: &FramePage,
) -> Result<Made, Problem> {
    let Plan { channel, view, .. } = plan;
    let share = gateway.budget.take(ANSWER_BYTES).await?;
    let cleared = view.kind == Kind::State && page.records.iter().any(|record| record.op == Op::Clear);
    let (what, cursor, bytes) = match cleared {
        // It is so from that position on, whatever else comes.
        true => {
            let reset = body(channel, view, &[Frame::Reset(ResetReason::Clear)], false, None, None);
            (What::Cleared, channel.cursor(view, from.after), reset)
        }
        false => {
            let cursor = channel.rows_cursor(view, page.upto, from.exact || !page.more);
            let what = What::Frames { full: page.records.len() >= asked.limit, more: page.more };
            let mut frames = Vec::new();
            for record in &page.records {
                changes(&Sight::new(record, &channel.config), view, from.exact, |frame| frames.push(frame));
            }
            (what, cursor, body(channel, view, &frames, asked.chain, from.prev, Some(cursor)))
        }
    };
    let keeps = gateway.answers.takes(bytes.len());
    let bytes = if keeps { gateway.answers.count(bytes) } else { share.hold(bytes) };
    Ok(Made { keeps, ..Made::new(what, &cursor, page.upto, bytes) })
}
