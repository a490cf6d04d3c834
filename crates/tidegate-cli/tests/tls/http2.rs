//! What HTTP/2 adds that can go wrong, frame by frame, on a plain socket with prior knowledge.

use tidegate_testkit::http2::{END_STREAM, INITIAL_WINDOW_SIZE, RawHttp2, kind};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;

use crate::common::{binary, chat_and_rows};

const ROOM: &str = "/v1/rooms/a/messages";
const CHAT: &str = r#"
channels:
  chat:
    address: rooms/{room}/messages
    access: { read: "true", publish: "true" }
"#;
const NDJSON: (&str, &str) = ("accept", "application/x-ndjson");
/// Of one stream; the default of the RFC.
const WINDOW: u32 = 65_535;

fn watches(server: &Server) -> u64 {
    Raw::admin(server).get("/watches").json()["count"].as_u64().expect("a count")
}

fn publish(server: &Server, body: &str) {
    assert_eq!(Raw::to(server).publish(ROOM, body).status, 200);
}

/// Publishes so many events of 10 kB, which have numbers.
fn publish_numbers(server: &Server, numbers: std::ops::Range<u64>) {
    let pad = "x".repeat(10_000);
    for batch in numbers.collect::<Vec<_>>().chunks(100) {
        let events: Vec<String> = batch.iter().map(|n| format!(r#"{{"n":{n},"pad":"{pad}"}}"#)).collect();
        publish(server, &format!("[{}]", events.join(",")));
    }
}

/// Reads a stream's data up to the event with this number, giving back what was read; returns the
/// numbers in order.
fn numbers(raw: &mut RawHttp2, stream: u32, read: &mut Vec<u8>, last: u64) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = read.drain(..=end).collect();
            let frame: serde_json::Value = serde_json::from_slice(&line).expect("a frame");
            assert_ne!(frame["op"], "gap", "{frame}");
            found.extend(frame["data"]["n"].as_u64());
            if found.last() == Some(&last) {
                return found;
            }
        }
        let data = raw.next_of(kind::DATA, stream).expect("more data");
        if !data.payload.is_empty() {
            raw.give(stream, data.payload.len() as u32).expect("given");
            raw.give(0, data.payload.len() as u32).expect("given");
        }
        read.extend_from_slice(&data.payload);
    }
}

