//! Callers that say who they are: over every transport, to the end of their tokens.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::{Wire, request};
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Publish, Publisher, Transport, Watch};
use tidegate_testkit::token::{mint, seconds_from_now};

use crate::rig::{HOUR, ISSUER, PATIENCE, ask, opened, refusal, start, token, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_watch_is_decided_by_the_claims_on_every_transport() {
    let server = start();
    let at = server.address();
    let ann = token(json!({ "sub": "ann", "rooms": ["a"] }), HOUR);
    let stale = token(json!({ "sub": "ann", "rooms": ["a"], "exp": 1_000_000_000 }), HOUR);
    let forged = mint(
        "fedcba9876543210fedcba9876543210",
        &json!({ "iss": ISSUER, "aud": "tidegate", "sub": "ann", "exp": seconds_from_now(HOUR) }),
    );
    for transport in Transport::ALL {
        let room =
            |room: &str, token: Option<&str>| ask(&format!("rooms/{room}/messages"), false, Kind::History, token);
        assert!(opened(at, transport, &room("a", Some(&ann))).await.is_ok(), "{transport:?}");
        assert_eq!(refusal(at, transport, &room("b", Some(&ann))).await, (403, "forbidden".into()), "{transport:?}");
        assert_eq!(refusal(at, transport, &room("a", None)).await, (401, "unauthenticated".into()), "{transport:?}");
        assert_eq!(
            refusal(at, transport, &room("a", Some(&forged))).await,
            (401, "unauthenticated".into()),
            "{transport:?}"
        );
        let expired = refusal(at, transport, &room("a", Some(&stale))).await;
        assert_eq!(expired, (401, "token-expired".into()), "{transport:?}");
        // Who shows what is not good is told so, also where nothing is needed.
        let open = ask("open/x", false, Kind::History, Some(&forged));
        assert_eq!(refusal(at, transport, &open).await.0, 401, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_is_judged_by_who_and_what() {
    let server = start();
    let mut publisher = Publisher::new(server.address());
    let ann = token(json!({ "sub": "ann", "rooms": ["a"] }), HOUR);
    let post = |room: &str, by: &str| {
        Publish::post(&format!("rooms/{room}/messages"), types::JSON, json!({ "by": by }).to_string())
    };
    for (publish, status) in [
        (post("a", "ann").by(&ann), 200),
        (post("a", "ben").by(&ann), 403),
        (post("b", "ann").by(&ann), 403),
        (post("a", "ann"), 401),
    ] {
        let answer = publisher.send(&publish).await.expect("an answer");
        assert_eq!(answer.head.status, status, "{publish:?}: {answer:?}");
        assert_eq!(answer.head.header("www-authenticate").is_some(), status == 401, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sees_its_own_rows_without_the_masked_columns() {
    let server = start();
    let at = server.address();
    let shop = token(json!({ "sub": "shop" }), HOUR);
    let mut publisher = Publisher::new(at);
    let mut put = async |id: &str, owner: &str, margin: u32| {
        let row = json!({ "id": id, "owner": owner, "margin": margin }).to_string();
        let answer = publisher.send(&Publish::put("orders/eu", id, row).by(&shop)).await.expect("an answer");
        assert_eq!(answer.head.status, 200, "{answer:?}");
    };
    put("1", "ann", 1).await;
    put("2", "ben", 2).await;
    for transport in Transport::ALL {
        let ann = token(json!({ "sub": "ann" }), HOUR);
        let mut watch =
            Watch::open(at, transport, &ask("orders/eu", true, Kind::State, Some(&ann))).await.expect("a watch");
        let rows = until(&mut watch, |frame| frame["last"] == true).await;
        let shown: Vec<&Value> =
            rows.iter().filter(|frame| frame["op"] == "snapshot" && frame["last"].is_null()).collect();
        assert_eq!(shown.len(), 1, "{transport:?}: {rows:?}");
        assert_eq!(shown[0]["data"], json!({ "id": "1", "owner": "ann" }), "{transport:?}");
        // It changes hands, and its column alone changes.
        put("1", "ann", 7).await;
        put("1", "ben", 7).await;
        let left = until(&mut watch, |frame| frame["op"] == "delete").await;
        assert!(left.iter().all(|frame| frame["op"] != "upsert"), "{transport:?}: {left:?}");
        put("1", "ann", 1).await;
        let back = until(&mut watch, |frame| frame["op"] == "upsert").await;
        assert_eq!(back.last().expect("it")["data"], json!({ "id": "1", "owner": "ann" }), "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_told_of_the_end_of_its_token_and_closed_at_it() {
    let server = start();
    let at = server.address();
    for transport in [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many] {
        let brief = token(json!({ "sub": "ann", "rooms": ["a"] }), Duration::from_secs(1));
        let mut watch =
            opened(at, transport, &ask("rooms/a/messages", false, Kind::History, Some(&brief))).await.expect("let in");
        let frames = until(&mut watch, |frame| frame["op"] == "close").await;
        let close = frames.last().expect("the close");
        assert_eq!(close["code"], "token-expired", "{transport:?}: {frames:?}");
        assert!(close["retry_ms"].is_u64(), "{transport:?}: {frames:?}");
        let notices =
            frames.iter().filter(|frame| frame["op"] == "notice" && frame["code"] == "token-expiring").count();
        assert_eq!(notices, 1, "{transport:?}: {frames:?}");
    }
}

/// The socket stays when its watches have ended; what its client may do has ended too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_may_do_nothing_with_a_token_that_has_expired() {
    let server = start();
    let brief = token(json!({ "sub": "ann", "rooms": ["a"] }), Duration::from_secs(1));
    let asked = ask("", false, Kind::History, Some(&brief));
    let mut socket = WebSocket::connect_as(server.address(), "/v1/_ws", &asked).await.expect("a socket");
    let mut answered = async |message: Value, wanted: fn(&Value) -> bool| {
        socket.send_text(&message.to_string()).await.expect("sent");
        loop {
            let frame = tokio::time::timeout(PATIENCE, socket.next_frame()).await.expect("in time").expect("a frame");
            if wanted(&frame) {
                return frame;
            }
        }
    };
    let watch = |reference: u64| json!({ "do": "watch", "ref": reference, "address": "rooms/a/messages" });
    let publish = json!({ "do": "publish", "ref": 3, "address": "rooms/a/messages", "data": { "by": "ann" } });
    // It is told of the end of its token by the end of its watch.
    answered(watch(1), |frame| frame["op"] == "close").await;
    for message in [watch(2), publish] {
        let answer = answered(message, |frame| frame["op"] == "problem" || frame["op"] == "done").await;
        assert_eq!(answer["code"], "token-expired", "{answer}");
    }
}

/// Two callers ask at one URL and are told different things: nothing on the way may give one what is the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_for_everyone_is_kept_by_no_cache() {
    let server = start();
    let ann = token(json!({ "sub": "ann", "rooms": ["a"] }), HOUR);
    let headers = [format!("Authorization: Bearer {ann}"), "Accept: application/json".to_owned()];
    for (url, control) in [
        ("/v1/orders/eu", "no-store"),
        ("/v1/orders/eu?snapshot=false&from=start", "no-store"),
        ("/v1/rooms/a/messages", "no-store"),
        ("/v1/open/x", "no-cache"),
    ] {
        let mut wire = Wire::connect(server.address(), None).await.expect("a connection");
        wire.send(&request(server.address(), "GET", url, &headers, b"")).await.expect("sent");
        let answer = wire.answer().await.expect("an answer");
        assert_eq!((answer.head.status, answer.head.header("cache-control")), (200, Some(control)), "{url}");
    }
}
