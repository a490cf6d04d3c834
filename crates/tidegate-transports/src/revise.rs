//! Other policies while watches go on: each watch of their channels is judged anew, as if its caller had shown a fresh token
//! that says the same.

use tidegate_core::{ErrorCode, Problem};
use tidegate_hub::{Judgement, Order, Renewal, Revised, Revision, WatchEntry};

use crate::Gateway;
use crate::audit::{Act, Asked};
use crate::caller::Caller;

/// What other policies came to for those who watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejudged {
    /// Watches of channels whose policies are others.
    pub judged: usize,
    /// Those that see something else from now on.
    pub changed: usize,
    /// Those that see nothing any more.
    pub closed: usize,
}

impl Gateway {
    /// Puts policies in force. When this returns nothing is read, and no watch is told anything, by those before. It takes
    /// as long as judging all watches does, so not where others wait.
    pub fn put_in_force(&self, revision: Revision) -> Rejudged {
        let revised = self.hub.put_in_force(revision);
        let mut rejudged = Rejudged::default();
        let mut refused = Vec::new();
        self.hub.watches().order_each(
            |entry| revised.before(&entry.channel).is_some(),
            |entry| {
                rejudged.judged += 1;
                match self.judge_revised(&revised, entry) {
                    Ok(renewal) => {
                        rejudged.changed += usize::from(renewal.regard.is_some());
                        Order::Renew(Box::new(renewal))
                    }
                    Err(problem) => {
                        rejudged.closed += 1;
                        refused.push((entry.clone(), problem.clone()));
                        Order::End(problem)
                    }
                }
            },
        );
        drop(revised);
        for (entry, problem) in refused {
            let Ok(caller) = Caller::of_watch(&entry) else { continue };
            let asked = Asked { act: Act::Read, address: entry.view.scope.target.as_str(), headers: None };
            self.audit.decided(&caller, &asked, Some(&problem));
        }
        rejudged
    }

    fn judge_revised(&self, revised: &Revised, entry: &mut WatchEntry) -> Result<Renewal, Problem> {
        let unknown = || Problem::new(ErrorCode::Internal, "the watch is of no channel that has other policies");
        let before = revised.before(&entry.channel).ok_or_else(unknown)?;
        let caller = Caller::of_watch(entry)?;
        let Judgement { regard, standing } = self.hub.judge_after(entry, caller.policy(), before)?;
        if let Some(regard) = &regard {
            entry.view = regard.view.clone();
        }
        Ok(Renewal { until: caller.until_of(&entry.channel), regard, standing })
    }
}
