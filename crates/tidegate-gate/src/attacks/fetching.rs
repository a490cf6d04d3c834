//! Attacks on and by what is fetched: key sets and discovery documents.

use std::sync::atomic::Ordering::Relaxed;

use super::site::Site;
use super::*;
use crate::FetchConfig;

const DISCOVERY: &str = "/.well-known/openid-configuration";

fn jwks(url: String) -> IssuerConfig {
    issuer(&[Algorithm::ES256], KeySource::Jwks(url))
}

fn set(signers: &[&Signer]) -> String {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
}

/// An issuer at a site, and a token of it.
fn discovered(site: &Site, signer: &Signer) -> (IssuerConfig, String) {
    let name = site.url("");
    let token = signer.token(Algorithm::ES256, &claims_with("iss", json!(name)));
    (IssuerConfig { issuer: name, ..issuer(&[Algorithm::ES256], KeySource::Discovery) }, token)
}

#[tokio::test]
async fn unknown_kid_flood_is_at_most_one_refetch() {
    let site = Site::new().await;
    let signer = Signer::new(Algorithm::ES256, "k1");
    site.page("/jwks", &set(&[&signer]));
    let gate = Arc::new(gate(vec![jwks(site.url("/jwks"))]));
    let mut flood = Vec::new();
    for number in 0..500 {
        let header = json!({ "alg": "ES256", "kid": format!("unknown {number}") });
        let token = signer.with_header(&header, Algorithm::ES256, &claims());
        let gate = Arc::clone(&gate);
        flood.push(tokio::spawn(async move { refused(&gate, &token).await }));
    }
    for shown in flood {
        assert_eq!(shown.await.expect("no panic"), Reason::Key);
    }
    // The first read is the one for the first token; the interval forbids another.
    assert_eq!(site.hits(), 1);
    assert_eq!(gate.figures().signatures.load(Relaxed), 0);
    assert!(show(&gate, &signer.token(Algorithm::ES256, &claims())).await.is_ok(), "good tokens pass meanwhile");
}

#[tokio::test]
async fn a_flood_while_keys_are_read_waits_for_that_one_reading() {
    let site = Site::new().await;
    let (old, new) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k2"));
    site.page("/jwks", &set(&[&old]));
    let refresh = RefreshConfig { interval: Duration::ZERO, ..RefreshConfig::default() };
    let gate = Arc::new(gate(vec![IssuerConfig { refresh, ..jwks(site.url("/jwks")) }]));
    assert!(show(&gate, &old.token(Algorithm::ES256, &claims())).await.is_ok());
    site.arrival().await;
    site.page("/jwks", &set(&[&new]));
    site.hold();
    let token = new.token(Algorithm::ES256, &claims());
    let mut waiting: Vec<_> = (0..100)
        .map(|_| {
            let (gate, token) = (Arc::clone(&gate), token.clone());
            Box::pin(async move { show(&gate, &token).await.is_ok() })
        })
        .collect();
    // Each is asked once whether it is done, in one thread: all of them wait before the answer comes.
    std::future::poll_fn(|context| {
        assert!(waiting.iter_mut().all(|one| one.as_mut().poll(context).is_pending()));
        std::task::Poll::Ready(())
    })
    .await;
    site.arrival().await;
    site.release();
    for one in waiting {
        assert!(one.await, "the new key has come");
    }
    assert_eq!(site.hits(), 2);
}

#[tokio::test]
async fn a_key_that_is_new_is_found_without_a_restart() {
    let site = Site::new().await;
    let (old, new) = (Signer::new(Algorithm::ES256, "k1"), Signer::new(Algorithm::ES256, "k2"));
    site.page("/jwks", &set(&[&old]));
    let refresh = RefreshConfig { interval: Duration::ZERO, ..RefreshConfig::default() };
    let gate = gate(vec![IssuerConfig { refresh, ..jwks(site.url("/jwks")) }]);
    assert!(show(&gate, &old.token(Algorithm::ES256, &claims())).await.is_ok());
    site.page("/jwks", &set(&[&old, &new]));
    assert!(show(&gate, &new.token(Algorithm::ES256, &claims())).await.is_ok());
    assert_eq!(site.hits(), 2);
}

