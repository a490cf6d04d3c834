//! One commit that makes the state what it is after a drain.

use std::collections::HashMap;
use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};
use tidegate_core::{ChannelId, Millis, Offset};

use super::{Frozen, FrozenChannel};
use crate::engine::Engine;
use crate::hot::{Part, RowState};
use crate::kept::is_forgotten;
use crate::ledger::{Layer, Remembered};
use crate::options::Window;
use crate::state::{
    CHANNELS, CHECKPOINTS, ChannelRow, KEY_TIMES, KEYS, META, META_JOURNAL_FROM, SEGMENTS, StateError, StoredRow,
    ViewTables, key_time, row_key, touched_key,
};

impl Engine {
    pub(super) fn commit_drain(&self, frozen: &Frozen) -> Result<(), StateError> {
        let write = self.state.begin()?;
        for channel in frozen.channels.iter().filter(|channel| !channel.parts.is_empty()) {
            if channel.state.keyed {
                put_rows(&write, channel)?;
            }
            put_channel(&write, channel)?;
        }
        self.put_ledger(&write, &frozen.layers)?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert(META_JOURNAL_FROM, frozen.journal_from)?;
        }
        Ok(write.commit()?)
    }

    pub(super) fn put_ledger(&self, write: &WriteTransaction, layers: &[Arc<Layer>]) -> Result<(), StateError> {
        let mut checkpoints = write.open_table(CHECKPOINTS)?;
        let mut keys = write.open_table(KEYS)?;
        let mut times = write.open_table(KEY_TIMES)?;
        let mut added: HashMap<ChannelId, i64> = HashMap::new();
        for layer in layers {
            for (source, bytes) in &layer.checkpoints {
                match is_forgotten(source, bytes) {
                    true => drop(checkpoints.remove(source.as_str())?),
                    false => drop(checkpoints.insert(source.as_str(), &bytes[..])?),
                }
            }
            for (key, remembered) in &layer.keys {
                let replaced = keys.insert(key.as_slice(), remembered.encode(key).as_slice())?;
                let replaced = replaced.and_then(|old| Remembered::decode(old.value()));
                *added.entry(channel_of(key)).or_default() += i64::from(replaced.is_none());
                if let Some(old) = replaced {
                    times.remove(key_time(old.appended, key).as_slice())?;
                }
                times.insert(key_time(remembered.appended, key).as_slice(), ())?;
            }
        }
        let mut channels = write.open_table(CHANNELS)?;
        let now = self.options.clock.now();
        for channel in self.channels.iter().filter(|channel| channel.ring.is_none()) {
            let id = channel.id;
            let Some(mut row) = channel_row(&channels, id)? else { continue };
            let before = row.keys;
            row.keys = row.keys.saturating_add_signed(added.remove(&id).unwrap_or(0));
            while let Some(oldest) = oldest_to_forget(&times, id, row.keys, channel.window, now)? {
                let mut key = oldest.clone();
                key.drain(8..16);
                times.remove(oldest.as_slice())?;
                keys.remove(key.as_slice())?;
                row.keys = row.keys.saturating_sub(1);
            }
            if row.keys != before {
                channels.insert(id.to_bits(), row.encode().as_slice())?;
            }
        }
        Ok(())
    }
}

fn put_rows(write: &WriteTransaction, channel: &FrozenChannel) -> Result<(), StateError> {
    let id = channel.state.id;
    let mut view = ViewTables::open(write, id, channel.state.by_key)?;
    if channel.parts.iter().any(|part| part.cleared(Offset::MAX - 1)) {
        view.clear()?;
    }
    for part in &channel.parts {
        for name in part.all_names() {
            let key = row_key(id, name.0.as_str(), &name.1);
            match newest(channel, &name) {
                RowState::Value(record) => {
                    view.put(&key, &StoredRow::encode(record.offset, record.time, &record.data))?;
                }
                _ => view.remove(&key)?,
            }
        }
        for (address, offset) in part.all_touched().0 {
            view.touch(&touched_key(id, address.as_str()), offset)?;
        }
    }
    Ok(())
}

fn newest(channel: &FrozenChannel, name: &(tidegate_core::Address, tidegate_core::Key)) -> RowState {
    let states = channel.parts.iter().rev().map(|part| part.row(name, Offset::MAX - 1));
    states.into_iter().find(|state| !matches!(state, RowState::Unknown)).unwrap_or(RowState::Unknown)
}

fn put_channel(write: &WriteTransaction, channel: &FrozenChannel) -> Result<(), StateError> {
    let id = channel.state.id;
    let mut channels = write.open_table(CHANNELS)?;
    let Some(mut row) = channel_row(&channels, id)? else { return Err(StateError::damaged("a channel is missing")) };
    let last = |part: &Arc<Part>| (part.last(), part.newest_time());
    if let Some((head, Some(time))) = channel.parts.last().map(last) {
        (row.head, row.last_time) = (head, row.last_time.max(time));
    }
    let cleared = channel.parts.iter().filter_map(|part| part.all_touched().1).max();
    row.cleared = row.cleared.max(cleared.unwrap_or(0));
    channels.insert(id.to_bits(), row.encode().as_slice())?;
    let mut segments = write.open_table(SEGMENTS)?;
    for meta in &channel.segments {
        segments.insert(meta.key(id), meta.encode().as_slice())?;
    }
    Ok(())
}

pub(super) fn channel_row(
    channels: &impl ReadableTable<u64, &'static [u8]>,
    id: ChannelId,
) -> Result<Option<ChannelRow>, StateError> {
    let found = channels.get(id.to_bits())?;
    found.map(|v| ChannelRow::decode(v.value()).ok_or_else(|| StateError::damaged("a channel"))).transpose()
}

/// The oldest key of a channel, if it is too old or one too many.
fn oldest_to_forget(
    times: &impl ReadableTable<&'static [u8], ()>,
    id: ChannelId,
    count: u64,
    window: Window,
    now: Millis,
) -> Result<Option<Vec<u8>>, StateError> {
    let (from, to) = (id.to_bits().to_be_bytes(), (id.to_bits() + 1).to_be_bytes());
    let Some(oldest) = times.range::<&[u8]>(from.as_slice()..to.as_slice())?.next() else { return Ok(None) };
    let (key, _) = oldest?;
    let key = key.value();
    let time = key.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let time = Millis(time.ok_or_else(|| StateError::damaged("a time of an idempotency key"))?);
    Ok((count > window.keys || time < now.before(window.age)).then(|| key.to_vec()))
}

fn channel_of(key: &[u8]) -> ChannelId {
    let bits = key.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    ChannelId::from_bits(bits)
}
