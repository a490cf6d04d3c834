//! Frames of a client: parsed, unmasked, put together to messages (RFC 6455, section 5).

/// A message of a client may have so many bytes; a publish fits.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A close code of RFC 6455, section 7.4.1.
pub(super) const PROTOCOL_ERROR: u16 = 1002;
/// Text that is not UTF-8.
const NOT_UTF8: u16 = 1007;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// The client broke the protocol; the connection closes with this code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

/// Takes bytes as they come, and yields messages.
#[derive(Default)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
    /// A message whose last fragment has not come.
    partial: Option<Partial>,
}

struct Partial {
    text: bool,
    payload: Vec<u8>,
}

struct Header {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of the header itself.
    bytes: usize,
    length: usize,
}

fn violation(reason: &'static str) -> Violation {
    Violation { code: PROTOCOL_ERROR, reason }
}

impl Decoder {
    /// Adds what was read. The caller takes messages until there are none before it reads more,
    /// so the buffer stays below one message and one read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Violation> {
        while let Some(header) = self.header()? {
            if self.buffer.len() < header.bytes + header.length {
                return Ok(None);
            }
            let payload = self.payload(&header);
            if let Some(message) = self.frame(&header, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn header(&self) -> Result<Option<Header>, Violation> {
        let [first, second, rest @ ..] = self.buffer.as_slice() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(violation("a reserved bit is set, and no extension was agreed"));
        }
        if second & 0x80 == 0 {
            return Err(violation("a client's frames are masked"));
        }
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let control = opcode >= 8;
        let (length, extra) = match second & 0x7f {
            126 if rest.len() >= 2 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            127 if rest.len() >= 8 => (u64::from_be_bytes(rest[..8].try_into().expect("eight bytes")), 8),
            126 | 127 => return Ok(None),
            length => (u64::from(length), 0),
        };
        if control && (!fin || length > 125) {
            return Err(violation("a control frame is whole and has at most 125 bytes"));
        }
        let held = self.partial.as_ref().map_or(0, |partial| partial.payload.len());
        if length > (MESSAGE_BYTES_MAX - held.min(MESSAGE_BYTES_MAX)) as u64 {
            return Err(Violation { code: 1009, reason: "a message has at most 1 MiB" });
        }
        let Some(mask) = rest.get(extra..extra + 4) else { return Ok(None) };
        let mask = mask.try_into().expect("four bytes");
        Ok(Some(Header { fin, opcode, mask, bytes: 2 + extra + 4, length: length as usize }))
    }

    fn payload(&mut self, header: &Header) -> Vec<u8> {
        let end = header.bytes + header.length;
        let mut payload = self.buffer[header.bytes..end].to_vec();
        self.buffer.drain(..end);
        for (byte, mask) in payload.iter_mut().zip(header.mask.iter().cycle()) {
            *byte ^= mask;
        }
        payload
    }

    fn frame(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Message>, Violation> {
        match (header.opcode, self.partial.take()) {
            (0, Some(mut partial)) => {
                partial.payload.extend_from_slice(&payload);
                self.fragment(header.fin, partial)
            }
            (0, None) => Err(violation("a fragment continues nothing")),
            (opcode @ (1 | 2), None) => self.fragment(header.fin, Partial { text: opcode == 1, payload }),
            (1 | 2, Some(_)) => Err(violation("a message begins within another")),
            (opcode, partial) => {
                self.partial = partial;
                control(opcode, payload).map(Some)
            }
        }
    }

    fn fragment(&mut self, fin: bool, partial: Partial) -> Result<Option<Message>, Violation> {
        if !fin {
            self.partial = Some(partial);
            return Ok(None);
        }
        if !partial.text {
            return Ok(Some(Message::Binary));
        }
        match String::from_utf8(partial.payload) {
            Ok(text) => Ok(Some(Message::Text(text))),
            Err(_) => Err(Violation { code: NOT_UTF8, reason: "text is not UTF-8" }),
        }
    }
}

fn control(opcode: u8, payload: Vec<u8>) -> Result<Message, Violation> {
    match opcode {
        8 => close(&payload),
        9 => Ok(Message::Ping(payload)),
        10 => Ok(Message::Pong),
        _ => Err(violation("an unknown opcode")),
    }
}

fn close(payload: &[u8]) -> Result<Message, Violation> {
    match payload {
        [] => Ok(Message::Close(None)),
        [_] => Err(violation("a close code has two bytes")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(violation("no such close code"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Violation { code: NOT_UTF8, reason: "a close reason is not UTF-8" });
            }
            Ok(Message::Close(Some(code)))
        }
    }
}

/// An unmasked control frame of ours; the payload is cut to what fits.
pub(super) fn control_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = vec![0x80 | opcode, payload.len() as u8];
    frame.extend_from_slice(payload);
    frame
}

/// A close frame.
pub(super) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut cut = reason.len().min(123);
    while !reason.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..cut]);
    control_frame(8, &payload)
}

#[cfg(test)]
mod tests;
