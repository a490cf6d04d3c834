//! Claims, parted into what is somebody's own and what many have in common.

use crate::json;

/// Claims of a person, of a sign-in or of one token, by the registry of JSON Web Token claims at IANA: whatever else a
/// token says, many say the same.
const OWN: [&str; 26] = [
    // RFC 7519
    "sub",
    "jti",
    "exp",
    "nbf",
    "iat",
    // OpenID Connect Core 1.0, sections 2, 3 and 5.1
    "auth_time",
    "nonce",
    "at_hash",
    "c_hash",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "birthdate",
    "phone_number",
    "address",
    "updated_at",
    // OpenID Connect Session Management and Front-Channel Logout
    "sid",
    "session_state",
    // RFC 7662
    "username",
];

/// Members of one JSON object, without its braces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) own: String,
    pub(super) common: String,
    /// `sub` is the subject, and is not among its own.
    pub(super) subject: bool,
    /// The same of `jti` and the token's id.
    pub(super) token_id: bool,
}

impl Claims {
    /// Takes a validated object apart.
    pub(super) fn part(object: &str, subject: Option<&str>, token_id: Option<&str>) -> Claims {
        let mut claims = Claims { own: String::new(), common: String::new(), subject: false, token_id: false };
        let is = |value: &[u8], text: Option<&str>| text.is_some() && json::string(value).as_deref() == text;
        for (name, value) in json::members(object.as_bytes()) {
            match &*name {
                "sub" if is(value, subject) => claims.subject = true,
                "jti" if is(value, token_id) => claims.token_id = true,
                name => {
                    let own = OWN.contains(&name);
                    let members = if own { &mut claims.own } else { &mut claims.common };
                    push(name, &String::from_utf8_lossy(value), members);
                }
            }
        }
        claims
    }

    /// Puts one together again.
    pub(super) fn join(common: &str, own: &str, subject: Option<&str>, token_id: Option<&str>) -> String {
        let mut object = String::with_capacity(common.len() + own.len() + 64);
        object.push('{');
        for (name, text) in [("sub", subject), ("jti", token_id)] {
            if let Some(text) = text {
                push(name, &quoted(text), &mut object);
            }
        }
        for members in [own, common].into_iter().filter(|members| !members.is_empty()) {
            comma(&mut object);
            object.push_str(members);
        }
        object.push('}');
        object
    }
}

fn push(name: &str, value: &str, members: &mut String) {
    comma(members);
    members.push_str(&quoted(name));
    members.push(':');
    members.push_str(value);
}

/// Before a member that is not the first.
fn comma(members: &mut String) {
    if !matches!(members.as_bytes().last(), None | Some(b'{')) {
        members.push(',');
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    json::write_string(text, &mut quoted);
    String::from_utf8(quoted).expect("what was text is text")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn claims_are_the_same_after_they_were_apart() {
        let table = [
            ("{}", None),
            (r#"{"sub":"ann"}"#, Some("ann")),
            (r#"{"sub":"\u0061nn","exp":1,"iss":"https://a","aud":["b"],"roles":{"a":[1,{"b":2}]}}"#, Some("ann")),
            (r#"{"client_id":"ann","aud":"b"}"#, Some("ann")),
            (r#"{"sub":"ann","jti":"ann"}"#, Some("bob")),
            (r#"{ "name" : "a, \"b\"" , "x\u0022y":null, "":[] }"#, None),
            (r#"{"sub":"ü\n","jti":"t","iat":1.5e3,"email":"a@b","tenant":"t"}"#, Some("ü\n")),
        ];
        for (object, subject) in table {
            let Claims { own, common, subject: named, token_id } = Claims::part(object, subject, Some("t"));
            let joined = Claims::join(&common, &own, subject.filter(|_| named), Some("t").filter(|_| token_id));
            let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert_eq!(value(&joined), value(object), "{joined}");
        }
    }

    #[test]
    fn what_is_of_a_person_or_of_a_token_is_not_common() {
        let object = r#"{"sub":"ann","jti":"t","exp":1,"iss":"https://a","email":"a@b","roles":["r"]}"#;
        let claims = Claims::part(object, Some("ann"), Some("t"));
        let (own, common) = (r#""exp":1,"email":"a@b""#.to_owned(), r#""iss":"https://a","roles":["r"]"#.to_owned());
        assert_eq!(claims, Claims { own, common, subject: true, token_id: true });
    }
}
