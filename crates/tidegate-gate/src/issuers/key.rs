//! A key that verifies signatures, and what it may verify.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use serde::Deserialize;

use crate::algorithm::Algorithm;
use crate::digest::Digest;

/// An RSA key of fewer bits is refused (RFC 7518, section 3.3).
const RSA_BITS_MIN: usize = 2_048;

/// A key and its algorithms, which come from what the key *is*, never from what a token says: a
/// secret has those of secrets, and everything that is fetched or read from a file has one of the
/// others. So a public key can never be the secret of an HS256 token.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    material: DecodingKey,
    fingerprint: Digest,
}

/// A JWK (RFC 7517), as far as it is a public key for signatures.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<Box<str>>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl Key {
    /// A secret of the config: the only way to a key of HS256, HS384 and HS512.
    pub(crate) fn secret(secret: &[u8]) -> Key {
        let fits = |algorithm: &&Algorithm| secret.len() >= algorithm.secret_bytes_min();
        let algorithms = Algorithm::OF_SECRET.iter().filter(fits).copied().collect();
        Key::new(None, algorithms, DecodingKey::from_secret(secret), &[b"secret", secret])
    }

    /// A public key as JWK.
    ///
    /// # Errors
    /// Why it is none that can be used.
    pub(crate) fn from_jwk(text: &[u8]) -> Result<Key, String> {
        let jwk: Jwk = serde_json::from_slice(text).map_err(|error| format!("it is no JWK: {error}"))?;
        if jwk.d.is_some() {
            return Err("it is a private key, which belongs to the issuer alone".to_owned());
        }
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("it is not for signatures".to_owned());
        }
        if jwk.key_ops.as_ref().is_some_and(|operations| operations.iter().all(|operation| operation != "verify")) {
            return Err("it is not for verifying".to_owned());
        }
        let (algorithms, material) = jwk.material()?;
        let algorithms: Box<[Algorithm]> = match jwk.alg.as_deref() {
            None => algorithms.into(),
            Some(name) => algorithms.iter().copied().filter(|algorithm| algorithm.as_str() == name).collect(),
        };
        if algorithms.is_empty() {
            return Err("its `alg` does not fit its type".to_owned());
        }
        let parts = [&jwk.n, &jwk.e, &jwk.x, &jwk.y].map(|part| part.as_deref().unwrap_or_default().as_bytes());
        Ok(Key::new(jwk.kid, algorithms, material, &[b"jwk", parts[0], parts[1], parts[2], parts[3]]))
    }

    /// A public key or a certificate as PEM.
    ///
    /// # Errors
    /// Why it is none that can be used.
    pub(crate) fn from_pem(block: &str) -> Result<Key, String> {
        if block.contains("PRIVATE KEY") {
            return Err("it is a private key, which belongs to the issuer alone".to_owned());
        }
        let bytes = block.as_bytes();
        let of = |algorithms: &[Algorithm], material| Key::new(None, algorithms.into(), material, &[b"pem", bytes]);
        if let Ok(material) = DecodingKey::from_ed_pem(bytes) {
            return Ok(of(&[Algorithm::EdDSA], material));
        }
        if let Ok(material) = DecodingKey::from_ec_pem(bytes) {
            let point = material.try_get_as_bytes().map_or(0, <[u8]>::len);
            let curve = of_point(point).ok_or("it is of another curve than P-256 and P-384")?;
            return Ok(of(&[curve], material));
        }
        match DecodingKey::from_rsa_pem(bytes) {
            Ok(material) => Ok(of(Algorithm::OF_RSA, material)),
            Err(_) => Err("it is no PEM of a public key that is known here".to_owned()),
        }
    }

    fn new(id: Option<Box<str>>, algorithms: Box<[Algorithm]>, material: DecodingKey, parts: &[&[u8]]) -> Key {
        let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        let names = names.join(" ");
        let id_part = id.as_deref().unwrap_or_default().as_bytes();
        let mut all = vec![id_part, names.as_bytes()];
        all.extend_from_slice(parts);
        let fingerprint = Digest::of(&all);
        Key { id, algorithms, material, fingerprint }
    }

    /// Whether a signature of this algorithm can be of this key at all.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature`, in base64url, is this key's of `message`.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        self.fits(algorithm) && crypto::verify(signature, message, &self.material, algorithm.library()).unwrap_or(false)
    }

    /// What the key is, with all that it may do: equal for equal keys, in whatever set they are.
    pub(crate) fn fingerprint(&self) -> Digest {
        self.fingerprint
    }
}

impl Jwk {
    fn material(&self) -> Result<(&'static [Algorithm], DecodingKey), String> {
        let bad = |error: jsonwebtoken::errors::Error| format!("its numbers cannot be read: {error}");
        match (self.kty.as_str(), self.crv.as_deref(), &self.n, &self.e, &self.x, &self.y) {
            ("RSA", _, Some(n), Some(e), ..) => {
                check_rsa(n)?;
                Ok((Algorithm::OF_RSA, DecodingKey::from_rsa_components(n, e).map_err(bad)?))
            }
            ("EC", Some(curve @ ("P-256" | "P-384")), _, _, Some(x), Some(y)) => {
                let (algorithm, point): (&'static [Algorithm], _) =
                    if curve == "P-256" { (&[Algorithm::ES256], 65) } else { (&[Algorithm::ES384], 97) };
                let material = DecodingKey::from_ec_components(x, y).map_err(bad)?;
                match material.try_get_as_bytes() {
                    Ok(bytes) if bytes.len() == point => Ok((algorithm, material)),
                    _ => Err(format!("it has no point of {curve}")),
                }
            }
            ("OKP", Some("Ed25519"), _, _, Some(x), _) => {
                Ok((&[Algorithm::EdDSA], DecodingKey::from_ed_components(x).map_err(bad)?))
            }
            ("oct", ..) => Err("it is a secret, and a secret that is published is none".to_owned()),
            (kind, ..) => Err(format!("its type `{kind}` is not known here, or it lacks a part")),
        }
    }
}

fn check_rsa(n: &str) -> Result<(), String> {
    let n = URL_SAFE_NO_PAD.decode(n).map_err(|_| "its numbers are no base64url".to_owned())?;
    let bits = n.iter().position(|byte| *byte != 0).map_or(0, |at| (n.len() - at) * 8 - n[at].leading_zeros() as usize);
    if bits < RSA_BITS_MIN {
        return Err(format!("it has {bits} bits, and {RSA_BITS_MIN} are the least"));
    }
    Ok(())
}

/// The algorithm of an uncompressed point of so many bytes (RFC 7518, section 3.4).
fn of_point(bytes: usize) -> Option<Algorithm> {
    match bytes {
        65 => Some(Algorithm::ES256),
        97 => Some(Algorithm::ES384),
        _ => None,
    }
}
