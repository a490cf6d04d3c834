//! The text of an API key: `tgk_ID_SECRET`.

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::PREFIX;

/// Names a key; no secret. 64 bits, so that two never meet.
const ID_BYTES: usize = 8;
/// What makes a hash of it safe without a salt and without slowness.
const SECRET_BYTES: usize = 32;
const ID_CHARS: usize = ID_BYTES * 2;
const SECRET_CHARS: usize = 43;

/// A key taken apart.
pub(super) struct Parts<'t> {
    pub(super) id: &'t str,
    pub(super) secret: &'t str,
}

impl<'t> Parts<'t> {
    /// Lengths are fixed, so that there is one way to read a text.
    pub(super) fn parse(text: &'t str) -> Option<Parts<'t>> {
        let rest = text.strip_prefix(PREFIX)?;
        let (id, secret) = (rest.get(..ID_CHARS)?, rest.get(ID_CHARS..)?.strip_prefix('_')?);
        (secret.len() == SECRET_CHARS).then_some(Parts { id, secret })
    }
}

/// The id and the text of a new key; `None` if the system has no randomness.
pub(super) fn fresh() -> Option<(Box<str>, String)> {
    let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
    rand::fill(&mut id).ok()?;
    rand::fill(&mut secret).ok()?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    Some((id.into(), text))
}
