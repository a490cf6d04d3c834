//! A JSON text, decoded once for all expressions that look at it. Strings without escapes borrow from
//! the text; numbers are what CEL makes of them.

use std::borrow::Cow;

/// Nesting deeper than this is not read: what the gate takes in is not deeper.
const DEPTH_MAX: usize = tidegate_core::json::DEPTH_MAX;

/// From this many members on, an object is sorted and searched by halves.
const SORTED_FROM: usize = 17;

/// A value of JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'j> {
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool(bool),
    /// An integer in the range of an int.
    Int(i64),
    /// An integer beyond it, in the range of a uint.
    Uint(u64),
    /// Any other number; those that are too large are infinite.
    Double(f64),
    /// A string, decoded.
    String(Cow<'j, str>),
    /// An array.
    Array(Box<[Json<'j>]>),
    /// An object.
    Object(Object<'j>),
}

/// An object: of members with equal names it has the last one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object<'j> {
    members: Box<[(Cow<'j, str>, Json<'j>)]>,
}

impl<'j> Json<'j> {
    /// Decodes a text that has passed `tidegate_core::json::validate`. Of other texts it refuses what it
    /// cannot read, with `None`, and reads some forms of numbers that JSON does not have.
    pub fn decode(text: &'j [u8]) -> Option<Json<'j>> {
        let text = std::str::from_utf8(text).ok()?;
        let mut reader = Reader { text, at: 0 };
        reader.white();
        let value = reader.value(0)?;
        reader.white();
        (reader.at == text.len()).then_some(value)
    }
}

impl<'j> Object<'j> {
    /// Of members in any order; of equal names the last one counts.
    pub fn new(mut members: Vec<(Cow<'j, str>, Json<'j>)>) -> Object<'j> {
        if members.len() >= SORTED_FROM {
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            members.dedup_by(|later, earlier| {
                let equal = later.0 == earlier.0;
                if equal {
                    std::mem::swap(later, earlier);
                }
                equal
            });
        } else {
            let mut at = 0;
            while at < members.len() {
                if members[at + 1..].iter().any(|(name, _)| *name == members[at].0) {
                    members.remove(at);
                } else {
                    at += 1;
                }
            }
        }
        // Sorted members of which few are left are still found one by one.
        Object { members: members.into() }
    }

    /// The value of a member.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Json<'j>> {
        if self.members.len() < SORTED_FROM {
            return self.members.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        }
        let at = self.members.binary_search_by(|(own, _)| own.as_ref().cmp(name)).ok()?;
        Some(&self.members[at].1)
    }

    /// All members.
    pub fn members(&self) -> &[(Cow<'j, str>, Json<'j>)] {
        &self.members
    }
}

struct Reader<'j> {
    text: &'j str,
    at: usize,
}

impl<'j> Reader<'j> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Recursion is bounded by [`DEPTH_MAX`].
    fn value(&mut self, depth: usize) -> Option<Json<'j>> {
        match self.peek()? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Json::String),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'j>> {
        let mut members = Vec::new();
        if self.open(depth, b'}')? {
            loop {
                self.white();
                let name = self.string()?;
                self.white();
                self.expect(b':')?;
                self.white();
                members.push((name, self.value(depth)?));
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        Some(Json::Object(Object::new(members)))
    }

    fn array(&mut self, depth: usize) -> Option<Json<'j>> {
        let mut list = Vec::new();
        if self.open(depth, b']')? {
            loop {
                self.white();
                list.push(self.value(depth)?);
                if !self.more(b']')? {
                    break;
                }
            }
        }
        Some(Json::Array(list.into()))
    }

    /// Goes past the opening bracket; whether there is something before the closing one.
    fn open(&mut self, depth: usize, close: u8) -> Option<bool> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.at += 1;
        self.white();
        let empty = self.peek()? == close;
        self.at += usize::from(empty);
        Some(!empty)
    }

    /// Goes past the comma or the closing bracket; whether there is more.
    fn more(&mut self, close: u8) -> Option<bool> {
        self.white();
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            _ => (byte == close).then_some(false),
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, value: Json<'j>) -> Option<Json<'j>> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())?;
        Some(value)
    }

    fn string(&mut self) -> Option<Cow<'j, str>> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let clean = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        self.at += clean;
        if rest[clean] == b'"' {
            self.at += 1;
            return Some(Cow::Borrowed(&self.text[start..start + clean]));
        }
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        // The quotes belong to the string that is decoded elsewhere.
        self.at += 1;
        tidegate_core::json::string(&self.text.as_bytes()[start - 1..self.at]).map(Cow::Owned)
    }

    fn number(&mut self) -> Option<Json<'j>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut whole = true;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'0'..=b'9' | b'-' => {}
                b'.' | b'e' | b'E' | b'+' => whole = false,
                _ => break,
            }
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        if !text.ends_with(|c: char| c.is_ascii_digit()) || !text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        {
            return None;
        }
        if whole {
            if let Ok(int) = text.parse() {
                return Some(Json::Int(int));
            }
            if let Ok(uint) = text.parse() {
                return Some(Json::Uint(uint));
            }
        }
        text.parse().ok().map(Json::Double)
    }
}

#[cfg(test)]
mod tests;
