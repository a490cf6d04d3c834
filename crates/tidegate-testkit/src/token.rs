//! Access tokens that a test issues itself, with a secret that it shares with the server.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// A JWT of these claims, by HS256.
pub fn mint(secret: &str, claims: &Value) -> String {
    mint_as(&json!({ "alg": "HS256", "typ": "at+jwt" }), secret.as_bytes(), claims)
}

/// The same with another header, whatever it says of itself.
pub fn mint_as(header: &Value, secret: &[u8], claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// So long from now, in seconds since 1970, as `exp` has it.
pub fn seconds_from_now(time: Duration) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (since + time).as_secs()
}
