//! Reading a segment. What memory needs of it is loaded at the first use and stays.

use std::sync::{Arc, Mutex};

use tidegate_core::{ChannelId, Millis, Offset, Record, Scope};

use super::file_name;
use super::format::{
    FOOTER_BYTES, Footer, Framed, HEADER_BYTES, Peeked, Place, SegmentMeta, VERSION, checked, framed, header_version,
};
use super::index::{Fence, Mark, decode_fences, decode_marks, next_entry};
use crate::codec::Reader;
use crate::disk::{Disk, DiskFile};
use crate::page::ReadError;

/// Read at once by a scan.
const SCAN_BYTES: usize = 256 * 1024;
/// Neighbours with no more than this between them are read at once.
const GAP_BYTES: u64 = 4 * 1024;

/// A segment of the list.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) channel: ChannelId,
    pub(crate) meta: SegmentMeta,
    disk: Arc<dyn Disk>,
    opened: Mutex<Option<Arc<Opened>>>,
}

/// A segment in use.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) footer: Footer,
    pub(super) fences: Vec<Fence>,
    pub(super) marks: Vec<Mark>,
    number: u64,
}

/// What a check of a whole segment counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Verified {
    pub(crate) records: u64,
    pub(crate) indexed: u64,
}

impl Segment {
    pub(crate) fn new(disk: Arc<dyn Disk>, channel: ChannelId, meta: SegmentMeta) -> Segment {
        Segment { channel, meta, disk, opened: Mutex::new(None) }
    }

    pub(super) fn open(&self) -> Result<Arc<Opened>, ReadError> {
        let mut opened = self.opened.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(opened) = &*opened {
            return Ok(opened.clone());
        }
        let loaded = Arc::new(Opened::load(&*self.disk, &self.meta)?);
        *opened = Some(loaded.clone());
        Ok(loaded)
    }

    /// Places of an address in `(after, until]`, the first `max` of them.
    pub(crate) fn places(
        &self,
        address: &str,
        after: Offset,
        until: Offset,
        max: usize,
    ) -> Result<Vec<Place>, ReadError> {
        let opened = self.open()?;
        let mut found = Vec::new();
        let target = (address, after.saturating_add(1));
        let beyond = opened.fences.partition_point(|fence| (&*fence.address, fence.first) <= target);
        for fence in &opened.fences[beyond.saturating_sub(1)..] {
            if &*fence.address > address || found.len() >= max || (&*fence.address == address && fence.first > until) {
                break;
            }
            opened.entries(fence, address, &mut found)?;
            found.retain(|place| place.offset > after && place.offset <= until);
        }
        found.truncate(max);
        Ok(found)
    }

    /// Places of an address up to `until`, the last `max` of them, newest first.
    pub(crate) fn places_back(&self, address: &str, until: Offset, max: usize) -> Result<Vec<Place>, ReadError> {
        let opened = self.open()?;
        let mut found: Vec<Place> = Vec::new();
        let beyond = opened.fences.partition_point(|fence| (&*fence.address, fence.first) <= (address, until));
        for fence in opened.fences[..beyond].iter().rev() {
            let mut here = Vec::new();
            opened.entries(fence, address, &mut here)?;
            found.extend(here.into_iter().rev().filter(|place| place.offset <= until));
            if found.len() >= max || &*fence.address < address {
                break;
            }
        }
        found.truncate(max);
        Ok(found)
    }

    /// The records at these places (in order of position), neighbours read at once.
    pub(crate) fn records(&self, places: &[Place], out: &mut Vec<Arc<Record>>) -> Result<(), ReadError> {
        let opened = self.open()?;
        let runs = runs(places);
        if runs.len() > 1 {
            runs.iter().for_each(|run| opened.file.will_need(run.at, run.len));
        }
        let (mut buffer, mut known) = (Vec::new(), None);
        for run in &runs {
            buffer.resize(run.len as usize, 0);
            opened.file.read_exact_at(&mut buffer, run.at)?;
            for place in &places[run.from..run.to] {
                let bytes = &buffer[(place.at - run.at) as usize..][..place.len as usize];
                let record = match framed(bytes) {
                    Framed::Body(body, _) => Peeked::new(body).and_then(|peeked| peeked.record(&mut known)),
                    _ => None,
                };
                match record {
                    Some(record) if record.offset == place.offset => out.push(record),
                    _ => return Err(opened.damaged(place.at, "a record does not fit its crc or its index")),
                }
            }
        }
        Ok(())
    }

    /// Advice for places that will be read.
    pub(crate) fn will_need(&self, places: &[Place]) {
        if let Ok(opened) = self.open() {
            runs(places).iter().for_each(|run| opened.file.will_need(run.at, run.len));
        }
    }

