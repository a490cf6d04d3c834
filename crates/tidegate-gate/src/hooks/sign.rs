//! Signatures of Standard Webhooks 1.0: HMAC-SHA256 over id, time and body.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::config::ConfigError;
use crate::secret::Secret;

const PREFIX: &str = "whsec_";
/// As the standard has it, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Signs with one secret.
#[derive(Clone)]
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(secret: &Secret) -> Result<Signer, ConfigError> {
        let encoded = secret.expose().strip_prefix(PREFIX);
        let bytes = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
        match bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())) {
            Some(bytes) => Ok(Signer(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            None => Err(ConfigError::new(
                "the secret of `hooks` is none",
                "it is `whsec_` and the base64 of 24 to 64 random bytes; make one with `echo whsec_$(openssl rand -base64 32)`",
            )),
        }
    }

    /// What a question has beside its body. The id is another one each time.
    pub(super) fn headers(&self, timestamp: u64, body: &str) -> [(&'static str, String); 3] {
        let mut random = [0; 16];
        // It tells apart; nothing rests on that it cannot be guessed.
        let _ = SystemRandom::new().fill(&mut random);
        let id = format!("msg_{}", URL_SAFE_NO_PAD.encode(random));
        let signature = hmac::sign(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(signature));
        [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signature)]
    }
}
