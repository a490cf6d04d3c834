//! Bytes of our files: little-endian numbers, variable-length numbers, lengths before texts.
//!
//! Reading never trusts a length: everything returns `None` past the end.

use tidegate_core::Op;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Absent is 0, present is the length plus one.
pub(crate) fn put_option(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            put_varint(out, bytes.len() as u64 + 1);
            out.extend_from_slice(bytes);
        }
    }
}

pub(crate) fn op_code(op: Op) -> u8 {
    match op {
        Op::Append => 0,
        Op::Upsert => 1,
        Op::Delete => 2,
        Op::Clear => 3,
        Op::Gap => 4,
        Op::Notice => 5,
    }
}

pub(crate) fn op_of(code: u8) -> Option<Op> {
    Some(match code {
        0 => Op::Append,
        1 => Op::Upsert,
        2 => Op::Delete,
        3 => Op::Clear,
        4 => Op::Gap,
        5 => Op::Notice,
        _ => return None,
    })
}

/// Reads from the front of a slice and knows how far it came.
#[derive(Clone)]
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let end = self.at.checked_add(len)?;
        let found = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(found)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn bytes(&mut self) -> Option<&'b [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// What [`put_option`] wrote; the outer `None` is damage.
    pub(crate) fn option(&mut self) -> Option<Option<&'b [u8]>> {
        match usize::try_from(self.varint()?).ok()? {
            0 => Some(None),
            len => Some(Some(self.take(len - 1)?)),
        }
    }

    pub(crate) fn option_text(&mut self) -> Option<Option<&'b str>> {
        match self.option()? {
            None => Some(None),
            Some(bytes) => Some(Some(std::str::from_utf8(bytes).ok()?)),
        }
    }
}
