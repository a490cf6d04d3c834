//! A channel that keeps nothing on disk: a small ring of its newest records, and its rows if it is keyed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tidegate_core::{Address, Key, Offset, Op, Record, Scope};

use crate::hot::{Filler, concerns, weight};
use crate::page::{ReadLimit, RowPage, ViewRow};

/// Payload and names that a ring holds.
const RING_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Ring {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    head: Offset,
    /// Records after this offset are held.
    start: Offset,
    rows: BTreeMap<(Address, Key), ViewRow>,
    /// The names of the rows, key first; on channels that ask for it.
    by_key: Option<BTreeSet<(Key, Address)>>,
    touched: HashMap<Address, Offset>,
    cleared: Offset,
    /// The last record that concerns every address.
    wide: Offset,
}

impl Ring {
    /// `by_key` as the channel's specs have it.
    pub(crate) fn new(by_key: bool) -> Ring {
        Ring { inner: Mutex::new(Inner { by_key: by_key.then(BTreeSet::new), ..Inner::default() }) }
    }

    /// Adds records; returns head and start after them.
    pub(crate) fn push(&self, records: &[Arc<Record>], keyed: bool) -> (Offset, Offset) {
        let mut inner = self.lock();
        for record in records {
            inner.push(record, keyed);
        }
        (inner.head, inner.start)
    }

    /// Records of the scope, with the ring's start if `after` is before it.
    pub(crate) fn read(
        &self,
        after: Offset,
        until: Offset,
        scope: &Scope,
        limit: ReadLimit,
    ) -> Result<(Filler, Offset), Offset> {
        let inner = self.lock();
        if after < inner.start {
            return Err(inner.start);
        }
        let until = until.min(inner.head);
        let mut filler = Filler::new(limit);
        let from = inner.records.partition_point(|record| record.offset <= after);
        for record in inner.records.range(from..).take_while(|record| record.offset <= until) {
            if filler.is_full() {
                break;
            }
            if concerns(record, scope) {
                filler.push(record.clone());
            }
        }
        Ok((filler, until))
    }

    pub(crate) fn newest(&self, scope: &Scope, limit: usize) -> Vec<Arc<Record>> {
        let inner = self.lock();
        inner.records.iter().rev().filter(|record| concerns(record, scope)).take(limit).cloned().collect()
    }

    pub(crate) fn position_at(&self, time: tidegate_core::Millis) -> Offset {
        let inner = self.lock();
        let count = inner.records.partition_point(|record| record.appended < time);
        inner.start + count as u64
    }

    pub(crate) fn oldest_time(&self) -> Option<tidegate_core::Millis> {
        self.lock().records.front().map(|record| record.appended)
    }

    pub(crate) fn row(&self, address: &Address, key: &str) -> (Option<ViewRow>, Offset) {
        let inner = self.lock();
        (inner.rows.get(&(address.clone(), key.into())).cloned(), inner.head)
    }

    pub(crate) fn value(&self, row: &(Address, Key)) -> Option<Bytes> {
        self.lock().rows.get(row).map(|row| row.data.clone())
    }

    pub(crate) fn rows(&self, scope: &Scope, after: Option<&(Address, Key)>, limit: ReadLimit) -> RowPage {
        use std::ops::Bound;
        let inner = self.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut page = RowPage { rows: Vec::new(), next: None, at: inner.head };
        let mut bytes = 0;
        for (name, row) in inner.rows.range::<(Address, Key), _>((from, Bound::Unbounded)) {
            if !scope.matches(name.0.as_str(), Some(&name.1)) {
                continue;
            }
            if !page.rows.is_empty() && (page.rows.len() >= limit.records || bytes >= limit.bytes) {
                page.next = page.rows.last().map(|row: &ViewRow| (row.address.clone(), row.key.clone()));
                break;
            }
            bytes += row.data.len() + row.key.len() + 64;
            page.rows.push(row.clone());
        }
        page
    }

    /// The head, if nothing that concerns the scope came after `after`; `None` too if that would take a look
    /// at more than `looked_at_max` records, or at some that are gone.
    pub(crate) fn unchanged(&self, after: Offset, scope: &Scope, looked_at_max: u64) -> Option<Offset> {
        let inner = self.lock();
        if after >= inner.head {
            return Some(after);
        }
        if inner.wide > after {
            return None;
        }
        if let (Some(address), true) = (scope.single_address(), scope.key.is_none())
            && let Some(touched) = inner.touched.get(address)
        {
            return (*touched <= after).then_some(inner.head);
        }
        if after < inner.start || inner.head - after > looked_at_max {
            return None;
        }
        let from = inner.records.partition_point(|record| record.offset <= after);
        let mut later = inner.records.range(from..);
        (!later.any(|record| concerns(record, scope))).then_some(inner.head)
    }

    pub(crate) fn addresses_of(&self, key: &str) -> Vec<Address> {
        let inner = self.lock();
        let Some(by_key) = &inner.by_key else { return Vec::new() };
        let first = (Key::from(key), Address::from_canonical(""));
        by_key.range(first..).take_while(|(own, _)| &**own == key).map(|(_, address)| address.clone()).collect()
    }

    pub(crate) fn touched(&self, address: &Address) -> Option<Offset> {
        let inner = self.lock();
        inner.touched.get(address).map(|offset| (*offset).max(inner.cleared))
    }

    /// Last offset at an address, last one of what concerns every address, and the start; a look over the whole ring at the
    /// most, which is small.
    pub(crate) fn last_at(&self, address: &Address) -> (Option<Offset>, Option<Offset>, Offset) {
        let inner = self.lock();
        let last = |wanted: &dyn Fn(&Record) -> bool| {
            inner.records.iter().rev().find(|record| wanted(record)).map(|record| record.offset)
        };
        let own = last(&|record| !record.op.is_channel_wide() && record.address == *address);
        (own, last(&|record| record.op.is_channel_wide()), inner.start)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, record: &Arc<Record>, keyed: bool) {
        self.head = record.offset;
        self.bytes += weight(record);
        self.records.push_back(record.clone());
        while self.bytes > RING_BYTES && self.records.len() > 1 {
            if let Some(oldest) = self.records.pop_front() {
                self.bytes -= weight(&oldest);
                self.start = oldest.offset;
            }
        }
        if record.op.is_channel_wide() {
            self.wide = record.offset;
        }
        if !keyed {
            return;
        }
        if record.op == Op::Clear {
            self.rows.clear();
            self.by_key.iter_mut().for_each(BTreeSet::clear);
            self.cleared = record.offset;
        }
        if record.op.is_channel_wide() {
            return;
        }
        self.touched.insert(record.address.clone(), record.offset);
        let Some(key) = record.key.clone() else { return };
        let name = (record.address.clone(), key.clone());
        if let Some(by_key) = &mut self.by_key {
            let entry = (key.clone(), record.address.clone());
            let _ = if record.op == Op::Delete { by_key.remove(&entry) } else { by_key.insert(entry) };
        }
        if record.op == Op::Delete {
            self.rows.remove(&name);
        } else {
            let (address, time, data) = (record.address.clone(), record.time, record.data.clone());
            self.rows.insert(name, ViewRow { address, key, time, data, offset: record.offset });
        }
    }
}
