//! permessage-deflate (RFC 7692) over sockets: agreed only where it was offered, each event deflated
//! once for all, and bad use of it answered with the right close code.

mod common;

use std::net::SocketAddr;

use common::{binary, chat_and_rows};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tidegate_testkit::client::deflate::{ANSWER, OFFER, deflate};
use tidegate_testkit::client::get_json;
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::{Raw, RawWebSocket};
use tokio_tungstenite::tungstenite::Message;

const ROOM: &str = "/v1/rooms/lobby/messages";

fn deflating(server: &Server) -> RawWebSocket {
    let (mut socket, agreed) = Raw::to(server).websocket_offering(ROOM, OFFER);
    assert_eq!(agreed.as_deref(), Some(ANSWER));
    assert_eq!(socket.next_either().0["op"], "begin");
    socket
}

/// An event of about 500 bytes, as JSON text.
fn event(number: usize) -> String {
    let text = "high water at the northern gate; ".repeat(14);
    json!({ "n": number, "text": text }).to_string()
}

fn publish(server: &Server, number: usize) {
    assert_eq!(Raw::to(server).publish(ROOM, &event(number)).status, 200);
}

/// Messages deflated, and their bytes before and after.
fn deflated(admin: SocketAddr) -> [u64; 3] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let text = runtime.block_on(get_json(admin, "/metrics")).expect("metrics").text;
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).parse::<f64>().expect("a number") as u64
    };
    [
        figure("tidegate_deflated_messages_total"),
        figure("tidegate_deflated_bytes_total{when=\"before\"}"),
        figure("tidegate_deflated_bytes_total{when=\"after\"}"),
    ]
}

#[test]
fn each_event_is_deflated_once_however_many_watch() {
    const WATCHERS: usize = 20;
    const EVENTS: usize = 30;
    let server = chat_and_rows();
    let mut plain = Raw::to(&server).websocket(ROOM);
    assert_eq!(plain.next_json()["op"], "begin");
    let mut watchers: Vec<RawWebSocket> = (0..WATCHERS).map(|_| deflating(&server)).collect();
    // The first event says that all of them are live: what is for one alone has been written.
    let live = |watchers: &mut Vec<RawWebSocket>| {
        for watcher in watchers {
            let (frame, is_deflated, _) = watcher.next_either();
            assert_eq!((&frame["data"]["n"], is_deflated), (&json!(0), true));
        }
    };
    publish(&server, 0);
    live(&mut watchers);
    let before = deflated(server.admin());
    for number in 1..=EVENTS {
        publish(&server, number);
    }
    let mut wire_bytes = 0;
    for watcher in &mut watchers {
        for number in 1..=EVENTS {
            let (frame, is_deflated, bytes) = watcher.next_either();
            assert_eq!((&frame["data"]["n"], is_deflated), (&json!(number), true));
            wire_bytes += bytes;
        }
    }
    for number in 0..=EVENTS {
        assert_eq!(plain.next_json()["data"]["n"], number, "without the extension nothing is deflated");
    }
    let after = deflated(server.admin());
    let [messages, bytes_before, bytes_after] = [0, 1, 2].map(|at| after[at] - before[at]);
    println!(
        "{EVENTS} events to {WATCHERS} watchers: deflated {messages} times, {bytes_before} bytes to {bytes_after}"
    );
    assert_eq!(messages, EVENTS as u64, "{WATCHERS} watchers, {EVENTS} events");
    assert_eq!(bytes_after * WATCHERS as u64, wire_bytes as u64, "and all of them got the same bytes");
    assert!(bytes_after * 2 < bytes_before, "{bytes_before} bytes became {bytes_after}");
}

#[test]
fn compression_is_used_only_if_it_was_offered_as_we_can_keep_it() {
    let server = chat_and_rows();
    for (offer, agreed) in [
        ("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", true),
        ("x-other, permessage-deflate; server_max_window_bits=9, permessage-deflate", true),
        ("permessage-deflate; server_max_window_bits=9", false),
        ("permessage-deflate; no_such_parameter", false),
        ("x-other", false),
    ] {
        let (mut socket, answer) = Raw::to(&server).websocket_offering(ROOM, offer);
        assert_eq!(answer.is_some(), agreed, "{offer}: {answer:?}");
        assert_eq!(socket.next_either().0["op"], "begin");
        publish(&server, 1);
        assert_eq!(socket.next_either().1, agreed, "{offer}");
    }
    for malformed in ["permessage-deflate;", "permessage-deflate; a=\"", "\"permessage-deflate\"", "a b"] {
        let upgrade = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-extensions", malformed),
        ];
        let answer = Raw::to(&server).send("GET", ROOM, &upgrade, "");
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid")), "{malformed}");
    }
}

