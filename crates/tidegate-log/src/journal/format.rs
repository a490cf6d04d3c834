//! The bytes of a journal file.
//!
//! Header: magic (8), format version u32, file number u64, nonce u64, crc u32 of these. Entries: length u32 of kind and
//! body, crc u32, kind u8, body. The crc of an entry goes on from the crc of the one before (the first from the header's, which covers
//! the nonce), so bytes of an older life of the same blocks never fit, and an entry is valid only if all before it are.

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Key, Millis, Offset, Op};

use crate::batch::{Appended, Entry, Idempotency};
use crate::codec::{Reader, op_code, op_of, put_bytes, put_option, put_varint};

pub(super) const MAGIC: &[u8; 8] = b"TIDEJRNL";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 32;
/// Length and crc.
pub(super) const FRAME_BYTES: usize = 8;
/// A whole seal entry: frame, kind, number of the next file.
pub(super) const SEAL_BYTES: usize = FRAME_BYTES + 1 + 8;

const BATCH: u8 = 1;
const SEAL: u8 = 2;

/// One entry of the journal, as it is read back.
pub(super) enum Command {
    Batch(Box<Stored>),
    /// The file is complete; the chain goes on in this one.
    Seal {
        next: u64,
    },
}

/// A batch, read back.
pub(crate) struct Stored {
    pub(crate) appended: Millis,
    pub(crate) tx: Option<Box<str>>,
    pub(crate) checkpoints: Vec<(String, Bytes)>,
    pub(crate) idempotency: Option<IdempotencyRecord>,
    /// First offset in each channel; the batch's records there follow without a hole.
    pub(crate) first: Vec<(ChannelId, Offset)>,
    pub(crate) entries: Vec<Entry>,
}

/// An idempotency key with the answer that a repeat gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyRecord {
    pub(crate) key: Idempotency,
    pub(crate) answer: Appended,
}

/// Writes entries into the buffer of a group; each is framed when it is complete.
pub(crate) mod encode {
    use super::*;

    /// What a batch is beside its entries.
    pub(crate) struct Head<'a> {
        pub(crate) appended: Millis,
        pub(crate) tx: Option<&'a str>,
        pub(crate) checkpoints: &'a [(String, Bytes)],
        pub(crate) idempotency: Option<&'a IdempotencyRecord>,
        pub(crate) first: &'a [(ChannelId, Offset)],
    }

    pub(crate) fn batch<'e>(
        out: &mut Vec<u8>,
        chain: u32,
        head: &Head<'_>,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> u32 {
        framed(out, chain, BATCH, |out| {
            put_head(out, head);
            put_entries(out, entries);
        })
    }

    pub(crate) fn seal(out: &mut Vec<u8>, chain: u32, next: u64) -> u32 {
        framed(out, chain, SEAL, |out| out.extend_from_slice(&next.to_le_bytes()))
    }

    /// Returns the crc, which the next entry goes on from.
    fn framed(out: &mut Vec<u8>, chain: u32, kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_BYTES]);
        out.push(kind);
        body(out);
        let len = (out.len() - start - FRAME_BYTES) as u32;
        let crc = chained(chain, len, &out[start + FRAME_BYTES..]);
        out[start..start + 4].copy_from_slice(&len.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    fn put_head(out: &mut Vec<u8>, head: &Head<'_>) {
        put_varint(out, head.appended.0);
        put_option(out, head.tx.map(str::as_bytes));
        put_varint(out, head.checkpoints.len() as u64);
        for (name, bytes) in head.checkpoints {
            put_bytes(out, name.as_bytes());
            put_bytes(out, bytes);
        }
        match head.idempotency {
            None => out.push(0),
            Some(record) => {
                out.push(1);
                record.put(out);
            }
        }
        put_offsets(out, head.first);
    }

    fn put_entries<'e>(out: &mut Vec<u8>, entries: impl Iterator<Item = &'e Entry>) {
        let count_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut count = 0u32;
        for entry in entries {
            count += 1;
            out.extend_from_slice(&entry.channel.to_bits().to_le_bytes()[..5]);
            out.push(op_code(entry.op));
            put_bytes(out, entry.address.as_str().as_bytes());
            put_option(out, entry.key.as_deref().map(str::as_bytes));
            put_varint(out, entry.time.0);
            put_bytes(out, &entry.data);
        }
        out[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    }
}

