//! An answer as it was made of one read: its body and its tags, ready for whoever asks the same.
//!
//! It is the state at its cursor. When the channel has moved on and nothing of the scope was touched,
//! it is the state at the new head too, and [`Made::at`] says so: only the cursor changes, so that the
//! bytes are those that a read at that moment would have made.

use bytes::Bytes;
use http::HeaderValue;
use tidegate_core::{Address, Cursor, Fingerprint, Key, Offset};

/// One answer.
pub(super) struct Made {
    /// The head when reading began: all of this holds for as long as nothing of the scope came after it.
    pub(super) since: Offset,
    /// Nothing older than the first record in it may be gone from the log: `None` without records, and for
    /// state, which is never trimmed.
    pub(super) oldest: Option<Offset>,
    pub(super) body: Bytes,
    /// Where the next page begins.
    pub(super) next: Option<(Address, Key)>,
    /// Whether all of it is the state at its cursor; pages of rows are of several moments.
    pub(super) exact: bool,
    /// Whether it may be kept: it is counted where answers that are kept are.
    pub(super) keeps: bool,
    pub(super) what: What,
    pub(super) at: Offset,
    pub(super) cursor: HeaderValue,
    pub(super) etag: Option<HeaderValue>,
}

/// What kind of answer it is; what its tag is made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// The bare value of a key, last changed here.
    Value(Offset),
    /// What a view shows of such a value.
    Shown(Offset),
    /// What is left of such a value without masked columns: its tag must not change when only those do.
    Left(Fingerprint),
    /// A key without a value.
    Absent,
    /// The whole of one address, last changed here.
    Whole(Offset),
    /// So many rows or frames of a larger scope.
    Part(usize),
    /// What came since a position: all that a page takes where it is `full`, and up to somewhere before the head
    /// where there is `more`.
    Frames { full: bool, more: bool },
    /// Nothing came since then.
    Nothing,
    /// The state since then is another.
    Cleared,
    /// Some of what came since then is not held any more.
    Trimmed,
}

impl What {
    /// Strong where it can be known when the bytes last changed, else made of the cursor.
    fn etag(self, cursor: &Cursor) -> Option<HeaderValue> {
        match self {
            What::Absent | What::Frames { .. } | What::Nothing | What::Cleared | What::Trimmed => None,
            What::Value(changed) | What::Whole(changed) => Some(ascii(format!("\"{}\"", cursor.at(changed)))),
            What::Shown(changed) => Some(ascii(format!("W/\"{}\"", cursor.at(changed)))),
            What::Left(seen) => Some(ascii(format!("W/\"{}\"", Cursor { view: seen, offset: 0, ..*cursor }))),
            What::Part(count) => Some(ascii(format!("W/\"{cursor}-{count}\""))),
        }
    }

    fn cursor_in_body(self) -> bool {
        matches!(self, What::Whole(_) | What::Part(_) | What::Frames { .. })
    }

    /// Whether nothing that comes can change it.
    pub(super) fn is_fixed(self) -> bool {
        matches!(self, What::Frames { more: true, .. } | What::Cleared)
    }

    /// Whether it ends where it does even if the channel moves on elsewhere.
    pub(super) fn stays(self) -> bool {
        matches!(self, What::Frames { full: true, .. })
    }
}

impl Made {
    /// Of what was read; neither paged nor of records nor kept unless said.
    pub(super) fn new(what: What, cursor: &Cursor, since: Offset, body: Bytes) -> Made {
        let (at, etag) = (cursor.offset, what.etag(cursor));
        let cursor = ascii(cursor.to_string());
        Made { since, oldest: None, body, next: None, exact: true, keeps: false, what, at, cursor, etag }
    }

    /// The same at a later position, with a body that `counted` has counted; `None` if that refuses.
    pub(super) fn at(&self, cursor: &Cursor, counted: impl FnOnce(Vec<u8>) -> Option<Bytes>) -> Option<Made> {
        let same = cursor.offset == self.at;
        let body = match same || !self.what.cursor_in_body() {
            true => self.body.clone(),
            false => {
                let front = self.body.len() - self.cursor.len() - CLOSING.len();
                let mut body = Vec::with_capacity(front + end_bytes(cursor));
                body.extend_from_slice(&self.body[..front]);
                close(&mut body, cursor);
                counted(body)?
            }
        };
        let made = Made::new(self.what, cursor, cursor.offset, body);
        let Made { oldest, exact, keeps, .. } = *self;
        Some(Made { oldest, next: self.next.clone(), exact, keeps, ..made })
    }
}

/// What comes after the cursor of a body.
const CLOSING: &str = "\"}";

/// How many bytes [`end`] adds at the most.
pub(super) fn end_bytes(cursor: &Cursor) -> usize {
    "],\"cursor\":\"".len() + cursor.to_string().len() + CLOSING.len()
}

/// Ends a body of rows or frames.
pub(super) fn end(body: &mut Vec<u8>, cursor: &Cursor) {
    body.extend_from_slice(b"],\"cursor\":\"");
    close(body, cursor);
}

fn close(body: &mut Vec<u8>, cursor: &Cursor) {
    body.extend_from_slice(cursor.to_string().as_bytes());
    body.extend_from_slice(CLOSING.as_bytes());
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("cursors and tags are ASCII")
}