#[test]
fn an_operator_turns_compression_off() {
    let config = "stream: { compress: false }\nchannels:\n  chat:\n    address: rooms/{room}/messages\n    \
                  access: { read: \"true\", publish: \"true\" }\n";
    let server = Server::start(binary(), config);
    for path in [ROOM, "/v1/_ws"] {
        let (mut socket, agreed) = Raw::to(&server).websocket_offering(path, OFFER);
        assert_eq!(agreed, None, "{path}");
        if path != ROOM {
            socket.send_text(&json!({ "do": "watch", "ref": 1, "address": "rooms/lobby/messages" }).to_string());
            assert_eq!(socket.next_either().0["op"], "done");
            assert_eq!(socket.next_either().0, json!({ "op": "on", "watch": "w1" }));
        }
        assert_eq!(socket.next_either().0["op"], "begin");
        publish(&server, 1);
        let (frame, is_deflated, _) = std::iter::repeat_with(|| socket.next_either())
            .find(|(frame, ..)| frame["op"] == "append")
            .expect("an event");
        assert_eq!((&frame["data"]["n"], is_deflated), (&json!(1), false));
        // What was never agreed is a mistake.
        socket.send_frame(0xc1, &deflate(br#"{"do":"ping"}"#));
        assert_eq!(socket.next_close(), Some(1002));
    }
    assert_eq!(deflated(server.admin()), [0; 3]);
}

#[test]
fn deflated_messages_of_a_client_are_understood() {
    let server = chat_and_rows();
    let mut socket = deflating(&server);
    let say = |number: usize| format!(r#"{{"do":"publish","ref":{number},"data":{}}}"#, event(number));
    socket.send_frame(0xc1, &deflate(say(1).as_bytes()));
    // In three fragments, with a ping between them.
    let payload = deflate(say(2).as_bytes());
    let (first, rest) = payload.split_at(10);
    socket.send_frame(0x41, first);
    socket.send_frame(0x89, b"");
    socket.send_frame(0x00, &[]);
    socket.send_frame(0x80, rest);
    // And one that is not deflated, which the sender may choose.
    socket.send_frame(0x81, say(3).as_bytes());
    let kept = |server: &Server| Raw::to(server).get(ROOM).json()["frames"].as_array().map(Vec::len);
    let (mut done, mut seen) = (Vec::new(), Vec::new());
    while done.len() < 3 || seen.len() < 3 {
        let (frame, _, _) = socket.next_either();
        match frame["op"].as_str() {
            Some("done") => done.push(frame["ref"].as_u64()),
            Some("append") => seen.push(frame["data"]["n"].as_u64()),
            _ => panic!("{frame}"),
        }
    }
    assert_eq!(done, [Some(1), Some(2), Some(3)]);
    assert_eq!(seen, done);
    assert_eq!(kept(&server), Some(3));
}

#[test]
fn bad_use_of_the_extension_closes_with_the_right_code_and_costs_little() {
    let server = chat_and_rows();
    let small = deflate(br#"{"do":"ping"}"#);
    let bomb = deflate(&vec![b' '; 500 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024, "it is sent as one message");
    let held_before = server.pss_bytes();
    for (what, first, payload, code) in [
        ("a bomb", 0xc1, bomb.as_slice(), 1009),
        ("RSV1 on a continuation of nothing", 0xc0, &small, 1002),
        ("RSV1 on a ping", 0xc9, b"", 1002),
        ("RSV1 on a close", 0xc8, b"", 1002),
        ("RSV2", 0xa1, &small, 1002),
        ("RSV3", 0x91, &small, 1002),
        ("data that is not deflated", 0xc1, b"\xff\xff\xff\xff", 1007),
        ("text that is not UTF-8 when inflated", 0xc1, &deflate(b"\xff"), 1007),
    ] {
        let mut socket = deflating(&server);
        socket.send_frame(first, payload);
        assert_eq!(socket.next_close(), Some(code), "{what}");
    }
    let mut socket = deflating(&server);
    socket.send_frame(0x41, &small);
    socket.send_frame(0xc0, b"");
    assert_eq!(socket.next_close(), Some(1002), "RSV1 on a continuation");
    let mut never_agreed = Raw::to(&server).websocket(ROOM);
    never_agreed.send_frame(0xc1, &small);
    assert_eq!(never_agreed.next_close(), Some(1002), "never agreed");
    let grown = server.pss_bytes().saturating_sub(held_before) / (1024 * 1024);
    assert!(grown < 32, "{grown} MiB for messages that were refused");
    assert_eq!(Raw::to(&server).publish(ROOM, "1").status, 200);
}

/// A client that knows no extension: it fails at a frame with a reserved bit.
#[tokio::test]
async fn tungstenite_watches_and_publishes_without_compression() {
    const EVENTS: u64 = 50;
    let server = chat_and_rows();
    let url = format!("ws://{}{ROOM}", server.address());
    let (mut socket, answer) = tokio_tungstenite::connect_async(url).await.expect("connected");
    assert_eq!(answer.headers().get("sec-websocket-extensions"), None);
    for number in 1..=EVENTS {
        let text = format!(r#"{{"do":"publish","ref":{number},"data":{}}}"#, event(number as usize));
        socket.send(Message::text(text)).await.expect("sent");
    }
    let (mut done, mut seen) = (Vec::new(), Vec::new());
    while done.len() < EVENTS as usize || seen.len() < EVENTS as usize {
        let message = socket.next().await.expect("open").expect("a frame");
        let frame: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
        match frame["op"].as_str() {
            Some("done") => done.push(frame["ref"].as_u64().expect("a ref")),
            Some("append") => seen.push(frame["data"]["n"].as_u64().expect("a number")),
            Some("begin") => {}
            _ => panic!("{frame}"),
        }
    }
    let all: Vec<u64> = (1..=EVENTS).collect();
    assert_eq!((done, seen), (all.clone(), all));
    socket.close(None).await.expect("closed");
}