#[test]
fn a_client_that_does_not_read_holds_little_and_others_go_on() {
    const EVENTS: u64 = 2_000;
    const SLOW: u32 = 100;
    // A stream holds what it wrote last and shares it with others; while 20 MB are published each
    // time, that does not grow.
    const HELD_BYTES_MAX: u64 = SLOW as u64 * 512 * 1024;
    /// Blocks of the log that are kept for a moment for who is behind have 32 MiB at most; the allocator keeps a few more.
    const GROWTH_BYTES_MAX: u64 = (16 + 32) << 20;
    // Little of the log is in memory, so that the watches are seen.
    let server = Server::start(binary(), &format!("log: {{ path: ./data, journal_bytes: 1MiB }}\n{CHAT}"));
    let url = format!("{ROOM}?from=now");
    let mut quick = RawHttp2::to(&server, &[]);
    quick.get(1, &url, &[NDJSON]).expect("asked");
    quick.next_of(kind::DATA, 1).expect("begin");
    let mut read = Vec::new();
    let mut load = |from: u64| {
        for from in (from..from + EVENTS).step_by(100) {
            publish_numbers(&server, from..from + 100);
            assert_eq!(numbers(&mut quick, 1, &mut read, from + 99), (from..from + 100).collect::<Vec<_>>());
        }
    };
    // The same load twice, so that what else it costs is there before.
    load(0);
    let mut slow = RawHttp2::to(&server, &[]);
    let streams = (0..SLOW).map(|number| 2 * number + 1);
    for stream in streams {
        slow.get(stream, &url, &[NDJSON]).expect("asked");
        slow.next_of(kind::DATA, stream).expect("begin");
    }
    let before = server.pss_bytes();
    load(EVENTS);
    let held = server.pss_bytes().saturating_sub(before);
    load(2 * EVENTS);
    load(3 * EVENTS);
    let later = server.pss_bytes().saturating_sub(before);
    println!(
        "{SLOW} streams that take nothing: {held} bytes more after {EVENTS} events of 10 kB, {later} after thrice as many"
    );
    assert!(held < HELD_BYTES_MAX, "{held} bytes");
    assert!(later < held + GROWTH_BYTES_MAX, "{later} bytes");
    assert_eq!(watches(&server), u64::from(SLOW) + 1);

    // What they did not take is in the log: they go on without a hole.
    slow.give(0, 1 << 30).expect("given");
    slow.give(1, WINDOW).expect("given");
    let last = 4 * EVENTS - 1;
    assert_eq!(numbers(&mut slow, 1, &mut Vec::new(), last), (EVENTS..=last).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_reset_is_no_watch_any_more() {
    let server = chat_and_rows();
    let mut raw = RawHttp2::to(&server, &[(INITIAL_WINDOW_SIZE, 0)]);
    for stream in [1, 3] {
        raw.get(stream, ROOM, &[NDJSON]).expect("asked");
        raw.next_of(kind::HEADERS, stream).expect("a head");
    }
    // One that is stuck, since it has no window, and one that waits for events.
    raw.give(3, WINDOW).expect("given");
    raw.next_of(kind::DATA, 3).expect("begin");
    assert_eq!(watches(&server), 2);
    for (stream, left) in [(1, 1), (3, 0)] {
        raw.send(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes()).expect("reset");
        // The server answers in order, so by then it has seen the reset.
        while watches(&server) > left {
            std::thread::yield_now();
        }
        assert_eq!(watches(&server), left);
    }
    raw.get(5, ROOM, &[]).expect("the connection goes on");
    raw.next_of(kind::HEADERS, 5).expect("an answer");
}

#[test]
fn a_flood_of_resets_ends_at_the_connection() {
    const MANY: u32 = 1_000_000;
    let server = chat_and_rows();
    let mut raw = RawHttp2::to(&server, &[]);
    let ended = (1..MANY).step_by(2).find(|stream| {
        let sent = raw.get(*stream, ROOM, &[NDJSON]);
        sent.and_then(|()| raw.send(kind::RST_STREAM, 0, *stream, &8_u32.to_be_bytes())).is_err()
    });
    println!("the connection ended at stream {ended:?} of {MANY}");
    assert!(ended.is_some(), "it took {MANY} streams");
    assert_eq!(Raw::to(&server).get(ROOM).status, 200, "the server serves");
    while watches(&server) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_drain_says_close_on_each_stream_and_goodbye_on_the_connection() {
    let mut server = chat_and_rows();
    let mut raw = RawHttp2::to(&server, &[]);
    for stream in [1, 3] {
        raw.get(stream, ROOM, &[NDJSON]).expect("asked");
        raw.next_of(kind::DATA, stream).expect("begin");
    }
    server.terminate();
    let (mut said, mut goodbye, mut ended) = (String::new(), 0, 0);
    while let Some(frame) = raw.frame() {
        match frame.kind {
            kind::DATA => {
                said.push_str(&String::from_utf8_lossy(&frame.payload));
                ended += u32::from(frame.flags & END_STREAM);
            }
            kind::GOAWAY => goodbye += 1,
            _ => {}
        }
    }
    assert_eq!(said.matches(r#""op":"close","code":"draining""#).count(), 2, "{said}");
    assert_eq!(ended, 2);
    assert!(goodbye > 0);
    assert!(server.wait().success());
}

#[test]
fn the_authority_is_the_host() {
    let server = chat_and_rows();
    let mut raw = RawHttp2::to(&server, &[]);
    let ask =
        |authority: &'static str| [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", ROOM)];
    raw.headers(1, &ask("evil.example")).expect("asked");
    let refused = raw.next_of(kind::DATA, 1).expect("a body");
    assert!(String::from_utf8_lossy(&refused.payload).contains("wrong-host"));
    raw.headers(3, &[&ask("localhost")[..], &[("host", "evil.example")]].concat()).expect("asked");
    let refused = raw.next_of(kind::DATA, 3).expect("a body");
    assert!(String::from_utf8_lossy(&refused.payload).contains("is not its :authority"));
    raw.headers(5, &ask("localhost")).expect("asked");
    let good = raw.next_of(kind::DATA, 5).expect("a body");
    assert!(String::from_utf8_lossy(&good.payload).contains("\"frames\":[]"));
}

#[test]
fn a_websocket_is_not_offered() {
    let server = chat_and_rows();
    let mut raw = RawHttp2::to(&server, &[]);
    let authority = server.address().to_string();
    let ask = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", &authority),
        (":path", ROOM),
    ];
    raw.headers(1, &ask).expect("asked");
    raw.next_of(kind::RST_STREAM, 1).expect("a stream error");
    raw.get(3, ROOM, &[]).expect("the connection goes on");
    raw.next_of(kind::HEADERS, 3).expect("an answer");
}

#[test]
fn a_body_that_is_too_large_is_answered_before_it_has_come() {
    let server = chat_and_rows();
    let mut raw = RawHttp2::to(&server, &[]);
    let authority = server.address().to_string();
    let post = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", &authority),
        (":path", ROOM),
        ("content-type", "application/json"),
        ("content-length", "3000000"),
    ];
    raw.begin(1, &post).expect("asked");
    let head = raw.next_of(kind::HEADERS, 1).expect("a head");
    assert_eq!(head.flags & END_STREAM, 0);
    let body = raw.next_of(kind::DATA, 1).expect("a body");
    assert!(String::from_utf8_lossy(&body.payload).contains("too-large"));
    assert_eq!(body.flags & END_STREAM, END_STREAM);
    let reset = raw.next_of(kind::RST_STREAM, 1).expect("no more is wanted");
    assert_eq!(reset.payload, 0_u32.to_be_bytes(), "NO_ERROR (RFC 9113, section 8.1)");
}
