//! Long-poll: the frames since a cursor, or nothing and a newer cursor.

use std::sync::Arc;
use std::time::Duration;

use http::header::LINK;
use tidegate_core::{Cursor, ErrorCode, Frame, GapReason, Kind, Offset, Op, Problem, Record, ResetReason, Target};
use tidegate_hub::{FramePage, Plan, Sight, Start, changes};
use tokio::time::Instant;

use crate::Gateway;
use crate::answer::{self, Answer, TIDEGATE_CURSOR};
use crate::options::Options;
use crate::read::{ANSWER_BYTES, HISTORY, body, next, plan};

/// Answers when there is something, or when the wait is over.
pub(crate) async fn poll(gateway: &Gateway, target: Target, options: Options) -> Result<Answer, Problem> {
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
    let plan = plan(gateway, target, &options).await?;
    let poll = Poll { gateway, plan, options, presented };
    match poll.plan.start {
        Start::Snapshot(reason) => Ok(poll.again(&[Frame::Reset(reason)])),
        Start::Gap { reason, .. } => poll.gap(reason).await,
        Start::At(after) => poll.wait(after).await,
        Start::AsOf(_) => unreachable!("a poll has a cursor, which says where it begins"),
    }
}

struct Poll<'g> {
    gateway: &'g Gateway,
    plan: Plan,
    options: Options,
    presented: Cursor,
}

impl Poll<'_> {
    async fn wait(&self, mut after: Offset) -> Result<Answer, Problem> {
        let began = after;
        let until = Instant::now() + self.options.wait.unwrap_or(Duration::ZERO);
        let mut listener = self.gateway.tails.listen(&self.plan.channel, self.plan.view.clone());
        loop {
            let Some(page) = self.page(after).await? else {
                let reason = match self.plan.channel.log.ephemeral() {
                    true => GapReason::Ephemeral,
                    false => GapReason::Retention,
                };
                return self.gap(reason).await;
            };
            after = page.upto;
            // A record need not show in every kind of watch.
            if page.records.iter().any(|record| self.shows(record)) {
                return self.records(&page, &[], Some(began)).await;
            }
            if page.more {
                continue;
            }
            let heard = tokio::select! {
                biased;
                () = listener.heard() => true,
                () = tokio::time::sleep_until(until) => false,
                _ = self.gateway.hub.drain().begun() => false,
            };
            if !heard {
                return Ok(self.nothing(after));
            }
        }
    }

    async fn page(&self, after: Offset) -> Result<Option<FramePage>, Problem> {
        let limit = self.options.limit.unwrap_or(HISTORY);
        self.gateway.hub.page(&self.plan.channel, &self.plan.view, after, limit).await
    }

    fn shows(&self, record: &Arc<Record>) -> bool {
        let mut shows = false;
        let Plan { channel, view, .. } = &self.plan;
        changes(&Sight::new(record, &channel.config), view, true, |_| shows = true);
        shows
    }

    async fn gap(&self, reason: GapReason) -> Result<Answer, Problem> {
        let from = self.presented.to_string();
        if self.plan.view.kind == Kind::State {
            return Ok(self.again(&[Frame::Gap { from, to: None, reason }, Frame::Reset(ResetReason::Gap)]));
        }
        loop {
            let start = self.plan.channel.log.start();
            if let Some(page) = self.page(start).await? {
                let gap = Frame::Gap { from, to: Some(start), reason };
                return self.records(&page, &[gap], None).await;
            }
        }
    }

    /// The frames of records. A cleared channel is a new state, which a long-poll never carries.
    async fn records(&self, page: &FramePage, before: &[Frame], prev: Option<Offset>) -> Result<Answer, Problem> {
        let Plan { channel, view, .. } = &self.plan;
        if view.kind == Kind::State && page.records.iter().any(|record| record.op == Op::Clear) {
            return Ok(self.again(&[Frame::Reset(ResetReason::Clear)]));
        }
        let share = self.gateway.budget.take(ANSWER_BYTES).await?;
        let mut frames = before.to_vec();
        for record in &page.records {
            changes(&Sight::new(record, &channel.config), view, true, |frame| frames.push(frame));
        }
        let cursor = channel.cursor(view, page.upto);
        let body = body(channel, view, &frames, self.options.chain, prev, Some(cursor));
        let mut answer = answer::json(share.hold(body));
        answer::header(&mut answer, TIDEGATE_CURSOR, &cursor.to_string());
        if page.more {
            answer::header(&mut answer, LINK, &next(&self.plan, &self.options, &cursor));
        }
        Ok(answer)
    }

    /// The client has to GET the state again.
    fn again(&self, frames: &[Frame]) -> Answer {
        let Plan { channel, view, .. } = &self.plan;
        answer::json(body(channel, view, frames, false, None, None))
    }

    fn nothing(&self, upto: Offset) -> Answer {
        let mut answer = answer::empty(204);
        let cursor = self.plan.channel.cursor(&self.plan.view, upto);
        answer::header(&mut answer, TIDEGATE_CURSOR, &cursor.to_string());
        answer
    }
}
