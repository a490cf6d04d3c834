//! Reading a journal file back: every whole entry from the front, and where they end.

use std::io;

use bytes::Bytes;

use super::format::{Command, FRAME_BYTES, HEADER_BYTES, MAGIC, Stored, VERSION, chained};
use crate::codec::Reader;
use crate::disk::DiskFile;
use crate::error::OpenError;

/// `00000001.journal`.
pub(crate) fn file_name(number: u64) -> String {
    format!("{}/{number:08}.journal", super::DIR)
}

/// The number in a name of the journal's folder.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".journal")?.parse().ok()
}

/// What a file held.
pub(crate) struct ScannedFile {
    /// Bytes up to the end of the last whole entry; 0 if not even the header is right.
    pub(crate) good: u64,
    /// Bytes of the file that are not zero and not good: a torn tail.
    pub(crate) torn: u64,
    /// The crc that the next entry would go on from.
    pub(crate) chain: u32,
    /// The file that follows, if this one is sealed.
    pub(crate) next: Option<u64>,
    /// Entries, the seal too.
    pub(crate) entries: u64,
}

/// Calls `apply` for each whole entry with its byte position, stopping at a seal or at the first byte that does not fit.
pub(crate) fn scan_file(
    file: &dyn DiskFile,
    number: u64,
    mut apply: impl FnMut(u64, Stored) -> Result<(), OpenError>,
) -> Result<ScannedFile, OpenError> {
    let bytes = read_all(file)?;
    let mut scanned = ScannedFile { good: 0, torn: 0, chain: 0, next: None, entries: 0 };
    let Some(chain) = read_header(&bytes, number)? else {
        scanned.torn = used(&bytes);
        return Ok(scanned);
    };
    (scanned.good, scanned.chain) = (HEADER_BYTES as u64, chain);
    while scanned.next.is_none() {
        let at = scanned.good as usize;
        let Some((end, crc)) = entry_at(&bytes, at, scanned.chain) else { break };
        let body = bytes.slice(at + FRAME_BYTES..end);
        let command = Command::decode(&body).ok_or_else(|| OpenError::Corrupt {
            file: file_name(number),
            at: at as u64,
            what: "an entry of a kind that this release does not know".into(),
        })?;
        (scanned.good, scanned.chain) = (end as u64, crc);
        scanned.entries += 1;
        match command {
            Command::Seal { next } => scanned.next = Some(next),
            Command::Batch(batch) => apply(at as u64, *batch)?,
        }
    }
    scanned.torn = used(&bytes[scanned.good as usize..]);
    Ok(scanned)
}

/// The crc of a right header; `None` if it is not whole.
fn read_header(bytes: &[u8], number: u64) -> Result<Option<u32>, OpenError> {
    let mut reader = Reader::new(bytes);
    let mut fields = || Some((reader.array::<8>()?, reader.u32()?, reader.u64()?, reader.u64()?, reader.u32()?));
    let Some((magic, version, own, _nonce, crc)) = fields() else { return Ok(None) };
    if crc32fast::hash(&bytes[..HEADER_BYTES - 4]) != crc || magic != *MAGIC || own != number {
        return Ok(None);
    }
    if version > VERSION {
        return Err(OpenError::Format { file: file_name(number), found: version, known: VERSION });
    }
    Ok(Some(crc))
}

/// End and crc of the entry at `at`, if it is whole.
fn entry_at(bytes: &[u8], at: usize, chain: u32) -> Option<(usize, u32)> {
    let mut reader = Reader::new(bytes.get(at..)?);
    let (len, crc) = (reader.u32()?, reader.u32()?);
    let body = reader.take(usize::try_from(len).ok()?)?;
    (len > 0 && chained(chain, len, body) == crc).then(|| (at + FRAME_BYTES + body.len(), crc))
}

fn read_all(file: &dyn DiskFile) -> io::Result<Bytes> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.into())
}

fn used(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}
