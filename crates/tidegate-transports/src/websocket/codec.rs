//! Messages of a client: frames are read, unmasked, put together, and inflated where the client
//! deflated them (RFC 6455, section 5; RFC 7692, section 6).
//!
//! Whatever comes, the decoder holds no more than one message and what was read with it, and a
//! connection that says nothing holds nothing.

mod frame;
mod inflate;

pub(super) use frame::{close_frame, control_frame};

use frame::Header;

/// A message of a client may have so many bytes, deflated and inflated; a publish fits.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A close code of RFC 6455, section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
/// Text that is not UTF-8, or deflated data that is none.
const INVALID_PAYLOAD: u16 = 1007;
/// A message over [`MESSAGE_BYTES_MAX`].
const TOO_BIG: u16 = 1009;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message; the protocol has none, so its content is dropped.
    Binary,
    /// A ping, to be answered with the same payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// A close, with its code if it has one.
    Close(Option<u16>),
}

/// The client broke the protocol; the connection closes with this code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// A close code of RFC 6455.
    pub(super) code: u16,
    /// For the close frame.
    pub(super) reason: &'static str,
}

/// Takes bytes as they come, and yields messages.
pub(super) struct Decoder {
    /// Whether permessage-deflate was agreed.
    deflate: bool,
    buffer: Vec<u8>,
    /// So much of the buffer has been decoded. It goes when more is read, and not with each frame:
    /// thousands of tiny frames in one read would each move the rest.
    done: usize,
    /// A message whose last fragment has not come.
    partial: Option<Partial>,
}

struct Partial {
    text: bool,
    deflated: bool,
    payload: Vec<u8>,
}

fn violation(reason: &'static str) -> Violation {
    Violation { code: PROTOCOL_ERROR, reason }
}

impl Decoder {
    /// A decoder for a connection, on which permessage-deflate was agreed or not.
    pub(super) fn new(deflate: bool) -> Decoder {
        Decoder { deflate, buffer: Vec::new(), done: 0, partial: None }
    }

    /// Adds what was read. The caller takes messages until there are none before it reads more,
    /// so the buffer stays below one message and one read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.done));
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if it is whole.
    ///
    /// # Errors
    /// The connection is to be closed, and the decoder not to be used any more.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Violation> {
        while let Some(header) = frame::header(&self.buffer[self.done..])? {
            self.admit(&header)?;
            if self.buffer.len() - self.done < header.bytes + header.length as usize {
                return Ok(None);
            }
            let payload = self.payload(&header);
            if let Some(message) = self.frame(&header, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Whether nothing is held that is not whole yet.
    pub(super) fn is_idle(&self) -> bool {
        self.buffer.len() == self.done && self.partial.is_none()
    }

    /// How many bytes are held for what is not whole yet.
    #[cfg(any(test, feature = "fuzzed"))]
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.capacity() + self.partial.as_ref().map_or(0, |partial| partial.payload.capacity())
    }

    /// What can be refused before the payload has come.
    fn admit(&self, header: &Header) -> Result<(), Violation> {
        if header.deflated && !self.deflate {
            return Err(violation("a reserved bit is set, and no extension was agreed"));
        }
        if header.deflated && !header.begins_message() {
            return Err(violation("only the first frame of a message says that it is deflated"));
        }
        let held = self.partial.as_ref().map_or(0, |partial| partial.payload.len());
        if header.length > (MESSAGE_BYTES_MAX - held.min(MESSAGE_BYTES_MAX)) as u64 {
            return Err(Violation { code: TOO_BIG, reason: "a message has at most 1 MiB" });
        }
        Ok(())
    }

    fn payload(&mut self, header: &Header) -> Vec<u8> {
        let begin = self.done + header.bytes;
        let end = begin + header.length as usize;
        let mut payload = self.buffer[begin..end].to_vec();
        self.done = end;
        if self.done == self.buffer.len() {
            // Thousands of connections that once said something would each keep their longest message.
            (self.buffer, self.done) = (Vec::new(), 0);
        }
        frame::unmask(&mut payload, header.mask);
        payload
    }

    fn frame(&mut self, header: &Header, payload: Vec<u8>) -> Result<Option<Message>, Violation> {
        match (header.opcode, self.partial.take()) {
            (0, Some(mut partial)) => {
                partial.payload.extend_from_slice(&payload);
                self.fragment(header.fin, partial)
            }
            (0, None) => Err(violation("a fragment continues nothing")),
            (opcode @ (1 | 2), None) => {
                self.fragment(header.fin, Partial { text: opcode == 1, deflated: header.deflated, payload })
            }
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
        let payload = if partial.deflated { inflate::inflate(partial.payload)? } else { partial.payload };
        if !partial.text {
            return Ok(Some(Message::Binary));
        }
        match String::from_utf8(payload) {
            Ok(text) => Ok(Some(Message::Text(text))),
            Err(_) => Err(Violation { code: INVALID_PAYLOAD, reason: "text is not UTF-8" }),
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
                return Err(Violation { code: INVALID_PAYLOAD, reason: "a close reason is not UTF-8" });
            }
            Ok(Message::Close(Some(code)))
        }
    }
}

#[cfg(test)]
mod tests;
