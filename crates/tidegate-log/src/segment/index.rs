//! The sorted address index of a segment.
//!
//! An entry is an address with up to [`PLACES_MAX`] places in order of offset; entries are sorted by address, then offset,
//! in blocks of about [`BLOCK_BYTES`]. Memory holds one fence a block: its first address and offset.

use std::io;

use tidegate_core::{Millis, Offset};

use super::format::{Place, section};
use super::write::Appender;
use crate::codec::{Reader, put_bytes, put_varint};

/// One read of the disk.
const BLOCK_BYTES: usize = 4096;
/// An address with more has several entries, so that a read of few places stays small.
const PLACES_MAX: usize = 256;

/// First entry of a block.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) address: Box<str>,
    pub(super) first: Offset,
    pub(super) at: u64,
    pub(super) len: u32,
}

/// A place in the records, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) offset: Offset,
    pub(super) appended: Millis,
    pub(super) at: u64,
}

/// Takes places sorted by address and offset, and writes blocks.
#[derive(Default)]
pub(super) struct IndexBuilder {
    address: String,
    places: Vec<Place>,
    block: Vec<u8>,
    block_first: Option<(Box<str>, Offset)>,
    fences: Vec<u8>,
}

impl IndexBuilder {
    pub(super) fn push(&mut self, out: &mut Appender, address: &str, place: Place) -> io::Result<()> {
        if self.places.len() == PLACES_MAX || (self.address != address && !self.places.is_empty()) {
            self.end_entry(out)?;
        }
        if self.places.is_empty() {
            self.address.clear();
            self.address.push_str(address);
        }
        self.places.push(place);
        Ok(())
    }

    /// Writes what is left; returns the fence section.
    pub(super) fn finish(mut self, out: &mut Appender) -> io::Result<Vec<u8>> {
        if !self.places.is_empty() {
            self.end_entry(out)?;
        }
        self.end_block(out)?;
        Ok(self.fences)
    }

    fn end_entry(&mut self, out: &mut Appender) -> io::Result<()> {
        self.block_first.get_or_insert_with(|| (self.address.as_str().into(), self.places[0].offset));
        put_bytes(&mut self.block, self.address.as_bytes());
        put_varint(&mut self.block, self.places.len() as u64);
        let (mut offset, mut at) = (0, 0);
        for place in self.places.drain(..) {
            put_varint(&mut self.block, place.offset - offset);
            put_varint(&mut self.block, place.at - at);
            put_varint(&mut self.block, u64::from(place.len));
            (offset, at) = (place.offset, place.at);
        }
        if self.block.len() >= BLOCK_BYTES { self.end_block(out) } else { Ok(()) }
    }

    fn end_block(&mut self, out: &mut Appender) -> io::Result<()> {
        let Some((address, first)) = self.block_first.take() else { return Ok(()) };
        let at = out.at();
        let bytes = section(&self.block);
        out.put(&bytes)?;
        self.block.clear();
        put_bytes(&mut self.fences, address.as_bytes());
        put_varint(&mut self.fences, first);
        put_varint(&mut self.fences, at);
        put_varint(&mut self.fences, bytes.len() as u64);
        Ok(())
    }
}

pub(super) fn decode_fences(bytes: &[u8]) -> Option<Vec<Fence>> {
    let mut reader = Reader::new(bytes);
    let mut fences = Vec::new();
    while !reader.is_done() {
        fences.push(Fence {
            address: reader.text()?.into(),
            first: reader.varint()?,
            at: reader.varint()?,
            len: u32::try_from(reader.varint()?).ok()?,
        });
    }
    fences.shrink_to_fit();
    Some(fences)
}

pub(super) fn encode_marks(marks: &[Mark]) -> Vec<u8> {
    let mut out = Vec::with_capacity(marks.len() * 24);
    for mark in marks {
        for value in [mark.offset, mark.appended.0, mark.at] {
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    out
}

pub(super) fn decode_marks(bytes: &[u8]) -> Option<Vec<Mark>> {
    let mut reader = Reader::new(bytes);
    let mut marks = Vec::with_capacity(bytes.len() / 24);
    while !reader.is_done() {
        marks.push(Mark { offset: reader.u64()?, appended: Millis(reader.u64()?), at: reader.u64()? });
    }
    Some(marks)
}

/// The next entry of a block: its address; the places go to `places` when `wanted` says so of the address.
pub(super) fn next_entry<'b>(
    reader: &mut Reader<'b>,
    places: &mut Vec<Place>,
    wanted: impl FnOnce(&str) -> bool,
) -> Option<&'b str> {
    let address = reader.text()?;
    let wanted = wanted(address);
    let (mut offset, mut at) = (0u64, 0u64);
    for _ in 0..reader.varint()? {
        offset = offset.checked_add(reader.varint()?)?;
        at = at.checked_add(reader.varint()?)?;
        let len = u32::try_from(reader.varint()?).ok()?;
        if wanted {
            places.push(Place { offset, at, len });
        }
    }
    Some(address)
}
