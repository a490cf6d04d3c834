//! `Idempotency-Key`: by what a repeated publish is known.

use sha2::{Digest, Sha256};
use tidegate_core::{Address, ErrorCode, Problem};

use super::Action;
use crate::channel::Channel;

/// An `Idempotency-Key` may have this many bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// An `Idempotency-Key` and whose it is.
pub struct Idempotency {
    /// The principal.
    pub principal: String,
    /// The key.
    pub key: String,
}

impl Idempotency {
    pub(super) fn into_log(
        self,
        channel: &Channel,
        address: &Address,
        action: &Action,
    ) -> Result<tidegate_log::Idempotency, Problem> {
        if self.key.is_empty() || self.key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(Problem::new(
                ErrorCode::Invalid,
                format!("an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes"),
            ));
        }
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(action.method().as_bytes());
        part(address.as_str().as_bytes());
        match action {
            Action::Post { format, body } => {
                part(format.name().as_bytes());
                part(body);
            }
            Action::Put { key, body } => {
                part(key.as_bytes());
                part(body);
            }
            Action::Delete { key } => part(key.as_bytes()),
        }
        Ok(tidegate_log::Idempotency {
            channel: channel.log.id(),
            principal: self.principal,
            key: self.key,
            body_hash: hash.finalize().into(),
        })
    }
}
