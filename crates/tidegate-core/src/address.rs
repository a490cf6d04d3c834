//! Where an event is on the wire: `markets/AAPL/trades`.
//!
//! Text from outside is split at `/`, each segment is decoded once and checked, and then kept in
//! one canonical encoding, so that two spellings of an address are one address everywhere inside.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// A segment may hold this many decoded bytes: room for any identifier, none for a payload.
pub const SEGMENT_BYTES_MAX: usize = 200;
/// An address may have this many segments; matching is linear in them.
pub const SEGMENTS_MAX: usize = 16;

/// Everything but RFC 3986 `unreserved` is escaped, plus a few that are safe and common in a path
/// segment (`pchar`) except `*`, which is the wildcard when it stands raw.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// A concrete address in canonical encoding. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

/// An address in which `*` stands for whole segments. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

/// What a request names: one address, or a pattern.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// One address.
    Address(Address),
    /// All addresses that match.
    Pattern(Pattern),
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `a//b`, or a slash at an end.
    #[error("an address has an empty segment")]
    Empty,
    /// `.` and `..` mean something else to proxies and clients.
    #[error("a segment is `.` or `..`")]
    Dots,
    /// Control characters, also encoded ones.
    #[error("a segment has a control character")]
    Control,
    /// `%2F`: proxies disagree whether it separates.
    #[error("a segment has an encoded `/`")]
    Slash,
    /// Not UTF-8 once decoded, or a broken `%` escape.
    #[error("a segment is not percent-encoded UTF-8")]
    Encoding,
    /// A raw `*` beside other text, or where only a concrete address fits.
    #[error("`*` stands for one whole segment, and only where a pattern is allowed")]
    Wildcard,
    /// Longer than [`SEGMENT_BYTES_MAX`].
    #[error("a segment is longer than {SEGMENT_BYTES_MAX} bytes")]
    Long,
    /// More than [`SEGMENTS_MAX`].
    #[error("an address has more than {SEGMENTS_MAX} segments")]
    Deep,
    /// The first segment begins with `_`, however it is spelled: `/v1/_…` is the server's own.
    #[error("addresses whose first segment begins with `_` are reserved")]
    Reserved,
}

