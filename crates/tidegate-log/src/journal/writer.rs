//! Writing the journal: a group at a time, one write and one sync.

use std::io;
use std::sync::Arc;

use super::format::{FRAME_BYTES, HEADER_BYTES, MAGIC, SEAL_BYTES, VERSION, encode};
use super::scan::file_name;
use crate::disk::{Disk, DiskFile};

/// Files grow by so much at a time, so that a sync seldom has to write the file's size too.
const STEP_BYTES_MAX: u64 = 8 * 1024 * 1024;
const STEP_BYTES_MIN: u64 = 64 * 1024;

/// The file that is being written.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    file: Arc<dyn DiskFile>,
    number: u64,
    /// End of the last good entry.
    end: u64,
    /// The file has space up to here.
    allocated: u64,
    chain: u32,
    step: u64,
}

/// A file with a durable name and header that nothing was appended to yet.
#[derive(Debug)]
pub(crate) struct NextFile(JournalWriter);

/// Why a group is not in the journal.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing of it is, nor will be after a crash.
    Refused(io::Error),
    /// The disk can no longer say what it holds.
    Poisoned(io::Error),
}

impl JournalWriter {
    /// Makes a file durable, with nothing in it. On failure nothing is left that counts.
    pub(crate) fn prepare(disk: &dyn Disk, number: u64, journal_bytes: u64) -> Result<NextFile, WriteError> {
        let step = step(journal_bytes);
        let name = file_name(number);
        let file = disk.create(&name).map_err(WriteError::Refused)?;
        let (header, chain) = header(number);
        let mut writer = JournalWriter { file, number, end: HEADER_BYTES as u64, allocated: 0, chain, step };
        let written = writer.reserve(0).and_then(|()| writer.file.write_all_at(&header, 0));
        if let Err(error) = written {
            let _ = disk.remove(&name); // its name was never synced; a leftover is removed at the next open
            return Err(WriteError::Refused(error));
        }
        writer.file.sync_data().and_then(|()| disk.sync_dir(super::DIR)).map_err(WriteError::Poisoned)?;
        Ok(NextFile(writer))
    }

    /// Goes on in a file of an earlier life that ends at `end`, for a disk that has no space for a new one.
    pub(crate) fn resume(
        file: Arc<dyn DiskFile>,
        number: u64,
        end: u64,
        chain: u32,
        journal_bytes: u64,
    ) -> JournalWriter {
        JournalWriter { file, number, end, allocated: end, chain, step: step(journal_bytes) }
    }

    /// Starts to write a prepared file.
    pub(crate) fn start(next: NextFile) -> JournalWriter {
        next.0
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether nothing was appended to this file.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == HEADER_BYTES as u64
    }

    /// Bytes in the file.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// What the first entry of the next group goes on from.
    pub(crate) fn chain(&self) -> u32 {
        self.chain
    }

    /// Writes a group whose last entry has the crc `chain`; not durable until [`Self::sync`].
    pub(crate) fn write(&mut self, group: &[u8], chain: u32) -> Result<(), WriteError> {
        self.reserve(group.len() as u64).map_err(WriteError::Refused)?;
        if let Err(error) = self.file.write_all_at(group, self.end) {
            self.forget_tail()?;
            return Err(WriteError::Refused(error));
        }
        self.end += group.len() as u64;
        self.chain = chain;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        self.file.sync_data().map_err(WriteError::Poisoned)
    }

    /// Ends this file durably and goes on in `next`. If it is refused, this file goes on.
    pub(crate) fn rotate(&mut self, next: NextFile) -> Result<(), WriteError> {
        let mut seal = Vec::with_capacity(SEAL_BYTES);
        encode::seal(&mut seal, self.chain, next.0.number);
        self.reserve(0).map_err(WriteError::Refused)?;
        if let Err(error) = self.file.write_all_at(&seal, self.end) {
            self.forget_tail()?;
            return Err(WriteError::Refused(error));
        }
        self.sync()?;
        *self = next.0;
        Ok(())
    }

    /// Takes space for `more` bytes and for the seal that must always fit.
    fn reserve(&mut self, more: u64) -> io::Result<()> {
        let needed = self.end + more + SEAL_BYTES as u64;
        if needed <= self.allocated {
            return Ok(());
        }
        let roomy = needed.next_multiple_of(self.step);
        let allocated = match self.file.allocate(roomy) {
            Ok(()) => roomy,
            // The last corners of a full disk.
            Err(_) => {
                let tight = needed.next_multiple_of(4096);
                self.file.allocate(tight)?;
                tight
            }
        };
        self.allocated = allocated;
        Ok(())
    }

    /// After a write that failed half-way: no entry of it may be found after a crash, since its batches were
    /// refused. Without its first frame none of them fits.
    fn forget_tail(&mut self) -> Result<(), WriteError> {
        if self.file.write_all_at(&[0; FRAME_BYTES], self.end).is_err() {
            self.file.set_len(self.end).map_err(WriteError::Poisoned)?;
            self.allocated = self.end;
        }
        self.sync()
    }
}

/// Ends a file of an earlier life durably: cuts its torn tail off and names the next one. `good` 0 is a file that
/// did not even get its header.
pub(crate) fn seal_found(file: &dyn DiskFile, number: u64, good: u64, chain: u32, next: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut chain = chain;
    if good == 0 {
        (bytes, chain) = header(number);
    }
    encode::seal(&mut bytes, chain, next);
    file.set_len(good)?;
    file.write_all_at(&bytes, good)?;
    file.sync_data()
}

fn step(journal_bytes: u64) -> u64 {
    (journal_bytes / 8).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
}

/// The header of a file, and the crc that its first entry goes on from.
fn header(number: u64) -> (Vec<u8>, u32) {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&rand::random::<u64>().to_le_bytes());
    let chain = crc32fast::hash(&header);
    header.extend_from_slice(&chain.to_le_bytes());
    (header, chain)
}