#[tokio::test]
async fn keys_are_kept_while_the_issuer_is_down_but_not_for_ever() {
    let site = Site::new().await;
    let signer = Signer::new(Algorithm::ES256, "k1");
    let token = signer.token(Algorithm::ES256, &claims());
    for (stale_max, kept) in [(Duration::from_secs(600), true), (Duration::ZERO, false)] {
        site.page("/jwks", &set(&[&signer]));
        let refresh = RefreshConfig { age: Duration::ZERO, interval: Duration::ZERO, stale_max };
        let gate = gate(vec![IssuerConfig { refresh, ..jwks(site.url("/jwks")) }]);
        gate.warm().await;
        for answer in
            ["HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno!", ""]
        {
            site.raw("/jwks", answer.to_owned());
            match show(&gate, &token).await {
                Ok(_) => assert!(kept),
                Err(refusal) => assert_eq!((refusal.reason(), kept), (Reason::Unavailable, false), "{refusal}"),
            }
        }
        assert_eq!(gate.figures().key_read_failures.load(Relaxed), 3);
    }
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_unavailable_and_not_wrong() {
    let gate = gate(vec![jwks("http://127.0.0.1:1/jwks".to_owned())]);
    let refusal = show(&gate, &Signer::new(Algorithm::ES256, "k1").token(Algorithm::ES256, &claims())).await;
    let refusal = refusal.expect_err("no keys");
    assert_eq!(refusal.reason(), Reason::Unavailable);
    assert!(refusal.problem().retry_ms.is_some(), "the client may come back");
}

#[tokio::test]
async fn redirect_of_the_jwks_url() {
    let (site, inside) = (Site::new().await, Site::new().await);
    let signer = Signer::new(Algorithm::ES256, "k1");
    inside.page("/jwks", &set(&[&signer]));
    for status in [301, 302, 303, 307, 308] {
        let location = inside.url("/jwks");
        site.raw(
            "/jwks",
            format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        );
        let gate = gate(vec![jwks(site.url("/jwks"))]);
        assert_eq!(refused(&gate, &signer.token(Algorithm::ES256, &claims())).await, Reason::Unavailable);
    }
    assert_eq!((site.hits(), inside.connections()), (5, 0));
}

#[tokio::test]
async fn ssrf_by_a_discovery_document() {
    let (site, inside) = (Site::new().await, Site::new().await);
    let signer = Signer::new(Algorithm::ES256, "k1");
    inside.page("/jwks", &set(&[&signer]));
    let port = inside.port();
    let targets = [
        inside.url("/jwks"),
        format!("http://localhost:{port}/jwks"),
        format!("https://127.0.0.1:{port}/jwks"),
        format!("https://localhost:{port}/jwks"),
        format!("https://[::ffff:127.0.0.1]:{port}/jwks"),
        format!("https://2130706433:{port}/jwks"),
        format!("https://0x7f.1:{port}/jwks"),
        format!("https://127.0.0.1.:{port}/jwks"),
        format!("https://0.0.0.0:{port}/jwks"),
        format!("https://user:pass@127.0.0.1:{port}/jwks"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "data:application/json,{}".to_owned(),
        "jwks".to_owned(),
    ];
    let (config, token) = discovered(&site, &signer);
    for target in &targets {
        site.page(DISCOVERY, &json!({ "issuer": config.issuer, "jwks_uri": target }).to_string());
        let gate = gate(vec![config.clone()]);
        assert_eq!(refused(&gate, &token).await, Reason::Unavailable, "{target}");
    }
    assert_eq!((site.hits(), inside.connections()), (targets.len(), 0));
}

#[tokio::test]
async fn a_host_inside_is_reached_only_if_the_config_names_it() {
    let (site, inside) = (Site::new().await, Site::new().await);
    let signer = Signer::new(Algorithm::ES256, "k1");
    inside.page("/jwks", &set(&[&signer]));
    let (config, token) = discovered(&site, &signer);
    let target = format!("http://localhost:{}/jwks", inside.port());
    site.page(DISCOVERY, &json!({ "issuer": config.issuer, "jwks_uri": target }).to_string());
    for (hosts, reached) in
        [(vec![], false), (vec!["localhost:1".to_owned()], false), (vec!["localhost".to_owned()], true)]
    {
        let fetch = FetchConfig { allow_hosts: hosts, ..FetchConfig::default() };
        let config = GateConfig { issuers: vec![config.clone()], fetch, ..GateConfig::default() };
        let gate = Gate::new(&config, Arc::new(ApiKeys::new())).expect("a config");
        assert_eq!(show(&gate, &token).await.is_ok(), reached);
    }
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer() {
    let site = Site::new().await;
    let signer = Signer::new(Algorithm::ES256, "k1");
    site.page("/jwks", &set(&[&signer]));
    let (config, token) = discovered(&site, &signer);
    for (name, good) in
        [("https://evil.example", false), (&*format!("{}/", config.issuer), false), (&*config.issuer, true)]
    {
        site.page(DISCOVERY, &json!({ "issuer": name, "jwks_uri": site.url("/jwks") }).to_string());
        assert_eq!(show(&gate(vec![config.clone()]), &token).await.is_ok(), good, "{name}");
    }
}

#[tokio::test]
async fn a_document_without_end() {
    let site = Site::new().await;
    let signer = Signer::new(Algorithm::ES256, "k1");
    let filler = " ".repeat(300 * 1024);
    site.page("/long", &format!("{}{filler}", set(&[&signer])));
    // Without a length, so that only counting helps.
    site.raw("/endless", format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}{filler}", set(&[&signer])));
    for path in ["/long", "/endless"] {
        let gate = gate(vec![jwks(site.url(path))]);
        assert_eq!(refused(&gate, &signer.token(Algorithm::ES256, &claims())).await, Reason::Unavailable, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let site = Site::new().await;
    site.hold();
    let fetch = FetchConfig { timeout: Duration::from_millis(50), ..FetchConfig::default() };
    let config = GateConfig { issuers: vec![jwks(site.url("/jwks"))], fetch, ..GateConfig::default() };
    let gate = Gate::new(&config, Arc::new(ApiKeys::new())).expect("a config");
    let token = Signer::new(Algorithm::ES256, "k1").token(Algorithm::ES256, &claims());
    assert_eq!(refused(&gate, &token).await, Reason::Unavailable);
}

#[test]
fn urls_that_cannot_be_meant_are_no_config() {
    let urls = [
        "",
        "jwks.json",
        "//issuer.example/jwks",
        "ftp://issuer.example/jwks",
        "http://issuer.example/jwks",
        "https://10.0.0.1/jwks",
        "https://[fd00::1]/jwks",
        "https://user:pass@issuer.example/jwks",
    ];
    for url in urls {
        let config = GateConfig { issuers: vec![jwks(url.to_owned())], ..GateConfig::default() };
        assert!(Gate::new(&config, Arc::new(ApiKeys::new())).is_err(), "{url}");
    }
}
