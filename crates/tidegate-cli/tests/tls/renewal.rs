//! A certificate is replaced while streams are open.

use std::net::TcpStream;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tidegate_testkit::tls::Pair;

use crate::requests::Watch;
use crate::rig::{Rig, eventually};

/// The certificate that a new connection is shown.
fn shown(rig: &Rig) -> Vec<u8> {
    let socket = TcpStream::connect(rig.server.address()).expect("connect");
    let name = ServerName::from(rig.server.address().ip());
    let connection = ClientConnection::new(rig.authority.client(&["http/1.1"]), name).expect("a client");
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    }
    stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[test]
fn new_connections_see_the_new_certificate_and_open_streams_go_on() {
    let rig = Rig::start("first");
    let mut streams: Vec<Watch> = ["--http1.1", "--http2"]
        .iter()
        .map(|version| {
            let url = rig.url("/v1/rooms/r/messages?chain=true");
            let mut watch = Watch::open(&rig, &[version, "-H", "Accept: application/x-ndjson", &url]);
            watch.until("\"op\":\"begin\"");
            watch
        })
        .collect();
    let (first, expiry) = (shown(&rig), rig.metric("tidegate_tls_certificate_expiry_timestamp_seconds"));
    assert_eq!(rig.metric("tidegate_tls_reloads_total"), 0.0);
    let mut published = 0;
    let mut publish = || {
        published += 1;
        rig.publish("r", &format!(r#"{{"n":{published}}}"#));
    };
    publish();

    rig.authority.issue("second").write(rig.folder());
    eventually("the second certificate is shown", || {
        publish();
        shown(&rig) != first
    });
    assert_eq!(rig.metric("tidegate_tls_reloads_total"), 1.0);
    publish();

    // Told by a signal it looks at once, also at an expired one; it is shown, and warned of.
    let second = shown(&rig);
    rig.authority.issue_expired("third").write(rig.folder());
    rig.server.hang_up();
    eventually("the expired certificate's time is told", || {
        rig.metric("tidegate_tls_certificate_expiry_timestamp_seconds") < expiry
    });
    eventually("the operator is warned", || rig.server.output().contains("has expired on 2020-01-01"));
    rig.authority.issue("fourth").write(rig.folder());
    rig.server.hang_up();
    eventually("the fourth certificate is shown", || rig.metric("tidegate_tls_reloads_total") == 3.0);
    assert_ne!(shown(&rig), second);
    publish();

    for stream in &mut streams {
        let lines = stream.until(&format!("{{\"n\":{published}}}"));
        let frames: Vec<serde_json::Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let numbers: Vec<u64> = frames.iter().filter_map(|frame| frame["data"]["n"].as_u64()).collect();
        assert_eq!(numbers, (1..=published).collect::<Vec<u64>>());
        let chained: Vec<&serde_json::Value> = frames.iter().filter(|frame| frame["cursor"].is_string()).collect();
        assert!(chained.windows(2).all(|pair| pair[1]["prev"] == pair[0]["cursor"]), "{frames:#?}");
    }
}

#[test]
fn a_broken_file_leaves_the_certificate_before_and_is_told_once() {
    let rig = Rig::start("good");
    let good = shown(&rig);
    let other = rig.authority.issue("other");
    let failures = || rig.metric("tidegate_tls_reload_failures_total");

    // The key of another certificate.
    let own = std::fs::read_to_string(rig.folder().join("cert.pem")).expect("a file");
    Pair { cert: own, key: other.key.clone() }.write(rig.folder());
    eventually("the strangers are counted", || failures() == 1.0);
    assert_eq!(shown(&rig), good);

    std::fs::write(rig.folder().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nnonsense\n").expect("written");
    eventually("the nonsense is counted", || failures() == 2.0);
    std::fs::remove_file(rig.folder().join("cert.pem")).expect("removed");
    eventually("the missing file is counted", || failures() == 3.0);
    assert_eq!(shown(&rig), good);

    other.write(rig.folder());
    eventually("the other certificate is shown", || shown(&rig) != good);
    assert_eq!(failures(), 3.0);
    eventually("the operator is told", || rig.server.output().contains("shown another certificate"));
    let told = rig.server.output().matches("the one before stays").count();
    assert_eq!(told, 3, "each is told once: {}", rig.server.output());
}
