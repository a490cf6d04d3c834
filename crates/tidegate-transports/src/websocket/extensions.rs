//! Which extension a client and we agree on: permessage-deflate (RFC 7692) in the one form in which a
//! deflated frame can be shared, which is without context takeover.
//!
//! A header that is none is refused, as RFC 6455, section 9.1, wants it; an offer that is one and
//! cannot be accepted is passed over, and the connection goes on without it.

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use tidegate_wire::DEFLATE_WINDOW_BITS;

/// More offers than this are not read; real clients send one or two.
const OFFERS_MAX: usize = 16;
/// The extension's name.
const NAME: &str = "permessage-deflate";

/// The form in which permessage-deflate was agreed.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Deflate {
    /// The client asked for a limit of our window, so the answer says it.
    window_named: bool,
}

/// The header is not of the form that RFC 6455, section 9.1, gives it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One extension that the client offers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) name: String,
    /// Names and values in order, quotes resolved.
    pub(super) parameters: Vec<(String, Option<String>)>,
}

/// The first acceptable offer of permessage-deflate, in the order of the client's preference.
///
/// # Errors
/// A header that cannot be read.
pub(super) fn agree(headers: &HeaderMap) -> Result<Option<Deflate>, Malformed> {
    let mut all = Vec::new();
    for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        all.extend(offers(value.as_bytes())?);
    }
    all.truncate(OFFERS_MAX);
    Ok(all.iter().find_map(accept))
}

impl Deflate {
    /// The value of the answer's `Sec-WebSocket-Extensions`.
    pub(super) fn answer(self) -> String {
        let mut answer = format!("{NAME}; server_no_context_takeover; client_no_context_takeover");
        if self.window_named {
            answer.push_str(&format!("; server_max_window_bits={DEFLATE_WINDOW_BITS}"));
        }
        answer
    }
}

/// RFC 7692, section 7.1: an offer with a parameter that is unknown, doubled or of a wrong value is
/// declined. One that wants a smaller window than that of the shared frames is, too.
fn accept(offer: &Offer) -> Option<Deflate> {
    if !offer.name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut seen: Vec<&str> = Vec::new();
    let mut window_named = false;
    for (name, value) in &offer.parameters {
        if seen.contains(&name.as_str()) {
            return None;
        }
        seen.push(name);
        match (name.as_str(), value.as_deref()) {
            ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) => _ = window_bits(bits)?,
            ("server_max_window_bits", Some(bits)) if window_bits(bits)? >= DEFLATE_WINDOW_BITS => window_named = true,
            _ => return None,
        }
    }
    Some(Deflate { window_named })
}

/// A decimal number from 8 to 15 without leading zeros (RFC 7692, section 7.1.2).
fn window_bits(text: &str) -> Option<u8> {
    (8..=15).find(|bits| text == bits.to_string())
}

/// Reads one header line: `extension; name; name=value; name="value", extension`.
pub(super) fn offers(header: &[u8]) -> Result<Vec<Offer>, Malformed> {
    let mut rest = Rest(header);
    let mut offers = Vec::new();
    loop {
        rest.blank();
        // An empty element of a list means nothing (RFC 9110, section 5.6.1.2).
        if rest.take(b',') {
            continue;
        }
        if rest.0.is_empty() {
            return Ok(offers);
        }
        let mut offer = Offer { name: rest.token()?, parameters: Vec::new() };
        while rest.delimiter(b';') {
            rest.blank();
            let name = rest.token()?;
            let value = if rest.delimiter(b'=') { Some(rest.value()?) } else { None };
            offer.parameters.push((name, value));
        }
        offers.push(offer);
        if !rest.0.is_empty() && !rest.take(b',') {
            return Err(Malformed);
        }
    }
}

/// What of the header is not read yet.
struct Rest<'h>(&'h [u8]);

impl Rest<'_> {
    fn blank(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        match self.0 {
            [first, rest @ ..] if *first == wanted => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// A delimiter, with blanks before it.
    fn delimiter(&mut self, wanted: u8) -> bool {
        self.blank();
        self.take(wanted)
    }

    fn token(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| !token_byte(*byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        text(token)
    }

    /// A token, bare or between quotes.
    fn value(&mut self) -> Result<String, Malformed> {
        self.blank();
        if !self.take(b'"') {
            return self.token();
        }
        let mut value = Vec::new();
        loop {
            match self.0 {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return text(&value);
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] if token_byte(*byte) => {
                    value.push(*byte);
                    self.0 = rest;
                }
                _ => return Err(Malformed),
            }
        }
    }
}

/// A token is not empty.
fn text(token: &[u8]) -> Result<String, Malformed> {
    if token.is_empty() { Err(Malformed) } else { String::from_utf8(token.to_vec()).map_err(|_| Malformed) }
}

/// RFC 9110, section 5.6.2.
fn token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
