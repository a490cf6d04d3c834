//! Records in memory: those of the journal that are not yet in segments.
//!
//! A part is filled by the journal's thread, frozen by a drain, and dropped when its segments and the view store hold
//! it. Its overlay of rows keeps every version, so that a reader can ask for the state at the head it began with while newer
//! records arrive. Locks are held for a bounded number of records, never across the disk.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tidegate_core::{Address, Key, Millis, Offset, Op, Record, Scope};

use crate::page::ReadLimit;

/// No predecessor in a chain.
const NONE: u32 = u32::MAX;
/// Records looked at, or rows collected, under one lock.
const SLICE: usize = 1024;

/// A run of consecutive records of one channel.
#[derive(Debug)]
pub(crate) struct Part {
    /// Records of this part come after this offset.
    pub(crate) after: Offset,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The record at offset `after + 1 + index`.
    records: Vec<Arc<Record>>,
    bytes: u64,
    /// Newest record of an address; `address_before` chains to older ones.
    addresses: HashMap<Address, u32>,
    address_before: Vec<u32>,
    /// Newest record of a key; `row_before` chains to older ones.
    rows: BTreeMap<(Address, Key), u32>,
    row_before: Vec<u32>,
    /// Where a key has a version, on channels that ask for it.
    by_key: Option<HashMap<Key, Vec<Address>>>,
    clears: Vec<u32>,
    /// Records that concern every address; clears are among them.
    wide: Vec<u32>,
}

/// What a part says of a row at some offset.
#[derive(Debug, Clone)]
pub(crate) enum RowState {
    /// Nothing; ask what is older.
    Unknown,
    /// Deleted or cleared.
    Gone,
    /// An upsert.
    Value(Arc<Record>),
}

/// Sum of what a reader pays for a record.
pub(crate) fn weight(record: &Record) -> usize {
    let names = record.address.as_str().len() + record.key.as_ref().map_or(0, |key| key.len());
    record.data.len() + record.before.as_ref().map_or(0, |before| before.len()) + names + 64
}

/// Whether a record concerns a scope; what concerns the whole channel concerns all.
pub(crate) fn concerns(record: &Record, scope: &Scope) -> bool {
    record.op.is_channel_wide() || scope.matches(record.address.as_str(), record.key.as_deref())
}

/// Fills a page up to its limits.
#[derive(Debug)]
pub(crate) struct Filler {
    pub(crate) records: Vec<Arc<Record>>,
    bytes: usize,
    limit: ReadLimit,
}

impl Filler {
    pub(crate) fn new(limit: ReadLimit) -> Filler {
        Filler { records: Vec::new(), bytes: 0, limit }
    }

    pub(crate) fn is_full(&self) -> bool {
        !self.records.is_empty() && (self.records.len() >= self.limit.records || self.bytes >= self.limit.bytes)
    }

    /// How many more records fit, at least one.
    pub(crate) fn room(&self) -> usize {
        self.limit.records.saturating_sub(self.records.len()).max(1)
    }

    pub(crate) fn bytes_left(&self) -> usize {
        self.limit.bytes.saturating_sub(self.bytes)
    }

    pub(crate) fn push(&mut self, record: Arc<Record>) {
        self.bytes += weight(&record);
        self.records.push(record);
    }

    /// Offset of the last record taken.
    pub(crate) fn last(&self) -> Option<Offset> {
        self.records.last().map(|record| record.offset)
    }
}

impl Part {
    /// `by_key` as the channel's specs have it.
    pub(crate) fn new(after: Offset, by_key: bool) -> Part {
        let inner = Inner { by_key: by_key.then(HashMap::new), ..Inner::default() };
        Part { after, inner: RwLock::new(inner) }
    }

