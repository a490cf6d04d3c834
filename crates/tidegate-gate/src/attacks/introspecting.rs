//! Attacks on and by the introspection of tokens.

use std::sync::atomic::Ordering::Relaxed;

use super::site::Site;
use super::*;
use crate::IntrospectionConfig;

fn introspected(site: &Site) -> IssuerConfig {
    let introspection = IntrospectionConfig {
        url: Some(site.url("/introspect")),
        client_id: "tide".to_owned(),
        client_secret: Secret::new("p"),
        cache: Duration::from_secs(10),
        opaque: true,
    };
    let public = issuer(&[], KeySource::Discovery);
    IssuerConfig { keys: None, introspection: Some(introspection), ..public }
}

fn active(change: Value) -> String {
    let mut answer = json!({ "active": true, "sub": "alice", "aud": AUDIENCE, "exp": NOW + 600, "scope": "read" });
    for (name, value) in change.as_object().expect("an object") {
        answer[name] = value.clone();
    }
    answer.to_string()
}

#[tokio::test]
async fn an_answer_holds_for_the_cache_time_and_no_longer() {
    let site = Site::new().await;
    site.page("/introspect", &active(json!({})));
    let gate = gate(vec![introspected(&site)]);
    let credential = Credential::Bearer(Secret::new("opaque"));
    let principal = gate.identify_at(&credential, NOW).await.expect("active");
    assert_eq!((principal.subject(), principal.issuer()), (Some("alice"), Some(ISSUER)));
    site.page("/introspect", r#"{"active":false}"#);
    assert!(gate.identify_at(&credential, NOW + 9).await.is_ok());
    assert_eq!(site.hits(), 1);
    let refusal = gate.identify_at(&credential, NOW + 10).await.expect_err("revoked");
    assert_eq!(refusal.reason(), Reason::Inactive);
    // That it is not active holds as long.
    assert_eq!(gate.identify_at(&credential, NOW + 19).await.expect_err("revoked").reason(), Reason::Inactive);
    assert_eq!(site.hits(), 2);
}

#[tokio::test]
async fn an_answer_never_outlives_the_token() {
    let site = Site::new().await;
    site.page("/introspect", &active(json!({ "exp": NOW + 5 })));
    let gate = gate(vec![introspected(&site)]);
    let credential = Credential::Bearer(Secret::new("opaque"));
    assert!(gate.identify_at(&credential, NOW + 4).await.is_ok());
    assert_eq!(gate.identify_at(&credential, NOW + 5).await.expect_err("expired").reason(), Reason::Expired);
}

#[tokio::test]
async fn answers_that_do_not_say_that_a_token_is_good() {
    let site = Site::new().await;
    let table = [
        (r#"{"active":false,"sub":"alice"}"#.to_owned(), Reason::Inactive),
        (active(json!({ "active": "true" })), Reason::Unavailable),
        (active(json!({ "active": 1 })), Reason::Unavailable),
        (r#"{"sub":"alice"}"#.to_owned(), Reason::Unavailable),
        ("<html>".to_owned(), Reason::Unavailable),
        (r#"{"active":false,"active":true,"sub":"alice"}"#.to_owned(), Reason::Unavailable),
        (active(json!({ "iss": "https://other.example" })), Reason::Issuer),
        (active(json!({ "aud": "https://elsewhere.example" })), Reason::Audience),
        (active(json!({ "exp": NOW })), Reason::Expired),
        (active(json!({ "nbf": NOW + 1 })), Reason::NotYet),
        (active(json!({ "cnf": {} })), Reason::Bound),
    ];
    for (answer, reason) in table {
        site.page("/introspect", &answer);
        assert_eq!(refused(&gate(vec![introspected(&site)]), "opaque").await, reason, "{answer}");
    }
}

#[tokio::test]
async fn one_token_shown_by_many_is_asked_about_once() {
    let site = Site::new().await;
    site.page("/introspect", &active(json!({})));
    site.hold();
    let gate = Arc::new(gate(vec![introspected(&site)]));
    let many: Vec<_> = (0..100)
        .map(|_| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { show(&gate, "opaque").await.is_ok() })
        })
        .collect();
    site.arrival().await;
    site.release();
    for one in many {
        assert!(one.await.expect("no panic"));
    }
    assert_eq!(site.hits(), 1);
}

#[tokio::test]
async fn a_jwt_of_nobody_is_not_shown_to_the_issuer_of_opaque_tokens() {
    let site = Site::new().await;
    site.page("/introspect", &active(json!({})));
    let gate = gate(vec![introspected(&site)]);
    let signer = Signer::new(Algorithm::ES256, "k1");
    let stranger = signer.token(Algorithm::ES256, &claims_with("iss", json!("https://stranger.example")));
    assert_eq!(refused(&gate, &stranger).await, Reason::Issuer);
    assert_eq!(site.hits(), 0);
    let own = signer.token(Algorithm::ES256, &claims());
    assert!(show(&gate, &own).await.is_ok(), "its own it may read in its own way");
}

#[tokio::test]
async fn a_forged_jwt_is_refused_before_anybody_is_asked() {
    let site = Site::new().await;
    site.page("/introspect", r#"{"active":true}"#);
    let (signer, evil) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k1"));
    let file = key_file(&json!({ "keys": [signer.jwk()] }).to_string());
    let keys = issuer(&[Algorithm::ES256], KeySource::File(file.path().to_owned()));
    let both = IssuerConfig { introspection: introspected(&site).introspection, ..keys };
    let gate = gate(vec![both]);
    assert_eq!(refused(&gate, &evil.token(Algorithm::ES256, &claims())).await, Reason::Signature);
    assert_eq!(site.hits(), 0);
    let principal = show(&gate, &signer.token(Algorithm::ES256, &claims())).await.expect("active");
    assert_eq!(serde_json::from_str::<Value>(&principal.claims()).expect("JSON"), claims(), "what is signed counts");
    assert_eq!((site.hits(), gate.figures().introspections.load(Relaxed)), (1, 1));
}

#[tokio::test]
async fn a_jwt_that_was_revoked_ends_with_the_cache_time_though_its_signature_is_good() {
    let site = Site::new().await;
    site.page("/introspect", r#"{"active":true}"#);
    let signer = Signer::new(Algorithm::ES256, "k1");
    let file = key_file(&json!({ "keys": [signer.jwk()] }).to_string());
    let keys = issuer(&[Algorithm::ES256], KeySource::File(file.path().to_owned()));
    let gate = gate(vec![IssuerConfig { introspection: introspected(&site).introspection, ..keys }]);
    let credential = Credential::Bearer(Secret::new(signer.token(Algorithm::ES256, &claims())));
    assert!(gate.identify_at(&credential, NOW).await.is_ok());
    site.page("/introspect", r#"{"active":false}"#);
    assert!(gate.identify_at(&credential, NOW + 9).await.is_ok());
    assert_eq!(gate.identify_at(&credential, NOW + 10).await.expect_err("revoked").reason(), Reason::Inactive);
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_is_no_reason_to_believe() {
    let site = Site::new().await;
    site.raw("/introspect", "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_owned());
    let gate = gate(vec![introspected(&site)]);
    assert_eq!(refused(&gate, "opaque").await, Reason::Unavailable);
    site.page("/introspect", &active(json!({})));
    assert!(show(&gate, "opaque").await.is_ok(), "and it is asked again");
}

#[test]
fn opaque_tokens_are_for_one_issuer_alone() {
    let (one, mut other) = (issuer(&[], KeySource::Discovery), issuer(&[], KeySource::Discovery));
    other.issuer = "https://other.example".to_owned();
    let introspection = IntrospectionConfig {
        url: Some("https://a.example/introspect".to_owned()),
        client_id: String::new(),
        client_secret: Secret::new(""),
        cache: Duration::ZERO,
        opaque: true,
    };
    let issuers: Vec<IssuerConfig> = [one, other]
        .into_iter()
        .map(|issuer| IssuerConfig { keys: None, introspection: Some(introspection.clone()), ..issuer })
        .collect();
    let config = GateConfig { issuers, ..GateConfig::default() };
    let Err(error) = Gate::new(&config, Arc::new(ApiKeys::new())) else { panic!("two issuers for one token") };
    assert!(error.reason.contains("one issuer alone"), "{error}");
}
