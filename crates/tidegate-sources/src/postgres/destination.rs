//! A channel that takes rows of a table, and where in it a row is.

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Key, Millis, Op, Placement, PlacementError};
use tidegate_log::{Channel, Entry, Log, ReadError};

use crate::{Numbers, StartError, Takes, Target};

/// A channel with rows.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) channel: Channel,
    pub(super) placement: Placement,
    pub(super) numbers: Numbers,
    /// Where all its rows are, if its address has no parameters.
    fixed: Option<Address>,
}

/// The channel for rows that have no place.
#[derive(Debug)]
pub(super) struct DeadLetters {
    pub(super) channel: Channel,
    pub(super) address: Address,
}

/// A row as the log has it.
pub(super) type Row = (Address, Bytes);

/// What the config wants of the source.
#[derive(Debug)]
pub(super) struct Plan {
    /// Tables as the config names them, each with its channels.
    pub(super) tables: Vec<(String, Vec<Destination>)>,
    pub(super) dead_letters: Option<DeadLetters>,
}

impl Plan {
    /// Finds the channels in the log.
    pub(super) fn new(log: &Log, targets: Vec<Target>) -> Result<Plan, StartError> {
        let mut plan = Plan { tables: Vec::new(), dead_letters: None };
        for target in targets {
            let channel = log.channel(&target.channel).ok_or(StartError::NoChannel(target.channel))?;
            match target.takes {
                Takes::Rows(placement) => {
                    let fixed = match placement.template.parameters().next() {
                        None => placement.address(b"{}").ok(),
                        Some(_) => None,
                    };
                    let destination = Destination { channel, placement, numbers: target.numbers, fixed };
                    let table = target.table.unwrap_or_default();
                    match plan.tables.iter_mut().find(|(name, _)| *name == table) {
                        Some((_, destinations)) => destinations.push(destination),
                        None => plan.tables.push((table, vec![destination])),
                    }
                }
                Takes::DeadLetters(template) => {
                    let address = Address::from_canonical(template.as_str());
                    plan.dead_letters = Some(DeadLetters { channel, address });
                }
            }
        }
        Ok(plan)
    }
}

impl Destination {
    pub(super) fn id(&self) -> ChannelId {
        self.channel.id()
    }

    /// Where the row with this data belongs.
    pub(super) fn place(&self, data: &[u8]) -> Result<(Address, Key), PlacementError> {
        let key = self.key(data)?;
        let address = match &self.fixed {
            Some(address) => address.clone(),
            None => self.placement.address(data)?,
        };
        Ok((address, key))
    }

    /// Its key alone: all that a delete may tell.
    pub(super) fn key(&self, data: &[u8]) -> Result<Key, PlacementError> {
        match &self.placement.key {
            Some(spec) => spec.extract(data),
            None => Err(PlacementError::KeyMissing(String::new())),
        }
    }

    /// Whether a row may come to another address.
    pub(super) fn moves(&self) -> bool {
        self.fixed.is_none()
    }

    /// Where the log has the key now.
    pub(super) fn find(&self, key: &str) -> Result<Vec<Row>, ReadError> {
        let row = |address: Address| {
            let (row, _) = self.channel.row(&address, key)?;
            Ok(row.map(|row| (address, row.data)))
        };
        match &self.fixed {
            Some(address) => Ok(row(address.clone())?.into_iter().collect()),
            None => {
                self.channel.addresses_of(key)?.into_iter().filter_map(|address| row(address).transpose()).collect()
            }
        }
    }

    /// The address of every row, if there is only one.
    pub(super) fn fixed(&self) -> Option<&Address> {
        self.fixed.as_ref()
    }

    pub(super) fn upsert(&self, address: Address, key: Key, data: Bytes, time: Millis) -> Entry {
        Entry { channel: self.id(), op: Op::Upsert, address, key: Some(key), time, data }
    }

    pub(super) fn delete(&self, address: Address, key: Key, time: Millis) -> Entry {
        Entry { channel: self.id(), op: Op::Delete, address, key: Some(key), time, data: Bytes::new() }
    }

    /// Something that concerns the whole channel.
    pub(super) fn whole(&self, op: Op, data: Bytes, time: Millis) -> Entry {
        // The address means nothing then; any that fits will do.
        let address = self.fixed.clone().unwrap_or_else(|| Address::from_canonical("all"));
        Entry { channel: self.id(), op, address, key: None, time, data }
    }
}