impl Target {
    /// Reads the part of a URL path behind `/v1/`, still encoded.
    pub fn parse(path: &str) -> Result<Target, AddressError> {
        let mut canonical = String::with_capacity(path.len());
        let mut wild = false;
        for (index, raw) in path.split('/').enumerate() {
            if index == SEGMENTS_MAX {
                return Err(AddressError::Deep);
            }
            if index > 0 {
                canonical.push('/');
            }
            if raw == "*" {
                wild = true;
                canonical.push('*');
            } else if raw.contains('*') {
                return Err(AddressError::Wildcard);
            } else {
                let decoded = decode(raw)?;
                not_reserved(index, &decoded)?;
                push_segment(&decoded, &mut canonical)?;
            }
        }
        Ok(if wild { Target::Pattern(Pattern(canonical.into())) } else { Target::Address(Address(canonical.into())) })
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        match self {
            Target::Address(address) => address.as_str(),
            Target::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// Whether `address` is this address, or matches this pattern. Both canonical.
    pub fn matches(&self, address: &str) -> bool {
        match self {
            Target::Address(own) => own.as_str() == address,
            Target::Pattern(pattern) => pattern.matches(address),
        }
    }
}

impl Address {
    /// Reads a concrete address, percent-encoded text as in a URL path.
    pub fn parse(path: &str) -> Result<Address, AddressError> {
        match Target::parse(path)? {
            Target::Address(address) => Ok(address),
            Target::Pattern(_) => Err(AddressError::Wildcard),
        }
    }

    /// Builds an address from decoded segments, as a source does from column values.
    pub fn from_segments<'a>(segments: impl IntoIterator<Item = &'a str>) -> Result<Address, AddressError> {
        let mut canonical = String::new();
        for (index, segment) in segments.into_iter().enumerate() {
            if index == SEGMENTS_MAX {
                return Err(AddressError::Deep);
            }
            if index > 0 {
                canonical.push('/');
            }
            not_reserved(index, segment)?;
            push_segment(segment, &mut canonical)?;
        }
        if canonical.is_empty() {
            return Err(AddressError::Empty);
        }
        Ok(Address(canonical.into()))
    }

    /// Takes text that this type wrote before, from a log of ours.
    pub fn from_canonical(text: &str) -> Address {
        Address(text.into())
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, for holders that keep many.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl Pattern {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the canonical `address` has as many segments and each equals or meets a `*`.
    pub fn matches(&self, address: &str) -> bool {
        let mut own = self.0.split('/');
        let mut other = address.split('/');
        loop {
            match (own.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == "*" || a == b => {}
                _ => return false,
            }
        }
    }
}

/// Decodes one canonical or raw segment; escapes must be whole and UTF-8.
pub fn decode_segment(raw: &str) -> Result<String, AddressError> {
    decode(raw).map(Cow::into_owned)
}

fn decode(raw: &str) -> Result<Cow<'_, str>, AddressError> {
    let bytes = raw.as_bytes();
    if !bytes.contains(&b'%') {
        return Ok(Cow::Borrowed(raw));
    }
    let broken = (0..bytes.len()).any(|at| {
        bytes[at] == b'%'
            && !(bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
                && bytes.get(at + 2).is_some_and(u8::is_ascii_hexdigit))
    });
    if broken {
        return Err(AddressError::Encoding);
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| AddressError::Encoding)
}

/// One segment of a template, read as [`Address::parse`] reads it; where it stands is not known.
pub(crate) fn canonical_segment(raw: &str) -> Result<String, AddressError> {
    if raw.contains('*') {
        return Err(AddressError::Wildcard);
    }
    let mut canonical = String::with_capacity(raw.len());
    push_segment(&decode_segment(raw)?, &mut canonical)?;
    Ok(canonical)
}

/// Whether the decoded segment can stand at `index`.
pub(crate) fn check_segment(index: usize, decoded: &str) -> Result<(), AddressError> {
    not_reserved(index, decoded)?;
    push_segment(decoded, &mut String::new())
}

fn not_reserved(index: usize, decoded: &str) -> Result<(), AddressError> {
    if index == 0 && decoded.starts_with('_') { Err(AddressError::Reserved) } else { Ok(()) }
}

fn push_segment(decoded: &str, canonical: &mut String) -> Result<(), AddressError> {
    match decoded {
        "" => return Err(AddressError::Empty),
        "." | ".." => return Err(AddressError::Dots),
        _ => {}
    }
    if decoded.contains('/') {
        return Err(AddressError::Slash);
    }
    if decoded.chars().any(char::is_control) {
        return Err(AddressError::Control);
    }
    if decoded.len() > SEGMENT_BYTES_MAX {
        return Err(AddressError::Long);
    }
    if decoded.bytes().all(is_plain) {
        canonical.push_str(decoded);
        return Ok(());
    }
    canonical.extend(utf8_percent_encode(decoded, SEGMENT));
    Ok(())
}

/// What [`SEGMENT`] leaves as it is; most segments have nothing else.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:@!$,;=".contains(&byte)
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_what_is_not_escaped() {
        for byte in 0..=127u8 {
            let text = char::from(byte).to_string();
            assert_eq!(is_plain(byte), utf8_percent_encode(&text, SEGMENT).to_string() == text, "{text:?}");
        }
        assert!((128..=255).all(|byte| !is_plain(byte)));
    }

    fn refused(path: &str) -> AddressError {
        Target::parse(path).expect_err(path)
    }

    #[test]
    fn two_spellings_are_one_address() {
        let plain = Target::parse("rooms/caf\u{e9}/messages").expect("plain");
        let escaped = Target::parse("%72ooms/caf%c3%a9/messages").expect("escaped");
        assert_eq!(plain, escaped);
        assert_eq!(plain.as_str(), "rooms/caf%C3%A9/messages");
    }

    #[test]
    fn an_escaped_star_is_a_star_and_no_wildcard() {
        let target = Target::parse("a/%2A").expect("escaped star");
        assert!(matches!(target, Target::Address(_)));
        assert_eq!(target.as_str(), "a/%2A");
    }

    #[test]
    fn a_pattern_matches_whole_segments() {
        let pattern = Target::parse("markets/*/trades").expect("pattern");
        assert!(pattern.matches("markets/AAPL/trades"));
        assert!(!pattern.matches("markets/AAPL/quotes"));
        assert!(!pattern.matches("markets/AAPL/x/trades"));
        assert!(!pattern.matches("markets/AAPL"));
    }

    #[test]
    fn the_first_segment_is_reserved_in_every_spelling() {
        assert_eq!(refused("_ws"), AddressError::Reserved);
        assert_eq!(refused("%5Fws/a"), AddressError::Reserved);
        assert_eq!(refused("%5fws/*"), AddressError::Reserved);
        assert_eq!(Address::from_segments(["_ws", "a"]), Err(AddressError::Reserved));
        assert!(Target::parse("a/_b").is_ok() && Target::parse("*/_b").is_ok());
        assert!(Address::from_segments(["a", "_b"]).is_ok());
        assert_eq!(Address::from_canonical("_old").as_str(), "_old");
    }

    #[test]
    fn hostile_paths_are_refused() {
        assert_eq!(refused(""), AddressError::Empty);
        assert_eq!(refused("a//b"), AddressError::Empty);
        assert_eq!(refused("a/"), AddressError::Empty);
        assert_eq!(refused("a/../b"), AddressError::Dots);
        assert_eq!(refused("a/%2e%2E/b"), AddressError::Dots);
        assert_eq!(refused("a/b%2Fc"), AddressError::Slash);
        assert_eq!(refused("a/b%00"), AddressError::Control);
        assert_eq!(refused("a/b%0a"), AddressError::Control);
        assert_eq!(refused("a/%ff"), AddressError::Encoding);
        assert_eq!(refused("a/%2"), AddressError::Encoding);
        assert_eq!(refused("a/b*"), AddressError::Wildcard);
        assert_eq!(refused(&"x".repeat(201)), AddressError::Long);
        assert_eq!(refused(&"x/".repeat(40)), AddressError::Deep);
    }
}