    /// Goes over the records after `after` in order, until `visit` returns `false`; only those that concern the scope
    /// are made. `visit` is told of the others by their offset alone. Returns bytes looked at.
    pub(crate) fn scan(
        &self,
        after: Offset,
        scope: &Scope,
        mut visit: impl FnMut(Offset, Option<Arc<Record>>, usize) -> bool,
    ) -> Result<(), ReadError> {
        let opened = self.open()?;
        let mut known = None;
        opened.each(opened.mark_before(|mark| mark.offset <= after + 1), |_, peeked, bytes| {
            if peeked.offset <= after {
                return Some(true);
            }
            let offset = peeked.offset;
            let record = if peeked.matches(scope) { Some(peeked.record(&mut known)?) } else { None };
            Some(visit(offset, record, bytes))
        })
    }

    /// Records of the scope up to `until`, the newest `max`, newest first; looks at `budget` bytes at most and takes them off it.
    pub(crate) fn scan_back(
        &self,
        until: Offset,
        scope: &Scope,
        max: usize,
        budget: &mut usize,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let opened = self.open()?;
        let (mut found, mut known) = (Vec::new(), None);
        let mut end = opened.footer.index_at;
        for mark in opened.marks.iter().rev() {
            if mark.offset <= until {
                let mut here = Vec::new();
                opened.each(mark.at, |at, peeked, _| {
                    if at >= end || peeked.offset > until {
                        return Some(false);
                    }
                    if peeked.matches(scope) {
                        here.push(peeked.record(&mut known)?);
                    }
                    Some(true)
                })?;
                found.extend(here.into_iter().rev());
                *budget = budget.saturating_sub((end - mark.at) as usize);
            }
            end = mark.at;
            if found.len() >= max || *budget == 0 {
                break;
            }
        }
        found.truncate(max);
        Ok(found)
    }

    /// Offset of the last record appended before `time`; `None` if there is none.
    pub(crate) fn last_before(&self, time: Millis) -> Result<Option<Offset>, ReadError> {
        if self.meta.first_time >= time {
            return Ok(None);
        }
        if self.meta.last_time < time {
            return Ok(Some(self.meta.last));
        }
        let opened = self.open()?;
        let mut last = None;
        opened.each(opened.mark_before(|mark| mark.appended < time), |_, peeked, _| {
            let before = peeked.appended < time;
            if before {
                last = Some(peeked.offset);
            }
            Some(before)
        })?;
        Ok(last)
    }

    /// Reads everything: crc and order of records, and that the index names each exactly once.
    pub(crate) fn verify(&self) -> Result<Verified, ReadError> {
        let opened = self.open()?;
        let (mut verified, mut last, mut sum) = (Verified::default(), None, 0u64);
        opened.each(HEADER_BYTES, |at, peeked, _| {
            if last.is_some_and(|last| peeked.offset <= last) {
                return None;
            }
            last = Some(peeked.offset);
            verified.records += 1;
            let address = if peeked.is_channel_wide() { "" } else { peeked.address };
            sum = sum.wrapping_add(fold(address, peeked.offset, at));
            Some(true)
        })?;
        let mut previous: Option<(Box<str>, Offset)> = None;
        for fence in &opened.fences {
            let block = opened.block(fence)?;
            let mut reader = Reader::new(&block);
            while !reader.is_done() {
                let mut places = Vec::new();
                let address = next_entry(&mut reader, &mut places, |_| true)
                    .ok_or_else(|| opened.damaged(fence.at, "an index block does not fit"))?;
                for place in places {
                    if previous.as_ref().is_some_and(|(a, o)| (&**a, *o) >= (address, place.offset)) {
                        return Err(opened.damaged(fence.at, "the index is out of order"));
                    }
                    previous = Some((address.into(), place.offset));
                    sum = sum.wrapping_sub(fold(address, place.offset, place.at));
                    verified.indexed += 1;
                }
            }
        }
        let fits = sum == 0
            && verified.records == verified.indexed
            && verified.records == opened.footer.records
            && last == Some(self.meta.last);
        if fits {
            Ok(verified)
        } else {
            Err(opened.damaged(opened.footer.index_at, "the index and the records differ"))
        }
    }
}

