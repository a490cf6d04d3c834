//! Content codings over sockets: chosen by `Accept-Encoding` whatever it holds, each event compressed
//! once for all, and answers that end compressed whole.

mod common;

use std::net::SocketAddr;

use common::{binary, chat_and_rows};
use serde_json::json;
use tidegate_core::Kind;
use tidegate_testkit::client::coding::Unpacker;
use tidegate_testkit::client::{Ask, Ended, Transport, Watch, get_json};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::{Answer, Raw};

const ROOM: &str = "/v1/rooms/lobby/messages";

/// An event of about 500 bytes, as JSON text.
fn event(number: usize) -> String {
    let text = "high water at the northern gate; ".repeat(14);
    json!({ "n": number, "text": text }).to_string()
}

fn publish(server: &Server, number: usize) {
    assert_eq!(Raw::to(server).publish(ROOM, &event(number)).status, 200);
}

/// Runs compressed with a coding, and their bytes before and after.
async fn figures(admin: SocketAddr, coding: &str) -> [u64; 3] {
    let text = get_json(admin, "/metrics").await.expect("metrics").text;
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).parse::<f64>().expect("a number") as u64
    };
    [
        figure(&format!("tidegate_compressed_runs_total{{coding=\"{coding}\"}}")),
        figure(&format!("tidegate_compressed_bytes_total{{coding=\"{coding}\",when=\"before\"}}")),
        figure(&format!("tidegate_compressed_bytes_total{{coding=\"{coding}\",when=\"after\"}}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_compressed_once_however_many_watch() {
    const WATCHERS: usize = 20;
    const EVENTS: usize = 30;
    for (coding, transport) in [("gzip", Transport::Sse), ("zstd", Transport::Ndjson)] {
        let server = chat_and_rows();
        let ask = Ask { coding: Some(coding), ..Ask::new("rooms/lobby/messages", false, Kind::History) };
        let mut watchers = Vec::new();
        for _ in 0..WATCHERS {
            let mut watch = Watch::open(server.address(), transport, &ask).await.expect("a watch");
            assert_eq!(watch.next_frame().await.expect("begin")["op"], "begin");
            watchers.push(watch);
        }
        // The first event says that all of them are live: what is for one alone has been written.
        let mut before = [0; 3];
        for number in 0..=EVENTS {
            publish(&server, number);
            for watch in &mut watchers {
                assert_eq!(watch.next_frame().await.expect("an event")["data"]["n"], number);
            }
            if number == 0 {
                before = figures(server.admin(), coding).await;
            }
        }
        let after = figures(server.admin(), coding).await;
        let [runs, bytes_before, bytes_after] = [0, 1, 2].map(|at| after[at] - before[at]);
        println!(
            "{coding}: {EVENTS} events to {WATCHERS} watchers: {runs} runs, {bytes_before} bytes to {bytes_after}"
        );
        assert_eq!(runs, EVENTS as u64, "{WATCHERS} watchers, {EVENTS} events");
        assert!(bytes_after * 2 < bytes_before, "{bytes_before} bytes became {bytes_after}");
    }
}

/// The last frame reaches a client before it can see that a member of gzip never ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_stream_ends_with_its_close_frame() {
    for coding in [None, Some("gzip"), Some("zstd")] {
        for transport in [Transport::Sse, Transport::Ndjson] {
            let server = chat_and_rows();
            let ask = Ask { coding, ..Ask::new("rooms/lobby/messages", false, Kind::History) };
            let mut watch = Watch::open(server.address(), transport, &ask).await.expect("a watch");
            assert_eq!(watch.next_frame().await.expect("begin")["op"], "begin");
            server.terminate();
            let close = watch.next_frame().await.expect("close");
            assert_eq!((&close["op"], &close["code"]), (&json!("close"), &json!("draining")));
            assert!(matches!(watch.next_frame().await, Err(Ended::Gone(_))), "{coding:?}");
        }
    }
}

/// The `Content-Encoding` of a stream, or the status that refuses it.
fn stream_coding(server: &Server, accepted: &str) -> Result<Option<String>, u16> {
    let headers = [("accept", "application/x-ndjson"), ("accept-encoding", accepted)];
    let answer = Raw::to(server).send("GET", ROOM, &headers, "");
    match answer.status {
        200 => {
            let vary = answer.header("vary").expect("vary");
            assert!(vary.contains("accept-encoding"), "{vary}");
            Ok(answer.header("content-encoding").map(str::to_owned))
        }
        refused => Err(refused),
    }
}

#[test]
fn a_stream_is_compressed_as_its_client_accepts_it() {
    let server = chat_and_rows();
    let many = "x, ".repeat(5_000);
    let long = format!("gzip;q=0.{}", "9".repeat(10_000));
    for (accepted, coding) in [
        ("", Ok(None)),
        ("gzip, deflate, br, zstd", Ok(Some("gzip"))),
        ("gzip, deflate, br", Ok(Some("gzip"))),
        ("zstd;q=0.5, gzip;q=0.9", Ok(Some("gzip"))),
        ("*", Ok(Some("gzip"))),
        ("*;q=0.1, gzip;q=0", Ok(Some("zstd"))),
        ("identity, gzip;q=0.5", Ok(None)),
        ("br, deflate", Ok(None)),
        ("gzip;q=0, zstd;q=0", Ok(None)),
        ("identity;q=0", Err(406)),
        ("*;q=0", Err(406)),
        ("identity;q=0, gzip", Ok(Some("gzip"))),
        ("gzip;q=NaN, zstd;q=1e9", Ok(None)),
        (";;,,==;q=1,\"gzip\"", Ok(None)),
        (&many, Ok(None)),
        (&long, Ok(None)),
    ] {
        let coding = coding.map(|coding| coding.map(str::to_owned));
        assert_eq!(stream_coding(&server, accepted), coding, "{accepted:.60}");
    }
}

#[test]
fn nothing_is_compressed_where_the_config_says_so() {
    let config = "stream: { compress: false }\nchannels:\n  chat:\n    address: rooms/{room}/messages\n    access: { read: \"true\", publish: \"true\" }\n";
    let server = Server::start(binary(), config);
    assert_eq!(stream_coding(&server, "gzip, zstd"), Ok(None));
    assert_eq!(stream_coding(&server, "gzip, identity;q=0"), Err(406));
    let (_, agreed) = Raw::to(&server).websocket_offering(ROOM, "permessage-deflate");
    assert_eq!(agreed, None);
    (0..10).for_each(|number| publish(&server, number));
    let answer = Raw::to(&server).send("GET", ROOM, &[("accept-encoding", "gzip")], "");
    assert_eq!((answer.header("content-encoding"), answer.json()["frames"].as_array().map(Vec::len)), (None, Some(10)));
}

fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    Raw::to(server).send("GET", path, headers, "")
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut unpacker = Unpacker::of(answer.header("content-encoding")).expect("a coding");
    unpacker.push(&answer.body).expect("compressed as it is said to be")
}

