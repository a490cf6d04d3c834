//! Tickets: watches of browsers that cannot send headers. Each way to misuse one is a test of its name.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Ended, Publish, Publisher, Transport, Watch};

use crate::rig::{HOUR, PATIENCE, answered, ask, opened, refusal, start, token, until};

const ROOM: &str = "rooms/a/messages";

fn ann() -> String {
    token(json!({ "sub": "ann", "rooms": ["a"] }), HOUR)
}

async fn take(server: SocketAddr, token: &str, body: &str) -> String {
    let taken = answered(server, "POST", "/v1/_tickets", Some(token), &[], body).await;
    assert_eq!(taken.head.status, 201, "{taken:?}");
    assert_eq!(taken.head.header("cache-control"), Some("no-store"));
    assert!(taken.body["expires_in"].as_u64().is_some_and(|seconds| (1..=60).contains(&seconds)), "{taken:?}");
    taken.body["ticket"].as_str().expect("a ticket").to_owned()
}

fn with(ticket: &str, cursor: Option<&str>) -> Ask {
    let asked = ask(&format!("{ROOM}?ticket={ticket}"), false, Kind::History, None);
    Ask { cursor: cursor.map(str::to_owned), by_header: true, ..asked }
}

async fn publish(server: SocketAddr) {
    let post = Publish::post(ROOM, types::JSON, json!({ "by": "ann" }).to_string()).by(&ann());
    assert_eq!(Publisher::new(server).send(&post).await.expect("an answer").head.status, 200);
}

