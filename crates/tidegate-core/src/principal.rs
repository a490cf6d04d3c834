//! Who somebody is, once the gate has looked.

mod claims;
mod held;
mod texts;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use claims::Claims;
use held::{Held, common, own};

/// A caller that has been identified. Everything in it was vouched for: by the issuer's signature or
/// its introspection, by the entry of an API key, or by the authority of a client certificate.
///
/// A subject means nothing without its issuer: two issuers may use the same text for two people.
/// What is kept per caller is kept under [`identity`](Principal::identity).
///
/// Every watch holds one for as long as it lasts, so it is small: its own texts are one, and what many have in common is
/// there once for all of them. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Principal(Arc<Held>);

/// What was vouched for, one by one: what a [`Principal`] is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouched {
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
    /// `scope` or `scp`, or the scopes of the API key, in their order. RFC 6749 has no spaces in a scope; one that has is left
    /// out.
    pub scopes: Box<[Box<str>]>,
    /// What rules see as `claims`: one JSON object on one line, validated, without two members of one
    /// name; empty: `{}`. Of a token its payload, of introspection the answer.
    pub claims: Box<str>,
    /// When this ends here, in seconds since 1970: `exp` and the clock leeway of the issuer. From
    /// this second on the gate refuses it.
    pub expires: Option<u64>,
    /// When the person signed in, in seconds since 1970.
    pub auth_time: Option<u64>,
    /// How strongly, as a class that the issuer knows.
    pub acr: Option<Box<str>>,
    /// Of a token whose issuer was asked about it.
    pub asked: Option<Asked>,
}

/// A token whose issuer is asked again while somebody goes on by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// SHA-256 of the token, which names it.
    pub digest: [u8; 32],
    /// How long an answer holds, in seconds.
    pub every_seconds: u64,
}

/// What a principal showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Nothing.
    #[default]
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

impl From<Vouched> for Principal {
    fn from(vouched: Vouched) -> Principal {
        Principal(Arc::new(Held::of(vouched)))
    }
}

impl Principal {
    /// Nobody in particular; whether that is enough, the channel says.
    pub fn anonymous() -> Principal {
        static NOBODY: LazyLock<Principal> = LazyLock::new(|| Principal::from(Vouched::default()));
        NOBODY.clone()
    }

    /// What it showed.
    pub fn shown(&self) -> Shown {
        self.0.shown
    }

    /// `sub`; the client's id where a token is of no person.
    pub fn subject(&self) -> Option<&str> {
        self.0.own.get(own::SUBJECT)
    }

    /// `iss`, as configured.
    pub fn issuer(&self) -> Option<&str> {
        self.0.common.get(common::ISSUER)
    }

    /// `jti`: what a single token is revoked by.
    pub fn token_id(&self) -> Option<&str> {
        self.0.own.get(own::TOKEN_ID)
    }

    /// What an API key is revoked by.
    pub fn api_key_id(&self) -> Option<&str> {
        self.0.own.get(own::API_KEY_ID)
    }

    /// How strongly the person signed in, as a class that the issuer knows.
    pub fn acr(&self) -> Option<&str> {
        self.0.common.get(common::ACR)
    }

