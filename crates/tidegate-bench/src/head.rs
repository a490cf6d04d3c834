//! The head of an answer.

use crate::Error;
use crate::scan::CURSOR_BYTES_MAX;

/// What a load wants to know of a head.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the head itself.
    pub(crate) bytes: usize,
    pub(crate) content_length: usize,
    pub(crate) cursor: Cursor,
    /// Whether the connection ends with this answer.
    pub(crate) closes: bool,
}

/// A cursor's text, kept without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    bytes: [u8; CURSOR_BYTES_MAX],
    length: u8,
}

impl Cursor {
    pub(crate) const NONE: Cursor = Cursor { bytes: [0; CURSOR_BYTES_MAX], length: 0 };

    /// What is longer than a cursor is none.
    pub(crate) fn of(text: &[u8]) -> Cursor {
        let mut cursor = Cursor::NONE;
        if let Some(room) = cursor.bytes.get_mut(..text.len()) {
            room.copy_from_slice(text);
            cursor.length = text.len() as u8;
        }
        cursor
    }

    pub(crate) fn is_none(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    pub(crate) fn take(&mut self) -> Cursor {
        std::mem::replace(self, Cursor::NONE)
    }
}

impl Head {
    /// Reads; `None`: it is not whole yet.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Head>, Error> {
        const FIELDS_MAX: usize = 64;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Error::Strange("its head cannot be read")),
        };
        let field = |name: &str| {
            let found = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.map(|field| field.value)
        };
        let length_of_body = field("content-length").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        Ok(Some(Head {
            status: answer.code.unwrap_or_default(),
            bytes: length,
            content_length: length_of_body.unwrap_or_default(),
            cursor: field("tidegate-cursor").map_or(Cursor::NONE, Cursor::of),
            closes: field("connection").is_some_and(|text| text.eq_ignore_ascii_case(b"close")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_once_they_are_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nTidegate-Cursor: tAAA9\r\n\r\n{";
        let head = Head::read(text).expect("HTTP").expect("whole");
        assert_eq!((head.status, head.bytes, head.content_length), (200, text.len() - 1, 12));
        assert_eq!(head.cursor.text(), "tAAA9");
        assert_eq!(Head::read(&text[..40]).expect("HTTP"), None);
        assert!(Head::read(b"\x16\x03\x01\x00\r\n\r\n").is_err());
    }
}
