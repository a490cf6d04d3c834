//! What a source tells of a channel, a loss or a notice, through the reads that end: JSON and long-poll. A source is not
//! needed for it, its records are.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::{Address, ChannelId, Cursor, Millis, Op};
use tidegate_log::{Batch, Entry};
use tidegate_server::Server;
use tidegate_server::config::{Config, Environment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
channels:
  rows: { address: "rows/{part}", key: id, access: { read: "true", publish: "true" } }
  chat: { address: "rooms/{room}", access: { read: "true", publish: "true" } }
"#;

async fn start(folder: &Path) -> Server {
    let config = match Config::parse("test.yaml", CONFIG, folder, &Environment::of(&[])) {
        Ok(config) => config,
        Err(report) => panic!("{report}"),
    };
    Server::start(config, false, Vec::new()).await.expect("started")
}

fn entry(channel: &str, op: Op, at: &str, key: Option<&str>, data: &'static str) -> Entry {
    Entry {
        channel: ChannelId::of(channel),
        op,
        address: Address::parse(at).expect("address"),
        key: key.map(Into::into),
        time: Millis(0),
        data: data.into(),
    }
}

async fn write(server: &Server, entries: Vec<Entry>) {
    let (log, batch) = (server.hub().log().clone(), Batch { entries, ..Batch::default() });
    tokio::task::spawn_blocking(move || log.append(batch)).await.expect("no panic").expect("appended");
}

/// Status, `Tidegate-Cursor`, and the frames if there is a body.
async fn get(address: SocketAddr, path: &str) -> (u16, Option<Cursor>, Value) {
    let mut socket = TcpStream::connect(address).await.expect("connected");
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("in time").expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let cursor = head.lines().find_map(|line| line.strip_prefix("tidegate-cursor: "));
    let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    (status, cursor.map(|cursor| cursor.parse().expect("a cursor")), body["frames"].clone())
}

const NOTICE: &str = r#"{"code":"schema","message":"a column came","columns":["note"]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_history_has_the_loss_and_the_notice_where_they_were() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;
    for (channel, path, op, key) in [("rows", "rows/a", Op::Upsert, Some("1")), ("chat", "rooms/a", Op::Append, None)] {
        let data = r#"{"id":"1"}"#;
        write(&server, vec![entry(channel, op, path, key, data)]).await;
        write(&server, vec![entry(channel, Op::Gap, "lost", None, "")]).await;
        write(&server, vec![entry(channel, Op::Notice, "told", None, NOTICE)]).await;

        let (_, _, frames) = get(server.address(), &format!("/v1/{path}?from=start&chain=true")).await;
        let cursor: Cursor = frames[0]["cursor"].as_str().and_then(|text| text.parse().ok()).expect("a cursor");
        let at = |offset| cursor.at(offset).to_string();
        assert_eq!(frames[1], json!({"op": "gap", "from": at(1), "to": at(2), "reason": "source"}));
        assert_eq!(frames[2], json!({"op": "bookmark", "cursor": at(2), "prev": at(2)}));
        let notice = json!({
            "op": "notice", "cursor": at(3), "prev": at(2), "time": "1970-01-01T00:00:00.000Z",
            "code": "schema", "message": "a column came", "columns": ["note"],
        });
        assert_eq!((&frames[3], frames.as_array().map(Vec::len)), (&notice, Some(4)));

        let history = if key.is_some() { "&snapshot=false" } else { "" };
        let polled = get(server.address(), &format!("/v1/{path}?after={}&wait=30s{history}", at(1))).await;
        assert_eq!(
            (polled.0, polled.2[0]["op"].as_str(), polled.2[1]["op"].as_str()),
            (200, Some("gap"), Some("bookmark"))
        );
    }
    let (_, _, newest) = get(server.address(), "/v1/rooms/a?limit=2").await;
    let ops: Vec<_> = newest.as_array().expect("frames").iter().map(|frame| frame["op"].clone()).collect();
    assert_eq!(ops, ["gap", "bookmark", "notice"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_nothing_to_a_poll_of_the_state() {
    let folder = tempfile::tempdir().expect("folder");
    let server = start(folder.path()).await;
    write(&server, vec![entry("rows", Op::Upsert, "rows/a", Some("1"), r#"{"id":"1"}"#)]).await;
    let (_, cursor, _) = get(server.address(), "/v1/rows/a").await;
    let cursor = cursor.expect("a cursor");
    write(&server, vec![entry("rows", Op::Gap, "lost", None, "")]).await;

    let (status, behind, _) = get(server.address(), &format!("/v1/rows/a?after={cursor}")).await;
    assert_eq!((status, behind), (204, Some(cursor.at(2))));
    write(&server, vec![entry("rows", Op::Notice, "told", None, NOTICE)]).await;
    let (status, behind, frames) = get(server.address(), &format!("/v1/rows/a?after={cursor}&wait=30s")).await;
    assert_eq!((status, behind, frames.as_array().map(Vec::len)), (200, Some(cursor.at(3)), Some(1)));
    assert_eq!((&frames[0]["op"], &frames[0]["cursor"]), (&json!("notice"), &json!(cursor.at(3).to_string())));
    server.stop().await;
}
