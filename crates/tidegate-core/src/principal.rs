//! Who somebody is, once the gate has looked.

use bytes::Bytes;

/// A caller that has been identified. Everything in it was vouched for: by the issuer's signature or
/// its introspection, by the entry of an API key, or by the authority of a client certificate.
///
/// A subject means nothing without its issuer: two issuers may use the same text for two people.
/// What is kept per caller is kept under [`identity`](Principal::identity).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What it showed.
    pub shown: Shown,
    /// `sub`; the client's id where a token is of no person.
    pub subject: Option<Box<str>>,
    /// `iss`, as configured.
    pub issuer: Option<Box<str>>,
    /// `jti`: what a single token is revoked by.
    pub token_id: Option<Box<str>>,
    /// What an API key is revoked by.
    pub api_key_id: Option<Box<str>>,
    /// `scope` or `scp`, or the scopes of the API key, in their order.
    pub scopes: Box<[Box<str>]>,
    /// What rules see as `claims`: one JSON object on one line, validated, without two members of one
    /// name. Of a token its payload, of introspection the answer.
    pub claims: Bytes,
    /// When this ends here, in seconds since 1970: `exp` and the clock leeway of the issuer. From
    /// this second on the gate refuses it.
    pub expires: Option<u64>,
    /// When the person signed in, in seconds since 1970.
    pub auth_time: Option<u64>,
    /// How strongly, as a class that the issuer knows.
    pub acr: Option<Box<str>>,
    /// By which methods.
    pub amr: Box<[Box<str>]>,
    /// Of a token whose issuer was asked about it.
    pub asked: Option<Box<Asked>>,
}

/// A token whose issuer is asked again while somebody goes on by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// SHA-256 of the token, which names it.
    pub digest: [u8; 32],
    /// How long an answer holds, in seconds.
    pub every_seconds: u64,
}

/// What a principal showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A bearer token.
    Token,
    /// An API key.
    ApiKey,
    /// A client certificate.
    Certificate,
    /// Nothing that the gate knows; an application said who it is.
    Hook,
}

impl Principal {
    /// Nobody in particular; whether that is enough, the channel says.
    pub fn anonymous() -> Principal {
        Principal {
            shown: Shown::Nothing,
            subject: None,
            issuer: None,
            token_id: None,
            api_key_id: None,
            scopes: Box::default(),
            claims: Bytes::from_static(b"{}"),
            expires: None,
            auth_time: None,
            acr: None,
            amr: Box::default(),
            asked: None,
        }
    }

    /// The same, with claims of an application put over its own. Of somebody who showed nothing they say who it is.
    #[must_use]
    pub fn with_claims(&self, more: serde_json::Map<String, serde_json::Value>) -> Principal {
        let mut claims: serde_json::Map<_, _> = serde_json::from_slice(&self.claims).unwrap_or_default();
        claims.extend(more);
        let mut principal = self.clone();
        if self.is_anonymous() {
            principal.shown = Shown::Hook;
            principal.subject = claims.get("sub").and_then(|subject| subject.as_str()).map(Into::into);
        }
        principal.claims = Bytes::from(serde_json::Value::Object(claims).to_string());
        principal
    }

    /// Whether it showed nothing.
    pub fn is_anonymous(&self) -> bool {
        self.shown == Shown::Nothing
    }

    /// Whether it has a scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| **own == *scope)
    }

    /// Text that is equal for two principals if and only if they are the same caller: what idempotency
    /// keys, quotas and stored cursors are kept under. Two API keys of one subject are one caller.
    pub fn identity(&self) -> String {
        let (kind, issuer) = match self.shown {
            Shown::Nothing => return "anonymous".to_owned(),
            Shown::Token => ("token", self.issuer.as_deref().unwrap_or_default()),
            Shown::ApiKey => ("key", ""),
            Shown::Certificate => ("certificate", ""),
            Shown::Hook => ("hook", ""),
        };
        // Neither a kind nor, with its length before it, an issuer can be mistaken for what follows.
        format!("{kind}:{}:{issuer}:{}", issuer.len(), self.subject.as_deref().unwrap_or_default())
    }

    /// An estimate of its memory, in bytes.
    pub fn weight(&self) -> usize {
        let texts = self.scopes.iter().chain(&self.amr).map(|text| text.len() + size_of::<Box<str>>());
        let named = [&self.subject, &self.issuer, &self.token_id, &self.api_key_id, &self.acr];
        size_of::<Principal>()
            + self.claims.len()
            + texts.sum::<usize>()
            + named.into_iter().flatten().map(|text| text.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issuer: &str, subject: &str) -> Principal {
        let (issuer, subject) = (Some(issuer.into()), Some(subject.into()));
        Principal { shown: Shown::Token, issuer, subject, ..Principal::anonymous() }
    }

    #[test]
    fn identities_of_two_issuers_never_meet() {
        assert_eq!(token("https://a", "1").identity(), token("https://a", "1").identity());
        assert_ne!(token("https://a", "1").identity(), token("https://b", "1").identity());
        assert_ne!(token("https://a", "b:1").identity(), token("https://a:b", "1").identity());
        let key = Principal { shown: Shown::ApiKey, issuer: None, ..token("", "1") };
        assert_ne!(key.identity(), token("", "1").identity());
    }
}
