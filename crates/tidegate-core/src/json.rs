//! JSON as it passes through: checked once, never re-serialised.

pub(crate) mod walker;

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;

/// Nesting deeper than this is refused; recursion in clients has limits too.
pub const DEPTH_MAX: usize = 128;

/// Why a text is not JSON that we pass on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct JsonError {
    /// Byte position from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// What [`elements`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Elements {
    /// All of them, each with its line from 1.
    Found(Vec<(usize, Bytes)>),
    /// The text is no array.
    NoArray,
    /// There are more than was asked for; the text was read no further.
    TooMany,
}

/// Checks one JSON text and returns it as it came, but for white space around it and for raw CR
/// and LF, which become spaces, so that it stands on one line. It is a slice of `text`, which
/// lives as long as the slice does; only where CR or LF were replaced it is a copy.
///
/// # Errors
/// Anything that RFC 8259 does not allow, not UTF-8, deeper than [`DEPTH_MAX`], or with a lone
/// surrogate escape.
pub fn validate(text: &Bytes) -> Result<Bytes, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.white();
    let start = scanner.at;
    scanner.value()?;
    let end = scanner.at;
    scanner.white();
    if scanner.at != text.len() {
        return Err(scanner.fail("something follows the value"));
    }
    Ok(one_line(text, start, end))
}

/// Checks one JSON text as [`validate`] does and appends it to `out`, where it stands `depth` levels
/// deep.
///
/// # Errors
/// Those of [`validate`]; nothing is appended then.
pub fn append(text: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.white();
    let start = scanner.at;
    scanner.value_at(depth)?;
    let end = scanner.at;
    scanner.white();
    if scanner.at != text.len() {
        return Err(scanner.fail("something follows the value"));
    }
    let begin = out.len();
    out.extend_from_slice(&text[start..end]);
    for byte in &mut out[begin..] {
        *byte = if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    }
    Ok(())
}

/// The elements of a JSON array, checked and returned like [`validate`] does. Stops as soon as
/// there are more than `max`: two bytes of a body make an element, and many bytes of memory.
///
/// # Errors
/// Those of [`validate`].
pub fn elements(text: &Bytes, max: usize) -> Result<Elements, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.white();
    if scanner.peek() != Some(b'[') {
        return Ok(Elements::NoArray);
    }
    let mut found = Vec::new();
    let (mut line, mut counted) = (1, 0);
    let flow = scanner.array(1, |_, start, end| {
        if found.len() == max {
            return ControlFlow::Break(());
        }
        line += text[counted..start].iter().filter(|byte| **byte == b'\n').count();
        counted = start;
        found.push((line, one_line(text, start, end)));
        ControlFlow::Continue(())
    })?;
    if flow.is_break() {
        return Ok(Elements::TooMany);
    }
    scanner.white();
    if scanner.at != text.len() {
        return Err(scanner.fail("something follows the array"));
    }
    Ok(Elements::Found(found))
}

/// The top-level members of a validated object, in order, each with its decoded name and its raw
/// value; none for other values.
pub fn members(object: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
    let mut scanner = Scanner { text: object, at: 0 };
    let mut open = scanner.peek() == Some(b'{') && scanner.enter(1).is_ok() && !scanner.closes(b'}');
    std::iter::from_fn(move || {
        if !open {
            return None;
        }
        let (name, value) = scanner.pair(1).ok()?;
        open = !scanner.next_or_close(b'}', "").unwrap_or(true);
        Some((decoded(&object[name])?, &object[value]))
    })
}

/// The value of a top-level member of a validated object, as raw text; the last of equal names.
pub fn member<'t>(object: &'t [u8], name: &str) -> Option<&'t [u8]> {
    let mut scanner = Scanner { text: object, at: 0 };
    let mut found = None;
    scanner
        .object(1, |text, own, value| {
            if string_equals(&text[own], name) {
                found = Some(value);
            }
        })
        .ok()?;
    found.map(|value| &object[value])
}

/// The decoded text of a validated JSON string; `None` for other values.
pub fn string(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(raw).ok()
}

/// Text that can stand in a key or an address: strings as they are, numbers literally.
pub fn scalar_text(raw: &[u8]) -> Option<String> {
    match raw.first()? {
        b'"' => string(raw),
        b'-' | b'0'..=b'9' => String::from_utf8(raw.to_vec()).ok(),
        _ => None,
    }
}

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let clean = clean(rest);
        out.extend_from_slice(&rest[..clean]);
        let Some(&byte) = rest.get(clean) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[clean + 1..];
    }
    out.push(b'"');
}

/// How many bytes come before the first that a JSON string escapes.
fn clean(bytes: &[u8]) -> usize {
    before(bytes, |byte| byte < 0x20 || byte == b'"' || byte == b'\\')
}

