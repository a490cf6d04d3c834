//! A place in a log, and its text form.
//!
//! The text is opaque to clients: 24 characters that say which log and which view, then the
//! offset in hexadecimal. It is never a secret; rights are judged afresh at each use.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

/// Place of a record in its channel's log. Rises; holes mean nothing. 0 is before the first.
pub type Offset = u64;

/// The first byte of a cursor: its format.
const FORMAT: u8 = 0xb4;
/// Characters before the offset: 18 bytes in base64.
const PREFIX_CHARS: usize = 24;

/// Which channel: 40 bits of a stable hash of its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(u64);

/// Which life of a channel's log: 48 random bits drawn when the log was created.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

/// Which view of a channel: 48 bits of a stable hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

/// A position (epoch and offset) in one channel, as seen by one view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The channel.
    pub channel: ChannelId,
    /// The life of its log.
    pub epoch: Epoch,
    /// The view that the holder's replica follows.
    pub view: Fingerprint,
    /// Everything up to here has been seen.
    pub offset: Offset,
}

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor; send one back exactly as a frame or header gave it")]
pub struct CursorError;

/// Everything of a cursor's text but the offset, made once per view.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CursorPrefix([u8; PREFIX_CHARS]);

impl ChannelId {
    /// The id of the channel with this name.
    pub fn of(name: &str) -> ChannelId {
        ChannelId(stable_hash(&[name.as_bytes()]) & 0xff_ffff_ffff)
    }

    /// The 40 bits, for files of ours.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Takes back what [`Self::to_bits`] gave.
    pub fn from_bits(bits: u64) -> ChannelId {
        ChannelId(bits & 0xff_ffff_ffff)
    }
}

impl Epoch {
    /// Takes 48 bits: fresh random ones, or those of a file.
    pub fn from_bits(bits: u64) -> Epoch {
        Epoch(bits & 0xffff_ffff_ffff)
    }

    /// The 48 bits.
    pub fn to_bits(self) -> u64 {
        self.0
    }
}

impl Fingerprint {
    /// The fingerprint of what these parts describe; their borders count.
    pub fn of(parts: &[&[u8]]) -> Fingerprint {
        Fingerprint(stable_hash(parts) & 0xffff_ffff_ffff)
    }
}

impl Cursor {
    /// The part of the text that is the same for all offsets.
    pub fn prefix(&self) -> CursorPrefix {
        let mut bytes = [0; 18];
        bytes[0] = FORMAT;
        bytes[1..6].copy_from_slice(&self.channel.0.to_be_bytes()[3..]);
        bytes[6..12].copy_from_slice(&self.epoch.0.to_be_bytes()[2..]);
        bytes[12..].copy_from_slice(&self.view.0.to_be_bytes()[2..]);
        let mut text = [0; PREFIX_CHARS];
        BASE64.encode_slice(bytes, &mut text).expect("18 bytes make 24 characters");
        CursorPrefix(text)
    }

    /// The same view at another offset.
    pub fn at(self, offset: Offset) -> Cursor {
        Cursor { offset, ..self }
    }
}

impl CursorPrefix {
    /// Appends the text of the cursor at `offset`.
    pub fn write(&self, offset: Offset, out: &mut Vec<u8>) {
        use std::io::Write;
        out.extend_from_slice(&self.0);
        write!(out, "{offset:x}").expect("writing to memory");
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.prefix();
        let text = std::str::from_utf8(&prefix.0).expect("base64 is ASCII");
        write!(f, "{text}{:x}", self.offset)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Cursor, CursorError> {
        let (prefix, offset) = text.split_at_checked(PREFIX_CHARS).ok_or(CursorError)?;
        let mut bytes = [0; 18];
        let decoded = BASE64.decode_slice(prefix, &mut bytes).map_err(|_| CursorError)?;
        let canonical = !offset.is_empty()
            && offset.len() <= 16
            && offset.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && (offset == "0" || !offset.starts_with('0'));
        if decoded != bytes.len() || bytes[0] != FORMAT || !canonical {
            return Err(CursorError);
        }
        Ok(Cursor {
            channel: ChannelId(be(&bytes[1..6])),
            epoch: Epoch(be(&bytes[6..12])),
            view: Fingerprint(be(&bytes[12..])),
            offset: Offset::from_str_radix(offset, 16).map_err(|_| CursorError)?,
        })
    }
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// FNV-1a (64 bits) with a length before each part, then a finalizer: stable by definition, which
/// the standard library's hashers are not.
fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        (part.len() as u32).to_be_bytes().into_iter().for_each(&mut eat);
        part.iter().copied().for_each(&mut eat);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

macro_rules! debug_as_hex {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0)
            }
        }
    )*};
}
debug_as_hex!(ChannelId, Epoch, Fingerprint);

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(offset: Offset) -> Cursor {
        Cursor {
            channel: ChannelId::of("orders"),
            epoch: Epoch::from_bits(0x1234_5678_9abc),
            view: Fingerprint::of(&[b"x"]),
            offset,
        }
    }

    #[test]
    fn text_and_back() {
        for offset in [0, 1, 255, 1 << 40, u64::MAX] {
            let text = cursor(offset).to_string();
            assert_eq!(text.parse(), Ok(cursor(offset)), "{text}");
            let mut written = Vec::new();
            cursor(0).prefix().write(offset, &mut written);
            assert_eq!(written, text.as_bytes());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = cursor(255).to_string();
        for bad in [
            "",
            "abc",
            "é",
            &good[..24],
            &format!("{good}g"),
            &format!(" {good}"),
            &good.replace("ff", "0ff"),
            &good.to_uppercase(),
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
    }

    #[test]
    fn borders_between_parts_count() {
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }
}
