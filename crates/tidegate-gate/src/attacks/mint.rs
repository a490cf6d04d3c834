//! Makes tokens, good ones and others.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::Algorithm;

/// A key that signs.
pub(super) struct Signer {
    pub(super) id: String,
    kind: Kind,
}

enum Kind {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Signer {
    /// A new one for an algorithm.
    pub(super) fn new(algorithm: Algorithm, id: &str) -> Signer {
        let kind = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Kind::Secret(vec![b's'; 64]),
            Algorithm::ES256 => Kind::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
            Algorithm::ES384 => Kind::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key")),
            Algorithm::EdDSA => Kind::Ed(Ed25519KeyPair::generate().expect("a key")),
            _ => Kind::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        };
        Signer { id: id.to_owned(), kind }
    }

    /// A secret.
    pub(super) fn secret(secret: &[u8]) -> Signer {
        Signer { id: "secret".to_owned(), kind: Kind::Secret(secret.to_vec()) }
    }

    /// Its public half.
    pub(super) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = |curve: &str, bytes: &[u8]| {
            let (x, y) = bytes[1..].split_at(bytes.len() / 2);
            json!({ "kty": "EC", "kid": self.id, "crv": curve, "x": text(x), "y": text(y) })
        };
        match &self.kind {
            Kind::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({ "kty": "RSA", "kid": self.id, "n": text(&n), "e": text(&e) })
            }
            Kind::P256(pair) => point("P-256", pair.public_key().as_ref()),
            Kind::P384(pair) => point("P-384", pair.public_key().as_ref()),
            Kind::Ed(pair) => {
                json!({ "kty": "OKP", "kid": self.id, "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
            Kind::Secret(secret) => json!({ "kty": "oct", "kid": self.id, "k": text(secret) }),
        }
    }

    /// Its public half as DER.
    pub(super) fn der(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Rsa(pair) => der(pair.public_key()),
            Kind::P256(pair) | Kind::P384(pair) => der(pair.public_key()),
            Kind::Ed(pair) => der(pair.public_key()),
            Kind::Secret(_) => panic!("a secret has no public half"),
        }
    }

    /// The same as PEM.
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(self.der());
        let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// A token with an ordinary header.
    pub(super) fn token(&self, algorithm: Algorithm, claims: &Value) -> String {
        self.with_header(&json!({ "alg": algorithm.as_str(), "kid": self.id, "typ": "at+jwt" }), algorithm, claims)
    }

    /// A token whose header may say what it likes.
    pub(super) fn with_header(&self, header: &Value, algorithm: Algorithm, claims: &Value) -> String {
        self.of_text(&header.to_string(), algorithm, &claims.to_string())
    }

    /// A token of any text.
    pub(super) fn of_text(&self, header: &str, algorithm: Algorithm, payload: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.sign(algorithm, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Rsa(pair) => {
                let mut bytes = vec![0; pair.public_modulus_len()];
                pair.sign(rsa(algorithm), &random, message, &mut bytes).expect("a signature");
                bytes
            }
            Kind::P256(pair) | Kind::P384(pair) => pair.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Kind::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Kind::Secret(secret) => {
                let code = match algorithm {
                    Algorithm::HS384 => hmac::HMAC_SHA384,
                    Algorithm::HS512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(code, secret), message).as_ref().to_vec()
            }
        }
    }
}

fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().expect("a public key").as_ref().to_vec()
}

fn rsa(algorithm: Algorithm) -> &'static dyn signature::RsaEncoding {
    match algorithm {
        Algorithm::RS384 => &RSA_PKCS1_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_SHA512,
        Algorithm::PS256 => &RSA_PSS_SHA256,
        Algorithm::PS384 => &RSA_PSS_SHA384,
        Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => &RSA_PKCS1_SHA256,
    }
}
