//! API keys: made, listed, revoked by the admin side and by our own command, over restarts.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::Transport;
use tidegate_testkit::process::Server;

use crate::rig::{STREAMS, Stream, admin, answered, ask, config, opened, refusal};

/// From the answer of the admin side to the last frame.
const SOON: Duration = Duration::from_secs(1);

fn start() -> Server {
    let feed = r#"  feed:
    address: feed/{name}
    access: { read: "claims.sub == \"shop\"", publish: "claims.scope == \"feed:read feed:write\"" }
"#;
    Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &(config() + feed))
}

async fn create(server: &Server, new: Value) -> (String, String) {
    let made = admin(server, "POST", "/keys", Some(new)).await;
    assert_eq!(made.head.status, 201, "{made:?}");
    assert_eq!(made.head.header("cache-control"), Some("no-store"));
    let text = |member: &str| made.body[member].as_str().expect("a text").to_owned();
    (text("id"), text("key"))
}

/// What `tidegate key` says.
fn command(server: &Server, arguments: &[&str]) -> String {
    let url = format!("http://{}", server.admin());
    let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("key")
        .args(arguments)
        .args(["--admin", &url])
        .output()
        .expect("it runs");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).expect("text").trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_somebody_with_scopes_on_every_transport_until_it_is_revoked() {
    let mut server = start();
    let at = server.address();
    let (id, key) =
        create(&server, json!({ "name": "till", "subject": "shop", "scopes": ["feed:read", "feed:write"] })).await;
    let (_, other) = create(&server, json!({ "name": "other" })).await;
    let posted = answered(at, "POST", "/v1/feed/a", Some(&key), &["Content-Type: application/json"], "1").await;
    assert_eq!(posted.head.status, 200, "{posted:?}");
    let feed = |key: &str| ask("feed/a", false, Kind::History, Some(key));
    assert_eq!(refusal(at, Transport::Sse, &feed(&other)).await, (403, "forbidden".into()));
    // Only its hash is held.
    let list = admin(&server, "GET", "/keys", None).await;
    assert_eq!(list.body["count"], 2, "{list:?}");
    assert!(!list.text.contains(&key[25..]), "{list:?}");
    server.kill9();
    server.restart().expect("it starts again");
    let mut watches = Vec::new();
    for transport in STREAMS {
        watches.push(Stream::open(&server, transport, &feed(&key)).await);
    }
    let ended = admin(&server, "DELETE", &format!("/keys/{id}"), None).await;
    let since = Instant::now();
    assert_eq!((ended.head.status, &ended.body["ended"]), (200, &json!(STREAMS.len())), "{ended:?}");
    for mut watch in watches {
        let frames = watch.until(|frame| frame["op"] == "close").await;
        assert_eq!(frames.last().expect("it")["code"], "token-revoked", "{frames:?}");
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    for round in ["at once", "after a restart"] {
        for transport in Transport::ALL {
            let refused = refusal(at, transport, &feed(&key)).await;
            assert_eq!(refused, (401, "unauthenticated".into()), "{round} {transport:?}");
        }
        server.kill9();
        server.restart().expect("it starts again");
    }
    let gone = admin(&server, "DELETE", &format!("/keys/{id}?forget=true"), None).await;
    assert_eq!(gone.head.status, 204, "{gone:?}");
    assert_eq!(admin(&server, "GET", "/keys", None).await.body["count"], 1);
    assert_eq!(admin(&server, "DELETE", &format!("/keys/{id}"), None).await.head.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_ends_by_itself_and_what_is_none_is_refused() {
    let server = start();
    let soon = tidegate_core::Millis(tidegate_core::Millis::now().0 + 2_000).to_string();
    let (_, key) = create(&server, json!({ "name": "brief", "subject": "shop", "expires": soon })).await;
    let brief = ask("feed/a", false, Kind::History, Some(&key));
    let mut watch = Stream::open(&server, Some(Transport::Sse), &brief).await;
    let frames = watch.until(|frame| frame["op"] == "close").await;
    assert_eq!(frames.last().expect("it")["code"], "token-expired", "{frames:?}");
    assert_eq!(refusal(server.address(), Transport::Sse, &brief).await, (401, "token-expired".into()));
    for wrong in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "x", "scopes": ["a b"] }),
        json!({ "name": "x", "expires": "2001-01-01T00:00:00Z" }),
        json!({ "name": "x", "expires": "soon" }),
        json!({ "name": "x", "secret": "mine" }),
    ] {
        let refused = admin(&server, "POST", "/keys", Some(wrong.clone())).await;
        assert_eq!((refused.head.status, refused.code()), (400, Some("invalid")), "{wrong}: {refused:?}");
    }
}

/// A page in the operator's browser reaches the admin side as its user does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_in_the_operators_browser_makes_and_ends_no_keys() {
    let server = start();
    let (id, _) = create(&server, json!({ "name": "till" })).await;
    let json = "Content-Type: application/json";
    let (at, new) = (server.admin(), r#"{"name":"evil"}"#);
    for origin in ["Origin: https://evil.example", "Origin: null"] {
        let made = answered(at, "POST", "/keys", None, &[origin, json], new).await;
        assert_eq!(made.head.status, 403, "{made:?}");
        let ended = answered(at, "DELETE", &format!("/keys/{id}"), None, &[origin], "").await;
        assert_eq!(ended.head.status, 403, "{ended:?}");
    }
    let simple = answered(at, "POST", "/keys", None, &["Content-Type: text/plain"], new).await;
    assert_eq!(simple.head.status, 415, "{simple:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_makes_lists_and_revokes() {
    let server = start();
    let key = command(&server, &["create", "till", "--subject", "shop", "--scope", "feed:read", "--expires", "90d"]);
    assert!(key.starts_with("tgk_") && key.lines().count() == 1, "{key}");
    let feed = ask("feed/a", false, Kind::History, Some(&key));
    assert!(opened(server.address(), Transport::Sse, &feed).await.is_ok());
    let id = key["tgk_".len()..].split('_').next().expect("an id").to_owned();
    let list = command(&server, &["list"]);
    assert!(list.starts_with(&format!("{id}  till  as shop, feed:read, until ")), "{list}");
    assert!(!command(&server, &["list", "--json"]).contains(&key[25..]));
    assert!(command(&server, &["revoke", &id]).starts_with(&format!("{id} is revoked")));
    assert_eq!(refusal(server.address(), Transport::Sse, &feed).await, (401, "unauthenticated".into()));
    command(&server, &["revoke", &id, "--forget"]);
    assert_eq!(command(&server, &["list"]), "");
}
