//! The rows that an open large batch has touched, on disk: a redb file in which one transaction is never committed.
//!
//! Pages of that transaction are changed in place and leave memory when the cache is full, so any number of rows takes
//! [`CACHE_BYTES`]. Nothing of it has to survive anything: it is never synced, and removed at the end or at the next open.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, ReadableTable, Table, TableDefinition, WriteTransaction};
use tidegate_core::{Address, ChannelId, Millis, Offset};

use crate::channel::ChannelState;
use crate::disk::Disk;
use crate::state::{Backend, StateError, StoredRow, addresses_of, by_key, row_key};

/// The folder.
pub(crate) const DIR: &str = "scratch";
/// Memory for pages.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// [`row_key`] to a byte that says whether there is a row, and a [`StoredRow`].
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// [`by_key`] of each of them, on channels that keep an index of keys.
const BY_KEY: TableDefinition<'_, &[u8], ()> = TableDefinition::new("by_key");

const GONE: u8 = 0;
const ROW: u8 = 1;

/// The file.
pub(crate) struct Scratch {
    disk: Arc<dyn Disk>,
    name: String,
    write: WriteTransaction,
    /// Behind the transaction, so that it is dropped after it.
    _db: Database,
}

/// Its tables, open for a part.
pub(crate) struct ScratchRows<'s> {
    rows: Table<'s, &'static [u8], &'static [u8]>,
    by_key: Table<'s, &'static [u8], ()>,
}

/// What the batch made of a row.
#[derive(Debug)]
pub(crate) struct Touched {
    /// The record that did it.
    pub(crate) offset: Offset,
    /// `None` if it deleted the row.
    pub(crate) data: Option<Bytes>,
}

/// Removes what an earlier life left.
pub(crate) fn tidy(disk: &dyn Disk) -> io::Result<()> {
    disk.list(DIR)?.iter().try_for_each(|name| disk.remove(&format!("{DIR}/{name}")))
}

impl Scratch {
    pub(crate) fn create(disk: Arc<dyn Disk>, number: u64) -> io::Result<Scratch> {
        let name = format!("{DIR}/{number:010}.redb");
        let file = disk.create(&name)?;
        let made = || -> Result<(WriteTransaction, Database), StateError> {
            let db = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend::forgetful(file))?;
            Ok((db.begin_write()?, db))
        };
        match made() {
            Ok((write, db)) => Ok(Scratch { disk, name, write, _db: db }),
            Err(error) => {
                let _ = disk.remove(&name); // or at the next open
                Err(error.into_io())
            }
        }
    }

    pub(crate) fn rows(&self) -> io::Result<ScratchRows<'_>> {
        let open = || -> Result<ScratchRows<'_>, StateError> {
            Ok(ScratchRows { rows: self.write.open_table(ROWS)?, by_key: self.write.open_table(BY_KEY)? })
        };
        open().map_err(StateError::into_io)
    }

    /// Calls `visit` with every row of a channel in order of its key: the key, the offset, and a [`StoredRow`] if there is a row.
    pub(crate) fn each(
        &self,
        channel: ChannelId,
        mut visit: impl FnMut(&[u8], Offset, Option<&[u8]>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let rows = self.write.open_table(ROWS)?;
        let (from, to) = (channel.to_bits().to_be_bytes(), (channel.to_bits() + 1).to_be_bytes());
        for row in rows.range::<&[u8]>(from.as_slice()..to.as_slice())? {
            let (key, value) = row?;
            let (row, stored) = split(value.value())?;
            let there = value.value()[0] == ROW;
            visit(key.value(), row.offset, there.then_some(stored))?;
        }
        Ok(())
    }

    /// Gives the space back.
    pub(crate) fn remove(self) {
        let _ = self.disk.remove(&self.name); // or at the next open
    }
}

impl ScratchRows<'_> {
    pub(crate) fn get(&self, channel: ChannelId, address: &Address, key: &str) -> io::Result<Option<Touched>> {
        let get = || -> Result<Option<Touched>, StateError> {
            let found = self.rows.get(row_key(channel, address.as_str(), key).as_slice())?;
            found.map(|found| touched(found.value())).transpose()
        };
        get().map_err(StateError::into_io)
    }

    /// Addresses at which the batch has touched a row of this key, on channels that keep an index of keys.
    pub(crate) fn addresses_of(&self, channel: ChannelId, key: &str) -> io::Result<Vec<Address>> {
        addresses_of(&self.by_key, channel, key).map_err(StateError::into_io)
    }

    /// Notes a new value (or none); returns what the batch had made of the row before.
    pub(crate) fn put(
        &mut self,
        channel: &ChannelState,
        address: &Address,
        key: &str,
        (offset, time): (Offset, Millis),
        data: Option<&Bytes>,
    ) -> io::Result<Option<Touched>> {
        let mut value = vec![if data.is_some() { ROW } else { GONE }];
        value.extend_from_slice(&StoredRow::encode(offset, time, data.unwrap_or(&Bytes::new())));
        let mut put = || -> Result<Option<Touched>, StateError> {
            if channel.by_key {
                self.by_key.insert(by_key(channel.id, key, address.as_str()).as_slice(), ())?;
            }
            let before = self.rows.insert(row_key(channel.id, address.as_str(), key).as_slice(), value.as_slice())?;
            before.map(|before| touched(before.value())).transpose()
        };
        put().map_err(StateError::into_io)
    }
}

fn touched(value: &[u8]) -> Result<Touched, StateError> {
    let (row, _) = split(value)?;
    let data = (value[0] == ROW).then(|| Bytes::copy_from_slice(row.data));
    Ok(Touched { offset: row.offset, data })
}

fn split(value: &[u8]) -> Result<(StoredRow<'_>, &[u8]), StateError> {
    let stored = value.get(1..).ok_or_else(|| StateError::damaged("a row of a large batch"))?;
    let row = StoredRow::decode(stored).ok_or_else(|| StateError::damaged("a row of a large batch"))?;
    Ok((row, stored))
}
