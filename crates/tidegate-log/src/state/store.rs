//! Opening, reading and replacing the state.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction,
};
use tidegate_core::{Address, ChannelId, Key, Offset};

use super::backend::Backend;
use super::tables::{
    BY_KEY, CHANNELS, CHECKPOINTS, ChannelRow, KEY_TIMES, KEYS, META, META_JOURNAL_FROM, ROWS, SEGMENTS, StoredRow,
    TOUCHED, by_key_of_row, channel_end, channel_start, row_key, split_row_key, touched_key,
};
use super::view::addresses_of;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::ledger::Remembered;
use crate::page::{ReadError, ViewRow};
use crate::segment::SegmentMeta;

/// In the root of the data folder.
pub(crate) const FILE: &str = "state.redb";
/// A state that is being made; it counts once it has its name.
const NEW_FILE: &str = "state.new";

/// The store. One writer at a time (a drain, retention); any number of readers on snapshots.
#[derive(Debug)]
pub(crate) struct State {
    disk: Arc<dyn Disk>,
    cache_bytes: usize,
    db: Mutex<Option<Database>>,
    sync_failed: Arc<AtomicBool>,
    /// Something failed since the last opening.
    failed: AtomicBool,
    closed: AtomicBool,
}

/// The state after one commit.
pub(crate) struct Snapshot {
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    touched: ReadOnlyTable<&'static [u8], u64>,
    by_key: ReadOnlyTable<&'static [u8], ()>,
    checkpoints: ReadOnlyTable<&'static str, &'static [u8]>,
    keys: ReadOnlyTable<&'static [u8], &'static [u8]>,
    channels: ReadOnlyTable<u64, &'static [u8]>,
    segments: ReadOnlyTable<(u64, u64), &'static [u8]>,
    meta: ReadOnlyTable<&'static str, u64>,
}

