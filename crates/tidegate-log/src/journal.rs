//! The journal: the command log that makes a group of batches durable with one sync.
//!
//! Numbered files, read in a chain: each ends with a seal that names the next. Only the last has no seal; its tail
//! may be torn, and what does not fit is as if it had never been written. One thread writes; nothing here knows views.

mod format;
mod scan;
mod writer;

pub(crate) use format::{IdempotencyRecord, Stored, encode};
pub(crate) use scan::{ScannedFile, file_name, number_of, scan_file};
pub(crate) use writer::{JournalWriter, WriteError, seal_found};

/// The folder.
pub(crate) const DIR: &str = "journal";
