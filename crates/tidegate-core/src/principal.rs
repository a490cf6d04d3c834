//! Who somebody is, once the gate has looked.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock};

/// A caller that has been identified. Everything in it was vouched for: by the issuer's signature or
/// its introspection, by the entry of an API key, or by the authority of a client certificate.
///
/// A subject means nothing without its issuer: two issuers may use the same text for two people.
/// What is kept per caller is kept under [`identity`](Principal::identity).
///
/// Every watch holds one for as long as it lasts, so it is small: all of its texts are one. Cheap to clone.
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

/// See [`Principal`].
#[derive(PartialEq, Eq)]
struct Held {
    shown: Shown,
    expires: Option<NonZeroU64>,
    auth_time: Option<NonZeroU64>,
    asked: Option<Box<Asked>>,
    /// Where each text ends, by its place; one that ends where it begins is not there, as nothing is vouched for by
    /// an empty text.
    ends: [u32; Text::ALL],
    /// Then come the claims.
    texts: Box<str>,
}

/// A text of a principal: its place among them.
#[derive(Clone, Copy)]
enum Text {
    Issuer,
    Subject,
    TokenId,
    ApiKeyId,
    Acr,
    Scopes,
}

impl Text {
    const ALL: usize = 6;
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
        let Vouched { shown, subject, issuer, token_id, api_key_id, scopes, claims, expires, auth_time, acr, asked } =
            vouched;
        let scopes: Vec<&str> = scopes.iter().map(|scope| &**scope).filter(|scope| !scope.contains(' ')).collect();
        let scopes = Some(scopes.join(" ").into_boxed_str());
        let mut ends = [0; Text::ALL];
        let mut texts = String::new();
        // In the order of `Text`.
        for (end, text) in ends.iter_mut().zip([issuer, subject, token_id, api_key_id, acr, scopes]) {
            texts.push_str(text.as_deref().unwrap_or_default());
            *end = u32::try_from(texts.len()).expect("what somebody shows is far smaller than 4 GiB");
        }
        texts.push_str(if claims.is_empty() { "{}" } else { &claims });
        // The second 0 is as long ago as the second 1.
        let seconds = |time: Option<u64>| time.map(|time| NonZeroU64::new(time).unwrap_or(NonZeroU64::MIN));
        Principal(Arc::new(Held {
            shown,
            expires: seconds(expires),
            auth_time: seconds(auth_time),
            asked: asked.map(Box::new),
            ends,
            texts: texts.into(),
        }))
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
        self.text(Text::Subject)
    }

    /// `iss`, as configured.
    pub fn issuer(&self) -> Option<&str> {
        self.text(Text::Issuer)
    }

    /// `jti`: what a single token is revoked by.
    pub fn token_id(&self) -> Option<&str> {
        self.text(Text::TokenId)
    }

    /// What an API key is revoked by.
    pub fn api_key_id(&self) -> Option<&str> {
        self.text(Text::ApiKeyId)
    }

    /// How strongly the person signed in, as a class that the issuer knows.
    pub fn acr(&self) -> Option<&str> {
        self.text(Text::Acr)
    }

    /// In their order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text(Text::Scopes).unwrap_or_default().split(' ').filter(|scope| !scope.is_empty())
    }

    /// What rules see as `claims`: one JSON object on one line.
    pub fn claims(&self) -> &str {
        let [.., end] = self.0.ends;
        &self.0.texts[end as usize..]
    }

    /// When this ends here, in seconds since 1970. From this second on the gate refuses it.
    pub fn expires(&self) -> Option<u64> {
        self.0.expires.map(NonZeroU64::get)
    }

    /// When the person signed in, in seconds since 1970.
    pub fn auth_time(&self) -> Option<u64> {
        self.0.auth_time.map(NonZeroU64::get)
    }

    /// Of a token whose issuer was asked about it.
    pub fn asked(&self) -> Option<&Asked> {
        self.0.asked.as_deref()
    }

    /// The same, with claims of an application put over its own. Of somebody who showed nothing they say who it is.
    #[must_use]
    pub fn with_claims(&self, more: serde_json::Map<String, serde_json::Value>) -> Principal {
        let mut claims: serde_json::Map<_, _> = serde_json::from_str(self.claims()).unwrap_or_default();
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
        let (kind, issuer) = match self.shown() {
            Shown::Nothing => return "anonymous".to_owned(),
            Shown::Token => ("token", self.issuer().unwrap_or_default()),
            Shown::ApiKey => ("key", ""),
            Shown::Certificate => ("certificate", ""),
            Shown::Hook => ("hook", ""),
        };
        // Neither a kind nor, with its length before it, an issuer can be mistaken for what follows.
        format!("{kind}:{}:{issuer}:{}", issuer.len(), self.subject().unwrap_or_default())
    }

    /// Whether both are one piece of memory.
    pub fn shares_memory(&self, other: &Principal) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// An estimate of its memory, in bytes.
    pub fn weight(&self) -> usize {
        size_of::<Held>() + self.0.texts.len() + self.asked().map_or(0, size_of_val)
    }

    fn text(&self, text: Text) -> Option<&str> {
        let begin = (text as usize).checked_sub(1).map_or(0, |before| self.0.ends[before]);
        let text = &self.0.texts[begin as usize..self.0.ends[text as usize] as usize];
        (!text.is_empty()).then_some(text)
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
        assert!(principal.has_scope("write") && !principal.has_scope("writ") && !principal.has_scope(""));
        // Each without its neighbours.
        let few = Vouched { subject: None, api_key_id: None, scopes: Box::default(), asked: None, ..all };
        assert_eq!(Principal::from(few.clone()).vouched(), Vouched { expires: Some(1), ..few });
        let nobody = Principal::anonymous();
        assert_eq!((nobody.subject(), nobody.claims(), nobody.scopes().count()), (None, "{}", 0));
        // A scope with a space is none, and above all not two.
        let scopes = ["admin write".into(), "read".into()].into();
        let spaced = Principal::from(Vouched { scopes, ..Vouched::default() });
        assert_eq!(spaced.scopes().collect::<Vec<_>>(), ["read"]);
    }
}
