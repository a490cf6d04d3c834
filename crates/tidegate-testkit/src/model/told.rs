//! What a watch is told of records, one by one or conflated.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_core::{Offset, Op};

use super::eye::{Eye, Image, Shown};
use super::log::{Change, Record};
use super::view::RowId;

/// One thing that a watch is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<'r> {
    /// The newest of the records that it stands for.
    pub record: &'r Record,
    /// What is shown of them.
    pub shown: Shown,
    /// How many they are.
    pub count: u64,
}

impl Told<'_> {
    /// The `op` of its frame.
    pub fn op(&self) -> &'static str {
        match self.shown {
            Shown::Gone => Op::Delete.as_str(),
            _ => self.record.change.op.as_str(),
        }
    }

    /// The offset of its record.
    pub fn offset(&self) -> Offset {
        self.record.offset
    }
}

/// What is told of each of the records, none of which concerns the whole channel. `before` finds what a key had.
pub fn each<'r>(eye: &Eye, records: &[&'r Record], before: impl Fn(&'r Record) -> Option<&'r Value>) -> Vec<Told<'r>> {
    let told = |record: &&'r Record| {
        let record = *record;
        Some(Told { record, shown: eye.shown(record, before(record))?, count: 1 })
    };
    records.iter().filter_map(told).collect()
}

/// What is told of the records of a tick: each key that was seen to change, once, in the order of the newest of these
/// changes; of events the newest of each address that passes.
pub fn tick<'r>(eye: &Eye, records: &[&'r Record], before: impl Fn(&'r Record) -> Option<&'r Value>) -> Vec<Told<'r>> {
    let mut by_key: BTreeMap<RowId, Vec<&'r Record>> = BTreeMap::new();
    for record in records {
        let Change { op, address, key, data } = &record.change;
        let sees = |op, data| eye.sees(&Image { address, key: key.as_deref(), op, data });
        let after = *op != Op::Delete && sees(*op, data);
        let was = before(record).filter(|data| sees(Op::Delete, data));
        let masked = after && !eye.mask.is_empty() && was.is_some_and(|was| eye.hide(was) == eye.hide(data));
        if (after || was.is_some()) && !masked {
            by_key.entry((address.clone(), key.clone().unwrap_or_default())).or_default().push(record);
        }
    }
    let told = by_key.into_values().filter_map(|of_key| {
        let record = *of_key.last()?;
        Some(Told { record, shown: eye.shown(record, before(of_key[0]))?, count: of_key.len() as u64 })
    });
    let mut told: Vec<Told<'r>> = told.collect();
    told.sort_by_key(Told::offset);
    told
}
