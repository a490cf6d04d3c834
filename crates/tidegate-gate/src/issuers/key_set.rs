//! The keys of an issuer at one time.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::key::Key;
use crate::algorithm::Algorithm;
use crate::digest::Digest;

/// More keys than this are not read. Issuers have two or three.
const KEYS_MAX: usize = 64;
/// A token without a key id, or of an issuer whose keys have none, is tried with at most so many.
const TRIES_MAX: usize = 8;

/// Keys, in the order of the issuer.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// Why others were left out; for the operator.
    pub(crate) left_out: Vec<String>,
}

#[derive(Deserialize)]
struct JwkSet<'t> {
    #[serde(borrow)]
    keys: Vec<&'t RawValue>,
}

impl KeySet {
    /// A shared secret alone.
    pub(crate) fn secret(secret: &[u8]) -> KeySet {
        KeySet { keys: vec![Key::secret(secret)], left_out: Vec::new() }
    }

    /// A JWK set, or blocks of PEM. Keys that cannot be used are left out, as RFC 7517 wants it: an
    /// issuer may well have keys for others.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn parse(text: &[u8]) -> Result<KeySet, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
        if text.trim_start().starts_with('{') {
            let set: JwkSet<'_> = serde_json::from_str(text).map_err(|error| format!("it is no JWK set: {error}"))?;
            let keys = set.keys.iter().map(|key| Key::from_jwk(key.get().as_bytes()));
            return Ok(KeySet::of(keys));
        }
        if pem_blocks(text).next().is_none() {
            return Err("it is neither a JWK set nor PEM".to_owned());
        }
        Ok(KeySet::of(pem_blocks(text).map(Key::from_pem)))
    }

    fn of(keys: impl Iterator<Item = Result<Key, String>>) -> KeySet {
        let mut set = KeySet::default();
        for (number, key) in (1..).zip(keys) {
            match key {
                Ok(key) if set.keys.len() < KEYS_MAX => set.keys.push(key),
                Ok(_) => {
                    set.left_out.push(format!("key {number} and later: there are more than {KEYS_MAX}"));
                    break;
                }
                Err(reason) => set.left_out.push(format!("key {number}: {reason}")),
            }
        }
        set
    }

    /// The keys that a token may be signed with, by its header.
    pub(crate) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let fitting = || self.keys.iter().filter(move |key| key.fits(algorithm));
        let named = id.is_some_and(|id| fitting().any(|key| key.id.as_deref() == Some(id)));
        let wanted = move |key: &&Key| match (id, key.id.as_deref()) {
            (Some(id), own) if named => own == Some(id),
            (Some(_), own) => own.is_none(),
            (None, _) => true,
        };
        fitting().filter(wanted).take(TRIES_MAX)
    }

    /// Whether a key is still there.
    pub(crate) fn holds(&self, fingerprint: Digest) -> bool {
        self.keys.iter().any(|key| key.fingerprint() == fingerprint)
    }

    /// Whether no key of the set can verify any of these.
    pub(crate) fn lacks_all(&self, algorithms: &[Algorithm]) -> bool {
        !self.keys.iter().any(|key| algorithms.iter().any(|algorithm| key.fits(*algorithm)))
    }
}

/// Each block with its frame.
fn pem_blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begin = rest.find("-----BEGIN ")?;
        let end = begin + rest[begin..].find("-----END ")?;
        let close = end + "-----END ".len() + rest[end + "-----END ".len()..].find("-----")? + "-----".len();
        let block = &rest[begin..close];
        rest = &rest[close..];
        Some(block)
    })
}

#[cfg(test)]
mod tests;
