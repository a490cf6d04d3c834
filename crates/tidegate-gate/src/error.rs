//! Why somebody was not let in: for the client a problem and a challenge, for the operator a text.

use tidegate_core::{ErrorCode, Problem};

use crate::step_up::StepUp;

/// Everything the gate refuses for. Each is one row of [`Reason::row`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing was shown where something is needed.
    Missing,
    /// An `Authorization` header of another scheme.
    Scheme,
    /// Not the text of a credential.
    Malformed,
    /// Longer than [`CREDENTIAL_BYTES_MAX`](crate::CREDENTIAL_BYTES_MAX).
    TooLong,
    /// No issuer of the config gave this.
    Issuer,
    /// An algorithm that the issuer does not use, `none` among them.
    Algorithm,
    /// A header with extensions that must be understood (`crit`), or a token that is encrypted.
    Critical,
    /// A JWT that is no access token.
    Type,
    /// Signed with a key that the issuer does not have.
    Key,
    /// The signature is not of that key.
    Signature,
    /// The claims are no JSON object, have two members of one name, or one of a wrong type.
    Claims,
    /// For somebody else.
    Audience,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// Bound to a key of the client (`cnf`), which is not checked here.
    Bound,
    /// Its issuer says that it is not active.
    Inactive,
    /// No such API key, or one that was revoked.
    ApiKey,
    /// It was good, and was revoked here.
    Revoked,
    /// No such ticket, one that has ended, or one for another address.
    Ticket,
    /// A ticket that was used, shown for another watch than its own.
    TicketUsed,
    /// Client certificates are not a credential here, or its time is over.
    Certificate,
    /// The sign-in is too weak or too old.
    StepUp,
    /// A scope is missing.
    Scope,
    /// The issuer's keys or its introspection cannot be had.
    Unavailable,
    /// Too many introspections at once.
    Busy,
}

/// What the client is told.
struct Row {
    code: ErrorCode,
    /// `error` of RFC 6750, section 3.1; none where nothing usable was shown, as it says.
    error: Option<&'static str>,
    detail: &'static str,
    hint: &'static str,
}

impl Reason {
    #[rustfmt::skip]
    fn row(self) -> Row {
        use ErrorCode::{Forbidden, GateUnavailable, Invalid, RateLimited, StepUpRequired, TicketUsed, TokenExpired, TokenRevoked, Unauthenticated};
        let row = |code, error, detail, hint| Row { code, error, detail, hint };
        let (request, token) = (Some("invalid_request"), Some("invalid_token"));
        match self {
            Reason::Missing => row(Unauthenticated, None, "no credential was sent", "send `Authorization: Bearer TOKEN`, with an access token or an API key"),
            Reason::Scheme => row(Unauthenticated, None, "the Authorization header has another scheme than Bearer", "send `Authorization: Bearer TOKEN`, with an access token or an API key"),
            Reason::Malformed => row(Invalid, request, "the credential has characters that no token has", "send the token as it was issued, without quotes, after `Bearer `"),
            Reason::TooLong => row(Invalid, request, "the credential is longer than 16 KiB", "ask the issuer for a token with fewer claims"),
            Reason::Issuer => row(Unauthenticated, token, "the token is of no issuer that is known here", "get the token from the issuer that this server trusts"),
            Reason::Algorithm => row(Unauthenticated, token, "the token is signed in a way that its issuer does not use here", "get an access token from the issuer, and send it as it is"),
            Reason::Critical => row(Unauthenticated, token, "the token needs an extension that is not understood here", "ask the issuer for a signed JWT without `crit`, that is not encrypted"),
            Reason::Type => row(Unauthenticated, token, "the token is no access token", "send the access token; an ID token or a refresh token is for somebody else"),
            Reason::Key => row(Unauthenticated, token, "the token is signed with a key that its issuer does not have", "get a fresh token from the issuer; a key that is quite new is known a moment later"),
            Reason::Signature => row(Unauthenticated, token, "the signature of the token is not right", "send the token as it was issued"),
            Reason::Claims => row(Unauthenticated, token, "the claims of the token cannot be read", "get an access token from the issuer, and send it as it is"),
            Reason::Audience => row(Unauthenticated, token, "the token is for another audience", "ask the issuer for a token whose audience (`aud`, `resource`) is this server"),
            Reason::Expired => row(TokenExpired, token, "the token has expired", "come back with a fresh token and your cursor; nothing is lost"),
            Reason::NotYet => row(Unauthenticated, token, "the token is not valid yet", "compare the clocks of the issuer and of this server"),
            Reason::Bound => row(Unauthenticated, token, "the token is bound to a key of its client, which is not checked here", "ask the issuer for a plain bearer token"),
            Reason::Inactive => row(Unauthenticated, token, "the token is not active", "sign in again, and come back with a fresh token"),
            Reason::ApiKey => row(Unauthenticated, token, "there is no such API key", "it was mistyped or revoked; ask the operator for a key"),
            Reason::Revoked => row(TokenRevoked, token, "the credential was revoked", "come back with another credential, or ask the operator"),
            Reason::Ticket => row(Unauthenticated, token, "the ticket is not good here", "take another with POST /v1/_tickets; it is good for a short time, for one watch"),
            Reason::TicketUsed => row(TicketUsed, token, "the ticket was used", "take another with POST /v1/_tickets; or come back with the last cursor of the watch that it was used for"),
            Reason::Certificate => row(Unauthenticated, None, "the client certificate is not accepted", "use another certificate, or send `Authorization: Bearer TOKEN`"),
            Reason::StepUp => row(StepUpRequired, Some("insufficient_user_authentication"), "the channel asks for a stronger or fresher sign-in", "sign in again with the `acr_values` and `max_age` of the challenge"),
            Reason::Scope => row(Forbidden, Some("insufficient_scope"), "the token lacks a scope", "ask the issuer for a token with the scope of the challenge"),
            Reason::Unavailable => row(GateUnavailable, None, "the issuer of the token cannot be reached", "come back in a moment; the token may be good"),
            Reason::Busy => row(RateLimited, None, "too many tokens are being asked about", "come back in a moment; the token may be good"),
        }
    }
}

