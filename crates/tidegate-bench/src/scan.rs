//! Finds marks and cursors in what a watcher read, on any transport.
//!
//! Neither can stand anywhere else in the frames of this load, so frames need not be taken apart:
//! two searches with vector instructions are all that a delivery costs here. A piece that may be
//! the beginning of a mark or a cursor is left to the caller, who carries it to the next read.

use memchr::memchr;
use memchr::memmem::Finder;

use crate::mark::{BEGIN, MARK_BYTES, Mark, Run};

const CURSOR: &[u8] = br#""cursor":""#;
const PREV: &[u8] = br#","prev":""#;
/// Room for 24 characters and 16 digits; what is longer is no cursor.
pub(crate) const CURSOR_BYTES_MAX: usize = 40;
/// What stands before a cursor says of which frame it is.
const BEFORE: usize = 8;

/// Finds.
pub(crate) struct Scanner {
    run: Run,
    cursor: Finder<'static>,
}

/// What was found, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Found<'b> {
    /// An event of this load.
    Mark(Mark),
    /// A cursor, and the one before it where frames are chained.
    Cursor { text: &'b [u8], prev: Option<&'b [u8]>, of: Of },
}

/// Of which frame a cursor is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Of {
    /// The first of a stream, which chains to nothing.
    Begin,
    /// One with an event, which comes behind the cursor: it holds once the event is there.
    Data,
    /// A whole answer of a long-poll.
    Answer,
    /// A bookmark or the like.
    Control,
}

impl Scanner {
    pub(crate) fn new(run: Run) -> Scanner {
        Scanner { run, cursor: Finder::new(CURSOR) }
    }

    /// Tells what is in `bytes`; returns how many of them need not be seen again.
    pub(crate) fn scan<'b>(&self, bytes: &'b [u8], mut each: impl FnMut(Found<'b>)) -> usize {
        let mark_from = |at: usize| memchr(BEGIN, &bytes[at..]).map_or(usize::MAX, |found| at + found);
        let cursor_from = |at: usize| self.cursor.find(&bytes[at..]).map_or(usize::MAX, |found| at + found);
        let (mut mark, mut cursor, mut told) = (mark_from(0), cursor_from(0), 0);
        loop {
            if mark == usize::MAX && cursor == usize::MAX {
                return told.max(beginning(bytes));
            }
            if mark < cursor {
                let Some(text) = bytes.get(mark..mark + MARK_BYTES) else { return mark };
                if let Some(read) = Mark::read(self.run, text) {
                    told = mark + MARK_BYTES;
                    mark = mark_from(told);
                    each(Found::Mark(read));
                } else {
                    mark = mark_from(mark + 1);
                }
            } else {
                let text = match quoted(bytes, cursor + CURSOR.len()) {
                    Quoted::Text(text) => text,
                    Quoted::Cut => return told.max(cursor.saturating_sub(BEFORE)),
                    Quoted::Other => {
                        cursor = cursor_from(cursor + CURSOR.len());
                        continue;
                    }
                };
                let end = cursor + CURSOR.len() + text.len() + 1;
                let rest = &bytes[end..];
                let prev = if rest.len() < PREV.len() {
                    if PREV.starts_with(rest) {
                        return told.max(cursor.saturating_sub(BEFORE));
                    }
                    None
                } else if rest.starts_with(PREV) {
                    match quoted(bytes, end + PREV.len()) {
                        Quoted::Text(prev) => Some(prev),
                        Quoted::Cut => return told.max(cursor.saturating_sub(BEFORE)),
                        Quoted::Other => None,
                    }
                } else {
                    None
                };
                each(Found::Cursor { text, prev, of: Of::read(&bytes[..cursor]) });
                (cursor, told) = (cursor_from(end), end);
            }
        }
    }
}

impl Of {
    fn read(before: &[u8]) -> Of {
        match before {
            [.., b'v', b'1', b'"', b','] => Of::Begin,
            [.., b']', b','] => Of::Answer,
            _ if before.ends_with(b"append\",") || before.ends_with(b"upsert\",") => Of::Data,
            _ => Of::Control,
        }
    }
}

enum Quoted<'b> {
    Text(&'b [u8]),
    Cut,
    Other,
}

fn quoted(bytes: &[u8], at: usize) -> Quoted<'_> {
    let rest = &bytes[at..];
    let within = &rest[..rest.len().min(CURSOR_BYTES_MAX + 1)];
    match memchr(b'"', within) {
        Some(end) => Quoted::Text(&within[..end]),
        None if within.len() <= CURSOR_BYTES_MAX => Quoted::Cut,
        None => Quoted::Other,
    }
}

/// Where a cursor may have begun, or what stands before one. Between frames, that is almost always,
/// there is neither.
fn beginning(bytes: &[u8]) -> usize {
    match bytes.last() {
        None | Some(b'}' | b'\n') => bytes.len(),
        _ => bytes.len().saturating_sub(BEFORE + CURSOR.len() - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Run = Run(0x1234_5678);

    fn stream() -> (Vec<u8>, Vec<String>) {
        let mut bytes = br#"data: {"op":"begin","protocol":"tidegate.v1","cursor":"tAAA0"}"#.to_vec();
        let mut wanted = vec!["Begin tAAA0 -".to_owned()];
        for number in 0..3 {
            let mark = Mark { stream: 2, number, at_us: 99 };
            // The head of a WebSocket frame has the byte that marks begin with.
            bytes.extend_from_slice(b"\x81\x7e\x00\x7e");
            let (cursor, prev) = (number + 1, number);
            bytes.extend_from_slice(
                format!(
                    r#"{{"op":"append","cursor":"tAAA{cursor}","prev":"tAAA{prev}","data":{{"bench":"{}xx"}}}}"#,
                    mark.text(RUN)
                )
                .as_bytes(),
            );
            wanted.push(format!("Data tAAA{cursor} tAAA{prev}"));
            wanted.push(format!("{number}"));
        }
        bytes.extend_from_slice(b"{\"op\":\"bookmark\",\"cursor\":\"tAAA4\"}\n");
        bytes.extend_from_slice(b"\"frames\":[],\"cursor\":\"tAAA5\"}");
        wanted.extend(["Control tAAA4 -".to_owned(), "Answer tAAA5 -".to_owned()]);
        (bytes, wanted)
    }

    fn tell(found: Found<'_>) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        match found {
            Found::Mark(mark) => mark.number.to_string(),
            Found::Cursor { text: cursor, prev, of } => {
                format!("{of:?} {} {}", text(cursor), prev.map_or("-".to_owned(), text))
            }
        }
    }

    #[test]
    fn every_cut_finds_the_same() {
        let (bytes, wanted) = stream();
        let scanner = Scanner::new(RUN);
        for first in 0..bytes.len() {
            for second in (first..bytes.len()).step_by(7) {
                let (mut carried, mut found) = (Vec::new(), Vec::new());
                for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    carried.extend_from_slice(part);
                    let used = scanner.scan(&carried, |what| found.push(tell(what)));
                    carried.drain(..used);
                    assert!(carried.len() < 128, "{} bytes are carried", carried.len());
                }
                assert_eq!(found, wanted, "cut at {first} and {second}");
                assert!(carried.is_empty(), "between frames nothing is carried");
            }
        }
    }
}
