//! A whole server in this process, over its sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tidegate_server::config::{Config, Environment};
use tidegate_server::{ListenError, Server, StartError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing here takes a second; a machine under load may take many.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
sources:
  host: { kind: system, interval: 100ms }
channels:
  machine: { address: "machine/{group}", source: host, key: name, access: { read: "true" } }
  chat: { address: "rooms/{room}", access: { read: "true", publish: "true" } }
"#;

fn config(folder: &Path) -> Config {
    match Config::parse("test.yaml", CONFIG, folder, &Environment::of(&[])) {
        Ok(config) => config,
        Err(report) => panic!("{report}"),
    }
}

async fn start(folder: &Path) -> Server {
    Server::start(config(folder), false, Vec::new()).await.expect("started")
}

/// Sends a request and returns the whole answer, head and body.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let request = request.replace("HOST", &address.to_string());
    socket.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("in time").expect("read");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: HOST\r\n")).await
}

/// A watch over NDJSON, a frame at a time.
struct Watch(BufReader<TcpStream>);

impl Watch {
    async fn open(address: SocketAddr, path: &str) -> Watch {
        let mut socket = TcpStream::connect(address).await.expect("connected");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/x-ndjson\r\n\r\n");
        socket.write_all(head.as_bytes()).await.expect("sent");
        Watch(BufReader::new(socket))
    }

    /// The next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("in time").expect("read");
            if read == 0 {
                return None;
            }
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).expect("a frame"));
            }
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if wanted(&frame) {
                return frame;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_side_tells() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;
    let admin = server.admin_address();

    assert_eq!(get(admin, "/healthz").await.0, 200);
    assert_eq!(get(admin, "/readyz").await.0, 200);
    assert_eq!(get(server.address(), "/readyz").await.0, 200);
    let (status, metrics) = get(admin, "/metrics").await;
    assert_eq!(status, 200);
    let page = tidegate_server::docs::pages().into_iter().find(|page| page.path == "docs/metrics.md").expect("page");
    for name in page.text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()) {
        let name = name.trim_end_matches("_total");
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is not in the scrape:\n{metrics}");
    }
    assert!(metrics.contains("tidegate_channel_head{channel=\"chat\"} 0"), "{metrics}");

    let mut watch = Watch::open(server.address(), "/v1/rooms/a").await;
    let begin = watch.next().await.expect("begin");
    let (_, watches) = get(admin, "/watches").await;
    assert!(watches.contains(begin["watch"].as_str().expect("an id")), "{watches}");
    assert!(watches.contains("\"transport\":\"ndjson\""), "{watches}");

    let (_, sources) = get(admin, "/sources").await;
    assert!(sources.contains(r#""kind":"system","lag_ms":null"#) && sources.contains(r#""name":"host""#), "{sources}");

    assert_eq!(get(admin, "/nothing").await.0, 404);
    assert_eq!(ask(admin, "POST /metrics HTTP/1.1\r\nHost: HOST\r\n").await.0, 405);
    assert_eq!(ask(admin, "GET /watches HTTP/1.1\r\nHost: evil.example\r\n").await.0, 421);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_feeds_watches() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;
    let mut watch = Watch::open(server.address(), "/v1/machine/*").await;
    let total = watch.until(|frame| frame["key"] == "total").await;
    assert_eq!(total["address"], "machine/cpu");
    assert!(total["data"]["percent"].is_number(), "{total}");
    watch.until(|frame| frame["op"] == "upsert" && frame["cursor"].is_string()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_every_watch_when_to_come_back() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;
    let mut watches = Vec::new();
    for _ in 0..20 {
        let mut watch = Watch::open(server.address(), "/v1/rooms/a").await;
        watch.until(|frame| frame["op"] == "begin").await;
        watches.push(watch);
    }
    let stopping = tokio::spawn(server.stop());
    let mut retries = Vec::new();
    for watch in &mut watches {
        let close = watch.until(|frame| frame["op"] == "close").await;
        assert_eq!(close["code"], "draining");
        retries.push(close["retry_ms"].as_u64().expect("a time"));
        assert_eq!(watch.next().await, None);
    }
    stopping.await.expect("stopped");
    retries.sort_unstable();
    retries.dedup();
    assert!(retries.len() > 5, "spread: {retries:?}");

    // The folder is free again, and what was there is there.
    start(folder.path()).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;
    let body = r#"{"text":"hello"}"#;
    let request = format!(
        "POST /v1/rooms/a HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(server.address()).await.expect("connected");
    socket.write_all(request.replace("HOST", &server.address().to_string()).as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("in time").expect("read");
    assert!(answer.contains("200 OK") && answer.contains("\"count\":1"), "{answer}");
    server.stop().await;

    let server = start(folder.path()).await;
    let (status, answer) = get(server.address(), "/v1/rooms/a").await;
    assert_eq!(status, 200);
    assert!(answer.contains(body), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prevents_a_start_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;

    let second = Server::start(config(folder.path()), false, Vec::new()).await.err().expect("the folder is taken");
    assert!(matches!(&second, StartError::Log(_)), "{second}");
    assert!(second.to_string().contains("in use by another process"), "{second}");

    let other = tempfile::tempdir().expect("folder");
    let taken = Config { listen: server.address(), ..config(other.path()) };
    let error = Server::start(taken, false, Vec::new()).await.err().expect("the port is taken");
    assert!(matches!(error, StartError::Listen(ListenError::Taken { field: "listen", .. })), "{error}");

    let exposed = Config { admin: ([0, 0, 0, 0], 0).into(), ..config(other.path()) };
    let error = Server::start(exposed, false, Vec::new()).await.err().expect("there is no gate");
    assert!(matches!(error, StartError::Listen(ListenError::Exposed { field: "admin.listen", .. })), "{error}");
    assert!(error.to_string().contains("--insecure"), "{error}");
    server.stop().await;
}
