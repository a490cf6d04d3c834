//! A signed JWT, taken apart and not yet believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tidegate_core::json;

use super::claims::Claims;
use crate::algorithm::Algorithm;
use crate::error::{Reason, Refusal};

/// Its parts. Of the header only what is needed is read: keys and addresses of keys in it (`jwk`,
/// `jku`, `x5c`, `x5u`) are the sender's word, and are never looked at.
#[derive(Debug)]
pub(crate) struct Token<'t> {
    /// What is signed.
    pub(crate) message: &'t [u8],
    /// As text.
    pub(crate) signature: &'t str,
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<Box<str>>,
    pub(crate) kind: Option<Box<str>>,
    pub(crate) claims: Claims,
}

impl<'t> Token<'t> {
    /// Takes a token apart; `None` if it is no JWT, but text that its issuer alone can read.
    ///
    /// # Errors
    /// A JWT that nobody could accept.
    pub(crate) fn parse(text: &'t str) -> Option<Result<Token<'t>, Refusal>> {
        let parts: Vec<&str> = text.splitn(6, '.').collect();
        let header = URL_SAFE_NO_PAD.decode(parts[0]).ok().map(Bytes::from)?;
        let header = json::validate(&header).ok().filter(|header| header.first() == Some(&b'{'))?;
        Some(match parts[..] {
            [_, payload, signature] => Token::of(text, &header, payload, signature),
            [_, _, _, _, _] => Err(Refusal::new(Reason::Critical, "a token that is encrypted")),
            _ => Err(Refusal::new(Reason::Malformed, "a JWT that has not three parts")),
        })
    }

    fn of(text: &'t str, header: &Bytes, payload: &str, signature: &'t str) -> Result<Token<'t>, Refusal> {
        let (algorithm, key_id, kind) = read_header(header)?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| Refusal::new(Reason::Claims, "a payload that is no base64url"))?;
        let message = &text.as_bytes()[..text.len() - signature.len() - 1];
        Ok(Token { message, signature, algorithm, key_id, kind, claims: Claims::parse(payload)? })
    }
}

type Header = (Algorithm, Option<Box<str>>, Option<Box<str>>);

fn read_header(header: &Bytes) -> Result<Header, Refusal> {
    let malformed = |text: String| Refusal::new(Reason::Malformed, text);
    let (mut algorithm, mut key_id, mut kind) = (None, None, None);
    let mut seen = std::collections::HashSet::new();
    for (name, value) in json::members(header) {
        if !seen.insert(name.clone()) {
            return Err(malformed(format!("a header with two members `{name}`")));
        }
        let target = match &*name {
            "alg" => &mut algorithm,
            "kid" => &mut key_id,
            "typ" => &mut kind,
            // RFC 7515, section 4.1.11: whoever does not understand what is named must refuse.
            "crit" => return Err(Refusal::new(Reason::Critical, "a header with `crit`")),
            _ => continue,
        };
        *target = Some(json::string(value).ok_or_else(|| malformed(format!("a header whose `{name}` is no string")))?);
    }
    let name = algorithm.ok_or_else(|| malformed("a header without `alg`".to_owned()))?;
    let algorithm = Algorithm::parse(&name).ok_or_else(|| {
        Refusal::new(Reason::Algorithm, format!("the algorithm {:?}", name.get(..20).unwrap_or(&name)))
    })?;
    Ok((algorithm, key_id.map(String::into_boxed_str), kind.map(String::into_boxed_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(header: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"))
    }

    #[test]
    fn a_text_that_begins_with_no_header_is_opaque() {
        for text in ["abc", "a.b.c", "v2.local.abc", "", ".", "..", &URL_SAFE_NO_PAD.encode("[]")] {
            assert!(Token::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_jwt_with_a_wrong_header_is_never_taken_for_opaque() {
        let table = [
            ("{}", Reason::Malformed),
            (r#"{"alg":7}"#, Reason::Malformed),
            (r#"{"alg":"HS256","alg":"none"}"#, Reason::Malformed),
            (r#"{"alg":"HS256","\u0061lg":"none"}"#, Reason::Malformed),
            (r#"{"alg":"HS256","kid":["a"]}"#, Reason::Malformed),
            (r#"{"alg":"none"}"#, Reason::Algorithm),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, Reason::Critical),
        ];
        for (header, reason) in table {
            let refusal = Token::parse(&with_header(header)).expect(header).expect_err(header);
            assert_eq!(refusal.reason(), reason, "{header}");
        }
        let encrypted = format!("{}.a.b.c.d", URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A128GCM"}"#));
        assert_eq!(Token::parse(&encrypted).expect("a JWT").expect_err("encrypted").reason(), Reason::Critical);
        let two = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(Token::parse(&two).expect("a JWT").expect_err("one part").reason(), Reason::Malformed);
    }

    #[test]
    fn the_signed_message_ends_before_the_last_dot() {
        let text = with_header(r#"{"alg":"ES256","kid":"k","typ":"at+jwt","jku":"https://evil"}"#);
        let token = Token::parse(&text).expect("a JWT").expect("parts");
        assert_eq!(
            (token.signature, token.key_id.as_deref(), token.kind.as_deref()),
            ("c2ln", Some("k"), Some("at+jwt"))
        );
        assert_eq!([token.message, b".c2ln"].concat(), text.as_bytes());
    }
}
