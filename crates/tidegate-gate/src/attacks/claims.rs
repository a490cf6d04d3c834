//! Attacks by what a token says, though it is signed.

use super::*;

/// Tokens of the right key that are refused for one claim.
async fn table(rows: &[(Value, Reason)]) {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    for (claims, reason) in rows {
        assert_eq!(refused(&gate, &signer.token(Algorithm::ES256, claims)).await, *reason, "{claims}");
    }
}

#[tokio::test]
async fn wrong_issuer() {
    table(&[
        (claims_with("iss", json!("https://issuer.example/")), Reason::Issuer),
        (claims_with("iss", json!("https://ISSUER.example")), Reason::Issuer),
        (claims_with("iss", json!("")), Reason::Issuer),
        (claims_with("iss", Value::Null), Reason::Issuer),
        (claims_with("iss", json!([ISSUER])), Reason::Claims),
    ])
    .await;
}

#[tokio::test]
async fn a_token_of_one_issuer_in_the_name_of_another() {
    let (good, evil) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k2"));
    let files = [&good, &evil].map(|signer| key_file(&json!({ "keys": [signer.jwk()] }).to_string()));
    let source = |at: usize| KeySource::File(files[at].path().to_owned());
    let other = IssuerConfig { issuer: "https://other.example".to_owned(), ..issuer(&[Algorithm::ES256], source(1)) };
    let gate = gate(vec![issuer(&[Algorithm::ES256], source(0)), other]);
    assert_eq!(refused(&gate, &evil.token(Algorithm::ES256, &claims())).await, Reason::Key);
    let own = claims_with("iss", json!("https://other.example"));
    let principal = show(&gate, &evil.token(Algorithm::ES256, &own)).await.expect("its own token");
    let first = show(&gate, &good.token(Algorithm::ES256, &claims())).await.expect("its own token");
    assert_ne!(principal.identity(), first.identity());
}

#[tokio::test]
async fn wrong_audience() {
    table(&[
        (claims_with("aud", json!("https://elsewhere.example")), Reason::Audience),
        (claims_with("aud", json!(["a", "b"])), Reason::Audience),
        (claims_with("aud", json!([])), Reason::Audience),
        (claims_with("aud", json!("")), Reason::Audience),
        (claims_with("aud", Value::Null), Reason::Audience),
        (claims_with("aud", json!({ "aud": AUDIENCE })), Reason::Claims),
    ])
    .await;
}

#[tokio::test]
async fn an_audience_among_others_is_enough() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let both = claims_with("aud", json!(["https://elsewhere.example", AUDIENCE]));
    assert!(show(&gate, &signer.token(Algorithm::ES256, &both)).await.is_ok());
}

#[tokio::test]
async fn expired() {
    table(&[
        (claims_with("exp", json!(NOW)), Reason::Expired),
        (claims_with("exp", json!(0)), Reason::Expired),
        (claims_with("exp", json!(NOW - 1)), Reason::Expired),
        (claims_with("exp", Value::Null), Reason::Claims),
        (claims_with("exp", json!("9999999999")), Reason::Claims),
        (claims_with("exp", json!(-1)), Reason::Claims),
        (claims_with("exp", json!([9_999_999_999_u64])), Reason::Claims),
    ])
    .await;
}

#[tokio::test]
async fn not_yet_valid() {
    table(&[
        (claims_with("nbf", json!(NOW + 1)), Reason::NotYet),
        (claims_with("nbf", json!(1e300)), Reason::NotYet),
        (claims_with("nbf", json!("0")), Reason::Claims),
    ])
    .await;
}

#[tokio::test]
async fn a_clock_that_is_a_little_off_is_forgiven_and_no_more() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let file = key_file(&json!({ "keys": [signer.jwk()] }).to_string());
    let source = KeySource::File(file.path().to_owned());
    let gate = gate(vec![IssuerConfig { leeway: Duration::from_secs(30), ..issuer(&[Algorithm::ES256], source) }]);
    let token = |name, value| signer.token(Algorithm::ES256, &claims_with(name, json!(value)));
    let principal = show(&gate, &token("exp", NOW - 29)).await.expect("within the leeway");
    assert_eq!(principal.expires(), Some(NOW + 1), "it ends when it would be refused, not before");
    assert_eq!(refused(&gate, &token("exp", NOW - 30)).await, Reason::Expired);
    assert!(show(&gate, &token("nbf", NOW + 30)).await.is_ok());
    assert_eq!(refused(&gate, &token("nbf", NOW + 31)).await, Reason::NotYet);
}

#[tokio::test]
async fn a_token_of_nobody() {
    table(&[(claims_with("sub", Value::Null), Reason::Claims), (claims_with("sub", json!(7)), Reason::Claims)]).await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    table(&[
        (claims_with("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })), Reason::Bound),
        (claims_with("cnf", json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" })), Reason::Bound),
        (claims_with("cnf", json!("")), Reason::Bound),
    ])
    .await;
}

#[tokio::test]
async fn duplicate_claims_and_invalid_json() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let good = claims().to_string();
    let body = good.trim_end_matches('}');
    let table = [
        format!("{body},\"sub\":\"root\"}}"),
        format!("{body},\"s\\u0075b\":\"root\"}}"),
        format!("{body},\"role\":1,\"role\":2}}"),
        format!("{body},}}"),
        format!("{good}{good}"),
        format!("[{good}]"),
        format!("{body},\"x\":NaN}}"),
        format!("{body},\"x\":\"\\ud800\"}}"),
        format!("{body},\"x\":{}{}}}", "[".repeat(129), "]".repeat(129)),
        String::new(),
        "null".to_owned(),
    ];
    for payload in table {
        let token = signer.of_text(r#"{"alg":"ES256","kid":"k1"}"#, Algorithm::ES256, &payload);
        assert_eq!(refused(&gate, &token).await, Reason::Claims, "{payload}");
    }
}

#[tokio::test]
async fn oversized_token() {
    let signer = Signer::new(Algorithm::ES256, "k1");
    let gate = gate_of(&[Algorithm::ES256], &[&signer]);
    let token = |bytes: usize| signer.token(Algorithm::ES256, &claims_with("pad", json!("x".repeat(bytes))));
    assert!(show(&gate, &token(8_000)).await.is_ok());
    assert_eq!(refused(&gate, &token(16_000)).await, Reason::TooLong);
    assert!(Credential::from_text(&token(16_000)).is_err());
    assert_eq!(gate.figures().signatures.load(std::sync::atomic::Ordering::Relaxed), 1);
}
