//! A server with an issuer, tokens of that issuer, and clients.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::http::{self, Answer};
use tidegate_testkit::client::renewal::by_request;
use tidegate_testkit::client::websocket::WebSocket;
use tidegate_testkit::client::{Ask, Ended, Publish, Publisher, Transport, Watch};
use tidegate_testkit::http2::{RawHttp2, kind};
use tidegate_testkit::process::Server;
use tidegate_testkit::token::{mint, seconds_from_now};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ISSUER: &str = "https://id.example.org";
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// Nothing here takes longer, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn start() -> Server {
    Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &config())
}

/// The config, to which a test may add channels.
pub(crate) fn config() -> String {
    format!(
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
  teams:
    address: teams/{{region}}
    key: id
    access: {{ read: "has(claims.sub)", publish: "claims.sub == \"shop\"", rows: "data.team in claims.teams" }}
  talk:
    address: talk/{{region}}
    access: {{ read: "has(claims.sub)", publish: "claims.sub == \"shop\"", rows: "data.team in claims.teams" }}
  past:
    address: past/{{region}}
    access: {{ read: "has(claims.sub)", publish: "claims.sub == \"shop\"", history: "claims.all == true" }}
  open:
    address: open/{{name}}
    access: {{ read: "true", publish: "true" }}
"#
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
    http::ask(server.admin(), method, path, headers, body.as_bytes()).await.expect("an answer")
}

/// Publishes as the shop, which may.
pub(crate) async fn publish(server: &Server, publish: Publish, token: &str) {
    let answer = Publisher::new(server.address()).send(&publish.by(token)).await.expect("an answer");
    assert_eq!(answer.head.status, 200, "{answer:?}");
}

/// A watch that stays open, on any transport.
pub(crate) struct Stream {
    wire: Wired,
    /// As `begin` named it.
    id: Option<String>,
    /// Frames that came while an answer was waited for.
    held: VecDeque<Value>,
}

enum Wired {
    /// SSE and NDJSON.
    Watch(Box<Watch>),
    WebSocket(Box<WebSocket>),
    Http2(Box<Http2>),
}

/// NDJSON over HTTP/2.
struct Http2 {
    raw: RawHttp2,
    read: Vec<u8>,
}

/// Those that stay open; the last is HTTP/2.
pub(crate) const STREAMS: [Option<Transport>; 5] =
    [Some(Transport::Sse), Some(Transport::Ndjson), Some(Transport::WebSocket), Some(Transport::Many), None];

impl Stream {
    /// Opens one that is let in, up to its `begin`.
    pub(crate) async fn open(server: &Server, transport: Option<Transport>, ask: &Ask) -> Stream {
        let at = server.address();
        let wire = match transport {
            Some(Transport::WebSocket) => {
                Wired::WebSocket(Box::new(WebSocket::connect_as(at, &ask.url(&[]), ask).await.expect("let in")))
            }
            Some(Transport::Many) => {
                let mut socket = WebSocket::connect_as(at, "/v1/_ws", ask).await.expect("let in");
                let mut watch = json!({ "do": "watch", "ref": 0, "address": ask.path });
                for (name, value) in ask.options() {
                    watch[name] = value.into();
                }
                socket.send_text(&watch.to_string()).await.expect("sent");
                Wired::WebSocket(Box::new(socket))
            }
            Some(transport) => match opened(at, transport, ask).await {
                Ok(watch) => Wired::Watch(Box::new(watch)),
                Err(refusal) => panic!("{transport:?}: {refusal:?}"),
            },
            None => {
                let mut raw = RawHttp2::to(server, &[]);
                let bearer = ask.token.as_ref().map(|token| format!("Bearer {token}"));
                let mut fields = vec![("accept", "application/x-ndjson")];
                fields.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
                raw.get(1, &ask.url(&[]), &fields).expect("asked");
                Wired::Http2(Box::new(Http2 { raw, read: Vec::new() }))
            }
        };
        let mut stream = Stream { wire, id: None, held: VecDeque::new() };
        let begun = stream.until(|frame| frame["op"] == "begin" || frame["op"] == "problem").await;
        stream.id = begun.last().and_then(|begin| begin["watch"].as_str()).map(str::to_owned);
        assert!(stream.id.is_some(), "{begun:?}");
        stream
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().expect("it has begun")
    }

    /// Gives it a fresh token: on the WebSocket itself, else by a request.
    ///
    /// # Errors
    /// The code of the refusal.
    pub(crate) async fn renew(&mut self, server: &Server, token: &str) -> Result<(), String> {
        if !matches!(self.wire, Wired::WebSocket(_)) {
            return post_token(server, self.id(), token).await;
        }
        let answer = self.say(json!({ "do": "token", "ref": 7, "token": token })).await;
        if answer["op"] == "done" { Ok(()) } else { Err(answer["code"].as_str().expect("a code").to_owned()) }
    }

    /// Says something on a WebSocket; returns the answer.
    pub(crate) async fn say(&mut self, message: Value) -> Value {
        let Wired::WebSocket(socket) = &mut self.wire else { panic!("no WebSocket") };
        socket.send_text(&message.to_string()).await.expect("sent");
        loop {
            let frame = self.heard().await;
            if frame["ref"] == message["ref"] {
                return frame;
            }
            self.held.push_back(frame);
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Value {
        match self.held.pop_front() {
            Some(frame) => frame,
            None => self.heard().await,
        }
    }

    async fn heard(&mut self) -> Value {
        loop {
            let frame = match &mut self.wire {
                Wired::Watch(watch) => tokio::time::timeout(PATIENCE, watch.next_frame()).await,
                Wired::WebSocket(socket) => tokio::time::timeout(PATIENCE, socket.next_frame()).await,
                Wired::Http2(stream) => Ok(Ok(tokio::task::block_in_place(|| stream.next()))),
            };
            let frame = frame.expect("a frame in time").expect("a frame");
            if frame["op"] != "on" {
                return frame;
            }
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

/// Gives a watch a fresh token by a request.
///
/// # Errors
/// The code of the refusal.
pub(crate) async fn post_token(server: &Server, id: &str, token: &str) -> Result<(), String> {
    let shown = (!token.is_empty()).then_some(token);
    let answer = by_request(server.address(), id, shown).await.expect("an answer");
    match answer.head.status {
        204 => Ok(()),
        _ => Err(answer.code().expect("a code").to_owned()),
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

/// One request on a connection of its own.
pub(crate) async fn answered(
    server: SocketAddr,
    method: &str,
    url: &str,
    token: Option<&str>,
    headers: &[&str],
    body: &str,
) -> Answer {
    let mut lines: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
    lines.extend(token.map(|token| format!("Authorization: Bearer {token}")));
    lines.push("Connection: close".to_owned());
    let answer = http::ask(server, method, url, &lines, body.as_bytes());
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time").expect("an answer")
}
