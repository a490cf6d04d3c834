//! The rows of a view in a change of the state, and the index of their keys, which follows them.

use std::ops::Bound;

use redb::{ReadableTable, Table, WriteTransaction};
use tidegate_core::{Address, ChannelId, Offset};

use super::store::{State, StateError};
use super::tables::{BY_KEY, CHANNELS, ChannelRow, ROWS, TOUCHED, by_key, by_key_of_row, channel_end, channel_start};

/// An index is built in commits of so many rows: a commit holds what it changes in memory.
const BUILD_ROWS: usize = 10_000;

/// The tables of one channel's rows. Whoever changes rows does it here.
pub(crate) struct ViewTables<'w> {
    channel: ChannelId,
    rows: Table<'w, &'static [u8], &'static [u8]>,
    touched: Table<'w, &'static [u8], u64>,
    /// Where the channel asks for it.
    by_key: Option<Table<'w, &'static [u8], ()>>,
}

impl<'w> ViewTables<'w> {
    /// `by_key` as the channel's specs have it.
    pub(crate) fn open(
        write: &'w WriteTransaction,
        channel: ChannelId,
        by_key: bool,
    ) -> Result<ViewTables<'w>, StateError> {
        Ok(ViewTables {
            channel,
            rows: write.open_table(ROWS)?,
            touched: write.open_table(TOUCHED)?,
            by_key: by_key.then(|| write.open_table(BY_KEY)).transpose()?,
        })
    }

    /// Puts a `StoredRow` under a `row_key`.
    pub(crate) fn put(&mut self, row_key: &[u8], stored: &[u8]) -> Result<(), StateError> {
        self.rows.insert(row_key, stored)?;
        if let Some(by_key) = &mut self.by_key {
            by_key.insert(entry(row_key)?.as_slice(), ())?;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, row_key: &[u8]) -> Result<(), StateError> {
        self.rows.remove(row_key)?;
        if let Some(by_key) = &mut self.by_key {
            by_key.remove(entry(row_key)?.as_slice())?;
        }
        Ok(())
    }

    /// Removes all rows of the channel.
    pub(crate) fn clear(&mut self) -> Result<(), StateError> {
        let (from, to) = (channel_start(self.channel), channel_end(self.channel));
        self.rows.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
        if let Some(by_key) = &mut self.by_key {
            by_key.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
        }
        Ok(())
    }

    /// Notes the last change at an address, given its `touched_key`.
    pub(crate) fn touch(&mut self, touched_key: &[u8], offset: Offset) -> Result<(), StateError> {
        self.touched.insert(touched_key, offset)?;
        Ok(())
    }
}

/// What an index of keys has of a key, in order.
pub(crate) fn addresses_of(
    index: &impl ReadableTable<&'static [u8], ()>,
    channel: ChannelId,
    key: &str,
) -> Result<Vec<Address>, StateError> {
    let start = by_key(channel, key, "");
    let mut found = Vec::new();
    for entry in index.range::<&[u8]>(start.as_slice()..channel_end(channel).as_slice())? {
        let (entry, _) = entry?;
        let Some(address) = entry.value().strip_prefix(&start[..]) else { break };
        let address = std::str::from_utf8(address).map_err(|_| StateError::damaged("the index of keys"))?;
        found.push(Address::from_canonical(address));
    }
    Ok(found)
}

/// Makes the index of a channel what its spec asks for; before anything else uses the state. A crash amid it leaves an index
/// that does not count, and the next opening begins anew.
pub(crate) fn settle_index(state: &State, channel: ChannelId, wanted: bool) -> Result<(), StateError> {
    let write = state.begin()?;
    {
        let (from, to) = (channel_start(channel), channel_end(channel));
        write.open_table(BY_KEY)?.retain_in(from.as_slice()..to.as_slice(), |_, _| false)?;
        mark(&write, channel, false)?;
    }
    write.commit()?;
    if !wanted {
        return Ok(());
    }
    let mut after = Bound::Included(channel_start(channel).to_vec());
    loop {
        let write = state.begin()?;
        let last = index_rows(&write, channel, after)?;
        if last.is_none() {
            mark(&write, channel, true)?;
        }
        write.commit()?;
        match last {
            Some(last) => after = Bound::Excluded(last),
            None => return Ok(()),
        }
    }
}

/// Puts the next rows into the index; returns the last of them, `None` when all are there.
fn index_rows(
    write: &WriteTransaction,
    channel: ChannelId,
    after: Bound<Vec<u8>>,
) -> Result<Option<Vec<u8>>, StateError> {
    let (rows, mut by_key) = (write.open_table(ROWS)?, write.open_table(BY_KEY)?);
    let end = channel_end(channel);
    let from = after.as_ref().map(Vec::as_slice);
    let mut last = None;
    for row in rows.range::<&[u8]>((from, Bound::Excluded(end.as_slice())))?.take(BUILD_ROWS) {
        let (row_key, _) = row?;
        by_key.insert(entry(row_key.value())?.as_slice(), ())?;
        last = Some(row_key.value().to_vec());
    }
    Ok(last)
}

fn mark(write: &WriteTransaction, channel: ChannelId, by_key: bool) -> Result<(), StateError> {
    let mut channels = write.open_table(CHANNELS)?;
    let row = channels.get(channel.to_bits())?.and_then(|row| ChannelRow::decode(row.value()));
    let row = row.ok_or_else(|| StateError::damaged("a channel"))?;
    channels.insert(channel.to_bits(), ChannelRow { by_key, ..row }.encode().as_slice())?;
    Ok(())
}

fn entry(row_key: &[u8]) -> Result<Vec<u8>, StateError> {
    by_key_of_row(row_key).ok_or_else(|| StateError::damaged("a row's key"))
}
