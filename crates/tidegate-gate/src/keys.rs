//! API keys: made, listed, revoked, and recognised when they are shown.
//!
//! A key is `tgk_`, an id of 16 hexadecimal digits, `_`, and a secret of 256 random bits in base64url.
//! The prefix is for scanners of leaked secrets, the id for lists and logs. Of the secret only the
//! SHA-256 is kept: nothing slower is needed for what nobody can guess.
//!
//! Entries are given and taken as bytes. Whoever has a store puts what [`create`](ApiKeys::create) and
//! [`revoke`](ApiKeys::revoke) return into it *before* it tells anybody, and gives back all of it with
//! [`load`](ApiKeys::load) when it starts; there is no clock and no file in here.

mod entry;
mod text;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tidegate_core::principal::{Principal, Shown, Vouched};

use crate::digest::SecretHash;
use crate::error::{Reason, Refusal};
use crate::secret::Secret;
use entry::Entry;
use text::Parts;

/// What every API key begins with.
pub const PREFIX: &str = "tgk_";

/// More keys are not made; revoked ones can be forgotten.
pub const KEYS_MAX: usize = 100_000;
/// Names, subjects and scopes are no longer than this, in bytes.
pub const TEXT_BYTES_MAX: usize = 200;
/// A key has at most so many scopes.
pub const SCOPES_MAX: usize = 64;

/// All keys. Shared by those who change them and those who ask.
#[derive(Default)]
pub struct ApiKeys {
    held: RwLock<HashMap<Box<str>, Held>>,
}

struct Held {
    entry: Entry,
    /// Made once: all who show the key share it.
    principal: Principal,
}

/// What a new key is to be.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// Whom it stands for; else it stands for itself, `key:ID`.
    pub subject: Option<String>,
    /// What it may.
    pub scopes: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
}

/// A key that was made: the only time that its text is seen.
#[derive(Debug)]
pub struct CreatedKey {
    /// Its id.
    pub id: String,
    /// Its text, for whom it was made.
    pub text: Secret,
    /// What is to be stored under the id.
    pub entry: Bytes,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedKey {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// Whom it stands for.
    pub subject: Box<str>,
    /// What it may.
    pub scopes: Box<[Box<str>]>,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it ends.
    pub expires: Option<u64>,
    /// When it was revoked.
    pub revoked: Option<u64>,
}

/// Why a key was not made, changed or loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A text is empty, too long, or has characters that a scope cannot have.
    #[error("{0}")]
    Wrong(&'static str),
    /// There are [`KEYS_MAX`].
    #[error("there are {KEYS_MAX} keys already; forget some that were revoked")]
    Full,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    Random,
    /// Bytes that are no entry of ours.
    #[error("no entry of an API key: {0}")]
    Entry(String),
}

impl ApiKeys {
    /// None.
    pub fn new() -> ApiKeys {
        ApiKeys::default()
    }

    /// Makes a key. It is not accepted before [`load`](ApiKeys::load) has been given its entry, which
    /// is for after it has been stored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn create(&self, new: &NewKey, now: u64) -> Result<CreatedKey, KeyError> {
        check(new)?;
        if self.read().len() >= KEYS_MAX {
            return Err(KeyError::Full);
        }
        let (id, text) = text::fresh().ok_or(KeyError::Random)?;
        let parts = Parts::parse(&text).ok_or(KeyError::Random)?;
        let entry = Entry {
            id: id.clone(),
            name: new.name.as_str().into(),
            subject: new.subject.as_deref().map(Into::into),
            scopes: new.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            created: now,
            expires: new.expires,
            revoked: None,
            hash: SecretHash::of(parts.secret.as_bytes()),
        };
        Ok(CreatedKey { id: id.into(), entry: bytes_of(&entry)?, text: Secret::new(text) })
    }

    /// Takes an entry as it was stored, in place of the one of the same id.
    ///
    /// # Errors
    /// It is none.
    pub fn load(&self, entry: &[u8]) -> Result<(), KeyError> {
        let entry: Entry = serde_json::from_slice(entry).map_err(|error| KeyError::Entry(error.to_string()))?;
        let principal = principal(&entry);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= KEYS_MAX && !held.contains_key(&entry.id) {
            return Err(KeyError::Full);
        }
        held.insert(entry.id.clone(), Held { entry, principal });
        Ok(())
    }

