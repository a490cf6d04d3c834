//! Rows as of a past position: those of now, with what has changed since put back.
//!
//! Each record of a keyed channel holds the value that its key had before. So what the first record of a row after the
//! position says was before is what the row was; a row without one has not changed. History has to reach the position,
//! and nothing older is read.
//!
//! ```text
//!   Changed: (position, now], the first of each row ─► pages of rows, each with what was appended until it was read
//!      │ a clear is among them: it holds no values
//!      ▼
//!   Rebuilt: from the last moment held at which there were no rows, up to the position ─► pages of it
//! ```
//!
//! Each page of the store is a transaction of its own, and what was appended until then is taken in before anything of
//! it is shown: so each page is exact as of the position, whatever is written meanwhile.
//!
//! It blocks on the disk; its callers run it where that is allowed, and each call reads little.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::frame::Row;
use tidegate_core::{Address, ErrorCode, Key, Millis, Offset, Op, Problem, Record, Scope};
use tidegate_log::{Page, ReadError, ReadLimit};

use crate::channel::Channel;
use crate::query::read_problem;

/// What may be held of the past for one watch or one answer, in bytes: rows that have changed since.
pub const PAST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// So many records are looked at for it, so that no request keeps the disk busy for long: about 1.5 s of one core.
const RECORDS_MAX: u64 = 2_000_000;
/// What is read of the log at once.
const PIECE: ReadLimit = ReadLimit { records: 4096, bytes: 1024 * 1024 };
/// What a row takes beside its names and its value, about.
const ENTRY_BYTES: usize = 128;

pub(crate) type Name = (Address, Key);

/// Rows of a scope as of a position, page by page.
pub(crate) struct Past {
    channel: Arc<Channel>,
    scope: Scope,
    at: Offset,
    /// Rows up to this one are told.
    told: Option<Name>,
    rows: Rows,
    /// What it holds, about.
    bytes: usize,
    looked_at: u64,
}

enum Rows {
    /// What was before the first change of each row in `(at, upto]`; `None`: no row. Ready once `upto` is `until`.
    Changed { before: BTreeMap<Name, Option<Bytes>>, upto: Offset, until: Offset },
    /// All rows, after the records up to `upto`; ready at the position. `empty`: there was a moment without any.
    Rebuilt { all: BTreeMap<Name, (Millis, Bytes)>, upto: Offset, empty: bool, cleared: Millis },
}

/// A page of it.
pub(crate) struct PastPage {
    /// In order of address and key.
    pub(crate) rows: Vec<Row>,
    /// Where the next page begins.
    pub(crate) next: Option<Name>,
}

impl Past {
    /// Rows after `told`, as of `at`.
    pub(crate) fn new(channel: &Arc<Channel>, scope: &Scope, at: Offset, told: Option<Name>) -> Past {
        let rows = Rows::Changed { before: BTreeMap::new(), upto: at, until: channel.log.head() };
        Past { channel: channel.clone(), scope: scope.clone(), at, told, rows, bytes: 0, looked_at: 0 }
    }

    /// The position.
    pub(crate) fn at(&self) -> Offset {
        self.at
    }

    /// What it holds, about, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads on until pages can be told; `true` when they can.
    ///
    /// # Errors
    /// `out-of-reach` where history does not tell it, or too much has changed; `internal` when the log cannot be read.
    pub(crate) fn prepare(&mut self) -> Result<bool, Problem> {
        match self.rows {
            Rows::Changed { upto, until, .. } if upto < until => self.take_in(upto, until)?,
            Rows::Rebuilt { upto, .. } if upto < self.at => self.rebuild(upto)?,
            Rows::Rebuilt { empty: false, cleared, .. } => return Err(self.cleared(cleared)),
            Rows::Changed { .. } | Rows::Rebuilt { .. } => return Ok(true),
        }
        Ok(false)
    }

    /// The next page, exact as of the position; it has been [prepared](Past::prepare).
    ///
    /// # Errors
    /// As there: what has been told is right all the same.
    pub(crate) fn page(&mut self, limit: ReadLimit) -> Result<PastPage, Problem> {
        let mut page = self.changed(limit)?;
        if page.is_none() {
            while !self.prepare()? {}
            page = self.rebuilt(limit);
        }
        if self.channel.log.start() > self.at {
            return Err(self.trimmed());
        }
        let page = page.unwrap_or(PastPage { rows: Vec::new(), next: None });
        self.tell(page.next.clone());
        Ok(page)
    }

