//! Tokens that are none, on every way in.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidegate_testkit::client::get_json_as;
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;
use tidegate_testkit::token::{mint, mint_as, seconds_from_now};

use crate::rig::{HOUR, ISSUER, OTHER_ISSUER, Rig, SECRET, VAULT, token};

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "tidegate", "sub": "ann", "exp": seconds_from_now(HOUR) })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_good_one_is_let_in() {
    let rig = Rig::start();
    let good = token(&json!({ "sub": "ann" }));
    let answer = get_json_as(rig.at(), &format!("/v1/{VAULT}"), Some(&good)).await.expect("an answer");
    assert_eq!(answer.head.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alg_none() {
    let rig = Rig::start();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for name in ["none", "None", "NONE", ""] {
        let unsigned = format!("{}.{}.", part(&json!({ "alg": name, "typ": "at+jwt" })), part(&claims()));
        rig.refuses(&unsigned).await;
    }
}

/// The public key of an issuer, as everybody has it, is the secret of nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn algorithm_confusion() {
    let rig = Rig::start();
    let claims = with("iss", OTHER_ISSUER.into());
    let set: Value = serde_json::from_str(&rig.jwks).expect("JSON");
    let x = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().expect("x")).expect("base64");
    let jwk = set["keys"][0].to_string();
    for secret in [rig.jwks.as_bytes(), jwk.as_bytes(), x.as_slice(), b"".as_slice(), SECRET.as_bytes()] {
        for header in
            [json!({ "alg": "HS256", "typ": "at+jwt", "kid": "k1" }), json!({ "alg": "HS256", "typ": "at+jwt" })]
        {
            rig.refuses(&mint_as(&header, secret, &claims)).await;
        }
        // A signature by a secret that calls itself one by the key.
        rig.refuses(&mint_as(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "k1" }), secret, &claims)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_issuer() {
    let rig = Rig::start();
    for issuer in
        [json!("https://evil.example"), json!(format!("{ISSUER}/")), json!([ISSUER]), json!(OTHER_ISSUER), json!(null)]
    {
        rig.refuses(&mint(SECRET, &with("iss", issuer))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_audience() {
    let rig = Rig::start();
    for audience in
        [json!("elsewhere"), json!([]), json!("tidegate2"), json!(["TIDEGATE"]), json!({ "tidegate": true })]
    {
        rig.refuses(&mint(SECRET, &with("aud", audience))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired() {
    let rig = Rig::start();
    let now = seconds_from_now(Duration::ZERO);
    for exp in [json!(now - 2), json!(1), json!(0), json!(-1), json!(null), json!("never")] {
        rig.refuses(&mint(SECRET, &with("exp", exp))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_yet_valid() {
    let rig = Rig::start();
    rig.refuses(&mint(SECRET, &with("nbf", seconds_from_now(HOUR).into()))).await;
}

/// Nothing but a header or a cookie says who asks; and what stood in a URL is not in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_in_url() {
    let rig = Rig::start();
    let good = token(&json!({ "sub": "ann" }));
    for name in ["access_token", "token", "authorization", "tidegate_token", "x-token"] {
        let answer = get_json_as(rig.at(), &format!("/v1/{VAULT}?{name}={good}"), None).await.expect("an answer");
        assert!(matches!(answer.head.status, 400 | 401), "{name}: {answer:?}");
    }
    assert!(!rig.server.output().contains(&good), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_credentials() {
    let rig = Rig::start();
    let (ann, ben) = (token(&json!({ "sub": "ann" })), token(&json!({ "sub": "ben" })));
    let bearer = |token: &str| format!("Bearer {token}");
    let cookie = |token: &str| format!("tidegate_token={token}");
    let (one, other, baked) = (bearer(&ben), bearer(&ann), cookie(&ann));
    let two_cookies = format!("{}; {}", cookie(&ben), cookie(&ann));
    for headers in [
        &[("authorization", &*one), ("authorization", &*other)][..],
        &[("authorization", &*one), ("cookie", &*baked)][..],
        &[("cookie", &*two_cookies)][..],
    ] {
        let answer = Raw::to(&rig.server).send("GET", &format!("/v1/{VAULT}"), headers, "");
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}

/// However many ids of keys that nobody has, the keys are read again once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_kid_flood() {
    const TOKENS: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("an address");
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = socket.read(&mut [0; 4096]);
            let keys = r#"{"keys":[]}"#;
            let _ = write!(
                socket,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{keys}",
                keys.len()
            );
        }
    });
    let config = format!(
        "gate:\n  issuers:\n    test: {{ issuer: \"{ISSUER}\", audience: tidegate, algorithms: ES256, jwks_url: \"http://{at}/jwks\" }}\n\
         channels:\n  vault: {{ address: \"vault/{{thing}}\", access: {{ read: \"has(claims.sub)\" }} }}\n"
    );
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &config);
    let mut asked = tokio::task::JoinSet::new();
    for at in 0..TOKENS {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": format!("k{at}") });
        let (token, at) = (mint_as(&header, b"guess", &claims()), server.address());
        asked.spawn(async move {
            get_json_as(at, &format!("/v1/{VAULT}"), Some(&token)).await.expect("an answer").head.status
        });
    }
    for status in asked.join_all().await {
        assert!(matches!(status, 401 | 503), "{status}");
    }
    // Once at first, and once more for the first unknown id.
    assert!(reads.load(Ordering::Relaxed) <= 2, "the keys were read {} times", reads.load(Ordering::Relaxed));
}
