//! Literals of strings and bytes: four kinds of quotes, raw or with escapes.

use super::{Lexer, Token};
use crate::parser::Refusal;

/// What stands before the text of a literal.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    raw: bool,
    bytes: bool,
    quote: &'static str,
    length: usize,
}

/// The prefix and the opening quote, if a literal begins here.
pub(super) fn prefix(rest: &str) -> Option<Prefix> {
    let letters = rest.bytes().take_while(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B')).take(2).count();
    let (letters, after) = rest.split_at(letters);
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| after.starts_with(quote))?;
    let raw = letters.contains(['r', 'R']);
    let bytes = letters.contains(['b', 'B']);
    let length = letters.len() + quote.len();
    (letters.len() == usize::from(raw) + usize::from(bytes)).then_some(Prefix { raw, bytes, quote, length })
}

impl<'s> Lexer<'s> {
    pub(super) fn text(&mut self, prefix: Prefix) -> Result<Token<'s>, Refusal> {
        let start = self.at;
        self.at += prefix.length;
        let mut out = Vec::new();
        loop {
            let rest = &self.source[self.at..];
            if rest.starts_with(prefix.quote) {
                self.at += prefix.quote.len();
                break;
            }
            let character = rest.chars().next();
            match character {
                None | Some('\n' | '\r') if prefix.quote.len() == 1 || character.is_none() => {
                    return Err(Refusal::new(start, "a string does not end"));
                }
                Some('\\') if !prefix.raw => self.escape(prefix.bytes, &mut out)?,
                Some(character) => {
                    self.at += character.len_utf8();
                    push(character, &mut out);
                }
                None => {}
            }
        }
        if prefix.bytes {
            return Ok(Token::Bytes(out));
        }
        // Characters were appended whole.
        String::from_utf8(out).map(Token::String).map_err(|_| Refusal::new(start, "a string is no Unicode"))
    }

    /// Reads an escape that begins here.
    fn escape(&mut self, bytes: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = self.at;
        let unknown = || Refusal::new(start, "an unknown escape").hint(r#"write `\\` for a backslash, or r"…""#);
        let rest = &self.source.as_bytes()[start + 1..];
        let letter = *rest.first().ok_or_else(unknown)?;
        let plain = match letter {
            b'a' => Some(0x07),
            b'b' => Some(0x08),
            b'f' => Some(0x0c),
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            b't' => Some(b'\t'),
            b'v' => Some(0x0b),
            b'\\' | b'?' | b'"' | b'\'' | b'`' => Some(letter),
            _ => None,
        };
        if let Some(plain) = plain {
            self.at += 2;
            out.push(plain);
            return Ok(());
        }
        let (skip, digits, radix) = match letter {
            b'x' | b'X' => (2, 2, 16),
            b'u' if !bytes => (2, 4, 16),
            b'U' if !bytes => (2, 8, 16),
            b'0'..=b'3' => (1, 3, 8),
            _ => return Err(unknown()),
        };
        let text = self.source.get(start + skip..start + skip + digits).ok_or_else(unknown)?;
        let valid = text.bytes().all(|byte| char::from(byte).is_digit(radix));
        let value = valid.then(|| u32::from_str_radix(text, radix).ok()).flatten().ok_or_else(unknown)?;
        self.at += skip + digits;
        if bytes {
            out.push(value as u8);
        } else {
            push(char::from_u32(value).ok_or_else(unknown)?, out);
        }
        Ok(())
    }
}

fn push(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
