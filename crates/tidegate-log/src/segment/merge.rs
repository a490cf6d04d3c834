//! Merging neighbours: records are copied as they are, indexes are merged as they stream by, so memory stays small.

use std::io;

use super::file_name;
use super::format::{Footer, HEADER_BYTES, Place, SegmentMeta, header};
use super::index::{IndexBuilder, Mark, next_entry};
use super::read::{Opened, Segment};
use super::write::{Appender, finish_sections};
use crate::codec::Reader;
use crate::disk::Disk;
use crate::page::ReadError;

const COPY_BYTES: u64 = 1024 * 1024;

/// Makes segment `number` of neighbours, oldest first. Durable but for its name.
pub(crate) fn merge(
    disk: &dyn Disk,
    number: u64,
    sources: &[std::sync::Arc<Segment>],
) -> Result<SegmentMeta, ReadError> {
    let (Some(oldest), Some(newest)) = (sources.first(), sources.last()) else {
        return Err(io::Error::other("nothing to merge").into());
    };
    let mut out = Appender::new(disk.create(&file_name(number))?);
    out.put(&header(oldest.channel))?;
    let mut marks: Vec<Mark> = Vec::new();
    let mut streams = Vec::with_capacity(sources.len());
    let mut records = 0;
    for source in sources {
        let opened = source.open()?;
        let shift = out.at() - HEADER_BYTES;
        copy_records(&opened, &mut out)?;
        marks.extend(opened.marks.iter().map(|mark| Mark { at: mark.at + shift, ..*mark }));
        records += opened.footer.records;
        streams.push(IndexStream { opened, shift, fence: 0, block: Vec::new(), used: 0, head: None });
    }
    let index_at = out.at();
    let builder = merge_indexes(streams, &mut out)?;
    let footer = Footer {
        channel: oldest.channel.to_bits(),
        first: oldest.meta.first,
        last: newest.meta.last,
        records,
        index_at,
        ..Footer::default()
    };
    let bytes = finish_sections(&mut out, builder, &marks, footer)?;
    Ok(SegmentMeta {
        number,
        first: oldest.meta.first,
        last: newest.meta.last,
        first_time: oldest.meta.first_time,
        last_time: newest.meta.last_time,
        bytes,
    })
}

fn copy_records(from: &Opened, out: &mut Appender) -> Result<(), ReadError> {
    let (mut at, mut buffer) = (HEADER_BYTES, Vec::new());
    while at < from.footer.index_at {
        let len = COPY_BYTES.min(from.footer.index_at - at);
        buffer.resize(len as usize, 0);
        from.file.read_exact_at(&mut buffer, at)?;
        out.put(&buffer)?;
        at += len;
    }
    Ok(())
}

/// The entries of one index, in order.
struct IndexStream {
    opened: std::sync::Arc<Opened>,
    shift: u64,
    fence: usize,
    block: Vec<u8>,
    used: usize,
    head: Option<(String, Vec<Place>)>,
}

impl IndexStream {
    fn advance(&mut self) -> Result<(), ReadError> {
        self.head = None;
        if self.used == self.block.len() {
            let Some(fence) = self.opened.fences.get(self.fence) else { return Ok(()) };
            self.block = self.opened.block(fence)?;
            (self.used, self.fence) = (0, self.fence + 1);
        }
        let mut reader = Reader::new(&self.block[self.used..]);
        let mut places = Vec::new();
        let address = next_entry(&mut reader, &mut places, |_| true)
            .ok_or_else(|| self.opened.damaged(self.opened.footer.index_at, "an index block does not fit"))?;
        for place in &mut places {
            place.at += self.shift;
        }
        self.head = Some((address.to_owned(), places));
        self.used += reader.at();
        Ok(())
    }
}

fn merge_indexes(mut streams: Vec<IndexStream>, out: &mut Appender) -> Result<IndexBuilder, ReadError> {
    let mut builder = IndexBuilder::default();
    streams.iter_mut().try_for_each(IndexStream::advance)?;
    // Of equal addresses the oldest segment comes first, and has the lower offsets.
    while let Some(least) = (0..streams.len())
        .filter(|index| streams[*index].head.is_some())
        .min_by(|a, b| streams[*a].head.as_ref().map(|h| &h.0).cmp(&streams[*b].head.as_ref().map(|h| &h.0)))
    {
        if let Some((address, places)) = streams[least].head.take() {
            for place in places {
                builder.push(out, &address, place)?;
            }
        }
        streams[least].advance()?;
    }
    Ok(builder)
}
