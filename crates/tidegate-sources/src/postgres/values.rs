//! A column's text to JSON: what `to_jsonb` gives for the same value, digit by digit, written straight into the row.
//!
//! The exceptions are bytea, which is base64, and the wide numbers where a channel wants them as strings. Numbers and
//! JSON are passed on as they are written, so `1e+100` and an order of members stay.

mod nested;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tidegate_core::json::{self, JsonError};

use super::types::Shape;
use crate::Numbers;

/// What a session sets so that the text of a value depends on nothing but the value. With a search path of the catalog
/// alone, the names of tables (`regclass` and the like) always have their schema.
pub(super) const SESSION: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("timezone", "UTC"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("quote_all_identifiers", "off"),
    ("search_path", "pg_catalog"),
    // What is set for short queries must not end a snapshot, a stream, or the session that holds a snapshot.
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    // The publication is made on purpose.
    ("default_transaction_read_only", "off"),
];

/// Why a value is no JSON. The text is not in it, since it may be secret and long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("its text is not UTF-8")]
    NotUtf8,
    #[error("its JSON is not passed on: {0}")]
    Json(JsonError),
    #[error("it is nested deeper than {} levels", json::DEPTH_MAX)]
    TooDeep,
    #[error("its text is not that of {0}")]
    Unexpected(&'static str),
    #[error("it has other attributes than its type had")]
    Attributes,
}

/// Appends the JSON of a value, which stands in a row, to `out`; nothing if it fails.
pub(super) fn write_json(shape: &Shape, text: &[u8], numbers: Numbers, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let begin = out.len();
    // The row is the first level.
    let written = Writer { numbers, out }.value(shape, text, 1);
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

struct Writer<'o> {
    numbers: Numbers,
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, shape: &Shape, text: &[u8], depth: usize) -> Result<(), ValueError> {
        match shape {
            Shape::Bool => self.out.extend_from_slice(match text {
                b"t" => b"true",
                b"f" => b"false",
                _ => return Err(ValueError::Unexpected("a boolean")),
            }),
            Shape::Number => self.number(text, false)?,
            Shape::WideNumber => self.number(text, self.numbers == Numbers::Text)?,
            Shape::Json => json::append(text, depth, self.out).map_err(ValueError::Json)?,
            Shape::Bytea => self.bytea(text)?,
            Shape::Timestamp => self.timestamp(text, false)?,
            Shape::TimestampTz => self.timestamp(text, true)?,
            Shape::Text => self.text(text)?,
            Shape::Array { element, delimiter } => self.array(element, *delimiter, text, depth)?,
            Shape::Vector(element) => self.vector(element, text, depth)?,
            Shape::Record(attributes) => self.record(attributes, text, depth)?,
            Shape::Hstore => self.hstore(text, depth)?,
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) -> Result<(), ValueError> {
        let text = std::str::from_utf8(text).map_err(|_| ValueError::NotUtf8)?;
        json::write_string(text, self.out);
        Ok(())
    }

    /// Text that needs no escapes.
    fn plain(&mut self, parts: &[&[u8]]) {
        self.out.push(b'"');
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.out.push(b'"');
    }

    fn number(&mut self, text: &[u8], as_text: bool) -> Result<(), ValueError> {
        match text {
            b"NaN" | b"Infinity" | b"-Infinity" => self.plain(&[text]),
            _ if !is_number(text) => return Err(ValueError::Unexpected("a number")),
            _ if as_text => self.plain(&[text]),
            _ => self.out.extend_from_slice(text),
        }
        Ok(())
    }

    /// `2026-11-22 01:02:03.5+00 BC` becomes `2026-11-22T01:02:03.5+00:00 BC`; infinities stay.
    fn timestamp(&mut self, text: &[u8], zone: bool) -> Result<(), ValueError> {
        if matches!(text, b"infinity" | b"-infinity") {
            self.plain(&[text]);
            return Ok(());
        }
        let unexpected = ValueError::Unexpected("a timestamp");
        let known = |byte: &u8| matches!(byte, b'0'..=b'9' | b':' | b'.' | b'+' | b'-' | b' ' | b'B' | b'C');
        let Some(space) = text.iter().position(|&byte| byte == b' ').filter(|_| text.iter().all(known)) else {
            return Err(unexpected);
        };
        let (date, time) = (&text[..space], &text[space + 1..]);
        if !zone {
            self.plain(&[date, b"T", time]);
            return Ok(());
        }
        // Minutes of the offset are left out where they are 0, but not by `to_jsonb`.
        let Some(sign) = time.iter().position(|byte| matches!(byte, b'+' | b'-')) else { return Err(unexpected) };
        let end = time[sign..].iter().position(|&byte| byte == b' ').map_or(time.len(), |at| sign + at);
        let minutes: &[u8] = if end - sign == "+00".len() { b":00" } else { b"" };
        self.plain(&[date, b"T", &time[..end], minutes, &time[end..]]);
        Ok(())
    }

    /// `\x` and two hexadecimal digits a byte.
    fn bytea(&mut self, text: &[u8]) -> Result<(), ValueError> {
        /// A multiple of three, so that pieces of base64 can stand one behind the other.
        const PIECE: usize = 768;
        let unexpected = ValueError::Unexpected("a bytea");
        let Some(digits) = text.strip_prefix(b"\\x").filter(|digits| digits.len().is_multiple_of(2)) else {
            return Err(unexpected);
        };
        self.out.reserve(digits.len() / 3 * 2 + 6);
        self.out.push(b'"');
        for digits in digits.chunks(2 * PIECE) {
            let (mut bytes, mut encoded) = ([0; PIECE], [0; PIECE / 3 * 4]);
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                let (Some(high), Some(low)) = (hex_digit(pair[0]), hex_digit(pair[1])) else { return Err(unexpected) };
                *byte = high << 4 | low;
            }
            let written = BASE64_STANDARD.encode_slice(&bytes[..digits.len() / 2], &mut encoded);
            self.out.extend_from_slice(&encoded[..written.expect("four thirds of a piece")]);
        }
        self.out.push(b'"');
        Ok(())
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Whether it is a number of JSON (RFC 8259 §6), which is what Postgres writes for all that are finite.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let integer = digits(rest);
    if integer == 0 || (integer > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[integer..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            _ => exponent,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;
