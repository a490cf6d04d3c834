//! The end of a watcher: whether it has seen everything, and whether that is what the model says.

use tokio::time::Instant;

use super::{CATCH_UP, Watcher};
use crate::client::Ask;
use crate::client::poll::Poll;
use crate::follower::difference;
use crate::histories::truth::Truth;
use crate::replica::offset;

impl Watcher {
    /// Whether the truth is known and this watcher has seen all of it.
    pub(super) fn reached(&mut self) -> bool {
        let Some(truth) = self.truth.borrow_and_update().clone() else { return false };
        if !self.replica.settled() {
            return false;
        }
        let at = self.replica.cursor.as_deref().and_then(offset);
        match self.replica.rows() {
            Some(rows) => self.held == Some(self.look) && *rows == truth.rows(&self.eye()),
            None => at >= Some(truth.last_told(&self.eye())),
        }
    }

    /// Asks from the last cursor for what is left, until the head: nothing may come that changes
    /// the result. Then compares everything.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        let Some(truth) = self.truth.borrow().clone() else { return Ok(()) };
        self.report.catch_up_max = truth.since.elapsed();
        self.note("-- settling".to_owned());
        self.manner.rate = None;
        // What the connection still had to say of other rights, nobody hears.
        self.before = None;
        self.show_what_lasts();
        let deadline = Instant::now() + CATCH_UP;
        let mut poll = None;
        while !self.replica.settled()
            || self.replica.cursor.as_deref().and_then(offset).is_none_or(|at| at < truth.head())
        {
            if Instant::now() > deadline {
                return Err(self.behind());
            }
            let resumed = self.replica.cursor.is_some();
            let mut polling = match poll.take() {
                Some(poll) => poll,
                None => Poll::new(self.server, Ask { limit: None, ..self.ask(true) }).wait("0s"),
            };
            if let Err(ended) = polling.round().await {
                self.cut();
                self.ended(ended).await?;
                continue;
            }
            while let Some(frame) = polling.pop() {
                self.take(&frame, resumed)?;
            }
            poll = Some(polling);
        }
        self.compare(&truth)
    }

    fn compare(&mut self, truth: &Truth) -> Result<(), String> {
        let (scope, kind, rights) = (&self.spec.scope, self.spec.kind, self.plan.rights.as_ref());
        self.report.compared += self.heard.judge(truth, |look| look.eye(scope, kind, rights))?;
        let rows = truth.rows(&self.eye());
        if self.replica.rows().is_some_and(|held| *held != rows) {
            return Err(format!("in the end the replica is {:?} and the model {rows:?}", self.replica.rows()));
        }
        Ok(())
    }

    /// Why it is given up that does not reach the truth.
    pub(super) fn behind(&self) -> String {
        let Some(truth) = self.truth.borrow().clone() else { return "no truth".to_owned() };
        let detail = match self.replica.rows() {
            Some(rows) => difference(rows, &truth.rows(&self.eye())),
            None => format!("the last that it is to be told of is {:x}", truth.last_told(&self.eye())),
        };
        format!(
            "{} s after the last write it is at {:?} (head {:x}, settled {}): {detail}",
            CATCH_UP.as_secs(),
            self.replica.cursor,
            truth.head(),
            self.replica.settled(),
        )
    }
}
