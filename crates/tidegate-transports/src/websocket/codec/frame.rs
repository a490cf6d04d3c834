//! One frame: its header as a client writes it, and the control frames that we write.

use super::{Violation, violation};

/// The head of a client's frame.
pub(super) struct Header {
    pub(super) fin: bool,
    /// RSV1: the message is deflated (RFC 7692, section 6).
    pub(super) deflated: bool,
    pub(super) opcode: u8,
    pub(super) mask: [u8; 4],
    /// Bytes of the header itself.
    pub(super) bytes: usize,
    /// Bytes of the payload; checked by the caller before they count on it.
    pub(super) length: u64,
}

impl Header {
    /// Whether this is the first frame of a text or binary message.
    pub(super) fn begins_message(&self) -> bool {
        matches!(self.opcode, 1 | 2)
    }
}

/// Reads a header; `None` until it is whole. What is wrong in its first two bytes is said at once.
pub(super) fn header(bytes: &[u8]) -> Result<Option<Header>, Violation> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x30 != 0 {
        return Err(violation("a reserved bit is set that no extension uses"));
    }
    if second & 0x80 == 0 {
        return Err(violation("a client's frames are masked"));
    }
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    let control = opcode >= 8;
    let short = second & 0x7f;
    if control && (!fin || short > 125) {
        return Err(violation("a control frame is whole and has at most 125 bytes"));
    }
    let (length, extra) = match short {
        126 if rest.len() >= 2 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
        127 if rest.len() >= 8 => (u64::from_be_bytes(rest[..8].try_into().expect("eight bytes")), 8),
        126 | 127 => return Ok(None),
        length => (u64::from(length), 0),
    };
    let Some(mask) = rest.get(extra..extra + 4) else { return Ok(None) };
    let mask = mask.try_into().expect("four bytes");
    Ok(Some(Header { fin, deflated: first & 0x40 != 0, opcode, mask, bytes: 2 + extra + 4, length }))
}

/// Takes the mask off a payload, or puts it on.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// An unmasked control frame of ours; the payload is cut to what fits.
pub(in super::super) fn control_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = vec![0x80 | opcode, payload.len() as u8];
    frame.extend_from_slice(payload);
    frame
}

/// A close frame.
pub(in super::super) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut cut = reason.len().min(123);
    while !reason.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..cut]);
    control_frame(8, &payload)
}
