//! The audit: a line for each decision, in a file of its own, without tokens.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::{self, get_json};
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Ended};
use tidegate_testkit::process::Server;
use tidegate_testkit::token::{mint, seconds_from_now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CONFIG: &str = r#"
gate:
  issuers:
    test: { issuer: "https://id.example.org", audience: tidegate, algorithms: HS256, secret: 0123456789abcdef0123456789abcdef }
audit: { file: audit.jsonl, allows: 100% }
channels:
  rooms:
    address: rooms/{room}
    access: { read: "claims.sub == params.room", publish: "has(claims.sub) && data.by == claims.sub" }
"#;

fn token(subject: &str) -> String {
    let (expires, id) = (seconds_from_now(Duration::from_secs(600)), format!("t-{subject}"));
    let claims =
        json!({ "iss": "https://id.example.org", "aud": "tidegate", "sub": subject, "exp": expires, "jti": id });
    mint(SECRET, &claims)
}

async fn status(server: &Server, method: &str, path: &str, token: &str, body: &str) -> u16 {
    let headers = [format!("authorization: Bearer {token}"), "x-request-id: r-1".to_owned()];
    http::ask(server.address(), method, path, &headers, body.as_bytes()).await.expect("an answer").head.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_decision_is_a_line_and_none_has_a_token() {
    let mut server = Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), CONFIG);
    let (ann, forged) = (token("ann"), token("ann") + "x");
    let say = r#"{"by":"ann"}"#;
    assert_eq!(status(&server, "POST", "/v1/rooms/ann", &ann, say).await, 200);
    assert_eq!(status(&server, "POST", "/v1/rooms/ann", &token("ben"), say).await, 403);
    assert_eq!(status(&server, "GET", "/v1/rooms/ann", &ann, "").await, 200);
    assert_eq!(status(&server, "GET", "/v1/rooms/ben", &ann, "").await, 403);
    assert_eq!(status(&server, "GET", "/v1/rooms/ann", &forged, "").await, 401);
    // What is no decision is no line.
    assert_eq!(status(&server, "GET", "/v1/rooms/ann?colour=red", &ann, "").await, 400);
    let ask = Ask { token: Some(ann.clone()), ..Ask::new("rooms/ben", false, Kind::History) };
    assert!(matches!(WebSocket::connect_as(server.address(), "/v1/rooms/ben", &ask).await, Err(Ended::Refused(_))));
    let mut socket = WebSocket::connect_as(server.address(), "/v1/_ws", &ask).await.expect("connected");
    socket.send_text(r#"{"do":"watch","ref":1,"address":"rooms/ben"}"#).await.expect("sent");
    assert_eq!(socket.next_frame().await.expect("an answer")["code"], "forbidden");
    socket.send_text(r#"{"do":"publish","ref":2,"address":"rooms/ann","data":{"by":"ann"}}"#).await.expect("sent");
    assert_eq!(socket.next_frame().await.expect("an answer")["op"], "done");

    let metrics = get_json(server.admin(), "/metrics").await.expect("metrics").text;
    for figure in [
        r#"decision="allow",code=""} 3.0"#,
        r#"decision="deny",code="forbidden"} 4.0"#,
        r#"code="unauthenticated"} 1.0"#,
    ] {
        assert!(metrics.contains(&format!("{figure}\n")), "{figure} in {metrics}");
    }

    server.terminate();
    assert!(server.wait().success());
    let text = std::fs::read_to_string(server.folder().join("audit.jsonl")).expect("the audit");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found: Vec<[&str; 5]> = lines
        .iter()
        .map(|line| ["decision", "act", "address", "code", "request"].map(|name| line[name].as_str().unwrap_or("-")))
        .collect();
    let wanted = [
        ["allow", "publish", "rooms/ann", "-", "r-1"],
        ["deny", "publish", "rooms/ann", "forbidden", "r-1"],
        ["allow", "read", "rooms/ann", "-", "r-1"],
        ["deny", "read", "rooms/ben", "forbidden", "r-1"],
        ["deny", "identify", "-", "unauthenticated", "r-1"],
        ["deny", "read", "rooms/ben", "forbidden", "-"],
        ["deny", "read", "rooms/ben", "forbidden", "-"],
        ["allow", "publish", "rooms/ann", "-", "-"],
    ];
    assert_eq!(found, wanted, "{text}");
    for line in lines.iter().filter(|line| line["act"] != "identify") {
        let (principal, id) =
            (line["principal"].as_str().expect("a principal"), line["token_id"].as_str().expect("an id"));
        assert_eq!(principal.rsplit(':').next(), id.strip_prefix("t-"), "{line}");
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    }
    let secrets = [&ann[..], &forged, ann.rsplit('.').next().expect("a signature"), SECRET];
    assert!(secrets.iter().all(|secret| !text.contains(secret) && !server.output().contains(secret)), "{text}");
}
