//! What each frame must be, as it is heard.

use serde_json::Value;
use tidegate_core::Kind;

use super::Watcher;
use crate::histories::rights::CANARY;
use crate::replica::offset;

impl Watcher {
    /// Takes a frame. `resumed`: what it has was not lost, so there is nothing to begin anew.
    pub(super) fn take(&mut self, frame: &Value, resumed: bool) -> Result<(), String> {
        let text = frame.to_string();
        let hides = self.plan.rights.as_ref().is_some_and(|rights| rights.masks("secret"));
        if hides && text.contains(CANARY) {
            return Err(format!("a masked column was sent: {frame}"));
        }
        self.note(text);
        self.report.frames += 1;
        if let (Some(address), key) = (frame["address"].as_str(), frame["key"].as_str())
            && !self.spec.scope.matches(address, key)
        {
            return Err(format!("sent what was not asked for: {frame}"));
        }
        let before = self.replica.cursor.clone();
        self.replica.apply(frame).map_err(|violation| violation.0)?;
        self.ledger.judge(frame, self.row(frame), &self.eye())?;
        self.heard.frame(self.look, frame);
        if self.replica.lost + self.replica.doubled > 0 {
            return Err(format!("the chain of {before:?} is broken by {frame}"));
        }
        let op = frame["op"].as_str().unwrap_or_default();
        let other_view = self.spec.kind == Kind::State && self.held.is_some_and(|held| held != self.look);
        // Whether it was told of other rights for a reason is judged before.
        let anew = op == "reset" && (other_view || frame["reason"] == "rights");
        if matches!(op, "gap" | "reset") && resumed && !self.plan.trims && !anew {
            return Err(format!("a loss where nothing was trimmed: {frame}"));
        }
        if op == "gap" && frame["reason"] != "retention" {
            return Err(format!("a loss that nobody caused: {frame}"));
        }
        if op == "gap" {
            // It goes on behind that, however it looked before.
            self.before = None;
        }
        let (was, is) = (before.as_deref().and_then(offset), self.replica.cursor.as_deref().and_then(offset));
        // A view in which nothing happened begins, with a chain, at its last cursor, and that may be before one that another
        // view has told. Its rows there are compared below.
        let quiet = other_view && frame["last"] == true;
        if let (Some(was), Some(is)) = (was, is)
            && is < was
            && !quiet
        {
            return Err(format!("the cursor went back from {was:x}: {frame}"));
        }
        let Some(is) = is.filter(|_| frame.get("cursor").is_some()) else { return Ok(()) };
        if let Some(past) = self.begun_at.take_if(|_| frame["last"] == true) {
            if past.offset != is {
                return Err(format!("as of {past:?} it is {is:x}: {frame}"));
            }
            self.heard.count("as of a past time");
        }
        if op == "begin" && was.is_none() && is > 0 && self.spec.from.as_deref() == Some("start") && !self.plan.trims {
            return Err(format!("the start is not where it was: {frame}"));
        }
        if other_view && !self.heard.scanning() {
            return Err(format!("another view without a reset: {frame}"));
        }
        self.stand(frame, was, is)
    }

    /// A cursor stands.
    fn stand(&mut self, frame: &Value, was: Option<u64>, is: u64) -> Result<(), String> {
        if let Some(held) = self.held.filter(|held| *held != self.look) {
            self.heard.count("another view with the same cursor");
            if held.sees_other_rows(self.look) {
                self.heard.count("the cursor of another principal");
            }
        }
        self.held = Some(self.look);
        // Where it stood is where it was told everything as it looked before.
        let told = match self.before.take_if(|before| frame["op"] == before.op) {
            Some(before) if before.op == "bookmark" && frame.get("prev").is_some() => {
                return Err(format!("a chain begins where rights have changed: {frame}"));
            }
            Some(before) => (before.look, before.manner),
            None => (self.look, self.manner),
        };
        self.heard.stand(told, was, is, self.hash());
        Ok(())
    }
}
