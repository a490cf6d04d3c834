//! Long-poll: the frames since a cursor, or nothing and a newer cursor.
//!
//! A wait is a wait for the tail to speak; what came then is read once for all who waited ([`since`]). How long
//! caches may give an answer to others is said in [`cache`].

use std::sync::Arc;
use std::time::Duration;

use http::header::LINK;
use tidegate_core::{Cursor, ErrorCode, Frame, GapReason, Kind, Millis, Offset, Problem, ResetReason, Target};
use tidegate_hub::{Plan, Sight, Start, changes};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Gateway;
use crate::answer::{self, Answer, TIDEGATE_CURSOR};
use crate::cache::{self, Held};
use crate::caller::Caller;
use crate::options::Options;
use crate::read::{ANSWER_BYTES, Came, Frames, HISTORY, Holds, body, next, plan, since};

/// Answers when there is something, or when the wait is over.
pub(crate) async fn poll(
    gateway: &Gateway,
    target: Target,
    options: Options,
    caller: &Caller,
) -> Result<Answer, Problem> {
    let Some(presented) = options.after else {
        let path = target.as_str();
        return Err(Problem::new(ErrorCode::Invalid, "a long-poll waits for what comes after a cursor").hint(format!(
            "1. GET /v1/{path} and keep its `cursor`; 2. GET /v1/{path}?after=CURSOR&wait=30s, and again with the cursor of each answer"
        )));
    };
    options.for_answer()?;
    if options.page.is_some() {
        return Err(Problem::new(ErrorCode::Invalid, "`page` belongs to pages of rows").hint("leave it out"));
    }
    if gateway.hub.drain().draining() {
        return Err(gateway.hub.draining_problem());
    }
    let wait = options.wait.unwrap_or(Duration::ZERO);
    let waited = Instant::now() + wait;
    loop {
        let plan = plan(gateway, target.clone(), &options, caller).await?;
        let until = caller.until_of(&plan.channel).map_or(waited, |until| waited.min(until.into()));
        // Who polls shows its token again, so that its issuer is asked about it again.
        let until = caller.asked_every().map_or(until, |every| until.min(Instant::now() + every));
        let poll = Poll { gateway, caller, plan, options: &options, presented, until, wait };
        let changed = Arc::new(Notify::new());
        let _listening = poll.plan.standing.listen({
            let changed = changed.clone();
            move || changed.notify_one()
        });
        if !poll.plan.standing.holds() {
            continue;
        }
        let answer = tokio::select! {
            answer = poll.answer() => answer?,
            () = changed.notified() => continue,
            () = poll.plan.standing.over() => continue,
        };
        // What was read may have been written after the caller had lost the right to it.
        if poll.plan.standing.holds() {
            return Ok(answer);
        }
    }
}

struct Poll<'g> {
    gateway: &'g Gateway,
    caller: &'g Caller,
    plan: Plan,
    options: &'g Options,
    presented: Cursor,
    /// When the wait is over, or the right of its caller.
    until: Instant,
    wait: Duration,
}