impl Opened {
    fn load(disk: &dyn Disk, meta: &SegmentMeta) -> Result<Opened, ReadError> {
        let file = disk.open(&file_name(meta.number))?;
        let damaged = |at: u64, what: &str| ReadError::Corrupt { file: file_name(meta.number), at, what: what.into() };
        if meta.bytes < HEADER_BYTES + FOOTER_BYTES {
            return Err(damaged(0, "too short"));
        }
        let header = read(&*file, 0, HEADER_BYTES)?;
        match header_version(&header) {
            Some(version) if version <= VERSION => {}
            Some(version) => return Err(damaged(8, &format!("format {version} is of a later release"))),
            None => return Err(damaged(0, "the header does not fit")),
        }
        let footer_at = meta.bytes - FOOTER_BYTES;
        let footer = Footer::decode(&read(&*file, footer_at, FOOTER_BYTES)?)
            .filter(|footer| footer.marks_end == footer_at && footer.first == meta.first && footer.last == meta.last)
            .ok_or_else(|| damaged(footer_at, "the footer does not fit"))?;
        let ordered = HEADER_BYTES <= footer.index_at
            && footer.index_at <= footer.fences_at
            && footer.fences_at <= footer.marks_at
            && footer.marks_at <= footer.marks_end;
        if !ordered {
            return Err(damaged(footer_at, "the footer is out of order"));
        }
        let sections = read(&*file, footer.fences_at, footer.marks_end - footer.fences_at)?;
        let (fences, marks) = sections.split_at((footer.marks_at - footer.fences_at) as usize);
        let fences = checked(fences).and_then(decode_fences);
        let fences = fences.ok_or_else(|| damaged(footer.fences_at, "the fences do not fit"))?;
        let marks = checked(marks).and_then(decode_marks);
        let marks = marks.ok_or_else(|| damaged(footer.marks_at, "the marks do not fit"))?;
        Ok(Opened { file, footer, fences, marks, number: meta.number })
    }

    pub(super) fn damaged(&self, at: u64, what: &str) -> ReadError {
        ReadError::Corrupt { file: file_name(self.number), at, what: what.into() }
    }

    pub(super) fn block(&self, fence: &Fence) -> Result<Vec<u8>, ReadError> {
        let bytes = read(&*self.file, fence.at, u64::from(fence.len))?;
        let body = checked(&bytes).ok_or_else(|| self.damaged(fence.at, "an index block does not fit its crc"))?;
        Ok(body.to_vec())
    }

    /// Adds the places that a block has of an address.
    fn entries(&self, fence: &Fence, address: &str, out: &mut Vec<Place>) -> Result<(), ReadError> {
        let block = self.block(fence)?;
        let mut reader = Reader::new(&block);
        while !reader.is_done() {
            match next_entry(&mut reader, out, |own| own == address) {
                Some(own) if own > address => break,
                Some(_) => {}
                None => return Err(self.damaged(fence.at, "an index block does not fit")),
            }
        }
        Ok(())
    }

    /// Position of the last mark for which `before` holds, or of the first record.
    fn mark_before(&self, before: impl Fn(&Mark) -> bool) -> u64 {
        let beyond = self.marks.partition_point(before);
        self.marks.get(beyond.saturating_sub(1)).map_or(HEADER_BYTES, |mark| mark.at)
    }

    /// Visits records from position `at` (of a record) on: position, record, bytes; `Some(false)` ends it, `None` is damage.
    fn each(
        &self,
        mut at: u64,
        mut visit: impl FnMut(u64, Peeked<'_>, usize) -> Option<bool>,
    ) -> Result<(), ReadError> {
        let end = self.footer.index_at;
        let mut want = SCAN_BYTES;
        let mut buffer = Vec::new();
        while at < end {
            let len = want.min((end - at) as usize);
            buffer.resize(len, 0);
            self.file.read_exact_at(&mut buffer, at)?;
            let mut used = 0;
            loop {
                match framed(&buffer[used..]) {
                    Framed::Body(body, len) => {
                        let place = at + used as u64;
                        let go_on = Peeked::new(body).and_then(|peeked| visit(place, peeked, len));
                        match go_on {
                            Some(true) => used += len,
                            Some(false) => return Ok(()),
                            None => return Err(self.damaged(place, "a record does not fit")),
                        }
                    }
                    Framed::Needs(bytes) if at + (used + bytes) as u64 <= end && bytes > buffer.len() - used => {
                        want = SCAN_BYTES.max(bytes);
                        break;
                    }
                    _ if at + used as u64 == end => return Ok(()),
                    _ => return Err(self.damaged(at + used as u64, "a record does not fit its crc")),
                }
            }
            at += used as u64;
        }
        Ok(())
    }
}

/// Places that are read at once.
struct Run {
    from: usize,
    to: usize,
    at: u64,
    len: u64,
}

fn runs(places: &[Place]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let end = place.at + u64::from(place.len);
        match runs.last_mut() {
            Some(run)
                if place.at >= run.at + run.len
                    && place.at - (run.at + run.len) <= GAP_BYTES
                    && end - run.at <= SCAN_BYTES as u64 =>
            {
                run.to = index + 1;
                run.len = end - run.at;
            }
            _ => runs.push(Run { from: index, to: index + 1, at: place.at, len: u64::from(place.len) }),
        }
    }
    runs
}

fn read(file: &dyn DiskFile, at: u64, len: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// A sum over these is the same for the records and for the index, in any order.
fn fold(address: &str, offset: Offset, at: u64) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(address.as_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    u64::from(hasher.finalize())
}
