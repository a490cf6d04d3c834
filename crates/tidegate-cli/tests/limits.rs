//! How fast callers may be, and whom the server takes them for: limits of each address and subject on every transport,
//! and proxies that are believed where the config lists them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Ended, Transport, Watch};
use tidegate_testkit::http2::{RawHttp2, kind};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::{Answer, Raw};
use tidegate_testkit::token::{mint, seconds_from_now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CHANNELS: &str = r#"
channels:
  rooms:
    address: rooms/{room}
    access: { read: "true", publish: "true" }
"#;

/// Rates are per hour: nothing comes back while a test runs.
fn start(config: &str) -> Server {
    Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &format!("{config}{CHANNELS}"))
}

fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    Raw::to(server).send("GET", path, headers, "")
}

fn metric(server: &Server, line: &str) -> u64 {
    let text = Raw::admin(server).get("/metrics").text();
    let figure = text.lines().find_map(|own| own.strip_prefix(line)).unwrap_or_else(|| panic!("{line}: {text}"));
    figure.trim().parse::<f64>().expect("a number") as u64
}

/// Waits until a watch has begun; its head is written before it is on the list.
fn begun(watch: &mut Raw) {
    while !watch.line().contains(r#""op":"begin""#) {}
}

fn peers(server: &Server) -> Vec<String> {
    let watches = Raw::admin(server).get("/watches").json();
    let peer = |watch: &Value| watch["peer"].as_str().expect("a peer").to_owned();
    watches["watches"].as_array().expect("watches").iter().map(peer).collect()
}

async fn refused(server: SocketAddr, transport: Transport, ask: &Ask) -> Option<Value> {
    match tokio::time::timeout(PATIENCE, Watch::open(server, transport, ask)).await.expect("in time") {
        Err(Ended::Refused(answer)) => Some(answer.body),
        Err(ended) => panic!("{transport:?}: {ended:?}"),
        Ok(mut watch) => {
            let first = tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("in time").expect("a frame");
            (first["op"] == "close").then_some(first)
        }
    }
}

#[test]
fn who_asks_too_often_is_told_which_limit_and_when_to_come_back() {
    let server = start("gate: { limits: { address: { requests: 3/h, publishes: 2/h burst 1 } } }\n");
    for left in [2, 1, 0] {
        let answer = get(&server, "/v1/rooms/a", &[]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"address-requests\";q=3;w=3600"));
        let limit = answer.header("ratelimit").expect("what is left");
        assert!(limit.starts_with(&format!("\"address-requests\";r={left};t=")), "{limit}");
    }
    let answer = get(&server, "/v1/rooms/a", &[]);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("rate-limited")));
    assert_eq!(answer.json()["detail"], "more requests than 3 an hour of this network address");
    let seconds: u64 = answer.header("retry-after").expect("when").parse().expect("seconds");
    assert!((1_000..=1_200).contains(&seconds), "{seconds}");
    assert!(answer.header("ratelimit").is_some_and(|limit| limit.contains("r=0;")));
    // An EventSource would give up for good on a 429.
    let stream = get(&server, "/v1/rooms/a", &[("accept", "text/event-stream")]);
    assert_eq!((stream.status, stream.header("retry-after").is_some()), (200, true));
    let text = stream.text();
    assert!(text.contains("event: close") && text.contains("rate-limited") && text.contains("retry: 1"), "{text}");
    assert_eq!(metric(&server, "tidegate_limited_total{by=\"address\",limit=\"requests\"}"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_and_their_bytes_are_limited_on_requests_and_sockets() {
    let server = start("gate: { limits: { address: { publishes: 3/h, published_bytes: 1kB/h } } }\n");
    let large = json!("x".repeat(900)).to_string();
    assert_eq!(Raw::to(&server).publish("/v1/rooms/a", &large).status, 200);
    let answer = Raw::to(&server).publish("/v1/rooms/a", &large);
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (429, true), "{}", answer.text());
    assert!(answer.text().contains("bytes published"), "{}", answer.text());
    let ask = Ask::new("", false, Kind::History);
    let mut socket = WebSocket::connect_as(server.address(), "/v1/_ws", &ask).await.expect("a socket");
    let mut publish = async |data: Value| {
        let message = json!({ "do": "publish", "ref": 1, "address": "rooms/a", "data": data });
        socket.send_text(&message.to_string()).await.expect("sent");
        tokio::time::timeout(PATIENCE, socket.next_frame()).await.expect("in time").expect("an answer")
    };
    assert_eq!(publish(json!(1)).await["op"], "done");
    let refused = publish(json!(2)).await;
    assert_eq!((&refused["op"], &refused["code"]), (&json!("problem"), &json!("rate-limited")), "{refused}");
    assert!(refused["retry_ms"].as_u64().is_some_and(|ms| ms > 600_000), "{refused}");
    assert_eq!(refused["detail"], "more publishes than 3 an hour of this network address");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_has_so_many_watches_at_once_from_wherever() {
    let server = start(&format!(
        "gate:\n  issuers: {{ test: {{ issuer: \"https://id\", audience: t, algorithms: HS256, secret: {SECRET} }} }}\n  \
         limits: {{ subject: {{ watches_max: 2 }} }}\n"
    ));
    let at = server.address();
    let token = |subject: &str| {
        let exp = seconds_from_now(Duration::from_secs(3_600));
        Some(mint(SECRET, &json!({ "iss": "https://id", "aud": "t", "sub": subject, "exp": exp })))
    };
    let ask = |subject: &str| Ask { token: token(subject), ..Ask::new("rooms/a", false, Kind::History) };
    let first = Watch::open(at, Transport::Sse, &ask("ann")).await.expect("a first");
    let second = Watch::open(at, Transport::WebSocket, &ask("ann")).await.expect("a second");
    for transport in [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many] {
        let problem = refused(at, transport, &ask("ann")).await.unwrap_or_else(|| panic!("{transport:?}: a third"));
        assert_eq!((&problem["code"], &problem["retry_ms"]), (&json!("rate-limited"), &json!(5_000)), "{transport:?}");
        assert_eq!(refused(at, transport, &ask("ben")).await, None, "{transport:?}");
    }
    // A change of options is no other watch.
    let Watch::WebSocket(_) = &second else { panic!("a WebSocket") };
    let mut second = second;
    let changed = Ask { filter: Some("data.n > 1".into()), ..ask("ann") };
    assert!(second.change(&changed).await.expect("changed"));
    assert!(refused(at, Transport::Sse, &ask("ann")).await.is_some(), "it has its place still");
    // They are off the list when the server has seen the end of their connections.
    drop(first);
    let again = async {
        while refused(at, Transport::Sse, &ask("ann")).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place that was given back");
    assert!(second.change(&ask("ann")).await.expect("changed again"));
    drop(second);
    let forgotten = async {
        while metric(&server, "tidegate_limited_parties{by=\"subject\"}") != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("both are given back, and nothing is left of anybody");
}

#[test]
fn a_watch_of_http2_gives_its_place_back_when_its_stream_is_reset() {
    const CANCEL: [u8; 4] = 8u32.to_be_bytes();
    let server = start("gate: { limits: { address: { watches_max: 1 } } }\n");
    let mut connection = RawHttp2::to(&server, &[]);
    for stream in [1, 3] {
        connection.get(stream, "/v1/rooms/a?as=ndjson", &[]).expect("asked");
        connection.next_of(kind::DATA, stream).expect("it begins");
        assert_eq!(get(&server, "/v1/rooms/a?as=ndjson", &[]).status, 429);
        connection.send(kind::RST_STREAM, 0, stream, &CANCEL).expect("reset");
        while metric(&server, "tidegate_limited_parties{by=\"address\"}") > 0 {}
    }
}

#[test]
fn connections_beyond_the_limit_are_told_so_before_they_have_asked() {
    let server = start("gate: { limits: { address: { connects: 3/h } } }\n");
    for _ in 0..3 {
        assert_eq!(get(&server, "/v1/rooms/a", &[]).status, 200);
    }
    let answer = Raw::to(&server).answer();
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (429, true), "{}", answer.text());
    assert_eq!(answer.json()["detail"], "more connections than 3 an hour of this network address");
}

/// Else who is limited would be somebody else with each request.
#[test]
fn attack_forged_forwarded() {
    for header in ["forwarded", "x-forwarded-for"] {
        let proxies = format!("proxies: {{ from: 192.0.2.0/24, header: {header} }}\n");
        let server = start(&format!("{proxies}gate: {{ limits: {{ address: {{ requests: 2/h }} }} }}\n"));
        let status = |forged: &str| {
            let headers = [("forwarded", format!("for={forged}")), ("x-forwarded-for", forged.to_owned())];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            get(&server, "/v1/rooms/a", &headers).status
        };
        let statuses = ["198.51.100.1", "198.51.100.2", "198.51.100.3"].map(status);
        assert_eq!(statuses, [200, 200, 429], "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_ours_says_for_whom_a_request_is() {
    let limits = "gate: { limits: { address: { requests: 2/h, connects: 1/h } } }\n";
    let server = start(&format!("proxies: {{ from: [127.0.0.1, 10.0.0.0/8], header: forwarded }}\n{limits}"));
    // The connections are the proxy's; the left end is what the client has written itself.
    let ask = |client: &str| {
        let forwarded = format!("for=192.0.2.99, for={client}, for=10.0.0.9");
        get(&server, "/v1/rooms/a", &[("forwarded", &forwarded)]).status
    };
    assert_eq!([1, 2, 1, 2, 1, 2].map(|last| ask(&format!("198.51.100.{last}"))), [200, 200, 200, 200, 429, 429]);
    assert_eq!(["1", "2", "3"].map(|last| ask(&format!("\"[2001:db8:0:1::{last}]\""))), [200, 200, 429]);
    let mut watch = Raw::to(&server);
    watch.write(b"GET /v1/rooms/a?as=sse HTTP/1.1\r\nhost: localhost\r\nforwarded: for=\"198.51.100.7:4711\"\r\n\r\n");
    begun(&mut watch);
    assert_eq!(peers(&server), ["198.51.100.7:4711"]);
}

#[test]
fn attack_a_proxy_header_of_a_stranger() {
    let server = start("proxies: { from: 192.0.2.0/24, proxy_protocol: true }\n");
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    binary.extend([198, 51, 100, 5, 127, 0, 0, 1, 0, 9, 0, 80]);
    for header in [b"PROXY TCP4 198.51.100.5 127.0.0.1 9 80\r\n".as_slice(), &binary] {
        let mut connection = Raw::to(&server);
        connection.write(&[header, b"GET /v1/rooms/a HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat());
        assert_eq!(connection.answer().status, 400);
    }
    assert_eq!(get(&server, "/v1/rooms/a", &[]).status, 200);
}

#[test]
fn a_proxy_header_names_the_client_of_a_connection() {
    let limits = "gate: { limits: { address: { connects: 2/h } } }\n";
    let server = start(&format!("proxies: {{ from: 127.0.0.0/8, proxy_protocol: true }}\n{limits}"));
    let ask = |client: &str| {
        let mut connection = Raw::to(&server);
        connection.write(format!("PROXY TCP4 {client} 127.0.0.1 9 80\r\n").as_bytes());
        connection.write(b"GET /v1/rooms/a HTTP/1.1\r\nhost: localhost\r\n\r\n");
        connection.answer().status
    };
    assert_eq!([5, 6, 5, 5, 6].map(|last| ask(&format!("198.51.100.{last}"))), [200, 200, 200, 429, 200]);
    let mut without = Raw::to(&server);
    without.write(b"GET /v1/rooms/a HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let answer = without.answer();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("PROXY header of this connection is missing"), "{}", answer.text());
    // A balancer that looks whether the server is there speaks for itself.
    let mut health = Raw::to(&server);
    health.write(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(health.answer().status, 200);
    let mut watch = Raw::to(&server);
    watch.write(b"PROXY TCP6 2001:db8::5 ::1 4711 80\r\nGET /v1/rooms/a?as=sse HTTP/1.1\r\nhost: localhost\r\n\r\n");
    begun(&mut watch);
    assert_eq!(peers(&server), ["[2001:db8::5]:4711"]);
}

/// Also one that says nothing: a deploy is not to meet only old connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_old_is_closed_with_its_cursor_good() {
    let server = start("stream: { age_max: 1s }\n");
    let at = server.address();
    for transport in [Transport::Sse, Transport::Ndjson, Transport::WebSocket, Transport::Many] {
        let ask = Ask::new("rooms/a", false, Kind::History);
        let mut watch = Watch::open(at, transport, &ask).await.expect("a watch");
        let first = tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("in time").expect("a frame");
        assert_eq!(Raw::to(&server).publish("/v1/rooms/a", "1").status, 200);
        let mut cursor = first["cursor"].clone();
        let close = loop {
            let frame = tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("in time").expect("a frame");
            if frame["op"] == "close" {
                break frame;
            }
            cursor = frame["cursor"].clone();
        };
        assert_eq!((&close["code"], &close["retry_ms"]), (&json!("age-limit"), &json!(0)), "{transport:?}: {close}");
        // What comes meanwhile is there when the client is back.
        assert_eq!(Raw::to(&server).publish("/v1/rooms/a", "2").status, 200);
        let again = Ask { cursor: cursor.as_str().map(str::to_owned), ..ask };
        let mut watch = Watch::open(at, transport, &again).await.expect("a watch");
        let event = loop {
            let frame = tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("in time").expect("a frame");
            if frame["op"] == "append" {
                break frame;
            }
        };
        assert_eq!(event["data"], 2, "{transport:?}");
    }
    let mut connection = RawHttp2::to(&server, &[]);
    connection.get(1, "/v1/rooms/a?as=ndjson", &[]).expect("asked");
    let (mut text, mut leaves) = (String::new(), false);
    while !(leaves && text.contains("age-limit")) {
        let frame = connection.frame().expect("a frame");
        leaves |= frame.kind == kind::GOAWAY;
        if frame.kind == kind::DATA {
            text.push_str(&String::from_utf8_lossy(&frame.payload));
        }
    }
}