impl Poll<'_> {
    async fn answer(&self) -> Result<Answer, Problem> {
        match self.plan.start {
            Start::Snapshot(reason) => Ok(self.again(&[Frame::Reset(reason)])),
            Start::Gap { reason, to, .. } => self.gap(reason, to).await,
            Start::At(after) => self.wait(after, true).await,
            Start::Fuzzy(after) => self.wait(after, false).await,
            Start::AsOf(_) => unreachable!("a poll has a cursor, which says where it begins"),
        }
    }

    /// `exact`: the client holds the state at `began`. Else its rows may be newer: it is told in full, and the one cursor
    /// is that of the answer.
    async fn wait(&self, began: Offset, exact: bool) -> Result<Answer, Problem> {
        let Poll { gateway, plan, options, until, .. } = self;
        let mut revocations = gateway.gate.revocations().changed();
        // Also who was revoked since it was identified.
        self.caller.good(gateway)?;
        let mut listener = gateway.tails.listen(&plan.channel, plan.view.clone());
        let mut after = began;
        loop {
            match since(gateway, plan, options, after, Holds { began, exact }).await? {
                Came::Frames(page) => return Ok(self.page(page, began)),
                Came::Cleared(body) => return Ok(self.marked(answer::json(body), Held::ToHead)),
                Came::Trimmed if plan.channel.log.ephemeral() => return self.gap(GapReason::Ephemeral, 0).await,
                Came::Trimmed => return self.gap(GapReason::Retention, 0).await,
                Came::Nothing(upto) => after = upto,
            }
            let heard = tokio::select! {
                biased;
                () = listener.heard() => true,
                () = tokio::time::sleep_until(*until) => false,
                _ = gateway.hub.drain().begun() => false,
                // There are as many as the gate lives.
                Ok(()) = revocations.changed() => {
                    self.caller.good(gateway)?;
                    continue;
                }
            };
            if !heard {
                return Ok(self.nothing(after));
            }
        }
    }

    fn page(&self, page: Frames, began: Offset) -> Answer {
        let mut answer = answer::json(page.body);
        if page.more {
            answer::header(&mut answer, LINK, &next(&self.plan, self.options, &page.cursor, None));
        }
        answer::header(&mut answer, TIDEGATE_CURSOR, &page.cursor.to_string());
        self.gateway.answers.count_poll(true);
        self.marked(answer, if page.more { Held::Fixed(began) } else { Held::ToHead })
    }

    async fn gap(&self, reason: GapReason, to: Offset) -> Result<Answer, Problem> {
        let from = self.presented.to_string();
        let Plan { channel, view, .. } = &self.plan;
        if view.kind == Kind::State {
            return Ok(self.again(&[Frame::Gap { from, to: None, reason }, Frame::Reset(ResetReason::Gap)]));
        }
        let (start, page) = loop {
            let start = channel.log.start().max(to);
            let limit = self.options.limit.unwrap_or(HISTORY);
            if let Some(page) = self.gateway.hub.page(channel, view, start, limit).await? {
                break (start, page);
            }
        };
        let share = self.gateway.budget.take(ANSWER_BYTES).await?;
        let mut frames = vec![Frame::Gap { from, to: Some(start), reason }];
        for record in &page.records {
            changes(&Sight::new(record, &channel.config), view, true, |frame| frames.push(frame));
        }
        let cursor = channel.cursor(view, page.upto);
        let body = share.hold(body(channel, view, &frames, self.options.chain, None, Some(cursor)));
        let page = Frames { body, cursor, more: page.more };
        Ok(self.marked(self.page(page, start), Held::ToHead))
    }

    /// The client has to GET the state again.
    fn again(&self, frames: &[Frame]) -> Answer {
        let Plan { channel, view, .. } = &self.plan;
        self.marked(answer::json(body(channel, view, frames, false, None, None)), Held::ToHead)
    }

    /// Where a wait was asked for, `Link` says where to ask next: at another URL than this one, and at the same as
    /// all who waited meanwhile.
    fn nothing(&self, upto: Offset) -> Answer {
        let mut answer = answer::empty(204);
        let cursor = self.plan.channel.cursor(&self.plan.view, upto);
        answer::header(&mut answer, TIDEGATE_CURSOR, &cursor.to_string());
        if !self.wait.is_zero() {
            let turn = turn(Millis::now(), self.wait, self.options.turn);
            answer::header(&mut answer, LINK, &next(&self.plan, self.options, &cursor, Some(turn)));
        }
        self.gateway.answers.count_poll(false);
        self.marked(answer, Held::Nothing)
    }

    fn marked(&self, mut answer: Answer, held: Held) -> Answer {
        let Plan { channel, view, .. } = &self.plan;
        cache::mark(&mut answer, channel, view, self.options, held);
        answer
    }
}

/// The turn after one that ended now: so many waits since 1970, so that who began at different times asks the same
/// from the next turn on; and always another one than before, also where the wait was cut short.
fn turn(now: Millis, wait: Duration, before: Option<u64>) -> u64 {
    let turn = now.0 / (wait.as_millis() as u64).max(1);
    before.map_or(turn, |before| turn.max(before.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_beside_others_is_with_them_at_the_next_turn() {
        let wait = Duration::from_secs(30);
        let turn = |ms, before| turn(Millis(ms), wait, before);
        // One began at 1 s, one at 29 s: they end 28 s apart.
        assert_eq!(turn(31_000, None), turn(59_000, None));
        // Each turn is another one than the one before, which is cached still.
        assert_eq!((turn(31_000, Some(0)), turn(61_000, Some(1))), (1, 2));
        // Cut short, or a clock that was put back.
        assert_eq!((turn(31_500, Some(1)), turn(0, Some(7))), (2, 8));
    }
}
