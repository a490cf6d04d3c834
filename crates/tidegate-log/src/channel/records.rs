//! Reading the history of a channel: segments first, then what is in memory.

use std::io;
use std::sync::Arc;

use tidegate_core::{Millis, Offset, Record, Scope};

use super::{ChannelState, Seen};
use crate::hot::{Filler, weight};
use crate::page::{Page, ReadError, ReadLimit};
use crate::segment::{Place, Segment};

/// Records are looked up in the indexes so many at a time.
const ROUND: usize = 256;
/// A segment that goes away under a reader (merged, dropped) is looked for again in the new list so often.
const TRIES: usize = 4;

impl ChannelState {
    pub(super) fn read(
        &self,
        after: Offset,
        until: Offset,
        scope: &Scope,
        limit: ReadLimit,
    ) -> Result<Page, ReadError> {
        if let Some(ring) = &self.ring {
            let (filler, until) =
                ring.read(after, until, scope, limit).map_err(|start| ReadError::Trimmed { start })?;
            return Ok(page(filler, after, until));
        }
        again(|| self.read_held(&self.see(), after, until, scope, limit))
    }

    pub(super) fn read_hot(&self, after: Offset, until: Offset, scope: &Scope, limit: ReadLimit) -> Option<Page> {
        if let Some(ring) = &self.ring {
            let (filler, until) = ring.read(after, until, scope, limit).ok()?;
            return Some(page(filler, after, until));
        }
        let seen = self.see();
        if after < seen.held.parts.first()?.after.max(seen.start) {
            return None;
        }
        let (mut filler, until) = (Filler::new(limit), until.min(seen.head));
        seen.fill(after, until, scope, &mut filler);
        Some(page(filler, after, until))
    }

    fn read_held(
        &self,
        seen: &Seen,
        after: Offset,
        until: Offset,
        scope: &Scope,
        limit: ReadLimit,
    ) -> Result<Page, ReadError> {
        if after < seen.start {
            return Err(ReadError::Trimmed { start: seen.start });
        }
        let (mut filler, until) = (Filler::new(limit), until.min(seen.head));
        let segments: Vec<&Arc<Segment>> = seen.held.segments_in(after, until).collect();
        let stopped = match scope.single_address() {
            Some(address) => read_address(&segments, address.as_str(), after, until, scope, &mut filler)?,
            None => read_scan(&segments, after, until, scope, self.scan_bytes_max, &mut filler)?,
        };
        if let Some(upto) = stopped {
            return Ok(Page { records: filler.records, upto });
        }
        seen.fill(after, until, scope, &mut filler);
        Ok(page(filler, after, until))
    }

    pub(super) fn newest(&self, scope: &Scope, limit: usize) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut found = match &self.ring {
            Some(ring) => ring.newest(scope, limit),
            None => again(|| self.newest_held(&self.see(), scope, limit))?,
        };
        found.reverse();
        Ok(found)
    }

    fn newest_held(&self, seen: &Seen, scope: &Scope, limit: usize) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut found = Vec::new();
        for part in seen.held.parts.iter().rev() {
            if found.len() < limit {
                found.extend(part.newest(seen.head, scope, limit - found.len()));
            }
        }
        let mut budget = self.scan_bytes_max;
        for segment in seen.held.segments.iter().rev() {
            if found.len() >= limit || budget == 0 {
                break;
            }
            let room = limit - found.len();
            match scope.single_address() {
                Some(address) => newest_address(segment, address.as_str(), scope, room, &mut budget, &mut found)?,
                None => found.extend(segment.scan_back(Offset::MAX, scope, room, &mut budget)?),
            }
        }
        Ok(found)
    }

    pub(super) fn position_at(&self, time: Millis) -> Result<Offset, ReadError> {
        if let Some(ring) = &self.ring {
            return Ok(ring.position_at(time));
        }
        again(|| {
            let seen = self.see();
            let hot = seen.held.parts.iter().rev().find_map(|part| part.last_before(time));
            let mut found = hot;
            for segment in seen.held.segments.iter().rev() {
                if found.is_some() {
                    break;
                }
                found = segment.last_before(time)?;
            }
            Ok(found.unwrap_or(0).min(seen.head).max(seen.start))
        })
    }
}

impl ChannelState {
    pub(super) fn oldest_time(&self) -> Option<Millis> {
        let held = match &self.ring {
            Some(ring) => ring.oldest_time(),
            None => {
                let held = self.see().held;
                let segment = held.segments.first().map(|segment| segment.meta.first_time);
                segment.or_else(|| held.parts.iter().find_map(|part| part.oldest()))
            }
        };
        held.or_else(|| (self.head() > 0).then(|| self.last_time()))
    }
}

impl super::Held {
    /// Segments that may have records in `(after, until]`, oldest first.
    fn segments_in(&self, after: Offset, until: Offset) -> impl Iterator<Item = &Arc<Segment>> {
        let from = self.segments.partition_point(|segment| segment.meta.last <= after);
        self.segments[from..].iter().take_while(move |segment| segment.meta.first <= until)
    }
}

