//! Transactions of upstream on their way into the log: small ones several to a group, large ones in parts.
//!
//! ```text
//!   begin ─► changes … ─► commit ─► waits with others ─► flush: one group of the log, one sync
//!               │ grows beyond PART_BYTES
//!               ▼
//!        flush what waits ─► large batch: part … part ─► commit
//! ```
//!
//! What is gathered and not yet in the log is visible to later changes, which may need the row before them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Key, Op};
use tidegate_log::{AppendError, Batch, Entry, LargeBatch, LargeCommit, Log, ReadError};

use super::destination::{Destination, Row};
use super::failure::Failure;
use crate::running::Stop;

/// A transaction beyond this becomes a large batch.
const PART_BYTES: usize = 4 << 20;
/// Gathered transactions go into the log when they have so many bytes …
const GROUP_BYTES: usize = 512 << 10;
/// … or there are so many of them.
const GROUP_BATCHES: usize = 512;
/// A log that takes nothing now is asked again after this.
const RETRY: Duration = Duration::from_millis(500);
/// What an entry weighs beside its data.
const ENTRY_BYTES: usize = 128;

/// Where to go on after a batch: checkpoints by name.
pub(super) type Checkpoints = Vec<(String, Bytes)>;

/// See the module.
pub(super) struct Gather {
    log: Log,
    stop: Stop,
    /// Committed upstream, not in the log yet.
    waiting: Vec<Batch>,
    waiting_bytes: usize,
    open: Option<Open>,
    /// What `waiting` and `open` make of rows: by channel and key, for each address.
    rows: HashMap<(ChannelId, Key), Places>,
    /// Channels that they clear before those rows.
    cleared: HashSet<ChannelId>,
}

/// What was made of the rows of one key: `None` where there is none any more.
type Places = Vec<(Address, Option<Bytes>)>;

/// A transaction that has begun.
struct Open {
    tx: Option<Box<str>>,
    entries: Vec<Entry>,
    bytes: usize,
    large: Option<LargeBatch>,
    /// Entries in parts.
    parted: u64,
}

/// What a flush brought into the log.
#[derive(Clone, Copy, Default)]
pub(super) struct Flushed {
    pub(super) batches: u64,
    pub(super) events: u64,
}

impl Gather {
    pub(super) fn new(log: Log, stop: Stop) -> Gather {
        Gather {
            log,
            stop,
            waiting: Vec::new(),
            waiting_bytes: 0,
            open: None,
            rows: HashMap::new(),
            cleared: HashSet::new(),
        }
    }

    /// A transaction begins; one without a name is of ours, not of upstream.
    pub(super) fn begin(&mut self, tx: Option<String>) {
        let tx = tx.map(Into::into);
        self.open = Some(Open { tx, entries: Vec::new(), bytes: 0, large: None, parted: 0 });
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Adds a change to the open transaction.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Failure> {
        self.note(&entry);
        let Some(open) = &mut self.open else { return Err(Failure::upstream("a change outside of a transaction")) };
        open.bytes += entry.data.len() + ENTRY_BYTES;
        open.entries.push(entry);
        if open.bytes >= PART_BYTES { self.part() } else { Ok(()) }
    }

    /// The open transaction is committed; it may wait for a flush.
    pub(super) fn commit(&mut self, checkpoints: Checkpoints) -> Result<Flushed, Failure> {
        let Some(open) = self.open.take() else { return Ok(Flushed::default()) };
        let Open { tx, entries, bytes, large, parted } = open;
        let Some(mut large) = large else {
            self.waiting.push(Batch { entries, checkpoints, idempotency: None, expect: None, tx });
            self.waiting_bytes += bytes;
            return Ok(Flushed::default());
        };
        let events = parted + entries.len() as u64;
        if !entries.is_empty() {
            part_of(&mut large, entries)?;
        }
        let commit = LargeCommit { checkpoints, idempotency: None };
        self.retrying(|| large.commit(commit.clone()))?;
        self.forget();
        Ok(Flushed { batches: 1, events })
    }

    /// Adds a batch of its own, outside of any transaction.
    pub(super) fn add(&mut self, entries: Vec<Entry>, checkpoints: Checkpoints) {
        self.waiting_bytes += entries.iter().map(|entry| entry.data.len() + ENTRY_BYTES).sum::<usize>();
        entries.iter().for_each(|entry| self.note(entry));
        self.waiting.push(Batch { entries, checkpoints, idempotency: None, expect: None, tx: None });
    }

    /// Whether so much waits that it should go into the log now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes >= GROUP_BYTES || self.waiting.len() >= GROUP_BATCHES
    }

