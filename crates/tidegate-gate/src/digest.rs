//! SHA-256 of what must not be kept itself.

use aws_lc_rs::{constant_time, digest};

/// The hash of a token or key that somebody showed. It names a secret without holding it, so that
/// finding it in a table tells nothing about others by the time that it takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    pub(crate) fn of(parts: &[&[u8]]) -> Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Digest(bytes)
    }

    /// 64 of its bits, in hexadecimal: enough for names that are given, not guessed.
    pub(crate) fn short(&self) -> String {
        self.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The hash of a secret that is stored. A fast one is right, for what it hides is 256 random bits.
///
/// Two of them can only be compared in constant time:
///
/// ```compile_fail
/// fn same(one: tidegate_gate::SecretHash, other: tidegate_gate::SecretHash) -> bool {
///     one == other
/// }
/// ```
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Of a secret's bytes.
    pub fn of(secret: &[u8]) -> SecretHash {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        SecretHash(bytes)
    }

    /// Whether both are of one secret; takes as long whether they are or not.
    pub fn matches(&self, other: &SecretHash) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    pub(crate) fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn from_hex(text: &str) -> Option<SecretHash> {
        let pairs = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.0.len() != bytes.len() || !pairs.1.is_empty() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs.0) {
            let digits = std::str::from_utf8(pair).ok().filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(SecretHash(bytes))
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hash]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_was_written() {
        let hash = SecretHash::of(b"a secret");
        let read = SecretHash::from_hex(&hash.to_hex()).expect("our own text");
        assert!(hash.matches(&read));
        assert!(!hash.matches(&SecretHash::of(b"another")));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(SecretHash::from_hex(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn where_one_part_ends_is_part_of_the_digest() {
        assert_ne!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"a", b"bc"]));
    }
}