impl Seen {
    fn fill(&self, after: Offset, until: Offset, scope: &Scope, filler: &mut Filler) {
        for part in &self.held.parts {
            if filler.is_full() {
                return;
            }
            part.fill(after.max(part.after), until, scope, filler);
        }
    }
}

fn page(filler: Filler, after: Offset, until: Offset) -> Page {
    let upto = match filler.last() {
        Some(last) if filler.is_full() => last,
        _ => until.max(after),
    };
    Page { records: filler.records, upto }
}

/// Through the indexes. `Some` is where it stopped early.
fn read_address(
    segments: &[&Arc<Segment>],
    address: &str,
    after: Offset,
    until: Offset,
    scope: &Scope,
    filler: &mut Filler,
) -> Result<Option<Offset>, ReadError> {
    let mut index = 0;
    let mut from = after;
    while index < segments.len() {
        // All that will be read is announced to the disk first: the reads of many segments overlap.
        let want = filler.room().min(ROUND);
        let mut round: Vec<(&Arc<Segment>, Vec<Place>)> = Vec::new();
        let mut count = 0;
        while index < segments.len() && count < want {
            let segment = segments[index];
            let room = want - count;
            let places = places(segment, address, from, until, room)?;
            count += places.len();
            match places.last() {
                Some(last) if places.len() == room => from = last.offset,
                _ => index += 1,
            }
            if !places.is_empty() {
                round.push((segment, places));
            }
        }
        if round.len() > 1 {
            round.iter().for_each(|(segment, places)| segment.will_need(places));
        }
        for (segment, places) in round {
            for places in within_bytes(&places, filler.bytes_left()) {
                let mut records = Vec::with_capacity(places.len());
                segment.records(places, &mut records)?;
                for record in records {
                    if !crate::hot::concerns(&record, scope) {
                        continue;
                    }
                    let offset = record.offset;
                    filler.push(record);
                    if filler.is_full() {
                        return Ok(Some(offset));
                    }
                }
            }
        }
    }
    Ok(None)
}

/// Places of an address and of what concerns every address, in order, the first `max`.
fn places(segment: &Segment, address: &str, after: Offset, until: Offset, max: usize) -> Result<Vec<Place>, ReadError> {
    let mut found = segment.places(address, after, until, max)?;
    let wide = segment.places("", after, until, max)?;
    if !wide.is_empty() {
        found.extend(wide);
        found.sort_unstable_by_key(|place| place.offset);
        found.truncate(max);
    }
    Ok(found)
}

/// Cuts places into runs of about `bytes`, so that a page limited by bytes does not read far beyond its end.
fn within_bytes(places: &[Place], bytes: usize) -> impl Iterator<Item = &[Place]> {
    let mut rest = places;
    std::iter::from_fn(move || {
        let fits = |sum: &mut usize, place: &Place| {
            let before = *sum;
            *sum += place.len as usize;
            Some(before <= bytes)
        };
        let count = rest.iter().scan(0, fits).take_while(|fits| *fits).count();
        let (run, others) = rest.split_at(count);
        rest = others;
        (!run.is_empty()).then_some(run)
    })
}

/// Straight over the records. `Some` is where it stopped early.
fn read_scan(
    segments: &[&Arc<Segment>],
    after: Offset,
    until: Offset,
    scope: &Scope,
    mut budget: usize,
    filler: &mut Filler,
) -> Result<Option<Offset>, ReadError> {
    let mut stopped = None;
    for segment in segments {
        let mut beyond = false;
        segment.scan(after, scope, |offset, record, bytes| {
            if offset > until {
                beyond = true;
                return false;
            }
            if let Some(record) = record {
                filler.push(record);
            }
            budget = budget.saturating_sub(bytes);
            if filler.is_full() || budget == 0 {
                stopped = Some(offset);
                return false;
            }
            true
        })?;
        if stopped.is_some() || beyond {
            break;
        }
    }
    Ok(stopped)
}

/// Adds the newest records of an address, newest first.
fn newest_address(
    segment: &Segment,
    address: &str,
    scope: &Scope,
    room: usize,
    budget: &mut usize,
    found: &mut Vec<Arc<Record>>,
) -> Result<(), ReadError> {
    let wanted = found.len() + room;
    let mut until = Offset::MAX;
    while found.len() < wanted && *budget > 0 {
        // A key is not in the index: more places than records wanted are looked at.
        let count = if scope.key.is_some() { ROUND } else { wanted - found.len() };
        let mut places = segment.places_back(address, until, count)?;
        places.extend(segment.places_back("", until, count)?);
        places.sort_unstable_by_key(|place| std::cmp::Reverse(place.offset));
        places.truncate(count);
        let Some(oldest) = places.last() else { return Ok(()) };
        until = oldest.offset - 1;
        places.reverse();
        let mut records = Vec::with_capacity(places.len());
        segment.records(&places, &mut records)?;
        for record in records.into_iter().rev() {
            *budget = budget.saturating_sub(weight(&record));
            if crate::hot::concerns(&record, scope) && found.len() < wanted {
                found.push(record);
            }
        }
    }
    Ok(())
}

/// A file that a merge or retention removed after the list was taken is no error: the new list has what it held.
pub(super) fn again<T>(mut read: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    for _ in 1..TRIES {
        match read() {
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    read()
}