    /// Ends a key at once. Returns what is to be stored under its id; `None` if there is no such key.
    ///
    /// # Errors
    /// The entry cannot be written.
    pub fn revoke(&self, id: &str, now: u64) -> Result<Option<Bytes>, KeyError> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = held.get_mut(id) else { return Ok(None) };
        held.entry.revoked.get_or_insert(now);
        bytes_of(&held.entry).map(Some)
    }

    /// Forgets a key, which is then refused like one that never was. Returns whether it was there.
    pub fn forget(&self, id: &str) -> bool {
        self.held.write().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }

    /// All keys, the oldest first.
    pub fn list(&self) -> Vec<ListedKey> {
        let mut list: Vec<ListedKey> = self.read().values().map(|held| listed(&held.entry)).collect();
        list.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        list
    }

    /// Whose key this is. Whatever is wrong with it, a hash is made and compared in constant time.
    pub(crate) fn identify(&self, text: &Secret, now: u64) -> Result<Principal, Refusal> {
        let unknown = || Refusal::new(Reason::ApiKey, "an API key that does not exist");
        let Parts { id, secret } = Parts::parse(text.expose()).ok_or_else(unknown)?;
        let shown = SecretHash::of(secret.as_bytes());
        let held = self.read();
        let Some(held) = held.get(id) else {
            let _ = SecretHash::of(&[]).matches(&shown);
            return Err(unknown());
        };
        if !held.entry.hash.matches(&shown) {
            return Err(Refusal::new(Reason::ApiKey, format!("the API key {id} with another secret")));
        }
        if held.entry.revoked.is_some() {
            return Err(Refusal::new(Reason::ApiKey, format!("the API key {id}, which was revoked")));
        }
        if held.entry.expires.is_some_and(|expires| now >= expires) {
            return Err(Refusal::new(Reason::Expired, format!("the API key {id}, which has expired")));
        }
        Ok(held.principal.clone())
    }

    /// Whether the key that somebody has shown is still one.
    pub(crate) fn check(&self, principal: &Principal) -> Result<(), Refusal> {
        let Some(id) = principal.api_key_id() else { return Ok(()) };
        match self.read().get(id) {
            Some(held) if held.entry.revoked.is_none() => Ok(()),
            _ => Err(Refusal::new(Reason::Revoked, format!("the API key {id}, which was revoked"))),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Box<str>, Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(new: &NewKey) -> Result<(), KeyError> {
    let fits = |text: &str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control);
    // RFC 6749, section 3.3.
    let is_scope =
        |text: &String| fits(text) && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'));
    if !fits(&new.name) {
        return Err(KeyError::Wrong("a key needs a name of 1 to 200 bytes"));
    }
    if new.subject.as_deref().is_some_and(|subject| !fits(subject)) {
        return Err(KeyError::Wrong("a subject has 1 to 200 bytes"));
    }
    if new.scopes.len() > SCOPES_MAX || !new.scopes.iter().all(is_scope) {
        return Err(KeyError::Wrong("a key has at most 64 scopes, each a word of 1 to 200 characters"));
    }
    Ok(())
}

fn bytes_of(entry: &Entry) -> Result<Bytes, KeyError> {
    serde_json::to_vec(entry).map(Bytes::from).map_err(|error| KeyError::Entry(error.to_string()))
}

fn subject(entry: &Entry) -> Box<str> {
    entry.subject.clone().unwrap_or_else(|| format!("key:{}", entry.id).into())
}

fn listed(entry: &Entry) -> ListedKey {
    ListedKey {
        id: entry.id.clone(),
        name: entry.name.clone(),
        subject: subject(entry),
        scopes: entry.scopes.clone(),
        created: entry.created,
        expires: entry.expires,
        revoked: entry.revoked,
    }
}

fn principal(entry: &Entry) -> Principal {
    let subject = subject(entry);
    let claims =
        json!({ "sub": subject, "scope": entry.scopes.join(" "), "key": { "id": entry.id, "name": entry.name } });
    let vouched = Vouched {
        shown: Shown::ApiKey,
        subject: Some(subject),
        api_key_id: Some(entry.id.clone()),
        scopes: entry.scopes.clone(),
        claims: claims.to_string().into(),
        expires: entry.expires,
        ..Vouched::default()
    };
    vouched.into()
}

#[cfg(test)]
mod tests;
