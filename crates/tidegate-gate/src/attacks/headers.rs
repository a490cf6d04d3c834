//! Attacks by the header of a token, which is read before anything is believed.

use super::*;
use crate::attacks::site::Site;

async fn with(header: Value) -> Result<Principal, Refusal> {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    show(&gate, &signer.with_header(&header, Algorithm::ES256, &claims())).await
}

#[tokio::test]
async fn crit_header() {
    for names in [json!(["exp"]), json!(["b64"]), json!([]), json!("exp")] {
        let refusal =
            with(json!({ "alg": "ES256", "kid": "k1", "crit": names, "b64": false })).await.expect_err("crit");
        assert_eq!(refusal.reason(), Reason::Critical);
    }
}

#[tokio::test]
async fn a_jwt_that_is_no_access_token() {
    for kind in
        ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt", "JWE", "", "application/logout+jwt", "at+jwt "]
    {
        let refusal = with(json!({ "alg": "ES256", "kid": "k1", "typ": kind })).await.expect_err(kind);
        assert_eq!(refusal.reason(), Reason::Type, "{kind}");
    }
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt"] {
        assert!(with(json!({ "alg": "ES256", "kid": "k1", "typ": kind })).await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn an_id_token_where_access_tokens_have_a_type() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let file = key_file(&json!({ "keys": [signer.jwk()] }).to_string());
    let source = KeySource::File(file.path().to_owned());
    let gate = gate(vec![IssuerConfig { types: TokenTypes::AccessToken, ..issuer(&[Algorithm::ES256], source) }]);
    for header in [json!({ "alg": "ES256", "kid": "k1" }), json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" })] {
        assert_eq!(refused(&gate, &signer.with_header(&header, Algorithm::ES256, &claims())).await, Reason::Type);
    }
    assert!(show(&gate, &signer.token(Algorithm::ES256, &claims())).await.is_ok());
}

#[tokio::test]
async fn embedded_jwk_jku_x5u_and_x5c_are_ignored() {
    let site = Site::new().await;
    let (signer, evil) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k1"));
    site.page("/jwks", &json!({ "keys": [evil.jwk()] }).to_string());
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let header = json!({
        "alg": "ES256", "kid": "k1", "jwk": evil.jwk(), "jku": site.url("/jwks"), "x5u": site.url("/jwks"),
        "x5c": [evil.pem()], "x5t": "AAAA",
    });
    assert_eq!(refused(&gate, &evil.with_header(&header, Algorithm::ES256, &claims())).await, Reason::Signature);
    // Nor do they hurt.
    assert!(show(&gate, &signer.with_header(&header, Algorithm::ES256, &claims())).await.is_ok());
    assert_eq!(site.hits(), 0);
}

#[tokio::test]
async fn key_ids_that_are_paths_or_queries_are_only_texts() {
    for id in ["../../../../dev/null", "/dev/null", "k1' OR '1'='1", "k1\u{0}", "https://evil.example/k1", ""] {
        let refusal = with(json!({ "alg": "ES256", "kid": id })).await.expect_err(id);
        assert_eq!(refusal.reason(), Reason::Key, "{id}");
    }
}
