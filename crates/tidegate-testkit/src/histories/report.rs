//! What was done and what was found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::client::Transport;

/// Counts over any number of histories.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Of the plans.
    pub seed: u64,
    /// Histories that ended.
    pub histories: u64,
    /// Batches that were acknowledged.
    pub batches: u64,
    /// Publishes that were sent again because their answer was lost or refused.
    pub retries: u64,
    /// Answers that were said to be a repeat of the first.
    pub replays: u64,
    /// Writes under a condition that were accepted.
    pub won: u64,
    /// The same that were refused for their condition.
    pub lost: u64,
    /// Frames that watchers took.
    pub frames: u64,
    /// Connections that we cut.
    pub cuts: u64,
    /// Cursors at which a replica was compared with the model.
    pub compared: u64,
    /// Watches opened with a cursor, by transport.
    pub resumes: BTreeMap<Transport, u64>,
    /// Of these, with the cursor that another transport gave.
    pub switches: u64,
    /// Fresh tokens that were taken for watches that went on, by transport.
    pub renewals: BTreeMap<Transport, u64>,
    /// `kill -9` of a server.
    pub kills: u64,
    /// SIGTERM of a server.
    pub drains: u64,
    /// Watches that were judged anew because the config said the same in other words.
    pub judged_anew: u64,
    /// Losses that retention announced.
    pub gaps: u64,
    /// Snapshots that began.
    pub resets: u64,
    /// Times that the server says a watcher fell off its tail, since it was last started.
    pub behind: u64,
    /// The longest that a watcher took from the last write until it held everything.
    pub catch_up_max: Duration,
    /// The longest that a watch took to end after its token was revoked.
    pub revoked_max: Duration,
    /// What watchers heard of views, by kind.
    pub heard: BTreeMap<&'static str, u64>,
    /// What should not be.
    pub differences: Vec<String>,
}

impl Report {
    /// Adds the counts of another part.
    pub fn add(&mut self, other: Report) {
        self.histories += other.histories;
        self.batches += other.batches;
        self.retries += other.retries;
        self.replays += other.replays;
        self.won += other.won;
        self.lost += other.lost;
        self.frames += other.frames;
        self.cuts += other.cuts;
        self.compared += other.compared;
        for (transport, count) in other.resumes {
            *self.resumes.entry(transport).or_default() += count;
        }
        for (transport, count) in other.renewals {
            *self.renewals.entry(transport).or_default() += count;
        }
        for (kind, count) in other.heard {
            *self.heard.entry(kind).or_default() += count;
        }
        self.switches += other.switches;
        self.kills += other.kills;
        self.drains += other.drains;
        self.judged_anew += other.judged_anew;
        self.gaps += other.gaps;
        self.resets += other.resets;
        self.behind += other.behind;
        self.catch_up_max = self.catch_up_max.max(other.catch_up_max);
        self.revoked_max = self.revoked_max.max(other.revoked_max);
        self.differences.extend(other.differences);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "histories {} (seed {}): {} batches, {} retries, {} replays, conditions {} won {} lost, {} frames, {} cuts, resumes {:?}, \
             {} switches, renewals {:?}, {} resets, {} gaps, {} kills, {} drains, {} judged anew, {} fell behind, caught up within {} ms, revoked within {} ms, {} cursors compared, heard {:?}, {} differences",
            self.histories,
            self.seed,
            self.batches,
            self.retries,
            self.replays,
            self.won,
            self.lost,
            self.frames,
            self.cuts,
            self.resumes,
            self.switches,
            self.renewals,
            self.resets,
            self.gaps,
            self.kills,
            self.drains,
            self.judged_anew,
            self.behind,
            self.catch_up_max.as_millis(),
            self.revoked_max.as_millis(),
            self.compared,
            self.heard,
            self.differences.len()
        )
    }
}
