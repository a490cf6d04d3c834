//! What is read: pages of records and of rows.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Address, Key, Millis, Offset, Record};

/// Where a page ends at the latest; at least one record or row is returned even if it is larger.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Records or rows.
    pub records: usize,
    /// Of payload, before-images and names.
    pub bytes: usize,
}

/// Records of a scope, oldest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order of offset.
    pub records: Vec<Arc<Record>>,
    /// Nothing of the scope in `(after, upto]` is missing from `records`; equals `until` (or the
    /// head, if that is less) when the page is complete. Go on from here.
    pub upto: Offset,
}

/// Rows of a view, in order of address and key.
#[derive(Clone, Debug)]
pub struct RowPage {
    /// The state at `at`, exactly.
    pub rows: Vec<ViewRow>,
    /// There may be more, after this place.
    pub next: Option<(Address, Key)>,
    /// The channel's head that this page is the state of.
    pub at: Offset,
}

/// The last value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewRow {
    /// Where.
    pub address: Address,
    /// Its key.
    pub key: Key,
    /// Event time of its last change.
    pub time: Millis,
    /// Validated JSON.
    pub data: Bytes,
    /// The record that made it.
    pub offset: Offset,
}

/// Why records or rows cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Records after the asked position are gone; those after `start` are held.
    #[error("records up to offset {start} are no longer held")]
    Trimmed {
        /// The channel's start.
        start: Offset,
    },
    /// The disk failed.
    #[error("the disk of the log failed: {0}")]
    Io(Arc<std::io::Error>),
    /// The disk returned something else than was written.
    #[error("damaged: {file} at byte {at}: {what}")]
    Corrupt {
        /// Within the data folder.
        file: String,
        /// Byte position.
        at: u64,
        /// What does not fit.
        what: String,
    },
    /// The view store failed.
    #[error("the view store failed: {0}")]
    State(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// Rows were asked of a channel without a view.
    #[error("the channel is not keyed")]
    NotKeyed,
    /// Addresses of a key were asked of a channel whose spec has no `by_key`.
    #[error("the channel keeps no index of keys")]
    NotByKey,
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> ReadError {
        ReadError::Io(Arc::new(error))
    }
}
