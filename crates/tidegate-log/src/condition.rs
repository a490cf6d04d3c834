//! Conditions of a batch: how far a key or an address must have come for the batch to be taken.
//!
//! The log's one writer judges them in the order of the batches, against what is durable and what the group adds before: of any
//! number of batches that expect the same last change exactly one is taken. One that is not taken leaves nothing behind, so a
//! condition is in no file.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::{Address, ChannelId, Key, Offset, Op, Record};

use crate::channel::ChannelState;
use crate::page::ReadError;

/// What a batch expects of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The channel of the place.
    pub channel: ChannelId,
    /// The place, as a whole …
    pub address: Address,
    /// … or one key there, on a keyed channel.
    pub key: Option<Key>,
    /// What must hold of it.
    pub condition: Condition,
}

/// What must hold of a place before the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its last change is one of these records: [`Standing::last`].
    LastIs(Vec<Offset>),
    /// The key has a value, the address a record.
    Exists,
    /// It has none.
    Absent,
}

/// How far a place has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Offset of its last change. A key without a value has none. An address without a record has a position that changes when
    /// something might have been there: 0 on keyed channels, whose addresses are remembered for good, the channel's start on plain
    /// ones, of which retention forgets.
    pub last: Option<Offset>,
    /// The key has a value, the address has a record. What concerns the whole channel is a change, but makes nothing exist.
    pub exists: bool,
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, standing: Standing) -> bool {
        match self {
            Condition::LastIs(offsets) => standing.last.is_some_and(|last| offsets.contains(&last)),
            Condition::Exists => standing.exists,
            Condition::Absent => !standing.exists,
        }
    }
}

/// Last changes among the records that a group adds to a channel. They are read once a condition asks, so that batches without
/// one pay nothing.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// So many of the group's records were read.
    read: usize,
    addresses: HashMap<Address, Offset>,
    /// `None` for those without a value.
    keys: HashMap<(Address, Key), Option<Offset>>,
    /// The last that changes every address: a clear on keyed channels, a gap or a notice on plain ones.
    wide: Option<Offset>,
}

impl Changes {
    /// Reads the records that were added since the last time.
    pub(crate) fn catch_up(&mut self, records: &[Arc<Record>], keyed: bool) {
        for record in &records[self.read..] {
            match (record.op, &record.key) {
                (Op::Clear, _) => {
                    self.keys.clear();
                    self.wide = Some(record.offset);
                }
                (Op::Gap | Op::Notice, _) => self.wide = if keyed { self.wide } else { Some(record.offset) },
                (op, key) => {
                    self.addresses.insert(record.address.clone(), record.offset);
                    if let Some(key) = key {
                        let last = (op != Op::Delete).then_some(record.offset);
                        self.keys.insert((record.address.clone(), key.clone()), last);
                    }
                }
            }
        }
        self.read = records.len();
    }

    /// How far a place has come with these changes.
    pub(crate) fn standing(&self, state: &ChannelState, expect: &Expect) -> Result<Standing, ReadError> {
        let Expect { address, key, .. } = expect;
        if let Some(key) = key {
            let last = match self.keys.get(&(address.clone(), key.clone())) {
                Some(last) => *last,
                None if self.wide.is_some() => None,
                None => state.key_standing(address, key)?,
            };
            return Ok(Standing { last, exists: last.is_some() });
        }
        let durable = match self.addresses.get(address) {
            Some(offset) => Standing { last: Some(*offset), exists: true },
            None => state.address_standing(address)?,
        };
        // A clear is no change of an address where nothing ever was.
        let wide = self.wide.filter(|_| durable.exists || !state.keyed);
        Ok(Standing { last: durable.last.max(wide), ..durable })
    }
}