    /// Rows of now with what has changed put back; `None` once there was a clear.
    fn changed(&mut self, limit: ReadLimit) -> Result<Option<PastPage>, Problem> {
        let Rows::Changed { .. } = self.rows else { return Ok(None) };
        let now = self.channel.log.rows(&self.scope, self.told.as_ref(), limit).map_err(read_problem)?;
        while let Rows::Changed { upto, .. } = self.rows
            && upto < now.at
        {
            self.take_in(upto, now.at)?;
        }
        let Rows::Changed { before, .. } = &self.rows else { return Ok(None) };
        let mut rows = Vec::new();
        for row in now.rows {
            let (time, data, name) = (row.time, row.data, (row.address, row.key));
            if !before.contains_key(&name) {
                rows.push(Row { address: name.0, key: name.1, time: Some(time), data });
            }
        }
        let upto = now.next.as_ref().map_or(Bound::Unbounded, Bound::Included);
        for ((address, key), data) in before.range::<Name, _>((Bound::Unbounded, upto)) {
            if let Some(data) = data {
                rows.push(Row { address: address.clone(), key: key.clone(), time: None, data: data.clone() });
            }
        }
        rows.sort_unstable_by(|a, b| (&a.address, &a.key).cmp(&(&b.address, &b.key)));
        Ok(Some(cut(rows, now.next, limit)))
    }

    fn rebuilt(&self, limit: ReadLimit) -> Option<PastPage> {
        let Rows::Rebuilt { all, .. } = &self.rows else { return None };
        let row = |((address, key), (time, data)): (&Name, &(Millis, Bytes))| Row {
            address: address.clone(),
            key: key.clone(),
            time: Some(*time),
            data: data.clone(),
        };
        let rows: Vec<Row> = all.iter().take(limit.records.saturating_add(1)).map(row).collect();
        Some(cut(rows, None, limit))
    }

    /// Takes in what the next records after `upto` say was before them.
    fn take_in(&mut self, upto: Offset, until: Offset) -> Result<(), Problem> {
        let page = self.read(upto, until)?;
        let one = self.scope.single_address().is_some() && self.scope.key.is_some();
        let Rows::Changed { before, upto, .. } = &mut self.rows else { return Ok(()) };
        *upto = page.upto;
        for record in &page.records {
            if record.op == Op::Clear {
                let cleared = record.appended;
                self.rebuild_from(self.channel.log.start(), cleared);
                return Ok(());
            }
            let Some(name) = name(record).filter(|name| self.told.as_ref().is_none_or(|told| name > told)) else {
                continue;
            };
            if let Entry::Vacant(vacant) = before.entry(name) {
                self.bytes += weight(vacant.key(), record.before.as_ref());
                vacant.insert(record.before.clone());
                if one {
                    // There is no other row, and what came later is of no interest.
                    *upto = Offset::MAX;
                    return Ok(());
                }
            }
        }
        self.bounded()
    }

    /// What is held of the records from there tells the rows from the first clear on, or from the beginning of all.
    fn rebuild_from(&mut self, start: Offset, cleared: Millis) {
        self.rows = Rows::Rebuilt { all: BTreeMap::new(), upto: start, empty: start == 0, cleared };
        self.bytes = 0;
    }

    /// Takes the next records after `upto` up to the position.
    fn rebuild(&mut self, upto: Offset) -> Result<(), Problem> {
        let page = match (self.read(upto, self.at), &self.rows) {
            (Ok(page), _) => page,
            (Err(problem), Rows::Rebuilt { cleared, .. }) => {
                let (start, cleared) = (self.channel.log.start(), *cleared);
                if start <= upto || start > self.at {
                    return Err(problem);
                }
                // What came next has been trimmed, but the position is still held.
                self.rebuild_from(start, cleared);
                return Ok(());
            }
            (Err(problem), Rows::Changed { .. }) => return Err(problem),
        };
        let Rows::Rebuilt { all, upto, empty, .. } = &mut self.rows else { return Ok(()) };
        *upto = page.upto;
        for record in &page.records {
            if record.op == Op::Clear {
                all.clear();
                (self.bytes, *empty) = (0, true);
            }
            let Some(name) = name(record).filter(|name| self.told.as_ref().is_none_or(|told| name > told)) else {
                continue;
            };
            let fresh = weight(&name, Some(&record.data));
            let was = match record.op {
                Op::Upsert => {
                    self.bytes += fresh;
                    all.insert(name.clone(), (record.time, record.data.clone()))
                }
                _ => all.remove(&name),
            };
            self.bytes -= was.map_or(0, |(_, data)| weight(&name, Some(&data)));
        }
        self.bounded()
    }

