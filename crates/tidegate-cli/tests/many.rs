//! `/v1/_ws`: many watches on one WebSocket, and clients that make the worst of it.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{binary, chat_and_rows};
use serde_json::{Value, json};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::{Raw, RawWebSocket};

const MANY: &str = "/v1/_ws";

fn ping(reference: u64) -> String {
    json!({ "do": "ping", "ref": reference }).to_string()
}

fn watch(reference: u64, address: &str) -> String {
    json!({ "do": "watch", "ref": reference, "address": address }).to_string()
}

fn frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// The next answer, past frames of watches.
fn answer(socket: &mut RawWebSocket) -> Value {
    loop {
        let frame = socket.next_json();
        if frame["op"] == "done" || frame["op"] == "problem" {
            return frame;
        }
    }
}

#[test]
fn answers_come_in_the_order_of_the_messages() {
    let server = chat_and_rows();
    let mut socket = Raw::to(&server).websocket(MANY);
    let unwatch = |reference: u64| json!({ "do": "unwatch", "ref": reference, "watch": "w1" }).to_string();
    let publish = json!({ "do": "publish", "ref": 5, "address": "rooms/a/messages", "data": 1 }).to_string();
    let messages = [ping(1), watch(2, "rooms/a/messages"), ping(3), publish, unwatch(6), ping(7), unwatch(8), ping(9)];
    socket.write(&messages.iter().flat_map(|text| frame(text)).collect::<Vec<u8>>());
    let answers: Vec<Value> = messages.iter().map(|_| answer(&mut socket)).collect();
    let said: Vec<_> = answers.iter().map(|answer| (answer["op"].clone(), answer["ref"].clone())).collect();
    let wanted =
        [("done", 1), ("done", 2), ("done", 3), ("done", 5), ("done", 6), ("done", 7), ("problem", 8), ("done", 9)];
    assert_eq!(said, wanted.map(|(op, reference)| (json!(op), json!(reference))), "{answers:?}");
}

#[test]
fn a_watch_that_was_refused_is_none_of_the_thousand() {
    let server = chat_and_rows();
    let mut socket = Raw::to(&server).websocket(MANY);
    for reference in 0..1_001 {
        socket.send_text(&watch(reference, "nowhere/at/all"));
        assert_eq!(socket.next_json()["code"], "channel-not-found");
    }
    for reference in 0..1_000 {
        socket.send_text(&watch(reference, "rooms/a/messages"));
        assert_eq!(answer(&mut socket)["op"], "done");
    }
    socket.send_text(&watch(1_000, "rooms/a/messages"));
    assert_eq!(answer(&mut socket)["code"], "rate-limited");
    socket.send_text(&json!({ "do": "unwatch", "ref": 1_001, "watch": "w1500" }).to_string());
    assert_eq!(answer(&mut socket)["op"], "done");
    socket.send_text(&watch(1_002, "rooms/a/messages"));
    assert_eq!(answer(&mut socket)["watch"], "w2002");
}

/// Answers that a client does not read would be the server's memory; it is heard again when it has
/// read them.
#[test]
fn a_client_that_reads_no_answers_is_not_heard_until_it_does() {
    const PINGS: u64 = 1_500_000;
    let server = chat_and_rows();
    let mut socket = Raw::to(&server).websocket(MANY);
    let mut writer = socket.writer();
    // A server that takes nothing for so long listens no more.
    writer.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let (full, is_full) = std::sync::mpsc::sync_channel(1);
    let sent = std::thread::spawn(move || {
        for first in (0..PINGS).step_by(1_000) {
            let pings: Vec<u8> = (first..first + 1_000).flat_map(|reference| frame(&ping(reference))).collect();
            let mut rest = pings.as_slice();
            while !rest.is_empty() {
                match writer.write(rest) {
                    Ok(bytes) => rest = &rest[bytes..],
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => full.send(()).expect("told"),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    is_full.recv().expect("it goes on listening however much it owes");
    // Others on its lane do not notice.
    let mut other = Raw::to(&server).websocket(MANY);
    other.send_text(&ping(2));
    assert_eq!(other.next_json(), json!({ "op": "done", "ref": 2 }));
    for reference in 0..PINGS {
        assert_eq!(socket.next_json()["ref"], reference);
    }
    sent.join().expect("all is heard");
}

#[test]
fn a_drain_tells_a_socket_without_watches_too() {
    let server = Server::start(binary(), "channels: { chat: { address: \"rooms/{room}\" } }\n");
    let mut socket = Raw::to(&server).websocket(MANY);
    socket.send_text(&ping(1));
    assert_eq!(socket.next_json()["op"], "done");
    server.terminate();
    assert_eq!(socket.next_close(), Some(4503));
}
