//! One cursor for all: a watch begins on SSE, goes on over WebSocket, then long-poll, then
//! NDJSON, while events keep coming; nothing is lost, nothing doubled.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::chat_and_rows;
use serde_json::Value;
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;

const PATH: &str = "/v1/rooms/lobby/messages";
/// Events taken on each transport before the next one goes on.
const EACH: usize = 40;

/// Numbered events and the cursor behind the last of them.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    cursor: String,
}

impl Seen {
    fn take(&mut self, frame: &Value) {
        if let Some(cursor) = frame["cursor"].as_str() {
            self.cursor = cursor.to_owned();
        }
        match frame["op"].as_str() {
            Some("append") => self.numbers.push(frame["data"]["n"].as_u64().expect("a number")),
            Some("begin" | "bookmark") => {}
            other => panic!("unexpected {other:?}: {frame}"),
        }
    }

    fn on_stream(&mut self, server: &Server, accept: &str, prefix: &str) {
        let wanted = self.numbers.len() + EACH;
        let query = if self.cursor.is_empty() { "?from=start".to_owned() } else { format!("?after={}", self.cursor) };
        let mut raw = Raw::to(server);
        raw.write(format!("GET {PATH}{query} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n").as_bytes());
        while self.numbers.len() < wanted {
            let line = raw.line();
            if let Some(text) = line.strip_prefix(prefix).filter(|text| text.starts_with('{')) {
                self.take(&serde_json::from_str(text).expect("a frame"));
            }
        }
    }

    fn on_websocket(&mut self, server: &Server) {
        let wanted = self.numbers.len() + EACH;
        let mut socket = Raw::to(server).websocket(&format!("{PATH}?after={}", self.cursor));
        while self.numbers.len() < wanted {
            self.take(&socket.next_json());
        }
    }

    fn on_long_poll(&mut self, server: &Server) {
        let wanted = self.numbers.len() + EACH;
        while self.numbers.len() < wanted {
            let answer = Raw::to(server).get(&format!("{PATH}?after={}&wait=30s&limit=7", self.cursor));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let body = answer.json();
            body["frames"].as_array().expect("frames").iter().for_each(|frame| self.take(frame));
            assert_eq!(Some(self.cursor.as_str()), answer.header("tidegate-cursor"));
        }
    }
}

#[test]
fn a_watch_moves_between_transports_without_a_seam() {
    let server = chat_and_rows();
    let done = AtomicBool::new(false);
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut number = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let batch: Vec<String> = (0..3).map(|index| format!("{{\"n\":{}}}", number + index)).collect();
                let answer = Raw::to(&server).publish(PATH, &format!("[{}]", batch.join(",")));
                assert_eq!(answer.status, 200, "{}", answer.text());
                number += 3;
            }
            number
        });
        for _ in 0..3 {
            seen.on_stream(&server, "text/event-stream", "data: ");
            seen.on_websocket(&server);
            seen.on_long_poll(&server);
            seen.on_stream(&server, "application/x-ndjson", "");
        }
        done.store(true, Ordering::Relaxed);
        let published = publisher.join().expect("the publisher");
        assert!(seen.numbers.len() as u64 <= published);
    });
    let wanted: Vec<u64> = (0..seen.numbers.len() as u64).collect();
    assert_eq!(seen.numbers, wanted, "lost, doubled or out of order");
}

#[test]
fn pages_of_history_lead_to_the_end() {
    let server = chat_and_rows();
    let wanted: Vec<u64> = (0..2_500).collect();
    let lines: String = wanted.iter().map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let ndjson = [("content-type", "application/x-ndjson")];
    assert_eq!(Raw::to(&server).send("POST", PATH, &ndjson, &lines).status, 200);
    let mut next = Some(format!("{PATH}?from=start"));
    let mut seen = Seen::default();
    while let Some(path) = next {
        let answer = Raw::to(&server).get(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["frames"].as_array().expect("frames").iter().for_each(|frame| seen.take(frame));
        let link = answer.header("link").and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\""));
        next = link.map(str::to_owned);
    }
    assert_eq!(seen.numbers, wanted);
}
