//! Channels that ask for a stronger or fresher sign-in than that there was one (RFC 9470).

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::Transport;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::process::Server;
use tidegate_testkit::token::seconds_from_now;

use crate::rig::{HOUR, PATIENCE, answered, ask, config, opened, refusal, token, until};

fn start(max_age: &str) -> Server {
    let vault = format!(
        r#"  vault:
    address: vault/{{name}}
    access: {{ read: "true", publish: "true", requires: {{ acr: [mfa, hwk], max_age: {max_age} }} }}
"#
    );
    Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &(config() + &vault))
}

/// Somebody who signed in so, as long ago.
fn signed_in(acr: &str, ago: Duration) -> String {
    let at = seconds_from_now(Duration::ZERO) - ago.as_secs();
    token(json!({ "sub": "ann", "rooms": [], "acr": acr, "auth_time": at }), HOUR)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weak_or_old_sign_in_neither_reads_nor_writes() {
    let server = start("5m");
    let at = server.address();
    let (strong, weak) = (signed_in("hwk", Duration::ZERO), signed_in("pwd", Duration::ZERO));
    let old = signed_in("mfa", Duration::from_secs(301));
    let never = token(json!({ "sub": "ann", "acr": "mfa" }), HOUR);
    for transport in Transport::ALL {
        let vault = |token: Option<&str>| ask("vault/a", false, Kind::History, token);
        assert!(opened(at, transport, &vault(Some(&strong))).await.is_ok(), "{transport:?}");
        for token in [&weak, &old, &never] {
            let refused = refusal(at, transport, &vault(Some(token))).await;
            assert_eq!(refused, (401, "step-up-required".into()), "{transport:?}");
        }
        let nobody = refusal(at, transport, &vault(None)).await;
        assert_eq!(nobody, (401, "unauthenticated".into()), "{transport:?}");
    }
    for (method, url) in [("GET", "/v1/vault/a"), ("GET", "/v1/vault/a?from=start"), ("POST", "/v1/vault/a")] {
        let good = answered(at, method, url, Some(&strong), &["Content-Type: application/json"], "1").await;
        assert_eq!(good.head.status, 200, "{method} {url}: {good:?}");
        let refused = answered(at, method, url, Some(&weak), &["Content-Type: application/json"], "1").await;
        assert_eq!((refused.head.status, refused.code()), (401, Some("step-up-required")), "{method} {url}");
        let challenge = refused.head.header("www-authenticate").expect("a challenge");
        for part in ["error=\"insufficient_user_authentication\"", "acr_values=\"mfa hwk\"", "max_age=\"300\""] {
            assert!(challenge.contains(part), "{challenge}");
        }
    }
    // What one who may was told is kept for nobody else.
    let control = answered(at, "GET", "/v1/vault/a", Some(&strong), &[], "").await;
    assert_eq!(control.head.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_asks_anew_for_each_thing_that_is_done_on_it() {
    let server = start("5m");
    let weak = signed_in("pwd", Duration::ZERO);
    let asked = ask("", false, Kind::History, Some(&weak));
    let mut socket = WebSocket::connect_as(server.address(), "/v1/_ws", &asked).await.expect("a socket");
    for message in [
        json!({ "do": "watch", "ref": 1, "address": "vault/a" }),
        json!({ "do": "publish", "ref": 1, "address": "vault/a", "data": 1 }),
    ] {
        socket.send_text(&message.to_string()).await.expect("sent");
        let frame = tokio::time::timeout(PATIENCE, socket.next_frame()).await.expect("in time").expect("a frame");
        assert_eq!((&frame["op"], &frame["code"]), (&json!("problem"), &json!("step-up-required")), "{message}");
    }
}

/// Also long before the token ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_when_its_sign_in_is_too_old() {
    let server = start("2s");
    for transport in [Transport::Sse, Transport::WebSocket, Transport::Many] {
        let fresh = ask("vault/a", false, Kind::History, Some(&signed_in("mfa", Duration::ZERO)));
        let mut watch = match opened(server.address(), transport, &fresh).await {
            Ok(watch) => watch,
            Err(refused) => panic!("{transport:?}: {refused:?}"),
        };
        let frames = until(&mut watch, |frame| frame["op"] == "close").await;
        assert_eq!(frames.last().expect("it")["code"], "token-expired", "{transport:?}: {frames:?}");
        let told = frames.iter().any(|frame: &Value| frame["code"] == "token-expiring");
        assert!(told, "{transport:?}: {frames:?}");
        // Who comes back with the same sign-in is told what is missing.
        let again = refusal(server.address(), transport, &fresh).await;
        assert_eq!(again, (401, "step-up-required".into()), "{transport:?}");
    }
}
