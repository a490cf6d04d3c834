//! Other policies while watches go on: each watch of their channels is judged anew, as if its caller had shown a fresh token
//! that says the same.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::{ChannelId, ErrorCode, Problem};
use tidegate_hub::{Judgement, Order, Renewal, Revised, Revision, WatchEntry, WatchId};
use tokio::task::JoinSet;

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

/// What applications say of watches on channels that ask one from now on.
#[derive(Debug, Default)]
pub struct Told(HashMap<WatchId, Option<Problem>>);

/// So many watches are asked about at once.
const ASKED_AT_ONCE: usize = 32;

impl Gateway {
    /// Asks about the watches of channels that ask an application from now on and did not before: the others were let in
    /// by it.
    pub async fn ask_applications(self: &Arc<Gateway>, revision: &Revision) -> Told {
        let mut told = Told::default();
        let newly = |entry: &WatchEntry| revision.asks_newly(&entry.channel);
        if !revision.channels().any(|channel| revision.asks_newly(channel)) {
            return told;
        }
        for entries in self.hub.watches().list_where(|entry, _| newly(entry)).chunks(ASKED_AT_ONCE) {
            let mut asked = JoinSet::new();
            for entry in entries {
                let (gateway, entry) = (self.clone(), entry.clone());
                asked.spawn(async move {
                    let Ok(caller) = Caller::of_watch(&entry) else { return (entry.id, None) };
                    let target = &entry.view.scope.target;
                    let said = gateway.hooks.watch(&caller, &entry.channel.config.name, target).await;
                    (entry.id, said.err())
                });
            }
            told.0.extend(asked.join_all().await);
        }
        told
    }

    /// Puts policies in force. When this returns nothing is read, and no watch is told anything, by those before. It takes
    /// as long as judging all watches does, so not where others wait.
    pub fn put_in_force(&self, revision: Revision, told: Told) -> Rejudged {
        let asks: Vec<ChannelId> =
            revision.channels().filter(|own| revision.asks_newly(own)).map(|own| own.log.id()).collect();
        let revised = self.hub.put_in_force(revision);
        let mut rejudged = Rejudged::default();
        let mut refused = Vec::new();
        self.hub.watches().order_each(
            |entry| revised.before(&entry.channel).is_some(),
            |entry| {
                rejudged.judged += 1;
                let allowed = if asks.contains(&entry.channel.log.id()) { told.of(entry) } else { Ok(()) };
                match allowed.and_then(|()| self.judge_revised(&revised, entry)) {
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

impl Told {
    /// What is said of a watch; of one that began meanwhile nothing is, and it comes back to be asked about.
    fn of(&self, entry: &WatchEntry) -> Result<(), Problem> {
        match self.0.get(&entry.id) {
            Some(None) => Ok(()),
            Some(Some(problem)) => Err(problem.clone()),
            None => Err(Problem::new(ErrorCode::GateUnavailable, "an application is asked about this from now on")),
        }
    }
}
