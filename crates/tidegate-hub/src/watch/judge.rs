//! A watch that goes on is judged anew: its caller has shown another token, or the policies are others.

use std::sync::Arc;
use std::time::Instant;

use tidegate_core::{Cursor, ErrorCode, Kind, Problem, ResetReason};

use super::lens::Lens;
use super::plan::{Plan, Start, resume};
use super::view::View;
use crate::Hub;
use crate::channel::Channel;
use crate::lookup::Standing;
use crate::policy::{Caller, Entrance, Policies, Reach};
use crate::watches::WatchEntry;

/// What a watch sees from now on, where that is not what it saw.
#[derive(Clone, Debug)]
pub struct Regard {
    /// What it sees.
    pub view: View,
    channel: Arc<Channel>,
    reach: Reach,
}

/// A credential in place of the one that a watch began with.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// When it ends.
    pub until: Option<Instant>,
    /// What the watch sees by it; `None`: the same.
    pub regard: Option<Regard>,
    /// What was looked up to decide it.
    pub standing: Standing,
}

/// What a watch comes to that is judged anew.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What it sees from now on; `None`: the same.
    pub regard: Option<Regard>,
    /// What was looked up to decide it. When that changes, it is to be judged again.
    pub standing: Standing,
}

/// How much later the shown history may begin that is still the same: it is asked twice, a moment apart.
const MOMENT_MS: u64 = 1_000;

impl Hub {
    /// Decides what a watch sees from now on if `caller` is whose it is; `None`: what it saw.
    ///
    /// # Errors
    /// `unauthenticated` or `forbidden`: it sees nothing any more.
    pub fn judge(&self, entry: &WatchEntry, caller: &Caller) -> Result<Judgement, Problem> {
        self.judge_after(entry, caller, &entry.channel.policies())
    }

    /// The same after other policies were put in force than these, by which it is judged still whether less of history is
    /// shown than before.
    ///
    /// # Errors
    /// Those of [`Hub::judge`]; `invalid`, if it filters or asks for what is masked now.
    pub fn judge_after(
        &self,
        entry: &WatchEntry,
        caller: &Caller,
        before: &Arc<Policies>,
    ) -> Result<Judgement, Problem> {
        let WatchEntry { view, channel, principal, .. } = entry;
        let ask = |policies: &Arc<Policies>, caller: &Caller| {
            Entrance::ask(&channel.config, policies, &view.scope.target, caller)
        };
        let Entrance { rows, mask, reach, standing, .. } = ask(&channel.policies(), caller)?;
        let lens = Lens { rows, mask, ..view.lens.as_deref().cloned().unwrap_or_default() };
        lens.spares_the_mask()?;
        let lens = (!lens.is_clear()).then(|| Arc::new(lens));
        let other = View { lens, ..view.clone() };
        let narrower = || {
            let before = Caller::of(principal.clone()).ok().and_then(|caller| ask(before, &caller).ok());
            before.is_none_or(|before| narrows(before.reach, reach))
        };
        if other == *view && !(view.kind == Kind::History && reach != Reach::All && narrower()) {
            return Ok(Judgement { regard: None, standing });
        }
        Ok(Judgement { regard: Some(Regard { view: other, channel: channel.clone(), reach }), standing })
    }

    /// Decides what a watch sees from now on, as something has changed that it was allowed by; its entry says so
    /// afterwards. `anew`: also if that is what it saw.
    ///
    /// # Errors
    /// `unauthenticated` or `forbidden`: it sees nothing any more.
    pub fn judge_again(&self, entry: &mut WatchEntry, anew: bool) -> Result<Judgement, Problem> {
        let caller = Caller::of(entry.principal.clone());
        let caller = caller.map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
        let mut judgement = self.judge(entry, &caller)?;
        match &judgement.regard {
            Some(regard) => entry.view = regard.view.clone(),
            // What changed may have changed back, and its tail have ended in between.
            None if anew || entry.view.looks_up() => {
                let Entrance { reach, .. } =
                    Entrance::ask(&entry.channel.config, &entry.channel.policies(), &entry.view.scope.target, &caller)?;
                let (view, channel) = (entry.view.clone(), entry.channel.clone());
                judgement.regard = Some(Regard { view, channel, reach });
            }
            None => {}
        }
        Ok(judgement)
    }
}

/// Whether less of history is shown than before.
fn narrows(before: Reach, now: Reach) -> bool {
    match (before.resumes(), now.resumes()) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(now)) => now.0 > before.0 + MOMENT_MS,
    }
}

impl Regard {
    /// Where the watch goes on that stood there: a state with all its rows, a history from where it stood. May read the
    /// log, so it may block on the disk.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn plan(self, stands: Option<Cursor>) -> Result<Plan, Problem> {
        let Regard { view, channel, reach } = self;
        let start = match (view.kind, stands) {
            (Kind::State, _) => Start::Snapshot(ResetReason::Rights),
            (Kind::History, Some(cursor)) => resume(&channel, &view, reach, cursor)?,
            (Kind::History, None) => Start::At(channel.log.head()),
        };
        Ok(Plan { channel, view, start, now: false, oldest: None, standing: Standing::default(), reach })
    }

    /// The channel.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }
}