    /// Brings into the log what waits; returns when it is durable.
    pub(super) fn flush(&mut self) -> Result<Flushed, Failure> {
        if self.waiting.is_empty() {
            return Ok(Flushed::default());
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let flushed = Flushed {
            batches: waiting.len() as u64,
            events: waiting.iter().map(|batch| batch.entries.len() as u64).sum(),
        };
        let log = self.log.clone();
        self.retrying(|| log.append_all(waiting.clone()))?;
        if self.open.is_none() {
            self.forget();
        }
        Ok(flushed)
    }

    /// The rows of a key, as all changes so far leave them.
    pub(super) fn find(&self, destination: &Destination, key: &Key) -> Result<Vec<Row>, ReadError> {
        let id = destination.id();
        let mut rows = if self.cleared.contains(&id) { Vec::new() } else { self.before(destination, key)? };
        for (address, data) in self.rows.get(&(id, key.clone())).into_iter().flatten() {
            rows.retain(|(own, _)| own != address);
            rows.extend(data.clone().map(|data| (address.clone(), data)));
        }
        Ok(rows)
    }

    /// The row of a key at one address.
    pub(super) fn find_at(
        &self,
        destination: &Destination,
        address: &Address,
        key: &Key,
    ) -> Result<Option<Row>, ReadError> {
        let id = destination.id();
        let made = self.rows.get(&(id, key.clone())).into_iter().flatten().find(|(own, _)| own == address);
        let data = match made {
            Some((_, data)) => data.clone(),
            None if self.cleared.contains(&id) => None,
            None => match self.large() {
                Some(large) => large.row(id, address, key)?,
                None => destination.channel.row(address, key)?.0.map(|row| row.data),
            },
        };
        Ok(data.map(|data| (address.clone(), data)))
    }

    /// The rows of a key without what is noted here.
    fn before(&self, destination: &Destination, key: &Key) -> Result<Vec<Row>, ReadError> {
        let Some(large) = self.large() else { return destination.find(key) };
        let id = destination.id();
        let addresses = match destination.fixed() {
            Some(address) => vec![address.clone()],
            None => large.addresses_of(id, key)?,
        };
        let row = |address: Address| {
            let data = large.row(id, &address, key)?;
            Ok(data.map(|data| (address, data)))
        };
        addresses.into_iter().filter_map(|address| row(address).transpose()).collect()
    }

    fn large(&self) -> Option<&LargeBatch> {
        self.open.as_ref()?.large.as_ref()
    }

    /// Moves what is open into a large batch.
    fn part(&mut self) -> Result<(), Failure> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let mut large = match open.large.take() {
            Some(large) => large,
            None => {
                self.flush()?;
                let log = self.log.clone();
                self.retrying(|| log.begin(open.tx.clone()))?
            }
        };
        let entries = std::mem::take(&mut open.entries);
        open.parted += entries.len() as u64;
        part_of(&mut large, entries)?;
        open.bytes = 0;
        open.large = Some(large);
        self.open = Some(open);
        // The large batch knows these rows now.
        self.forget();
        Ok(())
    }

    /// Everything gathered is where a read finds it.
    fn forget(&mut self) {
        self.rows.clear();
        self.cleared.clear();
    }

    fn note(&mut self, entry: &Entry) {
        let data = match (entry.op, &entry.key) {
            (Op::Clear, _) => {
                self.rows.retain(|(channel, _), _| *channel != entry.channel);
                self.cleared.insert(entry.channel);
                return;
            }
            (Op::Upsert, Some(_)) => Some(entry.data.clone()),
            (Op::Delete, Some(_)) => None,
            _ => return,
        };
        let Some(key) = entry.key.clone() else { return };
        let rows = self.rows.entry((entry.channel, key)).or_default();
        match rows.iter_mut().find(|(address, _)| *address == entry.address) {
            Some((_, noted)) => *noted = data,
            None => rows.push((entry.address.clone(), data)),
        }
    }

    /// Appends until the log takes it.
    fn retrying<T>(&self, mut append: impl FnMut() -> Result<T, AppendError>) -> Result<T, Failure> {
        let mut told = false;
        loop {
            match append() {
                Ok(done) => return Ok(done),
                Err(AppendError::Poisoned | AppendError::Closed) => return Err(Failure::Over),
                Err(error @ (AppendError::Full | AppendError::State | AppendError::Busy)) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "the log takes nothing now; the source waits");
                    }
                    if !self.stop.wait_until(Instant::now() + RETRY) {
                        return Err(Failure::Stopped);
                    }
                }
                Err(error) => return Err(Failure::upstream(format!("the log refuses a transaction: {error}"))),
            }
        }
    }
}

/// A part that fails ends its batch; upstream gives the whole transaction again.
fn part_of(large: &mut LargeBatch, entries: Vec<Entry>) -> Result<(), Failure> {
    large.part(entries).map_err(|error| match error {
        AppendError::Poisoned | AppendError::Closed => Failure::Over,
        error => Failure::upstream(format!("the log does not take a large transaction now: {error}")),
    })
}