    /// Adds records that follow the last; they stay unseen until the channel's head moves.
    pub(crate) fn push(&self, records: &[Arc<Record>], keyed: bool) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            inner.push(record, self.after, keyed);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.read().records.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.read().bytes
    }

    pub(crate) fn last(&self) -> Offset {
        self.after + self.len() as u64
    }

    pub(crate) fn oldest(&self) -> Option<Millis> {
        self.read().records.first().map(|record| record.appended)
    }

    /// Time of append of the record after `after`, which this part holds.
    pub(crate) fn appended_after(&self, after: Offset) -> Option<Millis> {
        let index = after.saturating_sub(self.after) as usize;
        self.read().records.get(index).map(|record| record.appended)
    }

    pub(crate) fn newest_time(&self) -> Option<Millis> {
        self.read().records.last().map(|record| record.appended)
    }

    /// Some records by index, for a drain.
    pub(crate) fn slice(&self, from: usize, count: usize) -> Vec<Arc<Record>> {
        let inner = self.read();
        let to = (from + count).min(inner.records.len());
        inner.records.get(from..to).unwrap_or_default().to_vec()
    }

    /// Takes records of `scope` in `(after, until]` until the filler is full.
    pub(crate) fn fill(&self, after: Offset, until: Offset, scope: &Scope, filler: &mut Filler) {
        if after >= until {
            return;
        }
        match scope.single_address() {
            Some(address) => self.fill_address(address, after, until, scope, filler),
            None => self.fill_scan(after, until, scope, filler),
        }
    }

    fn fill_scan(&self, after: Offset, until: Offset, scope: &Scope, filler: &mut Filler) {
        let mut from = self.index(after + 1);
        let to = self.index(until + 1);
        while from < to && !filler.is_full() {
            let inner = self.read();
            let end = to.min(from + SLICE).min(inner.records.len());
            if from >= end {
                return;
            }
            for record in &inner.records[from..end] {
                if concerns(record, scope) {
                    filler.push(record.clone());
                    if filler.is_full() {
                        return;
                    }
                }
            }
            from = end;
        }
    }

    fn fill_address(&self, address: &Address, after: Offset, until: Offset, scope: &Scope, filler: &mut Filler) {
        let (from, to) = (self.index(after + 1) as u32, self.index(until + 1) as u32);
        let inner = self.read();
        let mut found = inner.chain(inner.addresses.get(address), &inner.address_before, from, to);
        found.extend(inner.wide.iter().copied().filter(|index| (from..to).contains(index)));
        found.sort_unstable();
        for index in found {
            let record = &inner.records[index as usize];
            if concerns(record, scope) {
                filler.push(record.clone());
                if filler.is_full() {
                    return;
                }
            }
        }
    }

    /// Whether a record in `(after, until]` concerns `scope`. Looks at all of them, under one lock.
    pub(crate) fn concerns(&self, after: Offset, until: Offset, scope: &Scope) -> bool {
        let (from, to) = (self.index(after + 1), self.index(until + 1));
        let inner = self.read();
        let to = to.min(inner.records.len());
        if from >= to {
            return false;
        }
        let wide = inner.wide.iter().rev().take_while(|index| **index as usize >= from);
        if wide.into_iter().any(|index| (*index as usize) < to) {
            return true;
        }
        let Some(address) = scope.single_address() else {
            return inner.records[from..to].iter().any(|record| concerns(record, scope));
        };
        let own = inner.chain(inner.addresses.get(address), &inner.address_before, from as u32, to as u32);
        own.into_iter().any(|index| concerns(&inner.records[index as usize], scope))
    }

    /// The newest records of `scope` up to `until`, newest first.
    pub(crate) fn newest(&self, until: Offset, scope: &Scope, max: usize) -> Vec<Arc<Record>> {
        let inner = self.read();
        let to = (self.index(until + 1)).min(inner.records.len());
        if let Some(address) = scope.single_address() {
            let mut found = inner.chain(inner.addresses.get(address), &inner.address_before, 0, to as u32);
            found.extend(inner.wide.iter().copied().filter(|index| (*index as usize) < to));
            found.sort_unstable();
            let records = found.into_iter().rev().map(|index| &inner.records[index as usize]);
            return records.filter(|record| concerns(record, scope)).take(max).cloned().collect();
        }
        inner.records[..to].iter().rev().filter(|record| concerns(record, scope)).take(max).cloned().collect()
    }

    /// Offset of the last record appended before `time`.
    pub(crate) fn last_before(&self, time: Millis) -> Option<Offset> {
        let inner = self.read();
        let count = inner.records.partition_point(|record| record.appended < time);
        count.checked_sub(1).map(|index| inner.records[index].offset)
    }

    /// What is known of a row at offset `at`.
    pub(crate) fn row(&self, row: &(Address, Key), at: Offset) -> RowState {
        let inner = self.read();
        inner.row(inner.rows.get(row).copied(), self.index(at + 1) as u32)
    }

    /// Whether all rows that are older than this part were cleared by `at`.
    pub(crate) fn cleared(&self, at: Offset) -> bool {
        let inner = self.read();
        inner.clears.first().is_some_and(|first| (*first as usize) < self.index(at + 1))
    }

    /// Names with a version in this part, in order: some of them, and whether there are more.
    pub(crate) fn names(&self, from: Bound<&(Address, Key)>) -> (Vec<(Address, Key)>, bool) {
        let inner = self.read();
        let mut found = Vec::new();
        for (row, _) in inner.rows.range::<(Address, Key), _>((from, Bound::Unbounded)) {
            if found.len() == SLICE {
                return (found, true);
            }
            found.push(row.clone());
        }
        (found, false)
    }

    /// Addresses where a key has a version in this part.
    pub(crate) fn addresses_of(&self, key: &str) -> Vec<Address> {
        let inner = self.read();
        inner.by_key.as_ref().and_then(|by_key| by_key.get(key)).cloned().unwrap_or_default()
    }

    /// Names with a version in this part, for a drain of a frozen part.
    pub(crate) fn all_names(&self) -> Vec<(Address, Key)> {
        self.read().rows.keys().cloned().collect()
    }

    /// Offset of the last record at an address up to `at`, and of the last clear.
    pub(crate) fn touched(&self, address: &Address, at: Offset) -> (Option<Offset>, Option<Offset>) {
        let inner = self.read();
        let to = self.index(at + 1) as u32;
        (inner.last_at(address, to), inner.last_of(&inner.clears, to))
    }

    /// The same with the last of what concerns every address.
    pub(crate) fn last_at(&self, address: &Address, at: Offset) -> (Option<Offset>, Option<Offset>) {
        let inner = self.read();
        let to = self.index(at + 1) as u32;
        (inner.last_at(address, to), inner.last_of(&inner.wide, to))
    }

    /// Addresses with their last offset, and the last clear, for a drain of a frozen part.
    pub(crate) fn all_touched(&self) -> (Vec<(Address, Offset)>, Option<Offset>) {
        let inner = self.read();
        let offset = |index: u32| inner.records[index as usize].offset;
        let touched = inner.addresses.iter().map(|(address, index)| (address.clone(), offset(*index))).collect();
        (touched, inner.clears.last().map(|index| offset(*index)))
    }

    /// Index that the record at `offset` has or would have.
    fn index(&self, offset: Offset) -> usize {
        offset.saturating_sub(self.after + 1).min(u64::from(NONE)) as usize
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, record: &Arc<Record>, after: Offset, keyed: bool) {
        debug_assert_eq!(record.offset, after + 1 + self.records.len() as u64);
        let index = self.records.len() as u32;
        self.bytes += weight(record) as u64;
        self.records.push(record.clone());
        let mut address_before = NONE;
        let mut row_before = NONE;
        if record.op == Op::Clear {
            self.clears.push(index);
        }
        if record.op.is_channel_wide() {
            self.wide.push(index);
        } else {
            address_before = self.addresses.insert(record.address.clone(), index).unwrap_or(NONE);
            if let Some(key) = record.key.as_ref().filter(|_| keyed) {
                row_before = self.rows.insert((record.address.clone(), key.clone()), index).unwrap_or(NONE);
                if let Some(by_key) = self.by_key.as_mut().filter(|_| row_before == NONE) {
                    by_key.entry(key.clone()).or_default().push(record.address.clone());
                }
            }
        }
        self.address_before.push(address_before);
        if keyed {
            self.row_before.push(row_before);
        }
    }

    fn last_at(&self, address: &Address, to: u32) -> Option<Offset> {
        let mut index = self.addresses.get(address).copied().unwrap_or(NONE);
        while index != NONE && index >= to {
            index = self.address_before[index as usize];
        }
        (index != NONE).then(|| self.records[index as usize].offset)
    }

    fn last_of(&self, indexes: &[u32], to: u32) -> Option<Offset> {
        let index = indexes.iter().rev().find(|index| **index < to)?;
        Some(self.records[*index as usize].offset)
    }

    /// Indexes in `from..to` of a chain, newest first.
    fn chain(&self, newest: Option<&u32>, before: &[u32], from: u32, to: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut index = newest.copied().unwrap_or(NONE);
        while index != NONE && index >= from {
            if index < to {
                found.push(index);
            }
            index = before[index as usize];
        }
        found
    }

    fn row(&self, newest: Option<u32>, to: u32) -> RowState {
        let mut index = newest.unwrap_or(NONE);
        while index != NONE && index >= to {
            index = self.row_before[index as usize];
        }
        let cleared = self.clears.iter().rev().find(|clear| **clear < to);
        match cleared {
            Some(clear) if index == NONE || index < *clear => RowState::Gone,
            _ if index == NONE => RowState::Unknown,
            _ => match &self.records[index as usize] {
                record if record.op == Op::Upsert => RowState::Value(record.clone()),
                _ => RowState::Gone,
            },
        }
    }
}
