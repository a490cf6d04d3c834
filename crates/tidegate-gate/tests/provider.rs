//! A real OpenID provider issues, rotates, revokes, and goes away.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tidegate_gate::{
    Algorithm, ApiKeys, Credential, FetchConfig, Gate, GateConfig, IntrospectionConfig, IssuerConfig, KeySource,
    Principal, Reason, RefreshConfig, Refusal, Secret, TokenTypes,
};
use tidegate_testkit::provider::Provider;
use tidegate_testkit::tls::Authority;

const RESOURCE: &str = "https://tide.example";
const OPAQUE: &str = "https://tide.example/opaque";

fn issuer(provider: &Provider, algorithm: Algorithm) -> IssuerConfig {
    IssuerConfig {
        issuer: provider.issuer().to_owned(),
        audiences: vec![RESOURCE.to_owned(), OPAQUE.to_owned()],
        algorithms: vec![algorithm],
        keys: Some(KeySource::Discovery),
        introspection: None,
        types: TokenTypes::AccessToken,
        leeway: Duration::from_secs(5),
        refresh: RefreshConfig { interval: Duration::ZERO, ..RefreshConfig::default() },
    }
}

fn introspection(provider: &Provider) -> IntrospectionConfig {
    let (client_id, client_secret) = provider.client();
    let client_secret = Secret::new(client_secret);
    IntrospectionConfig {
        url: None,
        client_id: client_id.to_owned(),
        client_secret,
        cache: Duration::ZERO,
        opaque: true,
    }
}

fn gate(issuer: IssuerConfig) -> Gate {
    let config = GateConfig { issuers: vec![issuer], ..GateConfig::default() };
    Gate::new(&config, Arc::new(ApiKeys::new())).expect("a config")
}

async fn show(gate: &Gate, token: &str) -> Result<Principal, Refusal> {
    gate.identify(&Credential::from_text(token).expect("a credential")).await
}

#[tokio::test]
async fn its_tokens_are_accepted_by_discovery_whatever_it_signs_with() {
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA] {
        let mut provider = Provider::start(algorithm.as_str());
        let gate = gate(issuer(&provider, algorithm));
        let principal = show(&gate, &provider.token(RESOURCE, "read write")).await.expect("a good token");
        assert_eq!(principal.subject(), Some(provider.client().0));
        assert_eq!(principal.issuer(), Some(provider.issuer()));
        assert!(principal.has_scope("read") && principal.has_scope("write"));
        assert!(principal.token_id().is_some() && principal.expires().is_some());
    }
}

#[tokio::test]
async fn its_tokens_for_others_are_not() {
    let mut provider = Provider::start("ES256");
    let gate = gate(issuer(&provider, Algorithm::ES256));
    let refusal = show(&gate, &provider.token("https://elsewhere.example", "read")).await.expect_err("for another");
    assert_eq!(refusal.reason(), Reason::Audience);
    let refusal = show(&gate, &provider.token(OPAQUE, "read")).await.expect_err("no introspection");
    assert_eq!(refusal.reason(), Reason::Issuer);
}

#[tokio::test]
async fn it_rotates_its_keys() {
    let mut provider = Provider::start("ES256");
    let gate = gate(issuer(&provider, Algorithm::ES256));
    let old = provider.token(RESOURCE, "read");
    show(&gate, &old).await.expect("the first key");
    provider.rotate();
    show(&gate, &provider.token(RESOURCE, "read")).await.expect("the new key is found by its id");
    assert_eq!(show(&gate, &old).await.expect_err("the old key is gone").reason(), Reason::Key);
    // One for the first token, one for the new key, one for the key that is gone.
    assert_eq!(gate.figures().key_reads.load(Relaxed), 3);
}

#[tokio::test]
async fn it_goes_away_and_comes_back() {
    let mut provider = Provider::start("ES256");
    let mut config = issuer(&provider, Algorithm::ES256);
    config.refresh.age = Duration::ZERO;
    let gate = gate(config);
    let token = provider.token(RESOURCE, "read");
    let other = provider.token(RESOURCE, "write");
    show(&gate, &token).await.expect("good");
    provider.stop();
    show(&gate, &token).await.expect("known, and its key is kept");
    show(&gate, &other).await.expect("not known, and its key is kept");
    assert!(gate.figures().key_read_failures.load(Relaxed) >= 2);
    provider.resume();
    let failures = gate.figures().key_read_failures.load(Relaxed);
    show(&gate, &token).await.expect("good");
    assert_eq!(gate.figures().key_read_failures.load(Relaxed), failures, "its keys are read again");
}

#[tokio::test]
async fn it_is_asked_about_opaque_tokens_and_revokes_them() {
    let mut provider = Provider::start("ES256");
    let alone = IssuerConfig {
        algorithms: Vec::new(),
        keys: None,
        introspection: Some(introspection(&provider)),
        ..issuer(&provider, Algorithm::ES256)
    };
    let gate = gate(alone);
    let token = provider.token(OPAQUE, "read");
    let principal = show(&gate, &token).await.expect("active");
    assert_eq!(principal.subject(), Some(provider.client().0));
    assert!(principal.has_scope("read"));
    provider.revoke(&token);
    assert_eq!(show(&gate, &token).await.expect_err("revoked").reason(), Reason::Inactive);
    assert_eq!(show(&gate, "made-up").await.expect_err("unknown").reason(), Reason::Inactive);
}

#[tokio::test]
async fn with_a_wrong_password_nothing_is_believed() {
    let mut provider = Provider::start("ES256");
    let mut asking = introspection(&provider);
    asking.client_secret = Secret::new("wrong");
    let gate = gate(IssuerConfig { introspection: Some(asking), ..issuer(&provider, Algorithm::ES256) });
    let refusal = show(&gate, &provider.token(OPAQUE, "read")).await.expect_err("cannot be asked");
    assert_eq!(refusal.reason(), Reason::Unavailable);
}

#[tokio::test]
async fn over_tls_its_certificate_has_to_be_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut provider = Provider::start_tls("ES256", &authority);
    let token = provider.token(RESOURCE, "read");
    for (certificates, good) in [(None, false), (Some(other.pem()), false), (Some(authority.pem()), true)] {
        let fetch = FetchConfig { certificates: certificates.map(str::to_owned), ..FetchConfig::default() };
        let config = GateConfig { issuers: vec![issuer(&provider, Algorithm::ES256)], fetch, ..GateConfig::default() };
        let gate = Gate::new(&config, Arc::new(ApiKeys::new())).expect("a config");
        match show(&gate, &token).await {
            Ok(_) => assert!(good, "a certificate of nobody was trusted"),
            Err(refusal) => assert_eq!((refusal.reason(), good), (Reason::Unavailable, false), "{refusal}"),
        }
    }
}
