//! One channel of the log, for reading.

use std::sync::Arc;

use tidegate_core::{Address, ChannelId, Epoch, Key, Millis, Offset, Record, Scope};

use crate::page::{Page, ReadError, ReadLimit, RowPage, ViewRow};

/// A handle on a channel. Cheap to clone; all reads may block on the disk but for those that say otherwise.
#[derive(Clone)]
pub struct Channel {}

impl Channel {
    /// A stable hash of its name.
    pub fn id(&self) -> ChannelId { unimplemented!() }
    /// As in its spec.
    pub fn name(&self) -> &str { unimplemented!() }
    /// Whether it has a view.
    pub fn keyed(&self) -> bool { unimplemented!() }
    /// Whether nothing of it is on disk.
    pub fn ephemeral(&self) -> bool { unimplemented!() }
    /// Which life of the channel's log this is.
    pub fn epoch(&self) -> Epoch { unimplemented!() }
    /// Offset of the last visible record; 0 before the first.
    pub fn head(&self) -> Offset { unimplemented!() }
    /// Records after this offset are held; a position before it has a gap.
    pub fn start(&self) -> Offset { unimplemented!() }
    /// Records of `scope` in `(after, until]`, oldest first.
    pub fn read(&self, _after: Offset, _until: Offset, _scope: &Scope, _limit: ReadLimit) -> Result<Page, ReadError> { unimplemented!() }
    /// The same from memory, never blocking on the disk; `None` if the range begins before what memory holds.
    pub fn read_hot(&self, _after: Offset, _until: Offset, _scope: &Scope, _limit: ReadLimit) -> Option<Page> { unimplemented!() }
    /// The newest `limit` records of `scope`, oldest first. For patterns and keys it looks back over
    /// `Options::scan_bytes_max` at most, and may find fewer.
    pub fn newest(&self, _scope: &Scope, _limit: usize) -> Result<Vec<Arc<Record>>, ReadError> { unimplemented!() }
    /// The position after which records with a time of append of `time` or later begin, not below `start`.
    pub fn position_at(&self, _time: Millis) -> Result<Offset, ReadError> { unimplemented!() }
    /// One row and the head that it is the state of.
    pub fn row(&self, _address: &Address, _key: &str) -> Result<(Option<ViewRow>, Offset), ReadError> { unimplemented!() }
    /// Rows of `scope` in order of address and key, after `after`; the state at `RowPage::at` exactly. A page
    /// may have few rows or none and still have a `next`, where a pattern matches little.
    pub fn rows(&self, _scope: &Scope, _after: Option<&(Address, Key)>, _limit: ReadLimit) -> Result<RowPage, ReadError> { unimplemented!() }
    /// Offset of the last change at an address, deletes and clears included; `None` if it never had a row.
    pub fn touched(&self, _address: &Address) -> Result<Option<Offset>, ReadError> { unimplemented!() }
}
