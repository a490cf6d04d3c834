//! Segments: the history of one channel on disk, immutable once written.
//!
//! Records in order of offset, then an index sorted by address, then what is held in memory while a segment is in use:
//! the first entry of each index block (fences) and a place every 64 KiB of records (marks). A record of one address costs
//! a read of one index block and one of the record; a scan reads straight on.

mod format;
mod index;
mod merge;
mod read;
mod write;

pub(crate) use format::{Place, SegmentMeta};
pub(crate) use merge::merge;
pub(crate) use read::Segment;
pub(crate) use write::SegmentWriter;

/// The folder.
pub(crate) const DIR: &str = "segments";

/// Path of a segment file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{DIR}/{number:010}.segment")
}

/// The number in a name of the folder.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".segment")?.parse().ok()
}
