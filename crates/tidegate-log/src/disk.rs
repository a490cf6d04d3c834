//! The disk as the log sees it: few operations, so that a simulated one can be exact about what a power loss keeps.
//!
//! The contract that both disks keep, and that the log relies on:
//! - bytes written are certain only after [`DiskFile::sync_data`] returned `Ok`, with the length they need;
//! - a file's name, its removal or renaming is certain only after [`Disk::sync_dir`] on its folder;
//! - a failed sync says nothing about what is on disk, and repeating it proves nothing.

mod real;
#[cfg(feature = "sim")]
mod sim;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use real::RealDisk;
#[cfg(feature = "sim")]
pub use sim::SimDisk;

/// A folder with one level of folders in it. Paths are relative: `journal/00000001.journal`.
pub trait Disk: Send + Sync + Debug {
    /// For people.
    fn describe(&self) -> String;
    /// Makes a folder; `Ok` if it is there.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Makes a new, empty file; an existing one is an error.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the files in a folder, in any order.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Removes a file; open handles go on.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Renames within a folder, replacing what is there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in a folder durable; `""` is the root.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes the folder for this process; `None` if another has it. Held until dropped.
    fn try_lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file. Reads and writes name their position.
pub trait DiskFile: Send + Sync + Debug {
    /// Fills `buf` or fails (`UnexpectedEof` at the end).
    fn read_exact_at(&self, buf: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes all, extending the file if need be; not certain until synced.
    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()>;
    /// Bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Extends to `len` with zeros and takes the space for it now.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes all bytes written so far durable.
    fn sync_data(&self) -> io::Result<()>;
    /// These bytes will be read soon.
    fn will_need(&self, at: u64, len: u64);
}

/// Marks a failed sync, which poisons: unlike a full disk it cannot be tried again.
#[derive(Debug, thiserror::Error)]
#[error("a sync failed: {0}")]
struct SyncFailed(io::Error);

/// The result of a sync, marked if it failed.
pub(crate) fn synced(result: io::Result<()>) -> io::Result<()> {
    result.map_err(|error| io::Error::new(error.kind(), SyncFailed(error)))
}

/// Whether an error came from [`synced`].
pub(crate) fn is_sync_failure(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<SyncFailed>())
}
