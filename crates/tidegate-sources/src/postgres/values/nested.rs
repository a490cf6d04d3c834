//! Values that hold values: arrays, composites, vectors, hstore.
//!
//! Their texts nest by quoting: what is inside is written as if alone, then escaped. So each level is unescaped once,
//! into one buffer for all of its elements, and only where there is something to unescape.

use tidegate_core::json;

use super::{ValueError, Writer};
use crate::postgres::types::{Attribute, Shape};

impl Writer<'_> {
    /// `{1,NULL,"a b"}`, `{{1,2},{3,4}}`, `[0:1]={1,2}`. Bounds are not told, as `to_jsonb` does not.
    pub(super) fn array(
        &mut self,
        element: &Shape,
        delimiter: u8,
        text: &[u8],
        depth: usize,
    ) -> Result<(), ValueError> {
        let mut text = text;
        if text.first() == Some(&b'[') {
            let bounds = text.iter().position(|&byte| byte == b'=').ok_or(ARRAY)?;
            text = &text[bounds + 1..];
        }
        let mut reader = Reader { text, at: 0, scratch: Vec::new() };
        self.dimension(element, delimiter, &mut reader, depth + 1)?;
        if reader.at == text.len() { Ok(()) } else { Err(ARRAY) }
    }

    fn dimension(
        &mut self,
        element: &Shape,
        delimiter: u8,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), ValueError> {
        if depth > json::DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        reader.expect(b"{", ARRAY)?;
        self.out.push(b'[');
        if reader.skip(b'}') {
            self.out.push(b']');
            return Ok(());
        }
        loop {
            match reader.peek() {
                Some(b'{') => self.dimension(element, delimiter, reader, depth + 1)?,
                Some(b'"') => self.value(element, reader.quoted().ok_or(ARRAY)?, depth)?,
                _ => match reader.until(|byte| byte == delimiter || byte == b'}') {
                    b"" => return Err(ARRAY),
                    b"NULL" => self.out.extend_from_slice(b"null"),
                    bare => self.value(element, bare, depth)?,
                },
            }
            if reader.skip(b'}') {
                self.out.push(b']');
                return Ok(());
            }
            reader.expect(&[delimiter], ARRAY)?;
            self.out.push(b',');
        }
    }

    /// `1 2 3`
    pub(super) fn vector(&mut self, element: &Shape, text: &[u8], depth: usize) -> Result<(), ValueError> {
        self.out.push(b'[');
        for (nth, element_text) in text.split(|&byte| byte == b' ').filter(|text| !text.is_empty()).enumerate() {
            if nth > 0 {
                self.out.push(b',');
            }
            self.value(element, element_text, depth + 1)?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// `(1,,"a ""b""","")`: nothing is null, quotes are doubled.
    pub(super) fn record(&mut self, attributes: &[Attribute], text: &[u8], depth: usize) -> Result<(), ValueError> {
        let depth = depth + 1;
        if depth > json::DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        let mut reader = Reader { text, at: 0, scratch: Vec::new() };
        reader.expect(b"(", RECORD)?;
        self.out.push(b'{');
        for (nth, attribute) in attributes.iter().enumerate() {
            if nth > 0 {
                reader.expect(b",", ValueError::Attributes)?;
                self.out.push(b',');
            }
            self.out.extend_from_slice(&attribute.label);
            if reader.peek() == Some(b'"') {
                self.value(&attribute.shape, reader.quoted().ok_or(RECORD)?, depth)?;
            } else {
                match reader.until(|byte| matches!(byte, b',' | b')')) {
                    b"" => self.out.extend_from_slice(b"null"),
                    bare => self.value(&attribute.shape, bare, depth)?,
                }
            }
        }
        reader.expect(b")", ValueError::Attributes)?;
        self.out.push(b'}');
        if reader.at == text.len() { Ok(()) } else { Err(RECORD) }
    }

    /// `"a"=>"1", "b"=>NULL`
    pub(super) fn hstore(&mut self, text: &[u8], depth: usize) -> Result<(), ValueError> {
        if depth + 1 > json::DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        let mut reader = Reader { text, at: 0, scratch: Vec::new() };
        self.out.push(b'{');
        while reader.at < text.len() {
            if reader.at > 0 {
                reader.expect(b", ", HSTORE)?;
                self.out.push(b',');
            }
            self.text(reader.quoted().ok_or(HSTORE)?)?;
            self.out.push(b':');
            reader.expect(b"=>", HSTORE)?;
            if reader.peek() == Some(b'"') {
                self.text(reader.quoted().ok_or(HSTORE)?)?;
            } else {
                reader.expect(b"NULL", HSTORE)?;
                self.out.extend_from_slice(b"null");
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

const ARRAY: ValueError = ValueError::Unexpected("an array");
const RECORD: ValueError = ValueError::Unexpected("a composite value");
const HSTORE: ValueError = ValueError::Unexpected("an hstore");

/// A place in the text of one level.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    /// The last element that had something to unescape.
    scratch: Vec<u8>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, bytes: &[u8], error: ValueError) -> Result<(), ValueError> {
        if !self.text[self.at..].starts_with(bytes) {
            return Err(error);
        }
        self.at += bytes.len();
        Ok(())
    }

    fn until(&mut self, ends: impl Fn(u8) -> bool) -> &[u8] {
        let begin = self.at;
        let length = self.text[begin..].iter().position(|&byte| ends(byte));
        self.at = length.map_or(self.text.len(), |length| begin + length);
        &self.text[begin..self.at]
    }

    /// What stands in the quotes that begin here, as it was before it was quoted: `\x` stands for x, and `""`, which
    /// composites have, for `"`. In arrays and hstore no quote follows a quote, so one rule does for all.
    fn quoted(&mut self) -> Option<&[u8]> {
        let begin = self.at + 1;
        self.at = begin;
        let mut clean = begin;
        self.scratch.clear();
        loop {
            match self.peek()? {
                b'\\' => self.at += 1,
                b'"' if self.text.get(self.at + 1) == Some(&b'"') => self.at += 1,
                b'"' => break,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            // Here stands what was escaped: it belongs to the text, and what is before the escape does.
            self.scratch.extend_from_slice(&self.text[clean..self.at - 1]);
            clean = self.at;
            self.peek()?;
            self.at += 1;
        }
        let end = self.at;
        self.at += 1;
        if clean == begin {
            return Some(&self.text[begin..end]);
        }
        self.scratch.extend_from_slice(&self.text[clean..end]);
        Some(&self.scratch)
    }
}
