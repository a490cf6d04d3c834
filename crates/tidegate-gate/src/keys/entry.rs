//! What is stored of an API key.

use serde::{Deserialize, Serialize};

use crate::digest::SecretHash;

/// A key without its secret, of which only the hash is there. Written as JSON; members that are not
/// known are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) subject: Option<Box<str>>,
    pub(crate) scopes: Box<[Box<str>]>,
    pub(crate) created: u64,
    pub(crate) expires: Option<u64>,
    pub(crate) revoked: Option<u64>,
    #[serde(with = "hex")]
    pub(crate) hash: SecretHash,
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::digest::SecretHash;

    pub(super) fn serialize<S: Serializer>(hash: &SecretHash, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hash.to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretHash, D::Error> {
        let text = Box::<str>::deserialize(from)?;
        SecretHash::from_hex(&text).ok_or_else(|| D::Error::custom("no SHA-256 in hexadecimal digits"))
    }
}
