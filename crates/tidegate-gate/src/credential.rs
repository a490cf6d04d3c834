//! What a client may show to say who it is.

use crate::error::{Reason, Refusal};
use crate::keys;
use crate::secret::Secret;

/// Longer credentials are refused before they are looked at. Tokens with many groups reach 8 KiB.
pub const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;

/// One credential, as it was shown. Nothing in it has been believed yet.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing was shown.
    None,
    /// A bearer token (RFC 6750): a JWT, or text that means something to its issuer alone.
    Bearer(Secret),
    /// An API key: `tgk_…`.
    ApiKey(Secret),
    /// A client certificate whose chain TLS has verified.
    Certificate {
        /// Its subject, as RFC 4514 text.
        subject: Box<str>,
        /// When its time is over, in seconds since 1970.
        expires: u64,
    },
}

impl Credential {
    /// Reads the value of an `Authorization` header (RFC 6750, section 2.1). Both kinds of secrets
    /// come as `Bearer`; an API key is known by its prefix.
    ///
    /// # Errors
    /// Another scheme than `Bearer`, or text that is no `b64token`.
    pub fn from_authorization(value: &[u8]) -> Result<Credential, Refusal> {
        if value.len() > CREDENTIAL_BYTES_MAX {
            return Err(Refusal::new(Reason::TooLong, format!("a credential of {} bytes", value.len())));
        }
        let text = std::str::from_utf8(value)
            .map_err(|_| Refusal::new(Reason::Malformed, "an Authorization header that is not ASCII"))?;
        let (scheme, rest) = text.trim_matches(' ').split_once(' ').unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refusal::new(Reason::Scheme, "an Authorization header of another scheme than Bearer"));
        }
        Credential::from_text(rest.trim_start_matches(' '))
    }

    /// Reads a token or API key that came without a scheme: in a cookie, or in a message of a
    /// WebSocket.
    ///
    /// # Errors
    /// Text that is no `b64token`.
    pub fn from_text(text: &str) -> Result<Credential, Refusal> {
        if text.len() > CREDENTIAL_BYTES_MAX {
            return Err(Refusal::new(Reason::TooLong, format!("a credential of {} bytes", text.len())));
        }
        if !is_b64token(text) {
            return Err(Refusal::new(Reason::Malformed, "a bearer credential with characters that none has"));
        }
        let secret = Secret::new(text);
        Ok(if text.starts_with(keys::PREFIX) { Credential::ApiKey(secret) } else { Credential::Bearer(secret) })
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // All of them, as they come with each request: without a way out the compiler takes many at a time.
    !body.is_empty() && body.bytes().fold(true, |good, byte| good & is_of_one(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_header_is_a_scheme_and_a_token() {
        for good in ["Bearer abc", "bearer  a.b.c", "BEARER x-._~+/==", " Bearer abc "] {
            assert!(matches!(Credential::from_authorization(good.as_bytes()), Ok(Credential::Bearer(_))), "{good}");
        }
        let key = Credential::from_authorization(b"Bearer tgk_whatever");
        assert!(matches!(key, Ok(Credential::ApiKey(_))));
    }

    #[test]
    fn what_is_no_bearer_credential_is_refused() {
        let table: [(&[u8], Reason); 9] = [
            (b"", Reason::Scheme),
            (b"Basic YTpi", Reason::Scheme),
            (b"Bearerabc", Reason::Scheme),
            (b"Bearer", Reason::Malformed),
            (b"Bearer ==", Reason::Malformed),
            (b"Bearer a b", Reason::Malformed),
            (b"Bearer a,Bearer b", Reason::Malformed),
            (b"Bearer a=b", Reason::Malformed),
            (b"Bearer \xff", Reason::Malformed),
        ];
        for (value, reason) in table {
            let refusal = Credential::from_authorization(value).expect_err("refused");
            assert_eq!(refusal.reason(), reason, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn a_credential_says_nothing_of_itself() {
        let shown = format!("{:?}", Credential::from_authorization(b"Bearer hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
