//! The log as it has to be, in memory, slow and obviously right.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidegate_core::{ChannelId, Op};
use tidegate_log::{Appended, Batch};

pub(crate) const CHANNELS: [&str; 4] = ["plain", "bounded", "keyed", "keyed2"];
/// A record as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) op: Op,
    pub(crate) address: String,
    pub(crate) key: Option<String>,
    pub(crate) data: Bytes,
    pub(crate) before: Option<Bytes>,
    /// Whether it is the last of its transaction.
    pub(crate) tx: Option<(String, bool)>,
}

pub(crate) type Rows = BTreeMap<(String, String), (Bytes, u64)>;

/// What the log must hold.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) records: BTreeMap<&'static str, Vec<Known>>,
    pub(crate) rows: BTreeMap<&'static str, Rows>,
    pub(crate) checkpoint: Option<Bytes>,
    pub(crate) answers: BTreeMap<String, (Batch, Appended)>,
}

impl Model {
    /// The whole of what the log must do with a batch.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Appended {
        let mut last: Vec<(ChannelId, u64)> = Vec::new();
        let before = self.heads();
        for entry in &batch.entries {
            let name = *CHANNELS.iter().find(|name| ChannelId::of(name) == entry.channel).expect("a channel");
            let records = self.records.entry(name).or_default();
            let rows = self.rows.entry(name).or_default();
            let row = (entry.address.as_str().to_owned(), entry.key.clone().unwrap_or_default().into_string());
            let before = rows.get(&row).map(|(data, _)| data.clone());
            let offset = records.len() as u64 + 1;
            let keep = match entry.op {
                Op::Append | Op::Gap | Op::Notice => true,
                Op::Upsert => {
                    rows.insert(row, (entry.data.clone(), offset));
                    true
                }
                Op::Delete => rows.remove(&row).is_some(),
                Op::Clear => {
                    rows.clear();
                    true
                }
            };
            if keep {
                records.push(Known {
                    op: entry.op,
                    address: entry.address.as_str().to_owned(),
                    key: entry.key.as_deref().map(str::to_owned),
                    data: entry.data.clone(),
                    before: before.filter(|_| !entry.op.is_channel_wide()),
                    tx: batch.tx.as_ref().map(|id| (id.to_string(), false)),
                });
            }
            let head = records.len() as u64;
            match last.iter_mut().find(|(id, _)| *id == entry.channel) {
                Some((_, offset)) => *offset = head,
                None => last.push((entry.channel, head)),
            }
        }
        for (name, before) in CHANNELS.iter().zip(before) {
            let records = self.records.get_mut(name).map(|records| &mut records[before as usize..]);
            if let Some((_, last)) = records.and_then(<[Known]>::last_mut).and_then(|record| record.tx.as_mut()) {
                *last = true;
            }
        }
        for (_, bytes) in &batch.checkpoints {
            self.checkpoint = Some(bytes.clone());
        }
        let answer = Appended { last, count: batch.entries.len() as u64, replayed: false };
        if let Some(key) = &batch.idempotency {
            self.answers.insert(key.key.clone(), (batch.clone(), answer.clone()));
        }
        answer
    }

    pub(crate) fn addresses_of(&self, name: &str, key: &str) -> Vec<String> {
        let rows = self.rows.get(name).into_iter().flat_map(BTreeMap::keys);
        rows.filter(|(_, own)| own == key).map(|(address, _)| address.clone()).collect()
    }

    pub(crate) fn heads(&self) -> [u64; 4] {
        CHANNELS.map(|name| self.records.get(name).map_or(0, |records| records.len() as u64))
    }
}

pub(crate) fn as_known(record: &tidegate_core::Record) -> Known {
    Known {
        op: record.op,
        address: record.address.as_str().to_owned(),
        key: record.key.as_deref().map(str::to_owned),
        data: record.data.clone(),
        before: record.before.clone(),
        tx: record.tx.as_ref().map(|tx| (tx.id.to_string(), tx.last)),
    }
}
