//! redb's storage on our disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use crate::disk::DiskFile;

/// A file, and whether a sync of it ever failed: then nothing that redb says of it later proves anything.
#[derive(Debug)]
pub(crate) struct Backend {
    file: Arc<dyn DiskFile>,
    /// `None`: nothing in it is to survive anything, so it is not synced.
    sync_failed: Option<Arc<AtomicBool>>,
}

impl Backend {
    pub(super) fn durable(file: Arc<dyn DiskFile>, sync_failed: Arc<AtomicBool>) -> Backend {
        Backend { file, sync_failed: Some(sync_failed) }
    }

    pub(crate) fn forgetful(file: Arc<dyn DiskFile>) -> Backend {
        Backend { file, sync_failed: None }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        // Space is taken now, so that a full disk is found here and not at some page later.
        if len > self.file.len()? { self.file.allocate(len) } else { self.file.set_len(len) }
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        match &self.sync_failed {
            Some(failed) => self.file.sync_data().inspect_err(|_| failed.store(true, Ordering::Release)),
            None => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.file.write_all_at(data, offset)
    }
}
