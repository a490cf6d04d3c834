//! One revocation, as it is asked for and as it is stored.

use serde::{Deserialize, Serialize};
use tidegate_core::Principal;

use super::RevocationError;
use crate::digest::Digest;

/// Subjects and token ids are no longer than this, in bytes; what a token says is no longer than the token.
const NAME_BYTES_MAX: usize = 1_024;

/// What a revocation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    /// Everything that is of a subject.
    Subject,
    /// One token, by its `jti`.
    TokenId,
    /// One API key, by its id.
    ApiKey,
}

/// What is to be revoked.
#[derive(Debug, Clone)]
pub struct NewRevocation {
    /// What the name names.
    pub what: Revoked,
    /// A subject, a token id, or the id of an API key.
    pub name: String,
    /// Whose; without it, of any issuer and of none.
    pub issuer: Option<String>,
    /// Until when, in seconds since 1970; without it, until it is taken back.
    pub until: Option<u64>,
}

/// A revocation. Written as JSON; members that are not known are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its id.
    pub id: Box<str>,
    /// What its name names.
    pub what: Revoked,
    /// A subject, a token id, or the id of an API key.
    pub name: Box<str>,
    /// Whose; without it, of any issuer and of none.
    pub issuer: Option<Box<str>>,
    /// When it was made, in seconds since 1970.
    pub since: u64,
    /// Until when it holds; without it, until it is taken back.
    pub until: Option<u64>,
}

impl Revoked {
    pub(super) const ALL: [Revoked; 3] = [Revoked::Subject, Revoked::TokenId, Revoked::ApiKey];

    /// Its word: the member of a request that has the name.
    pub fn as_str(self) -> &'static str {
        match self {
            Revoked::Subject => "subject",
            Revoked::TokenId => "token_id",
            Revoked::ApiKey => "api_key",
        }
    }

    /// What of a caller has such a name.
    pub(super) fn name_of(self, principal: &Principal) -> Option<&str> {
        match self {
            Revoked::Subject => principal.subject(),
            Revoked::TokenId => principal.token_id(),
            Revoked::ApiKey => principal.api_key_id(),
        }
    }
}

impl std::fmt::Display for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl NewRevocation {
    /// What a caller showed: its one token or API key, or where that has no id, all of its subject; `None` for a caller
    /// that showed nothing.
    pub fn of_credential(principal: &Principal, until: Option<u64>) -> Option<NewRevocation> {
        let narrowest = [Revoked::ApiKey, Revoked::TokenId, Revoked::Subject];
        let (what, name) = narrowest.into_iter().find_map(|what| Some((what, what.name_of(principal)?)))?;
        let issuer = principal.issuer().map(str::to_owned);
        Some(NewRevocation { what, name: name.to_owned(), issuer, until })
    }
}

impl Revocation {
    pub(super) fn new(new: NewRevocation, now: u64) -> Result<Revocation, RevocationError> {
        let NewRevocation { what, name, issuer, until } = new;
        let fits = |text: &str| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
        if !fits(&name) || !issuer.as_deref().is_none_or(fits) {
            return Err(RevocationError::Wrong("a subject, an id and an issuer have 1 to 1,024 bytes"));
        }
        if until.is_some_and(|until| until <= now) {
            return Err(RevocationError::Wrong("`until` is in the past"));
        }
        let has_issuer = [u8::from(issuer.is_some())];
        let issuer_bytes = issuer.as_deref().unwrap_or_default().as_bytes();
        let digest = Digest::of(&[what.as_str().as_bytes(), &has_issuer, issuer_bytes, name.as_bytes()]);
        Ok(Revocation {
            id: digest.short().into(),
            what,
            name: name.into(),
            issuer: issuer.map(Into::into),
            since: now,
            until,
        })
    }

    pub(super) fn is_over(&self, now: u64) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether the issuer fits too.
    pub(super) fn is_of(&self, principal: &Principal) -> bool {
        self.issuer.is_none() || self.issuer.as_deref() == principal.issuer()
    }
}