    fn read(&mut self, after: Offset, until: Offset) -> Result<Page, Problem> {
        let page = match self.channel.log.read(after, until, &self.scope, PIECE) {
            Ok(page) => page,
            Err(ReadError::Trimmed { .. }) => return Err(self.trimmed()),
            Err(error) => return Err(read_problem(error)),
        };
        // Of one address an index knows the places; of a pattern all records are passed.
        self.looked_at += match self.scope.single_address() {
            Some(_) => page.records.len() as u64,
            None => page.upto.saturating_sub(after),
        };
        Ok(page)
    }

    fn bounded(&self) -> Result<(), Problem> {
        let (bytes, records) = (self.bytes > PAST_BYTES_MAX, self.looked_at > RECORDS_MAX);
        let too_much = match (bytes, records) {
            (false, false) => return Ok(()),
            (true, _) => format!("rows of more than {} MiB have changed", PAST_BYTES_MAX / 1024 / 1024),
            (false, true) => format!("more than {RECORDS_MAX} records were appended"),
        };
        let detail = format!("since that time {too_much}, which is more than is put back for one answer");
        Err(Problem::new(ErrorCode::OutOfReach, detail)
            .hint("ask for one address or one key, or for a later time, or for the history with `from`"))
    }

    /// These rows need not be kept any more.
    fn tell(&mut self, upto: Option<Name>) {
        let Some(upto) = upto else { return };
        self.bytes -= match &mut self.rows {
            Rows::Changed { before, .. } => {
                let told = take_upto(before, &upto);
                told.iter().map(|(name, data)| weight(name, data.as_ref())).sum::<usize>()
            }
            Rows::Rebuilt { all, .. } => {
                let told = take_upto(all, &upto);
                told.iter().map(|(name, (_, data))| weight(name, Some(data))).sum()
            }
        };
        self.told = Some(upto);
    }

    fn trimmed(&self) -> Problem {
        trimmed(&self.channel)
    }

    fn cleared(&self, cleared: Millis) -> Problem {
        let detail = format!(
            "all rows of `{}` were removed at once at {cleared}, and the history that is held does not tell what they were",
            self.channel.config.name
        );
        Problem::new(ErrorCode::OutOfReach, detail).hint(earliest(cleared))
    }
}

/// History does not reach so far: it was trimmed, or the log began later.
pub(crate) fn trimmed(channel: &Channel) -> Problem {
    let name = &channel.config.name;
    match channel.log.oldest_time() {
        Some(oldest) => {
            let detail = format!("the history of `{name}` that is held does not reach so far back");
            Problem::new(ErrorCode::OutOfReach, detail).hint(earliest(oldest))
        }
        None => Problem::new(ErrorCode::OutOfReach, format!("nothing was ever recorded in `{name}`"))
            .hint("leave `at` out for the state now"),
    }
}

fn earliest(time: Millis) -> String {
    format!("the earliest time that can be asked for is `at={time}`")
}

fn name(record: &Record) -> Option<Name> {
    record.key.as_ref().map(|key| (record.address.clone(), key.clone()))
}

fn weight((address, key): &Name, data: Option<&Bytes>) -> usize {
    address.as_str().len() + key.len() + data.map_or(0, Bytes::len) + ENTRY_BYTES
}

/// Takes away all up to a name.
fn take_upto<T>(rows: &mut BTreeMap<Name, T>, upto: &Name) -> BTreeMap<Name, T> {
    let mut rest = rows.split_off(upto);
    let last = rest.remove_entry(upto);
    let mut told = std::mem::replace(rows, rest);
    told.extend(last);
    told
}

/// Ends a page at its limit; one row is there even if it is larger.
fn cut(mut rows: Vec<Row>, next: Option<Name>, limit: ReadLimit) -> PastPage {
    let (mut count, mut bytes) = (0, 0);
    for row in rows.iter().take(limit.records.max(1)) {
        if count > 0 && bytes >= limit.bytes {
            break;
        }
        count += 1;
        bytes += row.data.len() + row.address.as_str().len() + row.key.len() + ENTRY_BYTES;
    }
    if count == rows.len() {
        return PastPage { rows, next };
    }
    rows.truncate(count);
    let next = rows.last().map(|row| (row.address.clone(), row.key.clone()));
    PastPage { rows, next }
}

#[cfg(test)]
mod tests;