/// How many bytes come before the first of a kind; all, if there is none.
fn before(bytes: &[u8], of_kind: impl Fn(u8) -> bool) -> usize {
    // Without a branch for each byte, the compiler looks at sixteen at once.
    let (blocks, _) = bytes.as_chunks::<16>();
    let whole = blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | of_kind(*byte))).count();
    let begin = whole * 16;
    bytes[begin..].iter().position(|byte| of_kind(*byte)).map_or(bytes.len(), |at| begin + at)
}

fn one_line(text: &Bytes, start: usize, end: usize) -> Bytes {
    let part = &text[start..end];
    if before(part, |byte| matches!(byte, b'\r' | b'\n')) == part.len() {
        return text.slice(start..end);
    }
    part.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

/// The text of a quoted name.
fn decoded(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = &raw[1..raw.len() - 1];
    if inner.contains(&b'\\') {
        string(raw).map(Cow::Owned)
    } else {
        std::str::from_utf8(inner).ok().map(Cow::Borrowed)
    }
}

fn string_equals(raw: &[u8], name: &str) -> bool {
    let inner = &raw[1..raw.len() - 1];
    if inner.contains(&b'\\') { string(raw).as_deref() == Some(name) } else { inner == name.as_bytes() }
}

/// A position in a text that is UTF-8.
struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    fn new(text: &'t [u8]) -> Result<Scanner<'t>, JsonError> {
        match std::str::from_utf8(text) {
            Ok(_) => Ok(Scanner { text, at: 0 }),
            Err(error) => Err(JsonError { at: error.valid_up_to(), reason: "not UTF-8" }),
        }
    }

    fn fail(&self, reason: &'static str) -> JsonError {
        JsonError { at: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<(), JsonError> {
        self.value_at(0)
    }

    /// Recursion is bounded by [`DEPTH_MAX`].
    fn value_at(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1, |_, _, _| {}),
            Some(b'[') => self.array(depth + 1, |_, _, _| ControlFlow::Continue(())).map(|_| ()),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => Err(self.fail("no JSON value")),
            None => Err(self.fail("the text ends where a value is expected")),
        }
    }

    /// Breaks off where `each` does.
    fn array(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&[u8], usize, usize) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, JsonError> {
        self.enter(depth)?;
        if self.closes(b']') {
            return Ok(ControlFlow::Continue(()));
        }
        loop {
            self.white();
            let start = self.at;
            self.value_at(depth)?;
            if each(self.text, start, self.at).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if self.next_or_close(b']', "expected `,` or `]`")? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn object(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&[u8], Range<usize>, Range<usize>),
    ) -> Result<(), JsonError> {
        if self.peek() != Some(b'{') {
            return Err(self.fail("no object"));
        }
        self.enter(depth)?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            let (name, value) = self.pair(depth)?;
            each(self.text, name, value);
            if self.next_or_close(b'}', "expected `,` or `}`")? {
                return Ok(());
            }
        }
    }

    /// Where a name and its value stand.
    fn pair(&mut self, depth: usize) -> Result<(Range<usize>, Range<usize>), JsonError> {
        self.white();
        let name = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.fail("expected a member name in quotes"));
        }
        self.string()?;
        let name = name..self.at;
        self.white();
        if self.peek() != Some(b':') {
            return Err(self.fail("expected `:`"));
        }
        self.at += 1;
        self.white();
        let start = self.at;
        self.value_at(depth)?;
        Ok((name, start..self.at))
    }

    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.fail("nested deeper than 128"));
        }
        self.at += 1;
        Ok(())
    }

    fn closes(&mut self, close: u8) -> bool {
        self.white();
        let closes = self.peek() == Some(close);
        self.at += usize::from(closes);
        closes
    }

    fn next_or_close(&mut self, close: u8, reason: &'static str) -> Result<bool, JsonError> {
        self.white();
        match self.peek() {
            Some(b',') => self.at += 1,
            Some(byte) if byte == close => {
                self.at += 1;
                return Ok(true);
            }
            _ => return Err(self.fail(reason)),
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            self.at += clean(&self.text[self.at..]);
            match self.peek() {
                None => return Err(self.fail("a string does not end")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fail("a raw control character in a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                0xdc00..=0xdfff => Err(self.fail("a lone surrogate")),
                0xd800..=0xdbff => {
                    let pair =
                        self.text.get(self.at..self.at + 2) == Some(b"\\u") && matches!(self.unit()?, 0xdc00..=0xdfff);
                    if pair { Ok(()) } else { Err(self.fail("a lone surrogate")) }
                }
                _ => Ok(()),
            },
            _ => Err(self.fail("an unknown escape")),
        }
    }

    /// Reads `\uXXXX`.
    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.get(self.at + 2..self.at + 6).and_then(|hex| std::str::from_utf8(hex).ok());
        let unit = digits
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|hex| u16::from_str_radix(hex, 16).ok())
            .ok_or_else(|| self.fail("`\\u` wants four hexadecimal digits"))?;
        self.at += 6;
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.fail("expected a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.fail("no JSON value"))
    }
}

#[cfg(test)]
mod tests;
