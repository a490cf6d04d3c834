//! Reading the view of a keyed channel: the snapshot of the store, overlaid with what is in memory.

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tidegate_core::{Address, Key, Offset, Scope, Target};

use super::{ChannelState, Seen};
use crate::hot::{Part, RowState};
use crate::page::{ReadError, ReadLimit, RowPage, ViewRow};
use crate::state::row_key;

/// A page ends after so many rows were looked at, whether they matched or not.
const LOOKED_AT_MAX: usize = 50_000;

type Name = (Address, Key);

impl ChannelState {
    pub(super) fn row(&self, address: &Address, key: &str) -> Result<(Option<ViewRow>, Offset), ReadError> {
        self.check_keyed()?;
        if let Some(ring) = &self.ring {
            return Ok(ring.row(address, key));
        }
        let seen = self.see();
        let name = (address.clone(), key.into());
        let row = match seen.overlaid(&name) {
            RowState::Gone => None,
            RowState::Value(record) => Some(view_row(&name, &record)),
            RowState::Unknown => seen.held.snapshot.row(self.id, address, key)?,
        };
        Ok((row, seen.head))
    }

    pub(super) fn row_hot(&self, address: &Address, key: &str) -> Option<(Option<ViewRow>, Offset)> {
        if let Some(ring) = self.ring.as_ref().filter(|_| self.keyed) {
            return Some(ring.row(address, key));
        }
        let seen = self.see();
        let name = (address.clone(), key.into());
        match seen.overlaid(&name) {
            RowState::Gone => Some((None, seen.head)),
            RowState::Value(record) => Some((Some(view_row(&name, &record)), seen.head)),
            RowState::Unknown => None,
        }
    }

    pub(super) fn rows(&self, scope: &Scope, after: Option<&Name>, limit: ReadLimit) -> Result<RowPage, ReadError> {
        self.check_keyed()?;
        if let (Some(address), Some(key)) = (scope.single_address(), &scope.key) {
            let (row, at) = self.row(address, key)?;
            let fresh = after.is_none_or(|after| *after < (address.clone(), key.clone()));
            return Ok(RowPage { rows: row.into_iter().filter(|_| fresh).collect(), next: None, at });
        }
        if let Some(ring) = &self.ring {
            return Ok(ring.rows(scope, after, limit));
        }
        let seen = self.see();
        let prefix = Prefix::of(scope);
        let begin = after.cloned().max(Some((Address::from_canonical(prefix.text), "".into())));
        let begin = begin.unwrap_or_else(|| (Address::from_canonical(""), "".into()));
        let beyond = after == Some(&begin);
        let mut stored_from = row_key(self.id, begin.0.as_str(), &begin.1);
        if beyond {
            stored_from.push(0); // the next key that there can be
        }
        let cleared = seen.held.parts.iter().any(|part| part.cleared(seen.head));
        let mut stored = seen.held.snapshot.rows_from(&stored_from, self.id)?.take_while(|_| !cleared);
        let mut next_stored = stored.next().transpose()?;
        let mut overlay = Overlay::new(&seen, if beyond { Bound::Excluded(begin) } else { Bound::Included(begin) });

        let mut page = RowPage { rows: Vec::new(), next: None, at: seen.head };
        let mut bytes = 0;
        for looked_at in 0.. {
            let order = match (&next_stored, overlay.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(row), Some(name)) => (&row.address, &row.key).cmp(&(&name.0, &name.1)),
            };
            let mut row = None;
            let mut name = None;
            if order != Ordering::Greater {
                row = std::mem::replace(&mut next_stored, stored.next().transpose()?);
            }
            if order != Ordering::Less {
                name = overlay.next();
            }
            if let Some(name) = &name {
                match seen.overlaid(name) {
                    RowState::Unknown => {}
                    RowState::Gone => row = None,
                    RowState::Value(record) => row = Some(view_row(name, &record)),
                }
            }
            let name = name.or_else(|| row.as_ref().map(|row| (row.address.clone(), row.key.clone())));
            let Some(name) = name else { continue };
            if !prefix.holds(name.0.as_str()) {
                break;
            }
            if let Some(row) = row.filter(|row| scope.matches(row.address.as_str(), Some(&row.key))) {
                bytes += row.data.len() + row.address.as_str().len() + row.key.len() + 64;
                page.rows.push(row);
            }
            let full = !page.rows.is_empty() && (page.rows.len() >= limit.records || bytes >= limit.bytes);
            if full || looked_at >= LOOKED_AT_MAX {
                page.next = (next_stored.is_some() || overlay.peek().is_some()).then_some(name);
                break;
            }
        }
        Ok(page)
    }

    pub(crate) fn addresses_of(&self, key: &str) -> Result<Vec<Address>, ReadError> {
        self.check_keyed()?;
        if !self.by_key {
            return Err(ReadError::NotByKey);
        }
        if let Some(ring) = &self.ring {
            return Ok(ring.addresses_of(key));
        }
        let seen = self.see();
        let stored: BTreeSet<Address> = seen.held.snapshot.addresses_of(self.id, key)?.into_iter().collect();
        let hot: BTreeSet<Address> = seen.held.parts.iter().flat_map(|part| part.addresses_of(key)).collect();
        let has_row = |address: &&Address| match seen.overlaid(&((*address).clone(), key.into())) {
            RowState::Value(_) => true,
            RowState::Gone => false,
            RowState::Unknown => stored.contains(*address),
        };
        Ok(stored.union(&hot).filter(has_row).cloned().collect())
    }

    pub(super) fn touched(&self, address: &Address) -> Result<Option<Offset>, ReadError> {
        self.check_keyed()?;
        if let Some(ring) = &self.ring {
            return Ok(ring.touched(address));
        }
        let seen = self.see();
        let (mut touched, mut cleared) = (None, seen.held.cleared);
        for part in seen.held.parts.iter().rev() {
            let (own, clear) = part.touched(address, seen.head);
            touched = touched.max(own);
            cleared = cleared.max(clear.unwrap_or(0));
        }
        if touched.is_none() {
            touched = seen.held.snapshot.touched(self.id, address.as_str())?;
        }
        Ok(touched.map(|offset| offset.max(cleared)))
    }

    fn check_keyed(&self) -> Result<(), ReadError> {
        if self.keyed { Ok(()) } else { Err(ReadError::NotKeyed) }
    }
}

