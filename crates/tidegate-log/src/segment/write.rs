//! Writing a segment: records as they come, then the index, then the sections for memory. Durable when [`SegmentWriter::finish`]
//! returned and the folder was synced.

use std::io;
use std::sync::Arc;

use tidegate_core::{Address, ChannelId, Millis, Record};

use super::file_name;
use super::format::{FOOTER_BYTES, Footer, HEADER_BYTES, Place, SegmentMeta, header, put_record, section};
use super::index::{IndexBuilder, Mark, encode_marks};
use crate::disk::{Disk, DiskFile, synced};

/// Written at once.
const BUFFER_BYTES: usize = 1024 * 1024;
/// A place in the records is remembered this often.
pub(super) const MARK_BYTES: u64 = 64 * 1024;

/// Bytes on their way to the end of a file.
pub(super) struct Appender {
    file: Arc<dyn DiskFile>,
    written: u64,
    buffer: Vec<u8>,
}

/// Makes one segment of records in memory.
pub(crate) struct SegmentWriter {
    channel: ChannelId,
    number: u64,
    out: Appender,
    index: Vec<(Address, Place)>,
    marks: Vec<Mark>,
    first: Option<(u64, Millis)>,
    last: (u64, Millis),
}

impl Appender {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Appender {
        Appender { file, written: 0, buffer: Vec::with_capacity(BUFFER_BYTES / 4) }
    }

    /// Where the next byte goes.
    pub(super) fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.spill()
    }

    /// Goes back to a place that was flushed; what is behind it is written over.
    fn rewind(&mut self, at: u64) {
        self.buffer.clear();
        self.written = at;
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl SegmentWriter {
    pub(crate) fn create(disk: &dyn Disk, number: u64, channel: ChannelId) -> io::Result<SegmentWriter> {
        let mut out = Appender::new(disk.create(&file_name(number))?);
        out.put(&header(channel))?;
        debug_assert_eq!(out.at(), HEADER_BYTES);
        let (index, marks, first, last) = (Vec::new(), Vec::new(), None, (0, Millis(0)));
        Ok(SegmentWriter { channel, number, out, index, marks, first, last })
    }

    /// Bytes so far, the index not counted.
    pub(crate) fn bytes(&self) -> u64 {
        self.out.at()
    }

    /// Of its file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Records so far; the place of each is in memory until the end.
    pub(crate) fn records(&self) -> usize {
        self.index.len()
    }

    /// Records come in order of offset. The record is taken even if the disk has no room: [`Self::finish`] tries again.
    pub(crate) fn push(&mut self, record: &Record) -> io::Result<()> {
        let at = self.out.at();
        if self.marks.last().is_none_or(|mark| at - mark.at >= MARK_BYTES) {
            self.marks.push(Mark { offset: record.offset, appended: record.appended, at });
        }
        let len = put_record(&mut self.out.buffer, record);
        // What concerns every address is under this one; readers of any look there too.
        let wide = record.op.is_channel_wide();
        let address = if wide { Address::from_canonical("") } else { record.address.clone() };
        self.index.push((address, Place { offset: record.offset, at, len }));
        self.first.get_or_insert((record.offset, record.appended));
        self.last = (record.offset, record.appended);
        self.out.spill()
    }

    /// Writes the index and makes the file durable; its name is not yet. After a full disk it can be tried again.
    pub(crate) fn finish(&mut self) -> io::Result<SegmentMeta> {
        self.out.flush()?;
        let index_at = self.out.at();
        let finished = self.finish_at(index_at);
        if finished.is_err() {
            self.out.rewind(index_at);
        }
        finished
    }

    fn finish_at(&mut self, index_at: u64) -> io::Result<SegmentMeta> {
        self.index.sort_unstable_by(|a, b| (a.0.as_str(), a.1.offset).cmp(&(b.0.as_str(), b.1.offset)));
        let mut builder = IndexBuilder::default();
        for (address, place) in &self.index {
            builder.push(&mut self.out, address.as_str(), *place)?;
        }
        let (first, first_time) = self.first.ok_or_else(|| io::Error::other("a segment without records"))?;
        let records = self.index.len() as u64;
        let footer = Footer {
            channel: self.channel.to_bits(),
            first,
            last: self.last.0,
            records,
            index_at,
            ..Footer::default()
        };
        let bytes = finish_sections(&mut self.out, builder, &self.marks, footer)?;
        Ok(SegmentMeta { number: self.number, first, last: self.last.0, first_time, last_time: self.last.1, bytes })
    }
}

/// What follows the index blocks, and the sync. Returns the length of the file.
pub(super) fn finish_sections(
    out: &mut Appender,
    builder: IndexBuilder,
    marks: &[Mark],
    mut footer: Footer,
) -> io::Result<u64> {
    let fences = builder.finish(out)?;
    footer.fences_at = out.at();
    out.put(&section(&fences))?;
    footer.marks_at = out.at();
    out.put(&section(&encode_marks(marks)))?;
    footer.marks_end = out.at();
    out.put(&footer.encode())?;
    debug_assert_eq!(out.at(), footer.marks_end + FOOTER_BYTES);
    out.flush()?;
    synced(out.file.sync_data())?;
    Ok(out.at())
}
