//! What is remembered of tokens saves work, and never outlives what it rests on.

use std::sync::atomic::Ordering::Relaxed;

use super::site::Site;
use super::*;

fn at_once(url: String) -> IssuerConfig {
    let refresh = RefreshConfig { age: Duration::ZERO, interval: Duration::ZERO, ..RefreshConfig::default() };
    IssuerConfig { refresh, ..issuer(&[Algorithm::ES256], KeySource::Jwks(url)) }
}

#[tokio::test]
async fn a_storm_of_reconnects_costs_one_signature() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let token = signer.token(Algorithm::ES256, &claims());
    let first = show(&gate, &token).await.expect("good");
    for _ in 0..1_000 {
        assert!(first.shares_memory(&show(&gate, &token).await.expect("good")), "all share one principal");
    }
    assert_eq!(gate.figures().signatures.load(Relaxed), 1);
    assert_eq!(gate.figures().known.load(Relaxed), 1_000);
}

#[tokio::test]
async fn a_token_that_is_known_expires_to_the_second() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let credential = Credential::Bearer(Secret::new(signer.token(Algorithm::ES256, &claims())));
    assert!(gate.identify_at(&credential, NOW).await.is_ok());
    assert!(gate.identify_at(&credential, NOW + 599).await.is_ok());
    let refusal = gate.identify_at(&credential, NOW + 600).await.expect_err("expired");
    assert_eq!(refusal.reason(), Reason::Expired);
}

#[tokio::test]
async fn a_token_that_is_known_ends_with_its_key() {
    let site = Site::new().await;
    let (old, new) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k2"));
    site.page("/jwks", &json!({ "keys": [old.jwk(), new.jwk()] }).to_string());
    let gate = gate(vec![at_once(site.url("/jwks"))]);
    let (by_old, by_new) = (old.token(Algorithm::ES256, &claims()), new.token(Algorithm::ES256, &claims()));
    assert!(show(&gate, &by_old).await.is_ok());
    assert!(show(&gate, &by_new).await.is_ok());
    site.page("/jwks", &json!({ "keys": [new.jwk()] }).to_string());
    assert_eq!(refused(&gate, &by_old).await, Reason::Key);
    let signatures = gate.figures().signatures.load(Relaxed);
    assert!(show(&gate, &by_new).await.is_ok());
    assert_eq!(gate.figures().signatures.load(Relaxed), signatures, "the other key's tokens stay known");
}

#[tokio::test]
async fn a_token_that_is_known_ends_with_a_key_that_is_replaced_under_its_id() {
    let site = Site::new().await;
    let (old, new) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k1"));
    site.page("/jwks", &json!({ "keys": [old.jwk()] }).to_string());
    let gate = gate(vec![at_once(site.url("/jwks"))]);
    let token = old.token(Algorithm::ES256, &claims());
    assert!(show(&gate, &token).await.is_ok());
    site.page("/jwks", &json!({ "keys": [new.jwk()] }).to_string());
    assert_eq!(refused(&gate, &token).await, Reason::Signature);
}

#[tokio::test]
async fn what_is_refused_is_not_remembered_as_good() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let token = signer.token(Algorithm::ES256, &claims_with("nbf", json!(NOW + 10)));
    assert_eq!(refused(&gate, &token).await, Reason::NotYet);
    let credential = Credential::Bearer(Secret::new(token));
    assert!(gate.identify_at(&credential, NOW + 10).await.is_ok());
}