impl IdempotencyRecord {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.channel.to_bits().to_le_bytes());
        put_bytes(out, self.key.principal.as_bytes());
        put_bytes(out, self.key.key.as_bytes());
        out.extend_from_slice(&self.key.body_hash);
        put_varint(out, self.answer.count);
        put_offsets(out, &self.answer.last);
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Option<IdempotencyRecord> {
        let key = Idempotency {
            channel: ChannelId::from_bits(reader.u64()?),
            principal: reader.text()?.to_owned(),
            key: reader.text()?.to_owned(),
            body_hash: reader.array()?,
        };
        let count = reader.varint()?;
        Some(IdempotencyRecord { key, answer: Appended { last: get_offsets(reader)?, count, replayed: false } })
    }
}

impl Command {
    /// Reads kind and body of an entry whose crc is right. `None` is a format that this release does not know.
    /// Payloads are slices of `body`.
    pub(super) fn decode(body: &Bytes) -> Option<Command> {
        let mut reader = Reader::new(body);
        let command = match reader.u8()? {
            BATCH => Command::Batch(Box::new(Stored::get(&mut reader, body)?)),
            SEAL => Command::Seal { next: reader.u64()? },
            _ => return None,
        };
        reader.is_done().then_some(command)
    }
}

impl Stored {
    fn get(reader: &mut Reader<'_>, body: &Bytes) -> Option<Stored> {
        let appended = Millis(reader.varint()?);
        let tx = reader.option_text()?.map(Into::into);
        let count = reader.varint()?;
        let checkpoint = |_| Some((reader.text()?.to_owned(), Bytes::copy_from_slice(reader.bytes()?)));
        let checkpoints = (0..count).map(checkpoint).collect::<Option<_>>()?;
        let idempotency = match reader.u8()? {
            0 => None,
            _ => Some(IdempotencyRecord::get(reader)?),
        };
        let first = get_offsets(reader)?;
        Some(Stored { appended, tx, checkpoints, idempotency, first, entries: get_entries(reader, body)? })
    }
}

/// The crc of an entry, going on from that of the one before.
pub(super) fn chained(chain: u32, len: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(chain);
    hasher.update(&len.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn put_offsets(out: &mut Vec<u8>, offsets: &[(ChannelId, Offset)]) {
    put_varint(out, offsets.len() as u64);
    for (channel, offset) in offsets {
        out.extend_from_slice(&channel.to_bits().to_le_bytes());
        put_varint(out, *offset);
    }
}

fn get_offsets(reader: &mut Reader<'_>) -> Option<Vec<(ChannelId, Offset)>> {
    (0..reader.varint()?).map(|_| Some((ChannelId::from_bits(reader.u64()?), reader.varint()?))).collect()
}

fn get_entries(reader: &mut Reader<'_>, body: &Bytes) -> Option<Vec<Entry>> {
    (0..reader.u32()?).map(|_| get_entry(reader, body)).collect()
}

fn get_entry(reader: &mut Reader<'_>, body: &Bytes) -> Option<Entry> {
    let mut id = [0; 8];
    id[..5].copy_from_slice(&reader.array::<5>()?);
    let op: Op = op_of(reader.u8()?)?;
    let address = Address::from_canonical(reader.text()?);
    let key: Option<Key> = reader.option_text()?.map(Into::into);
    let time = Millis(reader.varint()?);
    let len = reader.bytes()?.len();
    let data = body.slice(reader.at() - len..reader.at());
    Some(Entry { channel: ChannelId::from_bits(u64::from_le_bytes(id)), op, address, key, time, data })
}
