//! The tables and the bytes of their keys and values.

use bytes::Bytes;
use redb::TableDefinition;
use tidegate_core::{Address, ChannelId, Epoch, Key, Millis, Offset};

use crate::codec::{Reader, put_bytes};
use crate::segment::SegmentMeta;

/// Numbers by name.
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The state holds everything before this journal file.
pub(crate) const META_JOURNAL_FROM: &str = "journal_from";
/// Tells whether a merge took place.
pub(crate) const META_MERGED: &str = "merged";
/// Tells whether retention took place.
pub(crate) const META_TRIMMED: &str = "trimmed";
/// Channel id to [`ChannelRow`].
pub(crate) const CHANNELS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("channels");
/// (channel, segment number) to [`SegmentMeta`].
pub(crate) const SEGMENTS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("segments");
/// [`row_key`] to [`StoredRow`].
pub(crate) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// [`by_key`] of each row, on channels that ask for it.
pub(crate) const BY_KEY: TableDefinition<'_, &[u8], ()> = TableDefinition::new("by_key");
/// [`touched_key`] to the offset of the last change.
pub(crate) const TOUCHED: TableDefinition<'_, &[u8], u64> = TableDefinition::new("touched");
/// Name to checkpoint.
pub(crate) const CHECKPOINTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("checkpoints");
/// Idempotency keys to what is remembered.
pub(crate) const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
/// (channel, time, key) in order of time, for forgetting.
pub(crate) const KEY_TIMES: TableDefinition<'_, &[u8], ()> = TableDefinition::new("key_times");

/// What is kept of a channel beside its records and rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelRow {
    pub(crate) name: String,
    pub(crate) keyed: bool,
    pub(crate) epoch: Epoch,
    pub(crate) head: Offset,
    pub(crate) start: Offset,
    pub(crate) last_time: Millis,
    /// Offset of the last clear, 0 for none.
    pub(crate) cleared: Offset,
    /// Idempotency keys in the store.
    pub(crate) keys: u64,
    /// Whether [`BY_KEY`] has its rows.
    pub(crate) by_key: bool,
}

/// A row of a view as it is stored.
pub(crate) struct StoredRow<'b> {
    pub(crate) offset: Offset,
    pub(crate) time: Millis,
    pub(crate) data: &'b [u8],
}

impl ChannelRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        put_bytes(&mut out, self.name.as_bytes());
        out.push(u8::from(self.keyed));
        for value in [self.epoch.to_bits(), self.head, self.start, self.last_time.0, self.cleared, self.keys] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.push(u8::from(self.by_key));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<ChannelRow> {
        let mut reader = Reader::new(bytes);
        Some(ChannelRow {
            name: reader.text()?.to_owned(),
            keyed: reader.u8()? != 0,
            epoch: Epoch::from_bits(reader.u64()?),
            head: reader.u64()?,
            start: reader.u64()?,
            last_time: Millis(reader.u64()?),
            cleared: reader.u64()?,
            keys: reader.u64()?,
            by_key: reader.u8()? != 0,
        })
    }
}

impl<'b> StoredRow<'b> {
    pub(crate) fn encode(offset: Offset, time: Millis, data: &Bytes) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + data.len());
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&time.0.to_le_bytes());
        out.extend_from_slice(data);
        out
    }

    pub(crate) fn decode(bytes: &'b [u8]) -> Option<StoredRow<'b>> {
        let mut reader = Reader::new(bytes);
        let (offset, time) = (reader.u64()?, Millis(reader.u64()?));
        Some(StoredRow { offset, time, data: &bytes[16..] })
    }
}

/// Channel, address, a zero byte (which no address has), key: bytes sort as (address, key) do.
pub(crate) fn row_key(channel: ChannelId, address: &str, key: &str) -> Vec<u8> {
    let mut out = touched_key(channel, address);
    out.push(0);
    out.extend_from_slice(key.as_bytes());
    out
}

pub(crate) fn touched_key(channel: ChannelId, address: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + address.len());
    out.extend_from_slice(&channel.to_bits().to_be_bytes());
    out.extend_from_slice(address.as_bytes());
    out
}

pub(crate) fn split_row_key(bytes: &[u8]) -> Option<(Address, Key)> {
    let names = bytes.get(8..)?;
    let zero = names.iter().position(|byte| *byte == 0)?;
    let (address, key) = (std::str::from_utf8(&names[..zero]).ok()?, std::str::from_utf8(&names[zero + 1..]).ok()?);
    Some((Address::from_canonical(address), key.into()))
}

/// Where a channel's row keys, touched keys and index of keys begin.
pub(crate) fn channel_start(channel: ChannelId) -> [u8; 8] {
    channel.to_bits().to_be_bytes()
}

/// Where they end.
pub(crate) fn channel_end(channel: ChannelId) -> [u8; 8] {
    (channel.to_bits() + 1).to_be_bytes()
}

/// Channel, length of the key, key, address: what begins alike has one key.
pub(crate) fn by_key(channel: ChannelId, key: &str, address: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + key.len() + address.len());
    out.extend_from_slice(&channel_start(channel));
    out.extend_from_slice(&(key.len() as u32).to_be_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(address.as_bytes());
    out
}

/// The entry of a row in [`BY_KEY`], of its [`row_key`].
pub(crate) fn by_key_of_row(row_key: &[u8]) -> Option<Vec<u8>> {
    let channel = ChannelId::from_bits(u64::from_be_bytes(row_key.get(..8)?.try_into().ok()?));
    let (address, key) = split_row_key(row_key)?;
    Some(by_key(channel, &key, address.as_str()))
}

/// Sorts by channel, then time.
pub(crate) fn key_time(appended: Millis, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + key.len());
    out.extend_from_slice(&key[..8]);
    out.extend_from_slice(&appended.0.to_be_bytes());
    out.extend_from_slice(&key[8..]);
    out
}

impl SegmentMeta {
    /// Its key in [`SEGMENTS`].
    pub(crate) fn key(&self, channel: ChannelId) -> (u64, u64) {
        (channel.to_bits(), self.number)
    }
}
