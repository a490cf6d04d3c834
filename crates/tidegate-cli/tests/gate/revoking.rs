//! What is revoked ends within a second, on every transport, and stays revoked.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::Transport;
use tidegate_testkit::client::http;
use tidegate_testkit::client::poll::Poll;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Ended};
use tidegate_testkit::process::Server;

use crate::rig::{HOUR, PATIENCE, STREAMS, Stream, admin, ask, opened, refusal, start, token};

/// From the answer of the admin side to the last frame.
const SOON: Duration = Duration::from_secs(1);

fn room(token: &str) -> Ask {
    ask("rooms/a/messages", false, Kind::History, Some(token))
}

fn of(subject: &str, id: &str) -> String {
    token(json!({ "sub": subject, "rooms": ["a"], "jti": id }), HOUR)
}

async fn watching(server: &Server, token: &str) -> Vec<Stream> {
    let mut watches = Vec::new();
    for transport in STREAMS {
        watches.push(Stream::open(server, transport, &room(token)).await);
    }
    watches
}

async fn revoke(server: &Server, body: Value) -> (Value, Instant) {
    let answer = admin(server, "POST", "/revocations", Some(body)).await;
    assert_eq!(answer.head.status, 200, "{answer:?}");
    (answer.body, Instant::now())
}

