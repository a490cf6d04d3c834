//! Clients that say who they are by a certificate.

use std::process::Output;

use tidegate_testkit::tls::{Authority, Pair};
use tidegate_testkit::token::{mint, seconds_from_now};

use crate::requests::Watch;
use crate::rig::Rig;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The authority of the server is that of its clients, too.
fn start(required: bool) -> Rig {
    let config = format!(
        r#"
tls: {{ cert: cert.pem, key: key.pem, clients: {{ ca: ca.pem, required: {required} }} }}
gate:
  issuers:
    test: {{ issuer: "https://id.example.org", audience: tidegate, algorithms: HS256, secret: {SECRET} }}
channels:
  pumps:
    address: pumps/{{name}}
    access: {{ read: "claims.sub == \"CN=\" + params.name", publish: "claims.sub == \"CN=\" + params.name" }}
  open:
    address: open
    access: {{ read: "true" }}
"#
    );
    let rig = Rig::start_as("clients", &config);
    for (file, pair) in [
        ("pump-7", rig.authority.issue("pump-7")),
        ("late", rig.authority.issue_expired("pump-7")),
        ("foreign", Authority::new().issue("pump-7")),
    ] {
        let Pair { cert, key } = pair;
        std::fs::write(rig.folder().join(format!("{file}.pem")), cert + &key).expect("written");
    }
    rig
}

fn curl(rig: &Rig, certificate: Option<&str>, arguments: &[&str]) -> Output {
    let mut all = vec!["-sS", "-i", "--noproxy", "*", "--max-time", "30", "--cacert", "ca.pem"];
    let file = certificate.map(|name| format!("{name}.pem"));
    all.extend(file.as_deref().into_iter().flat_map(|file| ["--cert", file]));
    rig.run("curl", &[&all, arguments].concat())
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn a_certificate_says_who_asks_on_every_transport() {
    let rig = start(false);
    let url = rig.url("/v1/pumps/pump-7");
    for version in ["--http1.1", "--http2"] {
        let posted = said(&curl(&rig, Some("pump-7"), &[version, "-d", "1", &url]));
        assert!(posted.lines().next().is_some_and(|line| line.contains(" 200")), "{posted}");
        let other = said(&curl(&rig, Some("pump-7"), &[version, &rig.url("/v1/pumps/pump-8")]));
        assert!(other.contains("\"code\":\"forbidden\""), "{other}");
        for accept in ["text/event-stream", "application/x-ndjson", "application/json"] {
            let accept = format!("Accept: {accept}");
            let from = format!("{url}?from=start");
            let mut watch = Watch::open(&rig, &[version, "--cert", "pump-7.pem", "-H", &accept, &from]);
            watch.until("\"op\":\"append\"");
        }
    }
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let fields: Vec<&str> = upgrade.iter().chain([&key]).flat_map(|field| ["-H", *field]).collect();
    let mut socket = Watch::open(&rig, &[&["--http1.1", "--cert", "pump-7.pem"], &fields[..], &[&url]].concat());
    assert!(socket.line().is_some_and(|line| line.contains(" 101")));
    let mut socket = Watch::open(&rig, &[&["--http1.1"], &fields[..], &[&url]].concat());
    assert!(socket.line().is_some_and(|line| line.contains(" 401")));
}

#[test]
fn without_a_certificate_one_is_nobody_or_not_let_in() {
    let optional = start(false);
    let open = said(&curl(&optional, None, &[&optional.url("/v1/open")]));
    assert!(open.contains(" 200"), "{open}");
    let nobody = said(&curl(&optional, None, &[&optional.url("/v1/pumps/pump-7")]));
    assert!(nobody.contains("\"code\":\"unauthenticated\""), "{nobody}");
    let required = start(true);
    let none = curl(&required, None, &[&required.url("/v1/open")]);
    assert!(!none.status.success() && none.stdout.is_empty(), "{none:?}");
    let some = said(&curl(&required, Some("pump-7"), &[&required.url("/v1/open")]));
    assert!(some.contains(" 200"), "{some}");
}

/// Also where none was needed: who shows one says something.
#[test]
fn a_foreign_or_expired_certificate_ends_the_handshake() {
    for required in [false, true] {
        let rig = start(required);
        for certificate in ["foreign", "late"] {
            let ran = curl(&rig, Some(certificate), &[&rig.url("/v1/open")]);
            assert!(!ran.status.success() && ran.stdout.is_empty(), "{required} {certificate}: {ran:?}");
        }
        assert!(curl(&rig, Some("pump-7"), &[&rig.url("/v1/open")]).status.success());
    }
}

/// What is told to the owner of a certificate is kept for nobody else, and a token beside it is who asks.
#[test]
fn a_token_beside_a_certificate_is_who_asks() {
    let rig = start(true);
    let claims = serde_json::json!({
        "iss": "https://id.example.org", "aud": "tidegate", "sub": "CN=pump-8",
        "exp": seconds_from_now(std::time::Duration::from_secs(600)),
    });
    let bearer = format!("Authorization: Bearer {}", mint(SECRET, &claims));
    let own = said(&curl(&rig, Some("pump-7"), &["-H", &bearer, &rig.url("/v1/pumps/pump-7")]));
    assert!(own.contains("\"code\":\"forbidden\""), "{own}");
    let other = said(&curl(&rig, Some("pump-7"), &["-H", &bearer, &rig.url("/v1/pumps/pump-8")]));
    assert!(other.contains(" 200") && other.contains("cache-control: no-store"), "{other}");
}
