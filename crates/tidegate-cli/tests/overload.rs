//! Under load, watches of less important channels give way and go back: told so, on their connection, with every row in
//! the end as it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tidegate_core::Kind;
use tidegate_testkit::client::{Ask, Transport, Watch};
use tidegate_testkit::http2::{RawHttp2, kind};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;
use tokio::task::JoinSet;

/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server for which any work is load; at rest a build for tests uses up to 1 % of a busy machine.
fn start() -> Server {
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        r#"
overload: { cpu: 5%, rate: 10/s }
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

/// Tells writers to stop when it goes, also by a panic: they would write for ever.
struct Writing<'a>(&'a AtomicBool);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A watch and what its client holds.
struct Watcher {
    watch: Watch,
    rows: BTreeMap<String, Value>,
    cursor: Value,
    /// Whether any row so far stood for more than one change.
    conflated: bool,
}

impl Watcher {
    async fn open(at: SocketAddr, transport: Transport, path: &str) -> Watcher {
        // A chain shows that nothing is missing and nothing comes twice.
        let ask = Ask { chain: true, ..Ask::new(path, true, Kind::State) };
        let watch = Watch::open(at, transport, &ask).await.expect("a watch");
        Watcher { watch, rows: BTreeMap::new(), cursor: Value::Null, conflated: false }
    }

    /// Reads up to the first frame that is it.
    async fn until(&mut self, found: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.watch.next_frame()).await;
            let frame = frame.expect("in time").expect("a frame");
            self.take(&frame);
            if found(&frame) {
                return frame;
            }
        }
    }

    async fn until_notice(&mut self, code: &str) {
        self.until(|frame| frame["op"] == "notice" && frame["code"] == code).await;
    }

    fn take(&mut self, frame: &Value) {
        if let Some(prev) = frame["prev"].as_str().filter(|_| self.cursor.is_string()) {
            assert_eq!(self.cursor, prev, "{frame}");
        }
        if frame["cursor"].is_string() {
            self.cursor = frame["cursor"].clone();
        }
        self.conflated |= frame["conflated"].as_u64().is_some_and(|changes| changes > 1);
        match frame["op"].as_str().expect("op") {
            "reset" => self.rows.clear(),
            "snapshot" | "upsert" if frame["key"].is_string() => {
                self.rows.insert(frame["key"].as_str().expect("a key").to_owned(), frame["data"].clone());
            }
            "close" => panic!("{frame}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn low_ones_are_conflated_and_restored_and_nobody_is_cut() {
    let server = start();
    let at = server.address();
    let transports = [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many];
    let (gave_way, mut giving_way) = tokio::sync::mpsc::channel(transports.len());
    let (mut low, mut high) = (JoinSet::new(), JoinSet::new());
    for transport in transports {
        let (mut slow, mut fast) =
            (Watcher::open(at, transport, "low/a").await, Watcher::open(at, transport, "high/a").await);
        let gave_way = gave_way.clone();
        low.spawn(async move {
            slow.until_notice("degraded").await;
            slow.until(|frame| frame["conflated"].as_u64() > Some(1)).await;
            gave_way.send(()).await.expect("the test waits for it");
            slow.until_notice("restored").await;
            slow
        });
        high.spawn(async move {
            let last = fast.until(|frame| frame["key"] == "99").await;
            assert_eq!((last["op"].as_str(), fast.conflated), (Some("upsert"), false), "{last}");
            fast
        });
    }
    drop(gave_way);
    let stop = AtomicBool::new(false);
    let (low, high) = std::thread::scope(|scope| {
        let writing = Writing(&stop);
        for channel in ["low", "high"] {
            scope.spawn(|| write(&server, channel, &stop));
        }
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for _ in transports {
                    giving_way.recv().await.expect("each gives way");
                }
                drop(writing);
                (low.join_all().await, high.join_all().await)
            })
        })
    });
    // Everything is there, and comes at once again.
    let rows = |path: &str| {
        let rows = Raw::to(&server).get(path).json();
        let row = |row: &Value| (row["key"].as_str().expect("a key").to_owned(), row["data"].clone());
        rows["rows"].as_array().expect("rows").iter().map(row).collect::<BTreeMap<_, _>>()
    };
    let put =
        Raw::to(&server).send("PUT", "/v1/low/a?key=end", &[("content-type", "application/json")], r#"{"id":"end"}"#);
    assert_eq!(put.status, 200);
    for mut slow in low {
        let last = slow.until(|frame| frame["key"] == "end").await;
        assert!(last["conflated"].is_null(), "{last}");
        assert_eq!(slow.rows, rows("/v1/low/a"));
    }
    for fast in high {
        assert_eq!(fast.rows, rows("/v1/high/a"));
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
        let writing = Writing(&stop);
        scope.spawn(|| write(&server, "low", &stop));
        until("\"degraded\"");
        until("\"conflated\":");
        drop(writing);
        until("\"restored\"");
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
        let writing = Writing(&stop);
        scope.spawn(|| write(&server, "low", &stop));
        until(&mut many, "\"throttled\"");
        until(&mut many, "\"conflated\":");
        drop(writing);
        until(&mut many, "\"restored\"");
    });
    let put = Raw::to(&server).send("PUT", "/v1/low/b?key=1", &[("content-type", "application/json")], r#"{"id":"1"}"#);
    assert_eq!(put.status, 200);
    until(&mut few, "\"op\":\"upsert\"");
}