/// Each ends, soon, in order.
async fn end(watches: Vec<Stream>, since: Instant) {
    for mut watch in watches {
        let frames = watch.until(|frame| frame["op"] == "close").await;
        let close = frames.last().expect("the close");
        assert_eq!((&close["code"], &close["retry_ms"]), (&json!("token-revoked"), &Value::Null), "{frames:?}");
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

/// And these go on: what is published now reaches them.
async fn go_on(server: &Server, watches: &mut [Stream]) {
    let ben = of("ben", "ben-1");
    let said = tidegate_testkit::client::Publish::post(
        "rooms/a/messages",
        tidegate_testkit::client::publish::types::JSON,
        json!({ "by": "ben" }).to_string(),
    );
    crate::rig::publish(server, said, &ben).await;
    for watch in watches {
        let frames = watch.until(|frame| frame["op"] == "append" || frame["op"] == "close").await;
        assert_eq!(frames.last().expect("one")["op"], "append", "{frames:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_a_token_and_the_token_of_a_watch_end_on_every_transport() {
    let mut server = start();
    let at = server.address();
    let mut others = watching(&server, &of("ben", "ben-1")).await;

    let ann = watching(&server, &of("ann", "ann-1")).await;
    let (answer, since) = revoke(&server, json!({ "subject": "ann" })).await;
    // A socket of many may have another watch of the same address.
    assert!(answer["ended"].as_u64().is_some_and(|ended| ended >= 5), "{answer}");
    end(ann, since).await;

    let cat = watching(&server, &of("cat", "cat-1")).await;
    let mut other_cats = watching(&server, &of("cat", "cat-2")).await;
    let (_, since) = revoke(&server, json!({ "token_id": "cat-1" })).await;
    end(cat, since).await;

    let dan = watching(&server, &of("dan", "dan-1")).await;
    let listed = admin(&server, "GET", "/watches", None).await.body;
    let watch = listed["watches"].as_array().expect("watches").iter().find(|own| own["subject"] == "dan");
    let id = watch.expect("one of them")["id"].clone();
    let (answer, since) = revoke(&server, json!({ "watch": id })).await;
    assert_eq!(answer["token_id"], "dan-1", "{answer}");
    end(dan, since).await;

    go_on(&server, &mut others).await;
    go_on(&server, &mut other_cats).await;
    drop((others, other_cats));

    server.kill9();
    server.restart().expect("it starts again");
    for transport in Transport::ALL {
        for (subject, id) in [("ann", "ann-1"), ("ann", "ann-9"), ("cat", "cat-1"), ("dan", "dan-1")] {
            let refused = refusal(at, transport, &room(&of(subject, id))).await;
            assert_eq!(refused, (401, "token-revoked".into()), "{transport:?} {subject} {id}");
        }
        assert!(opened(at, transport, &room(&of("cat", "cat-2"))).await.is_ok(), "{transport:?}");
    }
    let list = admin(&server, "GET", "/revocations", None).await.body;
    assert_eq!(list["count"], 3, "{list}");
    let of_ann = list["revocations"].as_array().expect("a list").iter().find(|own| own["subject"] == "ann");
    let path = format!("/revocations/{}", of_ann.expect("that of ann")["id"].as_str().expect("an id"));
    assert_eq!(admin(&server, "DELETE", &path, None).await.head.status, 204);
    assert_eq!(admin(&server, "DELETE", &path, None).await.code(), Some("key-not-found"));
    assert!(opened(at, Transport::Sse, &room(&of("ann", "ann-1"))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waits_is_ended_by_a_revocation() {
    let server = start();
    let ann = of("ann", "ann-1");
    let mut poll = Poll::new(server.address(), room(&ann)).wait("60s");
    poll.round().await.expect("a cursor");
    let waiting = tokio::spawn(async move { poll.round().await });
    // It is heard of only by its end: revoked before or while it waits, it is refused at once.
    let (_, since) = revoke(&server, json!({ "subject": "ann", "issuer": crate::rig::ISSUER })).await;
    let ended = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic");
    match ended {
        Err(Ended::Refused(answer)) => assert_eq!(answer.code(), Some("token-revoked"), "{answer:?}"),
        other => panic!("{other:?}"),
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_may_do_nothing_with_a_token_that_was_revoked() {
    let server = start();
    let asked = ask("", false, Kind::History, Some(&of("ann", "ann-1")));
    let mut socket = WebSocket::connect_as(server.address(), "/v1/_ws", &asked).await.expect("a socket");
    revoke(&server, json!({ "token_id": "ann-1" })).await;
    for message in [
        json!({ "do": "watch", "ref": 1, "address": "rooms/a/messages" }),
        json!({ "do": "publish", "ref": 2, "address": "rooms/a/messages", "data": { "by": "ann" } }),
    ] {
        socket.send_text(&message.to_string()).await.expect("sent");
        let answer = tokio::time::timeout(PATIENCE, socket.next_frame()).await.expect("in time").expect("a frame");
        assert_eq!((&answer["op"], &answer["code"]), (&json!("problem"), &json!("token-revoked")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_revoked_is_refused_with_what_to_send() {
    let server = start();
    for (body, code) in [
        (json!({}), "invalid"),
        (json!({ "subject": "ann", "token_id": "1" }), "invalid"),
        (json!({ "subject": "" }), "invalid"),
        (json!({ "subjekt": "ann" }), "invalid"),
        (json!({ "subject": "ann", "until": "tomorrow" }), "invalid"),
        (json!({ "subject": "ann", "until": "2001-01-01T00:00:00Z" }), "invalid"),
        (json!({ "api_key": "1", "issuer": "x" }), "invalid"),
        (json!({ "watch": "0123456789ab" }), "key-not-found"),
    ] {
        let answer = admin(&server, "POST", "/revocations", Some(body.clone())).await;
        assert_eq!(answer.code(), Some(code), "{body}: {answer:?}");
        assert!(answer.body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{answer:?}");
    }
    assert_eq!(admin(&server, "PUT", "/revocations", None).await.head.status, 405);
    // A page in the operator's browser.
    let headers = ["Origin: http://evil.example".to_owned(), "Content-Type: application/json".to_owned()];
    let body = json!({ "subject": "ann" }).to_string();
    let answer = http::ask(server.admin(), "POST", "/revocations", &headers, body.as_bytes()).await;
    assert_eq!(answer.expect("an answer").code(), Some("forbidden"));
    assert_eq!(admin(&server, "GET", "/revocations", None).await.body["count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_revokes_on_the_command_line() {
    let server = start();
    let mut watch = Stream::open(&server, Some(Transport::Sse), &room(&of("ann", "ann-1"))).await;
    let revoke = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["revoke", "--admin", &format!("http://{}", server.admin())]).args(arguments);
        tokio::task::block_in_place(|| command.output().expect("it runs"))
    };
    let done = revoke(&["--token-id", "ann-1"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.ends_with(": 1 watches ended\n"), "{done:?}");
    watch.until(|frame| frame["code"] == "token-revoked").await;
    let refused = revoke(&["--watch", "0123456789ab"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("key-not-found"), "{refused:?}");
    assert_eq!(revoke(&["--subject", "ann", "--watch", "x"]).status.code(), Some(2));
}

/// Watches that begin while their token is revoked: none is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_watch_slips_in_beside_a_revocation() {
    let server = start();
    let at = server.address();
    for round in 0..10 {
        let id = format!("ann-{round}");
        let token = of("ann", &id);
        let opening = |transport| {
            let asked = room(&token);
            tokio::spawn(async move {
                match opened(at, transport, &asked).await {
                    Err((status, _)) => assert_eq!(status, 401, "{transport:?}"),
                    Ok(mut watch) => {
                        let frames = crate::rig::until(&mut watch, |frame| frame["op"] == "close").await;
                        assert_eq!(frames.last().expect("the close")["code"], "token-revoked", "{transport:?}");
                    }
                }
            })
        };
        let kinds = [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many];
        let watches: Vec<_> = kinds.iter().cycle().take(12).map(|kind| opening(*kind)).collect();
        revoke(&server, json!({ "token_id": id })).await;
        for watch in watches {
            tokio::time::timeout(PATIENCE, watch).await.expect("it ends").expect("as it should");
        }
    }
}