#[test]
fn answers_are_compressed_whole_and_have_weak_tags() {
    let server = chat_and_rows();
    let rows: Vec<_> = (0..200).map(|id| json!({ "id": id, "text": "high water at the gate" })).collect();
    assert_eq!(Raw::to(&server).publish("/v1/rows/a", &json!(rows).to_string()).status, 200);
    assert_eq!(Raw::to(&server).publish("/v1/rows/b", r#"{"id":1}"#).status, 200);
    let plain = get(&server, "/v1/rows/a", &[]);
    let strong = plain.header("etag").expect("a tag").to_owned();
    assert!(plain.header("content-encoding").is_none() && strong.starts_with('"'));
    for (accepted, coding) in [("gzip, deflate, br, zstd", "zstd"), ("gzip, deflate, br", "gzip")] {
        let answer = get(&server, "/v1/rows/a", &[("accept-encoding", accepted)]);
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("accept-encoding")));
        assert_eq!(unpacked(&answer), plain.body);
        assert!(answer.body.len() * 4 < plain.body.len(), "{} of {} bytes", answer.body.len(), plain.body.len());
        let weak = answer.header("etag").expect("a tag");
        assert_eq!(weak, format!("W/{strong}"));
        for held in [weak, &strong] {
            let unchanged = get(&server, "/v1/rows/a", &[("accept-encoding", coding), ("if-none-match", held)]);
            assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
            assert_eq!(unchanged.header("etag"), Some(held), "told of the tag that it knows");
            assert_eq!(unchanged.header("content-encoding"), None);
        }
    }
    let small = get(&server, "/v1/rows/b", &[("accept-encoding", "gzip")]);
    assert_eq!((small.header("content-encoding"), &small.json()["rows"][0]["data"]), (None, &json!({ "id": 1 })));
    let insists = get(&server, "/v1/rows/b", &[("accept-encoding", "gzip, identity;q=0")]);
    assert_eq!((insists.header("content-encoding"), unpacked(&insists)), (Some("gzip"), small.body.clone()));
    let refused = get(&server, "/v1/rows/b", &[("accept-encoding", "identity;q=0")]);
    assert_eq!((refused.status, &refused.json()["code"]), (406, &json!("not-acceptable")));
    let script = get(&server, "/tidegate.js", &[("accept-encoding", "gzip")]);
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert_eq!(unpacked(&script), get(&server, "/tidegate.js", &[]).body);
}

/// More than what is free, so that it goes through the share of memory for large answers.
#[test]
fn a_large_answer_that_hardly_shrinks_is_whole() {
    let server = chat_and_rows();
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (state >> 60) as u8)
    };
    let text: String = (0..1_000_000).map(|_| letter()).collect();
    assert_eq!(Raw::to(&server).publish(ROOM, &json!({ "text": text }).to_string()).status, 200);
    for coding in ["gzip", "zstd"] {
        let answer = get(&server, ROOM, &[("accept-encoding", coding)]);
        assert!(answer.body.len() > 300_000, "{} bytes", answer.body.len());
        let body: serde_json::Value = serde_json::from_slice(&unpacked(&answer)).expect("JSON");
        assert!(body["frames"][0]["data"]["text"] == *text);
    }
}
