//! A client over TLS that stops to read, and goes on later.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::rig::Rig;

#[test]
fn what_a_client_did_not_read_waits_for_it() {
    const EVENTS: u64 = 2_000;
    let rig = Rig::start("slow");
    let address = rig.server.address();
    let connection =
        ClientConnection::new(rig.authority.client(&[]), ServerName::from(address.ip())).expect("a client");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).expect("connect"));
    let request =
        "GET /v1/rooms/s/messages?chain=true HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("written");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    lines.find(|line| line.contains("\"op\":\"begin\"")).expect("it begins");

    // 20 MB, which no buffer on the way holds.
    let pad = "x".repeat(10_000);
    for batch in (1..=EVENTS).collect::<Vec<_>>().chunks(100) {
        let events: Vec<String> = batch.iter().map(|n| format!(r#"{{"n":{n},"pad":"{pad}"}}"#)).collect();
        std::fs::write(rig.folder().join("batch"), format!("[{}]", events.join(","))).expect("written");
        let answer = rig.curl(&["-d", "@batch", "-H", "Expect:", &rig.url("/v1/rooms/s/messages")]);
        assert!(answer.contains("\"count\":100"), "{answer}");
    }
    assert!(rig.metric("tidegate_watches_behind_total") > 0.0, "it fell behind");

    let (mut last, mut next) = (None::<String>, 1);
    while next <= EVENTS {
        let frame: serde_json::Value = serde_json::from_str(&lines.next().expect("a frame")).expect("JSON");
        if let Some(cursor) = frame["cursor"].as_str() {
            assert!(last.is_none() || last.as_deref() == frame["prev"].as_str(), "the chain breaks at {next}");
            last = Some(cursor.to_owned());
        }
        if let Some(n) = frame["data"]["n"].as_u64() {
            assert_eq!(n, next);
            next += 1;
        }
    }
}