/// Opens a watch of the room, and brings it to a cursor behind an event.
async fn watched(server: SocketAddr, ticket: &str, cursor: Option<&str>) -> (Watch, String) {
    let mut watch = match opened(server, Transport::Sse, &with(ticket, cursor)).await {
        Ok(watch) => watch,
        Err(refused) => panic!("{refused:?}"),
    };
    until(&mut watch, |frame| frame["op"] == "begin").await;
    publish(server).await;
    let frames = until(&mut watch, |frame| frame["op"] == "append").await;
    let cursor = frames.last().and_then(|frame| frame["cursor"].as_str()).expect("a cursor").to_owned();
    (watch, cursor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_ticket_is_refused_and_a_reconnect_replaces_the_watch() {
    let server = start();
    let at = server.address();
    let ticket = take(at, &ann(), "").await;
    let (mut first, cursor) = watched(at, &ticket, None).await;
    // Who finds the URL has no cursor, on no transport.
    for transport in [Transport::Sse, Transport::Ndjson, Transport::WebSocket] {
        assert_eq!(refusal(at, transport, &with(&ticket, None)).await, (401, "ticket-used".into()), "{transport:?}");
    }
    // A cursor of another view of the channel is none of its watch.
    let other = Ask { filter: Some("data.n > 1".into()), ..ask(ROOM, false, Kind::History, Some(&ann())) };
    let mut other = Watch::open(at, Transport::Sse, &other).await.expect("a watch");
    let begun = until(&mut other, |frame| frame["op"] == "begin").await;
    let foreign = begun[0]["cursor"].as_str().expect("a cursor");
    assert_eq!(refusal(at, Transport::Sse, &with(&ticket, Some(foreign))).await, (401, "ticket-used".into()));
    // The one who watched goes on, again and again.
    let (mut second, cursor) = watched(at, &ticket, Some(&cursor)).await;
    let told = until(&mut first, |frame| frame["op"] == "close").await;
    assert_eq!(told.last().expect("it")["code"], "ticket-used");
    let (third, _) = watched(at, &ticket, Some(&cursor)).await;
    let told = until(&mut second, |frame| frame["op"] == "close").await;
    assert_eq!(told.last().expect("it")["retry_ms"], Value::Null, "{told:?}");
    drop(third);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_a_websocket_that_only_watches_as_who_took_it() {
    let server = start();
    let at = server.address();
    let ticket = take(at, &ann(), "").await;
    let url = format!("/v1/{ROOM}?ticket={ticket}");
    let nothing = ask(ROOM, false, Kind::History, None);
    let mut socket = WebSocket::connect_as(at, &url, &nothing).await.expect("a socket");
    let begin = tokio::time::timeout(PATIENCE, socket.next_frame()).await.expect("in time").expect("a frame");
    assert_eq!(begin["op"], "begin");
    assert!(!begin.to_string().contains(&ticket), "{begin}");
    socket.send_text(&json!({ "do": "publish", "ref": 1, "data": { "by": "ann" } }).to_string()).await.expect("sent");
    let answer = tokio::time::timeout(PATIENCE, socket.next_frame()).await.expect("in time").expect("a frame");
    assert_eq!((&answer["op"], &answer["code"]), (&json!("problem"), &json!("forbidden")), "{answer}");
    // What one may not watch with a token one may not with a ticket.
    let ticket = take(at, &ann(), "").await;
    let elsewhere = ask(&format!("rooms/b/messages?ticket={ticket}"), false, Kind::History, None);
    assert_eq!(refusal(at, Transport::Sse, &elsewhere).await, (403, "forbidden".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_for_its_address_and_for_streams() {
    let server = start();
    let at = server.address();
    let ticket = take(at, &ann(), r#"{"address":"open/x"}"#).await;
    assert_eq!(refusal(at, Transport::Sse, &with(&ticket, None)).await, (401, "unauthenticated".into()));
    let ticket = take(at, &ann(), &json!({ "address": ROOM }).to_string()).await;
    let url = format!("/v1/{ROOM}?ticket={ticket}");
    for (method, url, shown) in [
        ("GET", url.clone(), None),
        ("GET", format!("{url}&wait=1s"), None),
        ("POST", url.clone(), None),
        ("DELETE", url.clone(), None),
        ("GET", url.clone(), Some(ann())),
    ] {
        let refused = answered(at, method, &url, shown.as_deref(), &["Accept: application/json"], "").await;
        assert_eq!(refused.head.status, 400, "{method} {url}: {refused:?}");
    }
    let nothing = ask("", false, Kind::History, None);
    match WebSocket::connect_as(at, &format!("/v1/_ws?ticket={ticket}"), &nothing).await {
        Err(Ended::Refused(answer)) => assert_eq!(answer.head.status, 400, "{answer:?}"),
        _ => panic!("a ticket opens a socket of many watches"),
    }
    // None of that has used it.
    assert!(opened(at, Transport::Sse, &with(&ticket, None)).await.is_ok());
    let forged = format!("tgt_{}", "A".repeat(43));
    assert_eq!(refusal(at, Transport::Sse, &with(&forged, None)).await, (401, "unauthenticated".into()));
    let nobody = answered(at, "POST", "/v1/_tickets", None, &[], "").await;
    assert_eq!((nobody.head.status, nobody.code()), (401, Some("unauthenticated")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_a_url_is_refused_whatever_it_is_good_for() {
    let server = start();
    let at = server.address();
    let ann = ann();
    for url in [
        format!("/v1/{ROOM}?access_token={ann}"),
        format!("/v1/{ROOM}?token={ann}"),
        format!("/v1/{ROOM}?%74oken={ann}"),
        format!("/v1/?access_token={ann}"),
        format!("/v1/_ws?access_token={ann}"),
    ] {
        for shown in [None, Some(ann.as_str())] {
            let refused = answered(at, "GET", &url, shown, &[], "").await;
            assert_eq!((refused.head.status, refused.code()), (400, Some("invalid")), "{refused:?}");
            assert!(refused.body["hint"].as_str().is_some_and(|hint| hint.contains("/v1/_tickets")), "{refused:?}");
            assert!(!refused.text.contains(&ann), "it is told again");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_site_neither_takes_nor_uses_a_ticket() {
    let server = start();
    let at = server.address();
    let evil = "Origin: https://evil.example";
    let taken = answered(at, "POST", "/v1/_tickets", Some(&ann()), &[evil], "").await;
    assert_eq!((taken.head.status, taken.code()), (403, Some("forbidden")));
    let ticket = take(at, &ann(), "").await;
    let url = format!("/v1/{ROOM}?ticket={ticket}");
    let stream = answered(at, "GET", &url, None, &[evil, "Accept: text/event-stream"], "").await;
    assert_eq!((stream.head.status, stream.code()), (403, Some("forbidden")));
    let upgrade = [
        evil,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let socket = answered(at, "GET", &url, None, &upgrade, "").await;
    assert_eq!((socket.head.status, socket.code()), (403, Some("forbidden")));
    assert!(opened(at, Transport::Sse, &with(&ticket, None)).await.is_ok(), "it was not used by that");
}

/// A browser asks the same before it takes a ticket as before it gives a watch a fresh token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_asks_before_a_post_is_answered_alike() {
    let server = start();
    for path in ["/v1/_tickets", "/v1/_watches/0/token"] {
        let preflight = answered(server.address(), "OPTIONS", path, None, &[], "").await;
        assert_eq!(preflight.head.status, 204, "{path}: {preflight:?}");
        for name in ["allow", "access-control-allow-methods"] {
            assert_eq!(preflight.head.header(name), Some("POST, OPTIONS"), "{path}: {preflight:?}");
        }
        let headers = preflight.head.header("access-control-allow-headers").unwrap_or_default();
        assert!(headers.starts_with("authorization, content-type"), "{path}: {headers}");
        let put = answered(server.address(), "PUT", path, None, &[], "").await;
        assert_eq!((put.head.status, put.head.header("allow")), (405, Some("POST, OPTIONS")), "{path}: {put:?}");
    }
}