/// Somebody was not let in.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operator}")]
pub struct Refusal {
    reason: Reason,
    operator: Box<str>,
    needs: Option<Box<Needs>>,
}

/// What a challenge asks for.
#[derive(Debug, Clone, Default)]
struct Needs {
    step_up: StepUp,
    scope: String,
}

/// Keys may be there again, or a token has been judged, after this time.
const COME_BACK_MS: u64 = 2_000;

impl Refusal {
    /// Refuses, with what the operator is told. That text may say more than the client's; it never
    /// holds a credential.
    pub fn new(reason: Reason, operator: impl Into<Box<str>>) -> Refusal {
        Refusal { reason, operator: operator.into(), needs: None }
    }

    /// Refuses for a scope that is missing.
    pub fn scope(scope: &str) -> Refusal {
        let needs = Needs { scope: scope.to_owned(), ..Needs::default() };
        Refusal {
            needs: Some(Box::new(needs)),
            ..Refusal::new(Reason::Scope, format!("the scope `{scope}` is missing"))
        }
    }

    /// Says what sign-in would be enough.
    pub(crate) fn step_up(self, step_up: StepUp) -> Refusal {
        Refusal { needs: Some(Box::new(Needs { step_up, ..Needs::default() })), ..self }
    }

    /// Which.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The operator's text: what the log and the audit say.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// What the client is told.
    pub fn problem(&self) -> Problem {
        let row = self.reason.row();
        let problem = Problem::new(row.code, row.detail).hint(row.hint);
        match self.reason {
            Reason::Unavailable | Reason::Busy => Problem { retry_ms: Some(COME_BACK_MS), ..problem },
            _ => problem,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750, section 3; RFC 9470, section 3), which every 401
    /// and 403 of the gate has; none where the credential is not the reason. `metadata` is the address
    /// of the server's own RFC 9728 document, if it has one.
    pub fn challenge(&self, metadata: Option<&str>) -> Option<String> {
        let row = self.reason.row();
        if !matches!(row.code.status(), 400 | 401 | 403) {
            return None;
        }
        let mut text = String::from("Bearer realm=\"tidegate\"");
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!(", {name}=\"{}\"", quotable(value)));
            }
        };
        if let Some(error) = row.error {
            add("error", error);
            add("error_description", row.detail);
        }
        if let Some(needs) = &self.needs {
            add("scope", &needs.scope);
            add("acr_values", &needs.step_up.acr.join(" "));
            add("max_age", &needs.step_up.max_age.map(|seconds| seconds.to_string()).unwrap_or_default());
        }
        add("resource_metadata", metadata.unwrap_or_default());
        Some(text)
    }
}

/// What may stand between the quotes of a challenge; all else would end the value, or the header.
fn quotable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_showed_nothing_is_told_no_error() {
        let refusal = Refusal::new(Reason::Missing, "nothing");
        assert_eq!(refusal.challenge(None).as_deref(), Some("Bearer realm=\"tidegate\""));
        assert_eq!(refusal.problem().code, ErrorCode::Unauthenticated);
    }

    #[test]
    fn the_challenge_names_the_metadata_and_the_scope() {
        let challenge = Refusal::scope("orders:read").challenge(Some("https://a/.well-known/oauth-protected-resource"));
        assert_eq!(
            challenge.as_deref(),
            Some(
                "Bearer realm=\"tidegate\", error=\"insufficient_scope\", error_description=\"the token lacks a scope\", \
                 scope=\"orders:read\", resource_metadata=\"https://a/.well-known/oauth-protected-resource\""
            )
        );
    }

    #[test]
    fn nothing_ends_a_quoted_value_or_the_header() {
        let challenge =
            Refusal::scope("a\", error=\"none\r\nSet-Cookie: x=\\y\u{e9}").challenge(None).expect("a challenge");
        assert!(challenge.contains("scope=\"a', error='none''Set-Cookie: x='y'\""), "{challenge}");
    }

    #[test]
    fn an_issuer_that_is_down_is_no_reason_to_sign_in_again() {
        let refusal = Refusal::new(Reason::Unavailable, "down");
        assert_eq!(refusal.challenge(None), None);
        assert_eq!(refusal.problem().retry_ms, Some(COME_BACK_MS));
    }
}