/// The store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StateError(pub(crate) Arc<redb::Error>);

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StateError {
            fn from(error: $error) -> StateError {
                StateError(Arc::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

impl From<io::Error> for StateError {
    fn from(error: io::Error) -> StateError {
        StateError(Arc::new(redb::Error::Io(error)))
    }
}

impl From<StateError> for ReadError {
    fn from(error: StateError) -> ReadError {
        match &*error.0 {
            redb::Error::DatabaseClosed => ReadError::Closed,
            _ => ReadError::State(error.to_string()),
        }
    }
}

impl From<StateError> for OpenError {
    fn from(error: StateError) -> OpenError {
        OpenError::State(error.to_string())
    }
}

impl StateError {
    /// As an error of the disk, which it is but for damage.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &*self.0 {
            redb::Error::Io(error) => error.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self.to_string())
    }

    /// A row that we cannot have written.
    pub(crate) fn damaged(what: &str) -> StateError {
        StateError(Arc::new(redb::Error::Corrupted(what.to_owned())))
    }
}

impl State {
    /// Opens the store, or makes an empty one.
    pub(crate) fn open(disk: Arc<dyn Disk>, cache_bytes: usize) -> Result<State, StateError> {
        let names = disk.list("")?;
        if names.iter().any(|name| name == NEW_FILE) {
            disk.remove(NEW_FILE)?;
        }
        let state = State {
            disk,
            cache_bytes,
            db: Mutex::new(None),
            sync_failed: Arc::default(),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        if !names.iter().any(|name| name == FILE) {
            state.make()?;
        }
        *state.lock() = Some(state.load(FILE)?);
        Ok(state)
    }

    /// Makes an empty store under another name first: a crash half-way leaves no half store.
    fn make(&self) -> Result<(), StateError> {
        drop(self.disk.create(NEW_FILE)?);
        let db = self.load(NEW_FILE)?;
        let mut write = begin(&db)?;
        {
            let mut meta = write.open_table(META)?;
            meta.insert(META_JOURNAL_FROM, 1)?;
            write.open_table(CHANNELS)?;
            write.open_table(SEGMENTS)?;
            write.open_table(ROWS)?;
            write.open_table(TOUCHED)?;
            write.open_table(BY_KEY)?;
            write.open_table(CHECKPOINTS)?;
            write.open_table(KEYS)?;
            write.open_table(KEY_TIMES)?;
        }
        write.set_durability(Durability::Immediate)?;
        write.commit()?;
        drop(db);
        self.disk.open(NEW_FILE)?.sync_data()?;
        self.disk.rename(NEW_FILE, FILE)?;
        Ok(self.disk.sync_dir("")?)
    }

    fn load(&self, name: &str) -> Result<Database, StateError> {
        let backend = Backend::durable(self.disk.open(name)?, self.sync_failed.clone());
        Ok(Database::builder().set_cache_size(self.cache_bytes).create_with_backend(backend)?)
    }

    /// After an I/O error redb refuses everything; a new handle on the same file goes on from its last commit.
    pub(crate) fn reopen(&self) -> Result<(), StateError> {
        let mut db = self.lock();
        drop(db.take());
        *db = Some(self.load(FILE)?);
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// A reader or writer got an error; the next drain opens the file anew.
    pub(crate) fn note_failure(&self) {
        self.failed.store(true, Ordering::Release);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether a sync of the file failed once.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, StateError> {
        let db = self.lock();
        let read = db.as_ref().ok_or_else(|| self.gone())?.begin_read()?;
        Ok(Snapshot {
            rows: read.open_table(ROWS)?,
            touched: read.open_table(TOUCHED)?,
            by_key: read.open_table(BY_KEY)?,
            checkpoints: read.open_table(CHECKPOINTS)?,
            keys: read.open_table(KEYS)?,
            channels: read.open_table(CHANNELS)?,
            segments: read.open_table(SEGMENTS)?,
            meta: read.open_table(META)?,
        })
    }

    /// Begins a change of the state.
    pub(crate) fn begin(&self) -> Result<WriteTransaction, StateError> {
        begin(self.lock().as_ref().ok_or_else(|| self.gone())?)
    }

    /// Has redb verify the checksums of the whole file.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        let mut db = self.lock();
        if db.as_mut().ok_or_else(|| self.gone())?.check_integrity()? {
            return Ok(());
        }
        Err(StateError::damaged("the view store needed a repair"))
    }

    /// Closes the file in order.
    pub(crate) fn close(&self) {
        let mut db = self.lock();
        self.closed.store(true, Ordering::Release);
        drop(db.take());
    }

    /// Why there is no database: it was closed, or could not be opened anew after a failure.
    fn gone(&self) -> StateError {
        StateError(Arc::new(match self.closed.load(Ordering::Acquire) {
            true => redb::Error::DatabaseClosed,
            false => redb::Error::PreviousIo,
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Database>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(db: &Database) -> Result<WriteTransaction, StateError> {
    let mut write = db.begin_write()?;
    // Opening after a crash must not walk a large file.
    write.set_quick_repair(true);
    Ok(write)
}

impl Snapshot {
    pub(crate) fn row(&self, channel: ChannelId, address: &Address, key: &str) -> Result<Option<ViewRow>, StateError> {
        let found = self.rows.get(row_key(channel, address.as_str(), key).as_slice())?;
        found.map(|value| view_row(address.clone(), key.into(), value.value())).transpose()
    }

    /// Rows of a channel whose keys are not below `from`, in order.
    pub(crate) fn rows_from<'s>(
        &'s self,
        from: &[u8],
        channel: ChannelId,
    ) -> Result<impl Iterator<Item = Result<ViewRow, StateError>> + use<'s>, StateError> {
        let end = channel_end(channel);
        let range = self.rows.range::<&[u8]>(from..end.as_slice())?;
        Ok(range.map(|row| {
            let (key, value) = row?;
            let (address, key) = split_row_key(key.value()).ok_or_else(|| StateError::damaged("a row's key"))?;
            view_row(address, key, value.value())
        }))
    }

    pub(crate) fn touched(&self, channel: ChannelId, address: &str) -> Result<Option<Offset>, StateError> {
        Ok(self.touched.get(touched_key(channel, address).as_slice())?.map(|offset| offset.value()))
    }

    /// Where a key has rows, in order.
    pub(crate) fn addresses_of(&self, channel: ChannelId, key: &str) -> Result<Vec<Address>, StateError> {
        addresses_of(&self.by_key, channel, key)
    }

    /// Whether the index of keys has anything of a channel.
    pub(crate) fn has_index(&self, channel: ChannelId) -> Result<bool, StateError> {
        let (from, to) = (channel_start(channel), channel_end(channel));
        Ok(self.by_key.range::<&[u8]>(from.as_slice()..to.as_slice())?.next().transpose()?.is_some())
    }

    pub(crate) fn checkpoint(&self, name: &str) -> Result<Option<Bytes>, StateError> {
        Ok(self.checkpoints.get(name)?.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// Checkpoints whose names begin so, in order.
    pub(crate) fn checkpoints_from(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StateError> {
        let mut found = Vec::new();
        for checkpoint in self.checkpoints.range(prefix..)? {
            let (name, value) = checkpoint?;
            if !name.value().starts_with(prefix) {
                break;
            }
            found.push((name.value().to_owned(), Bytes::copy_from_slice(value.value())));
        }
        Ok(found)
    }

    pub(crate) fn remembered(&self, key: &[u8]) -> Result<Option<Remembered>, StateError> {
        let found = self.keys.get(key)?;
        found
            .map(|v| Remembered::decode(v.value()).ok_or_else(|| StateError::damaged("an idempotency key")))
            .transpose()
    }

    pub(crate) fn channels(&self) -> Result<Vec<(ChannelId, ChannelRow)>, StateError> {
        let mut found = Vec::new();
        for row in self.channels.iter()? {
            let (id, value) = row?;
            let row = ChannelRow::decode(value.value()).ok_or_else(|| StateError::damaged("a channel"))?;
            found.push((ChannelId::from_bits(id.value()), row));
        }
        Ok(found)
    }

    /// In order of channel and offset.
    pub(crate) fn segments(&self) -> Result<Vec<(ChannelId, SegmentMeta)>, StateError> {
        let mut found = Vec::new();
        for row in self.segments.iter()? {
            let (key, value) = row?;
            let meta = SegmentMeta::decode(value.value()).ok_or_else(|| StateError::damaged("a segment"))?;
            found.push((ChannelId::from_bits(key.value().0), meta));
        }
        found.sort_by_key(|(channel, meta)| (*channel, meta.first));
        Ok(found)
    }

    pub(crate) fn has_segment(&self, channel: ChannelId, meta: &SegmentMeta) -> Result<bool, StateError> {
        Ok(self.segments.get(meta.key(channel))?.is_some())
    }

    pub(crate) fn number(&self, name: &str) -> Result<u64, StateError> {
        Ok(self.meta.get(name)?.map_or(0, |value| value.value()))
    }

    /// Rows, addresses, keys and checkpoints, each read once. The index of keys has each row of its channels, and no others.
    pub(crate) fn count(&self) -> Result<[u64; 4], StateError> {
        let mut counts = [0; 4];
        let indexed: HashSet<[u8; 8]> =
            self.channels()?.iter().filter(|(_, row)| row.by_key).map(|(id, _)| channel_start(*id)).collect();
        let mut unindexed = self.by_key.len()?;
        for row in self.rows.iter()? {
            let (key, value) = row?;
            split_row_key(key.value()).ok_or_else(|| StateError::damaged("a row's key"))?;
            StoredRow::decode(value.value()).ok_or_else(|| StateError::damaged("a row"))?;
            counts[0] += 1;
            if key.value().first_chunk().is_some_and(|channel| indexed.contains(channel)) {
                let entry = by_key_of_row(key.value()).unwrap_or_default();
                self.by_key
                    .get(entry.as_slice())?
                    .ok_or_else(|| StateError::damaged("the index of keys lacks a row"))?;
                unindexed = unindexed.saturating_sub(1);
            }
        }
        if unindexed > 0 {
            return Err(StateError::damaged("the index of keys has a row that is not there"));
        }
        for touched in self.touched.iter()? {
            touched?;
            counts[1] += 1;
        }
        for key in self.keys.iter()? {
            let (_, value) = key?;
            Remembered::decode(value.value()).ok_or_else(|| StateError::damaged("an idempotency key"))?;
            counts[2] += 1;
        }
        for checkpoint in self.checkpoints.iter()? {
            checkpoint?;
            counts[3] += 1;
        }
        Ok(counts)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

fn view_row(address: Address, key: Key, value: &[u8]) -> Result<ViewRow, StateError> {
    let row = StoredRow::decode(value).ok_or_else(|| StateError::damaged("a row"))?;
    Ok(ViewRow { address, key, time: row.time, data: Bytes::copy_from_slice(row.data), offset: row.offset })
}
