//! A server with an issuer, tokens of that issuer, and clients.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::{Answer, Wire, request};
use tidegate_testkit::client::{Ask, Ended, Publish, Publisher, Transport, Watch};
use tidegate_testkit::http2::{RawHttp2, kind};
use tidegate_testkit::process::Server;
use tidegate_testkit::token::{mint, seconds_from_now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ISSUER: &str = "https://id.example.org";
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// Nothing here takes longer, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn start() -> Server {
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        &format!(
            r#"
gate:
  issuers:
    test:
      issuer: {ISSUER}
      audience: tidegate
      algorithms: HS256
      secret: {SECRET}
      leeway: 1s
channels:
  rooms:
    address: rooms/{{room}}/messages
    access: {{ read: "params.room in claims.rooms", publish: "params.room in claims.rooms && data.by == claims.sub" }}
  orders:
    address: orders/{{region}}
    key: id
    access: {{ read: "has(claims.sub)", publish: "claims.sub == \"shop\"", rows: "data.owner == claims.sub", mask: [margin] }}
  open:
    address: open/{{name}}
    access: {{ read: "true", publish: "true" }}
"#
        ),
    )
}

pub(crate) fn token(claims: Value, lasts: Duration) -> String {
    let mut all = json!({ "iss": ISSUER, "aud": "tidegate", "exp": seconds_from_now(lasts) });
    all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
    mint(SECRET, &all)
}

pub(crate) fn ask(path: &str, keyed: bool, kind: Kind, token: Option<&str>) -> Ask {
    Ask { token: token.map(str::to_owned), ..Ask::new(path, keyed, kind) }
}

pub(crate) async fn opened(server: SocketAddr, transport: Transport, ask: &Ask) -> Result<Watch, (u16, Value)> {
    let opened = tokio::time::timeout(PATIENCE, async {
        let mut watch = Watch::open(server, transport, ask).await?;
        if transport == Transport::Poll {
            // A client that polls has asked nothing yet.
            watch.next_frame().await?;
        }
        Ok(watch)
    });
    match opened.await.expect("an answer in time") {
        Ok(watch) => Ok(watch),
        Err(Ended::Refused(answer)) => Err((answer.head.status, answer.body)),
        Err(ended) => panic!("{transport:?}: {ended:?}"),
    }
}

pub(crate) async fn refusal(server: SocketAddr, transport: Transport, ask: &Ask) -> (u16, String) {
    match opened(server, transport, ask).await {
        Ok(_) => panic!("{transport:?} {ask:?} is let in"),
        Err((status, body)) => (status, body["code"].as_str().unwrap_or_default().to_owned()),
    }
}

pub(crate) async fn until(watch: &mut Watch, mut is: impl FnMut(&Value) -> bool) -> Vec<Value> {
    let mut frames = Vec::new();
    loop {
        let frame =
            tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("a frame in time").expect("a frame");
        let found = is(&frame);
        frames.push(frame);
        if found {
            return frames;
        }
    }
}

/// Asks the admin side for something.
pub(crate) async fn admin(server: &Server, method: &str, path: &str, body: Option<Value>) -> Answer {
    let headers: &[String] = if body.is_some() { &["Content-Type: application/json".to_owned()] } else { &[] };
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let mut wire = Wire::connect(server.admin(), None).await.expect("a connection");
    wire.send(&request(server.admin(), method, path, headers, body.as_bytes())).await.expect("sent");
    wire.answer().await.expect("an answer")
}

/// Publishes as the shop, which may.
pub(crate) async fn publish(server: &Server, publish: Publish, token: &str) {
    let answer = Publisher::new(server.address()).send(&publish.by(token)).await.expect("an answer");
    assert_eq!(answer.head.status, 200, "{answer:?}");
}

/// A stream of any kind.
pub(crate) enum Stream {
    Watch(Box<Watch>),
    Http2(Box<Http2>),
}

/// NDJSON over HTTP/2.
pub(crate) struct Http2 {
    raw: RawHttp2,
    read: Vec<u8>,
}

/// Those that stay open.
pub(crate) const STREAMS: [Option<Transport>; 5] = [
    Some(Transport::Sse),
    Some(Transport::Ndjson),
    Some(Transport::WebSocket),
    Some(Transport::Many),
    // HTTP/2.
    None,
];

impl Stream {
    pub(crate) async fn open(server: &Server, transport: Option<Transport>, ask: &Ask) -> Stream {
        match transport {
            Some(transport) => match opened(server.address(), transport, ask).await {
                Ok(watch) => Stream::Watch(Box::new(watch)),
                Err(refusal) => panic!("{transport:?}: {refusal:?}"),
            },
            None => {
                let mut raw = RawHttp2::to(server, &[]);
                let bearer = ask.token.as_ref().map(|token| format!("Bearer {token}"));
                let mut fields = vec![("accept", "application/x-ndjson")];
                fields.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
                raw.get(1, &ask.url(&[]), &fields).expect("asked");
                Stream::Http2(Box::new(Http2 { raw, read: Vec::new() }))
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Value {
        match self {
            Stream::Watch(watch) => {
                tokio::time::timeout(PATIENCE, watch.next_frame()).await.expect("a frame in time").expect("a frame")
            }
            Stream::Http2(stream) => tokio::task::block_in_place(|| stream.next()),
        }
    }

    /// All frames up to the one that is looked for.
    pub(crate) async fn until(&mut self, mut is: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            let found = is(&frame);
            frames.push(frame);
            if found {
                return frames;
            }
        }
    }
}

impl Http2 {
    fn next(&mut self) -> Value {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return serde_json::from_slice(&line).expect("a frame");
            }
            let data = self.raw.next_of(kind::DATA, 1).expect("more data");
            if !data.payload.is_empty() {
                self.raw.give(1, data.payload.len() as u32).expect("given");
                self.raw.give(0, data.payload.len() as u32).expect("given");
            }
            self.read.extend_from_slice(&data.payload);
        }
    }
}
