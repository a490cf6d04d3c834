//! What a token or an introspection says of its bearer: read once, strictly.

use bytes::Bytes;
use tidegate_core::json;
use tidegate_core::principal::{Shown, Vouched};

use crate::error::{Reason, Refusal};

/// The claims that the gate knows, each of the type that its RFC gives it, beside all of them as they
/// came.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    raw: Bytes,
    pub(crate) issuer: Option<Box<str>>,
    subject: Option<Box<str>>,
    client: Option<Box<str>>,
    audience: Option<Box<[Box<str>]>>,
    expires: Option<u64>,
    not_before: Option<u64>,
    token_id: Option<Box<str>>,
    scopes: Box<[Box<str>]>,
    auth_time: Option<u64>,
    acr: Option<Box<str>>,
    bound: bool,
    pub(crate) active: Option<bool>,
}

/// For whom a token must be, and when.
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    pub(crate) audiences: &'e [String],
    pub(crate) leeway: u64,
}

impl Claims {
    /// Reads a JSON object. Two members of one name are refused: who verifies and who uses it could
    /// each believe another one.
    pub(crate) fn parse(text: impl Into<Bytes>) -> Result<Claims, Refusal> {
        let wrong = |what: String| Refusal::new(Reason::Claims, what);
        let raw = json::validate(&text.into()).map_err(|error| wrong(format!("claims that are no JSON: {error}")))?;
        if raw.first() != Some(&b'{') {
            return Err(wrong("claims that are no JSON object".to_owned()));
        }
        let mut claims = Claims { raw: raw.clone(), ..Claims::default() };
        let mut seen = std::collections::HashSet::new();
        for (name, value) in json::members(&raw) {
            claims.member(&name, value).ok_or_else(|| wrong(format!("a claim `{name}` of a wrong type")))?;
            if !seen.insert(name.clone()) {
                return Err(wrong(format!("two claims `{name}`")));
            }
        }
        Ok(claims)
    }

    /// `None`: not of its type.
    fn member(&mut self, name: &str, value: &[u8]) -> Option<()> {
        match name {
            "iss" => self.issuer = Some(text(value)?),
            "sub" => self.subject = Some(text(value)?),
            "client_id" => self.client = Some(text(value)?),
            "aud" => self.audience = Some(texts(value)?),
            "exp" => self.expires = Some(seconds(value)?),
            "nbf" => self.not_before = Some(seconds(value)?),
            "jti" => self.token_id = Some(text(value)?),
            "scope" => self.scopes = words(&text(value)?),
            "scp" if value.first() == Some(&b'"') => self.scopes = words(&text(value)?),
            "scp" => self.scopes = texts(value)?,
            "auth_time" => self.auth_time = Some(seconds(value)?),
            "acr" => self.acr = Some(text(value)?),
            "amr" => drop(texts(value)?),
            "cnf" => self.bound = true,
            "active" => self.active = Some(serde_json::from_slice(value).ok()?),
            _ => {}
        }
        Some(())
    }

    /// Whether it was meant for us and is valid now. What a signed token must have, an introspection
    /// may leave out, for it was made for who asked.
    pub(crate) fn judge(&self, expected: &Expected<'_>, now: u64, signed: bool) -> Result<(), Refusal> {
        let refuse = |reason, text: &str| Err(Refusal::new(reason, format!("{text} (issuer {})", expected.issuer)));
        match self.issuer.as_deref() {
            Some(issuer) if issuer == expected.issuer => {}
            None if !signed => {}
            _ => return refuse(Reason::Issuer, "a token of another issuer"),
        }
        let ours =
            |audience: &[Box<str>]| audience.iter().any(|own| expected.audiences.iter().any(|wanted| **own == *wanted));
        let unchecked = !signed && expected.audiences.is_empty();
        if !unchecked && !self.audience.as_deref().is_some_and(ours) {
            return refuse(Reason::Audience, "a token for another audience");
        }
        match self.expires {
            Some(expires) if now >= expires.saturating_add(expected.leeway) => {
                return refuse(Reason::Expired, "a token that has expired");
            }
            None if signed => return refuse(Reason::Claims, "a token without `exp`"),
            _ => {}
        }
        if self.not_before.is_some_and(|begin| begin > now.saturating_add(expected.leeway)) {
            return refuse(Reason::NotYet, "a token that is not valid yet");
        }
        if self.bound {
            return refuse(Reason::Bound, "a token that is bound to a key of its client (`cnf`)");
        }
        if self.subject.is_none() && self.client.is_none() {
            return refuse(Reason::Claims, "a token of nobody: it has neither `sub` nor `client_id`");
        }
        Ok(())
    }

    /// Who it is, once it has been judged.
    pub(crate) fn into_vouched(self, expected: &Expected<'_>) -> Vouched {
        Vouched {
            shown: Shown::Token,
            subject: self.subject.or(self.client),
            issuer: Some(expected.issuer.into()),
            token_id: self.token_id,
            api_key_id: None,
            scopes: self.scopes,
            claims: String::from_utf8_lossy(&self.raw).into(),
            expires: self.expires.map(|expires| expires.saturating_add(expected.leeway)),
            auth_time: self.auth_time,
            acr: self.acr,
            asked: None,
        }
    }
}

fn text(value: &[u8]) -> Option<Box<str>> {
    json::string(value).map(String::into_boxed_str)
}

/// A string, or an array of them.
fn texts(value: &[u8]) -> Option<Box<[Box<str>]>> {
    match value.first() {
        Some(b'"') => Some([text(value)?].into()),
        _ => serde_json::from_slice::<Vec<Box<str>>>(value).ok().map(Vec::into_boxed_slice),
    }
}

/// `scope` of RFC 6749, section 3.3.
fn words(text: &str) -> Box<[Box<str>]> {
    text.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect()
}

/// A NumericDate (RFC 7519, section 2), which may have a fraction; before 1970 nothing was valid.
fn seconds(value: &[u8]) -> Option<u64> {
    serde_json::from_slice::<f64>(value).ok().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_a_wrong_type_are_refused() {
        let table = [
            "",
            "null",
            "[]",
            "7",
            "\"x\"",
            "{",
            "{\"sub\":\"a\"} x",
            r#"{"sub":7}"#,
            r#"{"iss":["a"]}"#,
            r#"{"aud":7}"#,
            r#"{"aud":[7]}"#,
            r#"{"exp":"1"}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":null}"#,
            r#"{"nbf":[]}"#,
            r#"{"scope":["a"]}"#,
            r#"{"amr":{}}"#,
            r#"{"active":"true"}"#,
            "{\"sub\":\"\u{7f}\\ud800\"}",
        ];
        for text in table {
            assert_eq!(Claims::parse(text.to_owned()).expect_err(text).reason(), Reason::Claims, "{text}");
        }
    }

    #[test]
    fn scopes_come_as_words_or_as_a_list() {
        for text in [r#"{"scope":"a b  c"}"#, r#"{"scp":["a","b","c"]}"#, r#"{"scp":"a b c"}"#] {
            let claims = Claims::parse(text.to_owned()).expect(text);
            assert_eq!(claims.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), ["a", "b", "c"], "{text}");
        }
    }

    #[test]
    fn times_may_have_fractions_and_may_be_far() {
        let claims = Claims::parse(r#"{"exp":1700000000.9,"nbf":1e300}"#.to_owned()).expect("claims");
        assert_eq!((claims.expires, claims.not_before), (Some(1_700_000_000), Some(u64::MAX)));
    }
}
