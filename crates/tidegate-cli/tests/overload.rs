//! Under load, watches of less important channels give way and go back: told so, on their connection, with every row in
//! the end as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tidegate_core::Kind;
use tidegate_testkit::client::{Ask, Transport, Watch};
use tidegate_testkit::http2::{RawHttp2, kind};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;

/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server for which any work is load.
fn start() -> Server {
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        r#"
overload: { cpu: 1%, rate: 10/s }
channels:
  low: { address: "low/{place}", key: id, priority: low, access: { read: "true", publish: "true" } }
  high: { address: "high/{place}", key: id, access: { read: "true", publish: "true" } }
"#,
    )
}

/// Writes as fast as it goes until it is told to stop; then a last row.
fn write(server: &Server, channel: &str, stop: &AtomicBool) {
    let put = |id: u64, n: u64| {
        let body = format!(r#"{{"id":"{id}","n":{n}}}"#);
        let path = format!("/v1/{channel}/a?key={id}");
        let answer = Raw::to(server).send("PUT", &path, &[("content-type", "application/json")], &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        put(n % 5, n);
    }
    put(99, n);
}

/// What a client holds.
#[derive(Default)]
struct Replica(BTreeMap<String, Value>);

impl Replica {
    fn take(&mut self, frame: &Value) {
        match frame["op"].as_str().expect("op") {
            "reset" => self.0.clear(),
            "snapshot" | "upsert" if frame["key"].is_string() => {
                self.0.insert(frame["key"].as_str().expect("a key").to_owned(), frame["data"].clone());
            }
            "close" => panic!("{frame}"),
            _ => {}
        }
    }
}

async fn next(watch: &mut Watch) -> Value {
    tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("in time").expect("a frame")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn low_ones_are_conflated_and_restored_and_nobody_is_cut() {
    let server = start();
    let at = server.address();
    let stop = AtomicBool::new(false);
    let transports = [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many];
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for transport in transports {
        // A chain shows that nothing is missing and nothing comes twice.
        let ask = |path: &str| Ask { chain: true, ..Ask::new(path, true, Kind::State) };
        low.push((Watch::open(at, transport, &ask("low/a")).await.expect("a watch"), Replica::default()));
        high.push((Watch::open(at, transport, &ask("high/a")).await.expect("a watch"), Replica::default()));
    }
    let until = async |watch: &mut Watch, replica: &mut Replica, found: fn(&Value) -> bool| {
        let (mut conflated, mut cursor) = (false, Value::Null);
        loop {
            let frame = next(watch).await;
            if let Some(prev) = frame["prev"].as_str().filter(|_| cursor.is_string()) {
                assert_eq!(cursor, prev, "{frame}");
            }
            if frame["cursor"].is_string() {
                cursor = frame["cursor"].clone();
            }
            replica.take(&frame);
            conflated |= frame["conflated"].as_u64().is_some_and(|changes| changes > 1);
            if found(&frame) {
                return (frame, conflated);
            }
        }
    };
    std::thread::scope(|scope| {
        let writers = ["low", "high"].map(|channel| {
            scope.spawn({
                let (server, stop) = (&server, &stop);
                move || write(server, channel, stop)
            })
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for (watch, replica) in &mut low {
                    until(watch, replica, |frame| frame["op"] == "notice" && frame["code"] == "degraded").await;
                    until(watch, replica, |frame| frame["conflated"].as_u64() > Some(1)).await;
                }
                stop.store(true, Ordering::Relaxed);
                for (watch, replica) in &mut low {
                    until(watch, replica, |frame| frame["op"] == "notice" && frame["code"] == "restored").await;
                }
            });
        });
        for writer in writers {
            writer.join().expect("a writer");
        }
    });
    for (watch, replica) in &mut high {
        let (last, conflated) = until(watch, replica, |frame| frame["key"] == "99").await;
        assert_eq!((last["op"].as_str(), conflated), (Some("upsert"), false), "{last}");
    }
    // Everything is there, and comes at once again.
    let rows = |path: &str| {
        let rows = Raw::to(&server).get(path).json();
        let row = |row: &Value| (row["key"].as_str().expect("a key").to_owned(), row["data"].clone());
        rows["rows"].as_array().expect("rows").iter().map(row).collect::<BTreeMap<_, _>>()
    };
    let put =
        Raw::to(&server).send("PUT", "/v1/low/a?key=end", &[("content-type", "application/json")], r#"{"id":"end"}"#);
    assert_eq!(put.status, 200);
    for (watch, replica) in &mut low {
        let (last, _) = until(watch, replica, |frame| frame["key"] == "end").await;
        assert!(last["conflated"].is_null(), "{last}");
        assert_eq!(replica.0, rows("/v1/low/a"));
    }
    for (_, replica) in &high {
        assert_eq!(replica.0, rows("/v1/high/a"));
    }
}

/// A watch of HTTP/2 is a task's and no lane's.
#[test]
fn a_watch_of_http_2_gives_way_too() {
    let server = start();
    let stop = AtomicBool::new(false);
    let mut connection = RawHttp2::to(&server, &[]);
    connection.get(1, "/v1/low/a?as=ndjson", &[]).expect("asked");
    let mut text = String::new();
    let mut until = |word: &str| {
        while !text.contains(word) {
            let frame = connection.frame().expect("a frame");
            if frame.kind == kind::DATA {
                let bytes = frame.payload.len() as u32;
                text.push_str(&String::from_utf8_lossy(&frame.payload));
                // What is taken is given back to both windows.
                if bytes > 0 {
                    connection.give(0, bytes).expect("given");
                    connection.give(1, bytes).expect("given");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&server, "low", &stop));
        until("\"degraded\"");
        until("\"conflated\":");
        stop.store(true, Ordering::Relaxed);
        until("\"restored\"");
        writer.join().expect("the writer");
    });
    assert!(!text.contains("\"close\""), "{text}");
}

/// Who is told more than its bytes is told less often, and others are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_exceeds_its_bytes_is_conflated_and_others_are_not() {
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        r#"
overload: { rate: 10/s }
gate: { limits: { address: { sent_bytes: 5kB/s } } }
proxies: { from: 127.0.0.1, header: x-forwarded-for }
channels:
  low: { address: "low/{place}", key: id, access: { read: "true", publish: "true" } }
"#,
    );
    let stop = AtomicBool::new(false);
    let watch = |client: &str, path: &str| {
        let mut watch = Raw::to(&server);
        let head =
            format!("GET /v1/low/{path}?as=ndjson HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {client}\r\n\r\n");
        watch.write(head.as_bytes());
        watch
    };
    let (mut many, mut few) = (watch("198.51.100.1", "a"), watch("198.51.100.2", "b"));
    let until = |watch: &mut Raw, word: &str| while !watch.line().contains(word) {};
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&server, "low", &stop));
        until(&mut many, "\"throttled\"");
        until(&mut many, "\"conflated\":");
        stop.store(true, Ordering::Relaxed);
        until(&mut many, "\"restored\"");
        writer.join().expect("the writer");
    });
    let put = Raw::to(&server).send("PUT", "/v1/low/b?key=1", &[("content-type", "application/json")], r#"{"id":"1"}"#);
    assert_eq!(put.status, 200);
    until(&mut few, "\"op\":\"upsert\"");
}
