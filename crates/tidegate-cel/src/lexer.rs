//! Cuts a source into tokens, one at a time, so that a source is read no further than to its first
//! mistake.

mod text;

use crate::parser::Refusal;

/// A token of CEL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'s> {
    End,
    /// Without its sign.
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Name(&'s str),
    /// A field between backticks.
    Quoted(&'s str),
    Symbol(&'static str),
}

/// Longer ones first.
const SYMBOLS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+", "-", "*", "/", "%", "!",
    "<", ">",
];

pub(crate) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(crate) fn new(source: &'s str) -> Lexer<'s> {
        Lexer { source, at: 0 }
    }

    /// The next token, and where it begins.
    pub(crate) fn next(&mut self) -> Result<(Token<'s>, usize), Refusal> {
        self.skip();
        let start = self.at;
        let rest = &self.source[start..];
        let Some(first) = rest.chars().next() else { return Ok((Token::End, start)) };
        let digit_follows = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let token = if first.is_ascii_digit() || (first == '.' && digit_follows) {
            self.number()?
        } else if let Some(prefix) = text::prefix(rest) {
            self.text(prefix)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += end;
            Token::Name(&rest[..end])
        } else if first == '`' {
            self.quoted()?
        } else {
            self.symbol(first)?
        };
        Ok((token, start))
    }

    /// White space, and comments to the end of their line.
    fn skip(&mut self) {
        loop {
            let rest = &self.source[self.at..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn symbol(&mut self, first: char) -> Result<Token<'s>, Refusal> {
        let rest = &self.source[self.at..];
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            self.at += symbol.len();
            return Ok(Token::Symbol(symbol));
        }
        let refusal = Refusal::new(self.at, format!("`{}` means nothing here", first.escape_debug()));
        Err(match first {
            '=' => refusal.hint("did you mean `==`?"),
            '&' => refusal.hint("did you mean `&&`?"),
            '|' => refusal.hint("did you mean `||`?"),
            _ => refusal,
        })
    }

    fn quoted(&mut self) -> Result<Token<'s>, Refusal> {
        let inner = &self.source[self.at + 1..];
        let end = inner.find('`').filter(|end| *end > 0);
        let end = end.ok_or_else(|| Refusal::new(self.at, "a name between backticks does not end, or is empty"))?;
        self.at += end + 2;
        Ok(Token::Quoted(&inner[..end]))
    }

    fn number(&mut self) -> Result<Token<'s>, Refusal> {
        let start = self.at;
        let rest = &self.source[start..];
        if let Some(hexadecimal) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let end = run(hexadecimal, |byte| byte.is_ascii_hexdigit());
            self.at += 2 + end;
            return self.whole(u64::from_str_radix(&hexadecimal[..end], 16).ok(), start);
        }
        let mut end = run(rest, |byte| byte.is_ascii_digit());
        let mut whole = true;
        if rest[end..].starts_with('.') {
            let fraction = run(&rest[end + 1..], |byte| byte.is_ascii_digit());
            if fraction > 0 {
                (end, whole) = (end + 1 + fraction, false);
            }
        }
        if rest[end..].starts_with(['e', 'E']) {
            let signed = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = run(&rest[end + 1 + signed..], |byte| byte.is_ascii_digit());
            if exponent > 0 {
                (end, whole) = (end + 1 + signed + exponent, false);
            }
        }
        self.at += end;
        if whole {
            return self.whole(rest[..end].parse().ok(), start);
        }
        let value = rest[..end].parse().map_err(|_| Refusal::new(start, "this is no number"))?;
        self.ends(start)?;
        Ok(Token::Double(value))
    }

    /// An int or a uint whose digits were read.
    fn whole(&mut self, value: Option<u64>, start: usize) -> Result<Token<'s>, Refusal> {
        let value = value.ok_or_else(|| Refusal::new(start, "this is no number of 64 bits"))?;
        let unsigned = self.source[self.at..].starts_with(['u', 'U']);
        self.at += usize::from(unsigned);
        self.ends(start)?;
        Ok(if unsigned { Token::Uint(value) } else { Token::Int(value) })
    }

    fn ends(&self, start: usize) -> Result<(), Refusal> {
        let next = self.source[self.at..].chars().next();
        match next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            true => Err(Refusal::new(start, "a name follows a number at once")),
            false => Ok(()),
        }
    }
}

fn run(text: &str, mut of: impl FnMut(&u8) -> bool) -> usize {
    text.bytes().position(|byte| !of(&byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
