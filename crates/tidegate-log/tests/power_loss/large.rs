//! Large batches beside the ordinary ones: they begin, grow, commit and end at any time, and several are open at once.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::IndexedRandom;
use tidegate_core::ChannelId;
use tidegate_log::{AppendError, Batch, Entry, LargeBatch, LargeCommit, SteppedLog};

use super::History;
use super::common::address;

/// A large batch that has not ended, and what it will be.
pub(crate) struct Open {
    pub(crate) large: LargeBatch,
    pub(crate) whole: Batch,
    /// Channels that it owns.
    pub(crate) owned: BTreeSet<u64>,
}

impl History {
    /// Whether a large batch owns what a batch needs; a repeat needs nothing.
    pub(crate) fn is_busy(&self, batch: &Batch) -> bool {
        let owned = |open: &Open| batch.entries.iter().any(|entry| open.owned.contains(&entry.channel.to_bits()));
        let there = batch.idempotency.as_ref().is_some_and(|key| self.model.answers.contains_key(&key.key));
        !there && self.open.iter().any(owned)
    }

    /// One step of some large batch.
    pub(crate) fn large(&mut self, log: &SteppedLog) {
        let at = self.rng.random_range(0..3);
        if at >= self.open.len() {
            let tx = self.rng.random_bool(0.5).then(|| format!("large {}", self.serial).into());
            match log.begin(tx.clone()) {
                Ok(large) => {
                    let whole = Batch { tx, ..Batch::default() };
                    self.open.push(Open { large, whole, owned: BTreeSet::new() });
                }
                Err(error) => assert!(self.disk.is_off(), "{error}"),
            }
            return;
        }
        match self.rng.random_range(0..10) {
            0..6 => self.part(at),
            6..9 => self.commit(log, at),
            _ => self.open.swap_remove(at).large.abort(),
        }
    }

    pub(crate) fn part(&mut self, at: usize) {
        let count = *[0, 1, 5, 30, 30, 200].choose(&mut self.rng).expect("not empty");
        let entries: Vec<Entry> = (0..count).map(|_| self.entry()).collect();
        let touched: BTreeSet<u64> = entries.iter().map(|entry| entry.channel.to_bits()).collect();
        let others = self.open.iter().enumerate().filter(|(other, _)| *other != at);
        let busy = others.flat_map(|(_, open)| &open.owned).any(|id| touched.contains(id));
        match self.open[at].large.part(entries.clone()) {
            Ok(()) => {
                assert!(!busy, "the channel is another's");
                self.open[at].owned.extend(touched);
                self.open[at].whole.entries.extend(entries);
                self.check_unfinished(at);
            }
            Err(AppendError::Busy) => assert!(busy),
            Err(error) => {
                assert!(self.disk.is_off(), "{error}");
                self.open.swap_remove(at);
            }
        }
    }

    /// An open batch shows the rows that it would make.
    pub(crate) fn check_unfinished(&mut self, at: usize) {
        if self.disk.is_off() {
            return;
        }
        let mut model = self.model.clone();
        model.apply(&self.open[at].whole);
        for name in ["keyed", "keyed2"] {
            for n in 0..6 {
                let (address, key) = (address(&format!("a/{n}")), format!("k{}", self.rng.random_range(0..5)));
                let row = self.open[at].large.row(ChannelId::of(name), &address, &key).expect("a row");
                let rows = model.rows.get(name);
                let known = rows.and_then(|rows| rows.get(&(address.as_str().to_owned(), key)));
                assert_eq!(row.as_ref(), known.map(|(data, _)| data));
            }
        }
    }

    pub(crate) fn commit(&mut self, log: &SteppedLog, at: usize) {
        let Open { mut large, mut whole, .. } = self.open.swap_remove(at);
        (whole.checkpoints, whole.idempotency) = {
            let made = self.batch();
            (made.checkpoints, made.idempotency)
        };
        let whole = self.showing(whole);
        let commit = LargeCommit { checkpoints: whole.checkpoints.clone(), idempotency: whole.idempotency.clone() };
        if self.disk.is_off() {
            return;
        }
        let answer = large.commit(commit);
        assert!(answer.is_ok() || self.disk.is_off(), "{answer:?}");
        self.counts[4] += u64::from(answer.is_ok());
        self.account(log, whole, answer.ok());
    }
}
