//! Attacks on how a token is signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

#[tokio::test]
async fn good_tokens_of_every_algorithm_are_accepted() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm, "k1");
        let gate = if algorithm.is_secret() {
            gate(vec![issuer(&[algorithm], KeySource::Secret(Secret::new("s".repeat(64))))])
        } else {
            gate_of(&[algorithm], &[&signer])
        };
        let principal = show(&gate, &signer.token(algorithm, &claims())).await.expect("a good token");
        assert_eq!(principal.subject(), Some("alice"));
        assert_eq!(principal.issuer(), Some(ISSUER));
        assert_eq!(principal.token_id(), Some("t1"));
        assert_eq!(principal.expires(), Some(NOW + 600));
        assert!(principal.has_scope("write") && !principal.has_scope("admin"));
        assert_eq!(serde_json::from_str::<Value>(&principal.claims()).expect("JSON"), claims());
    }
}

#[tokio::test]
async fn alg_none() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let payload = URL_SAFE_NO_PAD.encode(claims().to_string());
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": name, "typ": "JWT" }).to_string());
        for signature in ["", "AAAA"] {
            assert_eq!(refused(&gate, &format!("{header}.{payload}.{signature}")).await, Reason::Algorithm, "{name}");
        }
    }
}

#[tokio::test]
async fn algorithm_confusion_a_public_key_as_the_secret_of_hs256() {
    let signer = Signer::new(Algorithm::RS256, "k1");
    let gate = gate_of(&[Algorithm::RS256], &[&signer]);
    let jwk = signer.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().expect("n")).expect("base64url");
    let guesses = [signer.pem().into_bytes(), signer.der(), modulus, jwk.to_string().into_bytes(), Vec::new()];
    for secret in guesses {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = json!({ "alg": algorithm.as_str(), "kid": "k1" });
            let token = Signer::secret(&secret).with_header(&header, algorithm, &claims());
            assert_eq!(refused(&gate, &token).await, Reason::Algorithm);
        }
    }
}

#[test]
fn algorithm_confusion_is_no_config() {
    let file = key_file(&json!({ "keys": [Signer::new(Algorithm::ES256, "k1").jwk()] }).to_string());
    let public = || KeySource::File(file.path().to_owned());
    let secret = || KeySource::Secret(Secret::new("s".repeat(64)));
    let wrong = [
        issuer(&[Algorithm::ES256, Algorithm::HS256], public()),
        issuer(&[Algorithm::HS256], public()),
        issuer(&[Algorithm::HS256, Algorithm::RS256], secret()),
        issuer(&[Algorithm::ES256], secret()),
        issuer(&[], public()),
        issuer(&[Algorithm::HS512], KeySource::Secret(Secret::new("s".repeat(63)))),
        IssuerConfig { audiences: Vec::new(), ..issuer(&[Algorithm::ES256], public()) },
    ];
    for issuer in wrong {
        let shown = format!("{issuer:?}");
        let config = GateConfig { issuers: vec![issuer], ..GateConfig::default() };
        assert!(Gate::new(&config, Arc::new(ApiKeys::new())).is_err(), "{shown}");
    }
}

#[tokio::test]
async fn algorithm_confusion_a_signature_where_a_secret_is_expected() {
    let gate = gate(vec![issuer(&[Algorithm::HS256], KeySource::Secret(Secret::new("s".repeat(64))))]);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let token = Signer::new(algorithm, "k1").token(algorithm, &claims());
        assert_eq!(refused(&gate, &token).await, Reason::Algorithm);
    }
}

#[tokio::test]
async fn algorithm_confusion_within_a_family() {
    let all = [Algorithm::RS256, Algorithm::RS384, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384];
    let signer = Signer::new(Algorithm::RS256, "k1");
    let mut jwk = signer.jwk();
    jwk["alg"] = json!("RS256");
    let file = key_file(&json!({ "keys": [jwk, Signer::new(Algorithm::ES384, "e1").jwk()] }).to_string());
    let gate = gate(vec![issuer(&all, KeySource::File(file.path().to_owned()))]);
    assert!(show(&gate, &signer.token(Algorithm::RS256, &claims())).await.is_ok());
    // The key says that it is of RS256, and the curve of the other is that of ES384.
    for algorithm in [Algorithm::RS384, Algorithm::PS256] {
        assert_eq!(refused(&gate, &signer.token(algorithm, &claims())).await, Reason::Key);
    }
    let other = Signer::new(Algorithm::ES256, "e1");
    assert_eq!(refused(&gate, &other.token(Algorithm::ES256, &claims())).await, Reason::Key);
}

#[tokio::test]
async fn a_secret_in_a_key_set_is_none() {
    let secret = Signer::new(Algorithm::HS256, "h1");
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&secret, &signer]);
    assert_eq!(refused(&gate, &secret.token(Algorithm::HS256, &claims())).await, Reason::Algorithm);
    assert!(show(&gate, &signer.token(Algorithm::ES256, &claims())).await.is_ok());
}

#[tokio::test]
async fn a_signature_of_somebody_else() {
    let (signer, other) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k1"));
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    assert_eq!(refused(&gate, &other.token(Algorithm::ES256, &claims())).await, Reason::Signature);
}

#[tokio::test]
async fn a_token_that_was_changed_at_any_place() {
    let signer = Signer::new(Algorithm::EdDSA, "k1");
    let gate = gate_of(&[Algorithm::EdDSA], &[&signer]);
    let token = signer.token(Algorithm::EdDSA, &claims());
    assert!(show(&gate, &token).await.is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("ASCII");
        assert!(show(&gate, &changed).await.is_err(), "at {at}: {changed}");
    }
    for changed in [&token[..token.len() - 1], &format!("{token}A"), &format!("{token}="), &format!("{token}.")] {
        assert!(show(&gate, changed).await.is_err(), "{changed}");
    }
}

#[tokio::test]
async fn a_key_of_few_bits_is_left_out() {
    // 1,024 bits, of a key that was thrown away.
    let short = json!({ "kty": "RSA", "kid": "short", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xc3; 128]) });
    let signer = Signer::new(Algorithm::RS256, "k1");
    let file = key_file(&json!({ "keys": [short] }).to_string());
    let config = GateConfig {
        issuers: vec![issuer(&[Algorithm::RS256], KeySource::File(file.path().to_owned()))],
        ..GateConfig::default()
    };
    let Err(error) = Gate::new(&config, Arc::new(ApiKeys::new())) else { panic!("a key of 1,024 bits was taken") };
    assert!(error.reason.contains("1024 bits"), "{error}");
    assert!(show(&gate_of(&[Algorithm::RS256], &[&signer]), &signer.token(Algorithm::RS256, &claims())).await.is_ok());
}

#[tokio::test]
async fn keys_may_be_pem() {
    for algorithm in [Algorithm::RS256, Algorithm::PS384, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let (signer, other) = (Signer::new(algorithm, "k1"), Signer::new(algorithm, "k2"));
        let file = key_file(&format!("# two keys\n{}{}", other.pem(), signer.pem()));
        let gate = gate(vec![issuer(&[algorithm], KeySource::File(file.path().to_owned()))]);
        show(&gate, &signer.token(algorithm, &claims())).await.expect("a good token");
        let stranger = Signer::new(algorithm, "k1");
        assert_eq!(refused(&gate, &stranger.token(algorithm, &claims())).await, Reason::Signature);
    }
}