    /// In their order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.common.get(common::SCOPES).unwrap_or_default().split(' ').filter(|scope| !scope.is_empty())
    }

    /// What rules see as `claims`: one JSON object on one line, its members in some order.
    pub fn claims(&self) -> String {
        let Held { own, common, claimed, .. } = &*self.0;
        let subject = self.subject().filter(|_| claimed.subject);
        let token_id = self.token_id().filter(|_| claimed.token_id);
        Claims::join(common.rest(), own.rest(), subject, token_id)
    }

    /// When this ends here, in seconds since 1970. From this second on the gate refuses it.
    pub fn expires(&self) -> Option<u64> {
        self.0.expires.map(NonZeroU64::get)
    }

    /// When the person signed in, in seconds since 1970.
    pub fn auth_time(&self) -> Option<u64> {
        self.0.auth_time.map(|time| time.get().into())
    }

    /// Of a token whose issuer was asked about it.
    pub fn asked(&self) -> Option<&Asked> {
        self.0.asked.as_deref()
    }

    /// The same, with claims of an application put over its own. Of somebody who showed nothing they say who it is.
    #[must_use]
    pub fn with_claims(&self, more: serde_json::Map<String, serde_json::Value>) -> Principal {
        let mut claims: serde_json::Map<_, _> = serde_json::from_str(&self.claims()).unwrap_or_default();
        claims.extend(more);
        let mut vouched = self.vouched();
        if self.is_anonymous() {
            vouched.shown = Shown::Hook;
            vouched.subject = claims.get("sub").and_then(|subject| subject.as_str()).map(Into::into);
        }
        vouched.claims = serde_json::Value::Object(claims).to_string().into();
        vouched.into()
    }

    /// What it was made of.
    pub fn vouched(&self) -> Vouched {
        let text = |text: Option<&str>| text.map(Into::into);
        Vouched {
            shown: self.shown(),
            subject: text(self.subject()),
            issuer: text(self.issuer()),
            token_id: text(self.token_id()),
            api_key_id: text(self.api_key_id()),
            scopes: self.scopes().map(Into::into).collect(),
            claims: self.claims().into(),
            expires: self.expires(),
            auth_time: self.auth_time(),
            acr: text(self.acr()),
            asked: self.asked().copied(),
        }
    }

    /// Whether it showed nothing.
    pub fn is_anonymous(&self) -> bool {
        self.shown() == Shown::Nothing
    }

    /// Whether it has a scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    /// Text that is equal for two principals if and only if they are the same caller: what idempotency
    /// keys, quotas and stored cursors are kept under. Two API keys of one subject are one caller.
    pub fn identity(&self) -> String {
        let (kind, issuer, subject) = self.named();
        match self.is_anonymous() {
            true => kind.to_owned(),
            // Neither a kind nor, with its length before it, an issuer can be mistaken for what follows.
            false => format!("{kind}:{}:{issuer}:{subject}", issuer.len()),
        }
    }

    /// The texts that make an [identity](Principal::identity): by what it is known, to whom, and its subject. To hash them
    /// takes no memory.
    pub fn named(&self) -> (&'static str, &str, &str) {
        let (kind, issuer) = match self.shown() {
            Shown::Nothing => return ("anonymous", "", ""),
            Shown::Token => ("token", self.issuer().unwrap_or_default()),
            Shown::ApiKey => ("key", ""),
            Shown::Certificate => ("certificate", ""),
            Shown::Hook => ("hook", ""),
        };
        (kind, issuer, self.subject().unwrap_or_default())
    }

    /// Whether both are one piece of memory.
    pub fn shares_memory(&self, other: &Principal) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The same, in memory that the calling thread allocates; one piece for all who settle what is one piece.
    ///
    /// Who identifies a caller does so between the buffers of a handshake, which live for milliseconds. A small thing that
    /// stays there for hours keeps their pages from the system, so who keeps it settles it where no handshakes are.
    #[must_use]
    pub fn settle(&self) -> Principal {
        match &self.0.beside {
            Some(beside) => beside.settled.get_or_init(|| Principal(Arc::new(self.0.copied()))).clone(),
            None => self.clone(),
        }
    }

    /// What somebody makes of it, always the same. Of a principal that shows itself again and again it is made twice: most
    /// do so once, for a watch that lasts, and should not weigh more for it.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn derive<T: Send + Sync + 'static, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let beside = self.0.beside.as_ref();
        let known = beside.and_then(|beside| beside.derived.get()?.clone().downcast().ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let made = Arc::new(make()?);
        if let Some(beside) = beside.filter(|beside| beside.asked_for.swap(true, Ordering::Relaxed)) {
            // Whoever was quicker made the same.
            let _ = beside.derived.set(made.clone());
        }
        Ok(made)
    }

    /// An estimate of its memory, in bytes, as if it had nothing in common with others, with what is derived from it.
    pub fn weight(&self) -> usize {
        self.0.weight()
    }
}

