//! Reads a watch from the log and the view until it has caught up.
//!
//! ```text
//!  Snapshot ──► rows, page by page ──► replay of what changed meanwhile ──► last ─┐
//!     ▲                                      │ trimmed: start again               ▼
//!     │ state: reset                         ▼                                 CatchUp ──► up to the boundary
//!   gap ◄───────────────────────────────────────────────────────────────────────┘ trimmed
//! ```
//!
//! Who has read the rows as pages of JSON begins with the replay, and it ends with a bookmark.
//!
//! The scan is fuzzy: each page of rows is the state at its own moment, so that no page holds the
//! store open for a slow reader. What changed between the first page and the end is replayed
//! before `last`, which makes the whole exact. No cursor stands before `last`.
//!
//! A snapshot as of a past position begins at `Past` instead, has no fuzz, and leads to CatchUp at that position.
//!
//! A reader blocks on the disk; its callers run it where that is allowed.

use std::sync::Arc;

use tidegate_core::frame::Row;
use tidegate_core::{Address, Cursor, Frame, GapReason, Key, Kind, Offset, Problem, ResetReason};
use tidegate_log::{ReadError, ReadLimit};

use crate::channel::Channel;
use crate::frames::changes;
use crate::query::read_problem;
use crate::watch::past::Past;
use crate::watch::plan::{Plan, Start, trimmed};
use crate::watch::sight::Sight;
use crate::watch::view::View;

/// What is read at once: enough to amortise the read, little enough to hold for each laggard.
const PIECE: ReadLimit = ReadLimit { records: 512, bytes: 64 * 1024 };

/// Some frames, and how far they reach.
#[derive(Default)]
pub struct Piece {
    /// In order.
    pub frames: Vec<Frame>,
    /// The tail must reach this before the reader can go on.
    pub needs: Option<Offset>,
}

/// One watch on its way to the live tail.
pub struct Reader {
    channel: Arc<Channel>,
    view: View,
    phase: Phase,
}

enum Phase {
    /// Announce a loss, then begin as the kind of watch does.
    Gap { from: Cursor, reason: GapReason, to: Offset },
    /// Announce a snapshot.
    Reset(ResetReason),
    /// Read rows after this one.
    Rows { after: Option<(Address, Key)>, began: Option<Offset>, count: u64 },
    /// Rows as of a past position; `count` of them, and `None` until the first can be told.
    Past { past: Box<Past>, count: Option<u64> },
    /// Read what changed while the rows were read, once the tail has reached `ended`.
    Replay { after: Offset, ended: Offset, sent: Sent },
    /// Read records after this position.
    CatchUp { after: Offset },
}

/// What a replay completes.
#[derive(Clone, Copy)]
enum Sent {
    /// So many rows, which came behind a reset.
    Rows(u64),
    /// Pages of rows that the client has read before.
    Pages,
}

impl Reader {
    /// Begins where the plan says.
    pub fn new(plan: &Plan) -> Reader {
        let phase = match plan.start {
            Start::At(after) => Phase::CatchUp { after },
            // The pages were read before this moment.
            Start::Fuzzy(after) => Phase::Replay { after, ended: plan.channel.log.head(), sent: Sent::Pages },
            Start::Snapshot(reason) => Phase::Reset(reason),
            Start::AsOf(at) => {
                let past = Box::new(Past::new(&plan.channel, &plan.view.scope, at, None));
                Phase::Past { past, count: None }
            }
            Start::Gap { from, reason, to } => Phase::Gap { from, reason, to },
        };
        Reader { channel: plan.channel.clone(), view: plan.view.clone(), phase }
    }

    /// Goes on from a position, for a watcher that fell behind the live tail.
    pub fn resume(channel: Arc<Channel>, view: View, after: Offset) -> Reader {
        Reader { channel, view, phase: Phase::CatchUp { after } }
    }

    /// Everything up to here has been yielded; `None` within a snapshot.
    pub fn position(&self) -> Option<Offset> {
        match self.phase {
            Phase::CatchUp { after } => Some(after),
            _ => None,
        }
    }

    /// What it holds of the past, about, in bytes, and whether that grows.
    pub fn holds(&self) -> (usize, bool) {
        match &self.phase {
            Phase::Past { past, count } => (past.bytes(), count.is_none()),
            _ => (0, false),
        }
    }

    /// Goes on from a position ahead: what is before it was had from somewhere else.
    pub fn skip_to(&mut self, after: Offset) {
        self.phase = Phase::CatchUp { after };
    }

    /// Reads on, never past `goal`: there it has caught up. The tail has reached `reached`, and has nothing of this view
    /// between `goal` and there, so that the state at both is the same.
    ///
    /// # Errors
    /// `internal` when the log cannot be read, `out-of-reach` where it does not tell the rows as of a past position.
    pub fn next(&mut self, goal: Offset, reached: Offset) -> Result<Piece, Problem> {
        let mut piece = Piece::default();
        match std::mem::replace(&mut self.phase, Phase::CatchUp { after: 0 }) {
            Phase::Gap { from, reason, to } => self.gap(from, reason, to, &mut piece),
            Phase::Reset(reason) => self.reset(reason, &mut piece),
            Phase::Rows { after, began, count } => self.rows(after, began, count, &mut piece)?,
            Phase::Past { past, count } => self.past(past, count, &mut piece)?,
            Phase::Replay { after, ended, sent } => {
                if reached < ended {
                    piece.needs = Some(ended);
                    self.phase = Phase::Replay { after, ended, sent };
                } else {
                    self.replay(after, ended, sent, goal, &mut piece)?;
                }
            }
            Phase::CatchUp { after } => self.catch_up(after, goal, &mut piece)?,
        }
        Ok(piece)
    }

