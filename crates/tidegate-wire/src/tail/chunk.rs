//! What a ring is made of, and the places in it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::Offset;

/// Whole records, encoded.
#[derive(Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// The ends of its records, or of all of them where they are packed together; never empty.
    pub(crate) marks: Arc<[Mark]>,
    /// Since when it is there.
    pub(crate) sealed: Instant,
}

/// The end of a record in a chunk, or of a run of them that are packed together: a cut here is
/// between frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes of the chunk up to here.
    pub(crate) end: u32,
    /// Frames of the chunk up to here.
    pub(crate) frames: u32,
    /// Everything of the view up to this offset has been said here.
    pub(crate) upto: Offset,
}

/// A watcher's place in a tail, between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the chunk that it takes next.
    pub(crate) chunk: u64,
    /// So much of that chunk it has taken.
    pub(crate) bytes: u32,
    /// Where it reads the log from if the chunk is gone by then.
    pub(crate) upto: Offset,
}

/// A place in the log from which a tail goes on.
pub(crate) struct Boundary {
    /// The tail has everything after here, in chunks from `chunk` on.
    pub(crate) upto: Offset,
    pub(crate) chunk: u64,
    /// The last cursor in the tail, not above `upto`.
    pub(crate) last: Offset,
}

impl Chunk {
    pub(crate) fn last(&self) -> Mark {
        *self.marks.last().expect("a chunk has records")
    }
}