/// Claims are nobody's business but the rules'.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({})", self.identity())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn token(issuer: &str, subject: &str) -> Principal {
        let (issuer, subject) = (Some(issuer.into()), Some(subject.into()));
        Vouched { shown: Shown::Token, issuer, subject, ..Vouched::default() }.into()
    }

    #[test]
    fn identities_of_two_issuers_never_meet() {
        assert_eq!(token("https://a", "1").identity(), token("https://a", "1").identity());
        assert_ne!(token("https://a", "1").identity(), token("https://b", "1").identity());
        assert_ne!(token("https://a", "b:1").identity(), token("https://a:b", "1").identity());
        let key = Principal::from(Vouched { shown: Shown::ApiKey, issuer: None, ..token("", "1").vouched() });
        assert_ne!(key.identity(), token("", "1").identity());
    }

    #[test]
    fn what_was_vouched_for_is_what_is_read() {
        let text = |text: &str| Some(text.into());
        let all = Vouched {
            shown: Shown::Token,
            subject: text("ann"),
            issuer: text("https://id.example.org"),
            token_id: text("t1"),
            api_key_id: text("k1"),
            scopes: ["read".into(), "write".into()].into(),
            claims: r#"{"sub":"ann","ü":1}"#.into(),
            expires: Some(0),
            auth_time: Some(7),
            acr: text("mfa"),
            asked: Some(Asked { digest: [7; 32], every_seconds: 3 }),
        };
        let principal = Principal::from(all.clone());
        assert_eq!(principal.vouched(), Vouched { expires: Some(1), ..all.clone() });
        assert_eq!(principal, Principal::from(all.clone()));
        assert!(size_of::<Held>() <= 72, "with the counts of an `Arc` no more than 88, of which glibc makes 96");
        assert!(principal.has_scope("write") && !principal.has_scope("writ") && !principal.has_scope(""));
        // Each without its neighbours.
        let few = Vouched { subject: None, api_key_id: None, scopes: Box::default(), asked: None, ..all };
        assert_eq!(Principal::from(few.clone()).vouched(), Vouched { expires: Some(1), ..few });
        let nobody = Principal::anonymous();
        assert_eq!((nobody.subject(), &*nobody.claims(), nobody.scopes().count()), (None, "{}", 0));
        // A scope with a space is none, and above all not two.
        let scopes = ["admin write".into(), "read".into()].into();
        let spaced = Principal::from(Vouched { scopes, ..Vouched::default() });
        assert_eq!(spaced.scopes().collect::<Vec<_>>(), ["read"]);
    }

    #[test]
    fn what_is_derived_is_made_twice_and_no_more() {
        let (shown, made) = (token("https://a", "1"), AtomicUsize::new(0));
        let make = || (made.fetch_add(1, Ordering::Relaxed) > 0).then_some("it").ok_or("not yet");
        assert_eq!(shown.derive(make), Err("not yet"), "what fails is not remembered");
        assert!((0..10).all(|_| *shown.derive(make).expect("made") == "it"));
        assert_eq!(made.into_inner(), 3);
    }

    #[test]
    fn who_settles_what_is_one_piece_gets_one_piece() {
        let shown = token("https://a", "1");
        let (one, other) = (shown.settle(), shown.settle());
        assert!(one.shares_memory(&other) && !one.shares_memory(&shown));
        assert!(one.settle().shares_memory(&one));
        assert_eq!((&one, one.vouched()), (&shown, shown.vouched()));
        let again = token("https://a", "1");
        assert_eq!(again.settle(), one);
        assert!(Arc::ptr_eq(&again.0.common, &one.0.common), "what they have in common is there once");
        assert!(!Arc::ptr_eq(&token("https://b", "1").0.common, &one.0.common));
    }
}
