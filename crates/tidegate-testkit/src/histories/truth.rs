//! What the model says a watcher must hold, and must have been told.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde_json::Value;
use tidegate_core::{Offset, Op};

use crate::model::{Change, Channel, Eye, Image, Record, Told, View, told};
use crate::replica::{Rows, row_hash};

/// The model of one channel after all that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    /// Its offsets are those of the server.
    pub(super) channel: Channel,
    pub(super) trims: bool,
    /// When the last batch was acknowledged.
    pub(super) since: Instant,
}

impl Truth {
    /// Takes a batch that was acknowledged at an offset. Everything of the channel is of one writer, so its records
    /// follow each other without a hole.
    pub(super) fn take(&mut self, changes: &[Change], at: Offset) -> Result<(), String> {
        let mut view = self.channel.view.clone();
        let mut batch = Vec::new();
        for change in changes {
            let key = change.key.as_deref();
            if change.op == Op::Delete && view.get(&change.address, key.unwrap_or_default()).is_none() {
                continue; // nothing happens, so there is no record
            }
            view.apply(change.op, &change.address, key, &change.data);
            batch.push(change.clone());
        }
        let before = self.head();
        if at.checked_sub(before) != Some(batch.len() as u64) {
            return Err(format!("{} records were acknowledged as ({before}, {at}]", batch.len()));
        }
        self.channel.append(&batch);
        self.since = Instant::now();
        Ok(())
    }

    /// The offset after everything.
    pub(super) fn head(&self) -> Offset {
        self.channel.head
    }

    /// The rows that are shown after everything.
    pub(super) fn rows(&self, eye: &Eye) -> Rows {
        self.channel.view.through(eye).rows
    }

    /// The hash of the rows that are shown at each offset.
    pub(super) fn hashes(&self, eye: &Eye) -> HashMap<Offset, u64> {
        let mut hashes = HashMap::from([(0, 0)]);
        let mut view = View::default();
        for Record { offset, change, .. } in &self.channel.ever {
            view.apply(change.op, &change.address, change.key.as_deref(), &change.data);
            let rows = view.through(eye).rows;
            let hash =
                rows.iter().fold(0u64, |sum, ((address, key), data)| sum.wrapping_add(row_hash(address, key, data)));
            hashes.insert(*offset, hash);
        }
        hashes
    }

    /// What is told between two cursors: of each change, or of all of them as one tick.
    pub(super) fn told(&self, eye: &Eye, conflated: bool, (after, upto): (Offset, Offset)) -> Vec<Told<'_>> {
        let range = self.channel.ever.iter().filter(|record| record.offset > after && record.offset <= upto);
        let records: Vec<&Record> = range.collect();
        if conflated { told::tick(eye, &records, had) } else { told::each(eye, &records, had) }
    }

    /// How many records there are between two cursors in a scope.
    pub(super) fn in_scope(&self, eye: &Eye, (after, upto): (Offset, Offset)) -> u64 {
        let range = self.channel.ever.iter().filter(|record| record.offset > after && record.offset <= upto);
        let own = range.filter(|record| eye.scope.matches(&record.change.address, record.change.key.as_deref()));
        own.count() as u64
    }

    /// The last of the records that are told.
    pub(super) fn last_told(&self, eye: &Eye) -> Offset {
        self.told(eye, false, (0, self.head())).last().map_or(0, Told::offset)
    }

    /// Hashes of every value that was ever to be seen at its address and key.
    pub(super) fn visible(&self, eye: &Eye) -> HashSet<u64> {
        let of = |Record { change, .. }: &Record| {
            let (address, key, data) = (change.address.as_str(), change.key.as_deref(), &change.data);
            let sees = eye.sees(&Image { address, key, op: change.op, data });
            sees.then(|| row_hash(address, key.unwrap_or_default(), &eye.project(data)))
        };
        self.channel.ever.iter().filter(|record| record.change.op != Op::Delete).filter_map(of).collect()
    }
}

fn had(record: &Record) -> Option<&Value> {
    record.before.as_ref()
}
