//! `tidegate log verify`: reads every byte that counts, or says where the first damage is.
//!
//! It changes nothing but what redb itself repairs in its file after a crash.

use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::journal::{self, file_name, number_of, scan_file};
use crate::page::ReadError;
use crate::segment::Segment;
use crate::state::{META_JOURNAL_FROM, State};

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Channels, also those that no config names any more.
    pub channels: u64,
    /// Segment files, all whole.
    pub segments: u64,
    /// Records in them.
    pub segment_records: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Journal files that the state does not hold yet.
    pub journal_files: u64,
    /// Whole entries in them.
    pub journal_entries: u64,
    /// Records of those.
    pub journal_records: u64,
    /// Bytes of a torn tail, which was never acknowledged.
    pub journal_torn_bytes: u64,
    /// Rows of all views, as of the last drain.
    pub rows: u64,
    /// Addresses that ever had a row.
    pub addresses: u64,
    /// Idempotency keys.
    pub idempotency_keys: u64,
    /// Checkpoints of sources.
    pub checkpoints: u64,
}

/// Why a log is not whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be opened for checking.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// A file is damaged.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Checks a data folder that no process has open.
///
/// # Errors
/// The first damage, with file and byte position; [`OpenError::Locked`] while a server runs on the folder.
pub fn verify(path: impl AsRef<Path>) -> Result<Report, VerifyError> {
    if !path.as_ref().join(crate::state::FILE).is_file() {
        let reason = format!("{} holds no log", path.as_ref().display());
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, reason).into());
    }
    verify_on(Arc::new(RealDisk::new(path)?))
}

pub(crate) fn verify_on(disk: Arc<dyn Disk>) -> Result<Report, VerifyError> {
    let _lock = disk.try_lock()?.ok_or_else(|| OpenError::Locked { folder: disk.describe() })?;
    let state = State::open(disk.clone(), 16 * 1024 * 1024).map_err(OpenError::from)?;
    state.check().map_err(OpenError::from)?;
    let snapshot = state.snapshot().map_err(OpenError::from)?;
    let mut report =
        Report { channels: snapshot.channels().map_err(OpenError::from)?.len() as u64, ..Report::default() };
    [report.rows, report.addresses, report.idempotency_keys, report.checkpoints] =
        snapshot.count().map_err(OpenError::from)?;
    for (channel, meta) in snapshot.segments().map_err(OpenError::from)? {
        let segment = Segment::new(disk.clone(), channel, meta);
        let verified = segment.verify()?;
        report.segments += 1;
        report.segment_records += verified.records;
        report.segment_bytes += segment.meta.bytes;
    }
    let from = snapshot.number(META_JOURNAL_FROM).map_err(OpenError::from)?;
    verify_journal(&*disk, from, &mut report)?;
    Ok(report)
}

fn verify_journal(disk: &dyn Disk, from: u64, report: &mut Report) -> Result<(), VerifyError> {
    let mut numbers: Vec<u64> = disk.list(journal::DIR)?.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    let mut next = Some(from);
    let mut end = (from, 0);
    while let Some(number) = next {
        if !numbers.contains(&number) {
            if number == from && from == 1 {
                break;
            }
            let what = "the journal goes on in this file and it is not there".into();
            return Err(OpenError::Corrupt { file: file_name(number), at: 0, what }.into());
        }
        let scanned = scan_file(&*disk.open(&file_name(number))?, number, |_, batch| {
            report.journal_entries += 1;
            report.journal_records += batch.entries.len() as u64;
            Ok(())
        })?;
        report.journal_files += 1;
        end = (number, scanned.good);
        next = scanned.next;
        if next.is_none() {
            report.journal_torn_bytes = scanned.torn;
        }
    }
    for number in numbers.into_iter().filter(|number| *number > end.0) {
        let scanned = scan_file(&*disk.open(&file_name(number))?, number, |_, _| Ok(()))?;
        if scanned.entries > 0 {
            let what = format!("an entry does not fit, and the journal goes on in {}", file_name(number));
            return Err(OpenError::Corrupt { file: file_name(end.0), at: end.1, what }.into());
        }
    }
    Ok(())
}