impl Seen {
    /// What memory says of a row at the head.
    fn overlaid(&self, name: &Name) -> RowState {
        let states = self.held.parts.iter().rev().map(|part| part.row(name, self.head));
        states.into_iter().find(|state| !matches!(state, RowState::Unknown)).unwrap_or(RowState::Unknown)
    }
}

/// Names with a version in memory, in order, taken from the parts a slice at a time.
struct Overlay<'s> {
    streams: Vec<Stream<'s>>,
}

struct Stream<'s> {
    part: &'s Part,
    names: VecDeque<Name>,
    from: Bound<Name>,
    more: bool,
}

impl<'s> Overlay<'s> {
    fn new(seen: &'s Seen, from: Bound<Name>) -> Overlay<'s> {
        let stream = |part: &'s Arc<Part>| Stream {
            part: part.as_ref(),
            names: VecDeque::new(),
            from: from.clone(),
            more: true,
        };
        Overlay { streams: seen.held.parts.iter().map(stream).collect() }
    }

    fn peek(&mut self) -> Option<&Name> {
        self.streams.iter_mut().for_each(Stream::load);
        self.streams.iter().filter_map(|stream| stream.names.front()).min()
    }

    fn next(&mut self) -> Option<Name> {
        let name = self.peek()?.clone();
        for stream in &mut self.streams {
            if stream.names.front() == Some(&name) {
                stream.names.pop_front();
            }
        }
        Some(name)
    }
}

impl Stream<'_> {
    fn load(&mut self) {
        if !self.names.is_empty() || !self.more {
            return;
        }
        let (names, more) = self.part.names(self.from.as_ref());
        self.more = more;
        self.names.extend(names);
        if let Some(last) = self.names.back() {
            self.from = Bound::Excluded(last.clone());
        }
    }
}

/// The part of a scope's text that every address of it begins with.
struct Prefix<'s> {
    text: &'s str,
    exact: bool,
}

impl<'s> Prefix<'s> {
    fn of(scope: &'s Scope) -> Prefix<'s> {
        match &scope.target {
            Target::Address(address) => Prefix { text: address.as_str(), exact: true },
            Target::Pattern(pattern) => {
                let text = pattern.as_str();
                Prefix { text: text.split('*').next().unwrap_or_default(), exact: false }
            }
        }
    }

    fn holds(&self, address: &str) -> bool {
        if self.exact { address == self.text } else { address.starts_with(self.text) }
    }
}

fn view_row(name: &Name, record: &tidegate_core::Record) -> ViewRow {
    ViewRow {
        address: name.0.clone(),
        key: name.1.clone(),
        time: record.time,
        data: record.data.clone(),
        offset: record.offset,
    }
}