    fn gap(&mut self, from: Cursor, reason: GapReason, to: Offset, piece: &mut Piece) {
        let from = from.to_string();
        match self.view.kind {
            Kind::State => {
                piece.frames.push(Frame::Gap { from, to: None, reason });
                self.reset(ResetReason::Gap, piece);
            }
            Kind::History => {
                let start = self.channel.log.start().max(to);
                piece.frames.push(Frame::Gap { from, to: Some(start), reason });
                self.phase = Phase::CatchUp { after: start };
            }
        }
    }

    fn reset(&mut self, reason: ResetReason, piece: &mut Piece) {
        piece.frames.push(Frame::Reset(reason));
        self.phase = Phase::Rows { after: None, began: None, count: 0 };
    }

    fn rows(
        &mut self,
        after: Option<(Address, Key)>,
        began: Option<Offset>,
        mut count: u64,
        piece: &mut Piece,
    ) -> Result<(), Problem> {
        let page = self.channel.log.rows(&self.view.scope, after.as_ref(), PIECE).map_err(read_problem)?;
        let before = piece.frames.len();
        for row in page.rows {
            if let Some(data) = self.view.row(&row, &self.channel.config) {
                piece.frames.push(Frame::Row(Row { address: row.address, key: row.key, time: Some(row.time), data }));
            }
        }
        count += (piece.frames.len() - before) as u64;
        let began = began.unwrap_or(page.at);
        self.phase = match page.next {
            Some(next) => Phase::Rows { after: Some(next), began: Some(began), count },
            None => {
                piece.needs = Some(page.at);
                Phase::Replay { after: began, ended: page.at, sent: Sent::Rows(count) }
            }
        };
        Ok(())
    }

    fn past(&mut self, mut past: Box<Past>, count: Option<u64>, piece: &mut Piece) -> Result<(), Problem> {
        let Some(mut count) = count else {
            let count = past.prepare()?.then_some(0);
            if count.is_some() {
                piece.frames.push(Frame::Reset(ResetReason::Start));
            }
            self.phase = Phase::Past { past, count };
            return Ok(());
        };
        let page = past.page(PIECE)?;
        for row in page.rows {
            if let Some(data) = self.view.past(&row, &self.channel.config) {
                piece.frames.push(Frame::Row(Row { data, ..row }));
                count += 1;
            }
        }
        if page.next.is_some() {
            self.phase = Phase::Past { past, count: Some(count) };
        } else {
            piece.frames.push(Frame::Last { count, at: past.at() });
            self.phase = Phase::CatchUp { after: past.at() };
        }
        Ok(())
    }

    fn replay(
        &mut self,
        after: Offset,
        ended: Offset,
        mut sent: Sent,
        goal: Offset,
        piece: &mut Piece,
    ) -> Result<(), Problem> {
        let page = match self.channel.log.read(after, goal.max(after), &self.view.scope, PIECE) {
            Ok(page) => page,
            Err(ReadError::Trimmed { .. }) => {
                self.reset(ResetReason::Overtaken, piece);
                return Ok(());
            }
            Err(error) => return Err(read_problem(error)),
        };
        for record in &page.records {
            changes(&Sight::new(record, &self.channel.config), &self.view, false, |frame| {
                if matches!(frame, Frame::Reset(_)) {
                    sent = Sent::Rows(0);
                }
                piece.frames.push(frame);
            });
        }
        if page.upto < goal {
            self.phase = Phase::Replay { after: page.upto, ended, sent };
        } else {
            piece.frames.push(match sent {
                Sent::Rows(count) => Frame::Last { count, at: goal },
                Sent::Pages => Frame::Bookmark(goal),
            });
            self.phase = Phase::CatchUp { after: goal };
        }
        Ok(())
    }

    fn catch_up(&mut self, after: Offset, goal: Offset, piece: &mut Piece) -> Result<(), Problem> {
        self.phase = Phase::CatchUp { after };
        if goal < after {
            piece.needs = Some(after);
            return Ok(());
        }
        let page = match self.channel.log.read(after, goal, &self.view.scope, PIECE) {
            Ok(page) => page,
            Err(ReadError::Trimmed { .. }) => {
                let from = self.channel.cursor(&self.view, after);
                self.gap(from, trimmed(&self.channel), 0, piece);
                return Ok(());
            }
            Err(error) => return Err(read_problem(error)),
        };
        self.view.tell(&page.records, &self.channel.config, |frame| piece.frames.push(frame));
        self.phase = Phase::CatchUp { after: page.upto };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
