//! The bytes of a segment file.
//!
//! Header (32): magic, version u32, channel u64, crc. Records: length u32 of the body, crc u32, body. Index blocks, the fence
//! section and the mark section: crc u32, then their bytes. Footer ([`FOOTER_BYTES`]): where the sections are, crc, magic.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Millis, Offset, Op, Record, Scope, Tx};

use crate::codec::{Reader, op_code, op_of, put_bytes, put_option, put_varint};

pub(super) const MAGIC: &[u8; 8] = b"TIDESGMT";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: u64 = 32;
/// Length and crc of a record.
pub(super) const FRAME_BYTES: usize = 8;
pub(super) const FOOTER_BYTES: u64 = 96;

/// What the state says of a segment; the rest is in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    pub(crate) number: u64,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    pub(crate) first_time: Millis,
    pub(crate) last_time: Millis,
    /// Of the whole file.
    pub(crate) bytes: u64,
}

/// Where a record is in a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    pub(crate) at: u64,
    /// With its frame.
    pub(crate) len: u32,
}

/// Sections of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) channel: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) records: u64,
    /// Records end here and index blocks begin.
    pub(super) index_at: u64,
    /// Index blocks end here.
    pub(super) fences_at: u64,
    pub(super) marks_at: u64,
    pub(super) marks_end: u64,
}

impl SegmentMeta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        for value in [self.number, self.first, self.last, self.first_time.0, self.last_time.0, self.bytes] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentMeta> {
        let mut reader = Reader::new(bytes);
        Some(SegmentMeta {
            number: reader.u64()?,
            first: reader.u64()?,
            last: reader.u64()?,
            first_time: Millis(reader.u64()?),
            last_time: Millis(reader.u64()?),
            bytes: reader.u64()?,
        })
    }
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES as usize);
        let fields = [
            self.channel,
            self.first,
            self.last,
            self.records,
            self.index_at,
            self.fences_at,
            self.marks_at,
            self.marks_end,
        ];
        for value in fields {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.resize(FOOTER_BYTES as usize - 12, 0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Footer> {
        let (fields, tail) = bytes.split_at_checked(FOOTER_BYTES as usize - 12)?;
        let mut check = Reader::new(tail);
        if check.u32()? != crc32fast::hash(fields) || check.array::<8>()? != *MAGIC {
            return None;
        }
        let mut reader = Reader::new(fields);
        Some(Footer {
            channel: reader.u64()?,
            first: reader.u64()?,
            last: reader.u64()?,
            records: reader.u64()?,
            index_at: reader.u64()?,
            fences_at: reader.u64()?,
            marks_at: reader.u64()?,
            marks_end: reader.u64()?,
        })
    }
}

pub(super) fn header(channel: ChannelId) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES as usize);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&channel.to_bits().to_le_bytes());
    out.resize(HEADER_BYTES as usize - 4, 0);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Format version of a right header.
pub(super) fn header_version(bytes: &[u8]) -> Option<u32> {
    let (fields, crc) = bytes.split_at_checked(HEADER_BYTES as usize - 4)?;
    let mut reader = Reader::new(fields);
    let magic = reader.array::<8>()?;
    (magic == *MAGIC && crc == crc32fast::hash(fields).to_le_bytes()).then(|| reader.u32())?
}

/// Appends a framed record; returns its length with the frame.
pub(super) fn put_record(out: &mut Vec<u8>, record: &Record) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_BYTES]);
    out.extend_from_slice(&record.offset.to_le_bytes());
    out.extend_from_slice(&record.appended.0.to_le_bytes());
    out.push(op_code(record.op));
    put_bytes(out, record.address.as_str().as_bytes());
    put_option(out, record.key.as_deref().map(str::as_bytes));
    put_varint(out, record.time.0);
    put_option(out, record.tx.as_ref().map(|tx| tx.id.as_bytes()));
    out.push(u8::from(record.tx.as_ref().is_some_and(|tx| tx.last)));
    put_option(out, record.before.as_deref());
    put_bytes(out, &record.data);
    let crc = crc32fast::hash(&out[start + FRAME_BYTES..]);
    let len = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&(len - FRAME_BYTES as u32).to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    len
}

/// The frame at the front of `bytes`: length of the whole record, if the bytes hold it all and it is right.
pub(super) enum Framed<'b> {
    Body(&'b [u8], usize),
    /// So many bytes are needed to know.
    Needs(usize),
    Damaged,
}

pub(super) fn framed(bytes: &[u8]) -> Framed<'_> {
    let mut reader = Reader::new(bytes);
    let (Some(len), Some(crc)) = (reader.u32(), reader.u32()) else { return Framed::Needs(FRAME_BYTES) };
    let whole = FRAME_BYTES + len as usize;
    match reader.take(len as usize) {
        None => Framed::Needs(whole),
        Some(body) if crc32fast::hash(body) == crc => Framed::Body(body, whole),
        Some(_) => Framed::Damaged,
    }
}

/// A record's body of which only the front was read.
pub(super) struct Peeked<'b> {
    pub(super) offset: Offset,
    pub(super) appended: Millis,
    op: u8,
    pub(super) address: &'b str,
    key: Option<&'b str>,
    rest: Reader<'b>,
}

impl<'b> Peeked<'b> {
    pub(super) fn new(body: &'b [u8]) -> Option<Peeked<'b>> {
        let mut rest = Reader::new(body);
        let (offset, appended) = (rest.u64()?, Millis(rest.u64()?));
        let op = rest.u8()?;
        let (address, key) = (rest.text()?, rest.option_text()?);
        Some(Peeked { offset, appended, op, address, key, rest })
    }

    /// Whether it concerns every address.
    pub(super) fn is_channel_wide(&self) -> bool {
        op_of(self.op).is_some_and(Op::is_channel_wide)
    }

    pub(super) fn matches(&self, scope: &Scope) -> bool {
        self.is_channel_wide() || scope.matches(self.address, self.key)
    }

    /// The whole record; `known` is an address that it often has, to share.
    pub(super) fn record(mut self, known: &mut Option<Address>) -> Option<Arc<Record>> {
        let address = match known {
            Some(known) if known.as_str() == self.address => known.clone(),
            _ => known.insert(Address::from_canonical(self.address)).clone(),
        };
        let time = Millis(self.rest.varint()?);
        let tx = self.rest.option_text()?;
        let last = self.rest.u8()? != 0;
        let before = self.rest.option()?.map(Bytes::copy_from_slice);
        let data = Bytes::copy_from_slice(self.rest.bytes()?);
        Some(Arc::new(Record {
            offset: self.offset,
            appended: self.appended,
            time,
            op: op_of(self.op)?,
            address,
            key: self.key.map(Into::into),
            data,
            before,
            tx: tx.map(|id| Tx { id: id.into(), last }),
        }))
    }
}

/// Adds a crc in front of a section.
pub(super) fn section(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 4);
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

/// Takes the crc off again.
pub(super) fn checked(section: &[u8]) -> Option<&[u8]> {
    let (crc, body) = section.split_at_checked(4)?;
    (crc32fast::hash(body).to_le_bytes() == *crc).then_some(body)
}
