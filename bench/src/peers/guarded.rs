//! Tidegate where everybody says who they are: each watcher and each publisher shows a token, and everything that the gate
//! has is in use. Limits are there and are not reached.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_bench::{Acknowledged, Error, Step, Subject};
use tidegate_testkit::token::{mint, seconds_from_now};

use super::{Peer, Running, Server};
use crate::place::{Missing, Place};
use crate::subject::Transport;

pub(crate) const SSE: Peer =
    Peer { name: "tidegate-sse-gate", title: "Tidegate SSE, gate", start: |place| POLICY.start(place, Transport::Sse) };
pub(crate) const WEBSOCKET: Peer = Peer {
    name: "tidegate-ws-gate",
    title: "Tidegate WS, gate",
    start: |place| POLICY.start(place, Transport::WebSocket),
};

/// A channel with a policy, and a token for each watcher.
const POLICY: Guarded = Guarded { channel: "guarded", subjects: u32::MAX };

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://id.example.org";
const IN_USE: &str = r#"gate:
  issuers:
    bench: { issuer: "https://id.example.org", audience: tidegate, algorithms: HS256, secret: 0123456789abcdef0123456789abcdef }
  limits:
    address: { connects: 1000000/s, requests: 1000000/s, watches: 1000000/s, publishes: 1000000/s, watches_max: 1000000 }
    subject: { requests: 1000000/s, watches: 1000000/s, publishes: 1000000/s, watches_max: 1000000 }
audit: { file: audit.jsonl, allows: 1% }
"#;
/// Tokens outlast any run.
const LASTS: Duration = Duration::from_secs(24 * 3_600);

/// Who watches what.
#[derive(Clone, Copy)]
pub(crate) struct Guarded {
    /// A channel of the config.
    pub(crate) channel: &'static str,
    /// How many have tokens of their own; more watchers show the same ones, in turn.
    pub(crate) subjects: u32,
}

impl Guarded {
    pub(crate) fn start(self, place: Place, transport: Transport) -> Result<Running, Missing> {
        let running = Server::with(transport, IN_USE).start(place)?;
        let Guarded { channel, subjects } = self;
        let expires = seconds_from_now(LASTS);
        let subject = Callers { server: running.subject, channel, subjects, expires, publisher: token("p", expires) };
        Ok(Running { subject: Arc::new(subject), ..running })
    }
}

/// The server, as who shows a token sees it.
#[derive(Debug)]
struct Callers {
    server: Arc<dyn Subject>,
    channel: &'static str,
    subjects: u32,
    /// When tokens end, in seconds since 1970.
    expires: u64,
    publisher: String,
}

impl Callers {
    /// A request to the channel that is meant, with a token.
    fn shown(&self, request: &[u8], token: &str) -> Vec<u8> {
        let request = String::from_utf8_lossy(request).replacen("/v1/live/", &format!("/v1/{}/", self.channel), 1);
        request.replacen("\r\n\r\n", &format!("\r\nauthorization: Bearer {token}\r\n\r\n"), 1).into_bytes()
    }
}

fn token(subject: &str, expires: u64) -> String {
    mint(SECRET, &json!({ "iss": ISSUER, "aud": "tidegate", "sub": subject, "exp": expires }))
}

impl Subject for Callers {
    fn watch_address(&self) -> SocketAddr {
        self.server.watch_address()
    }

    fn watch(&self, number: u32, watcher: u32) -> Vec<Step> {
        let token = token(&format!("u{}", watcher % self.subjects), self.expires);
        let mut steps = self.server.watch(number, watcher);
        for step in &mut steps {
            step.say = self.shown(&step.say, &token);
        }
        steps
    }

    fn opening_max(&self) -> u32 {
        self.server.opening_max()
    }

    fn publish_address(&self) -> SocketAddr {
        self.server.publish_address()
    }

    fn publish(&self, number: u32, event: &[u8], out: &mut Vec<u8>) {
        let mut publish = Vec::new();
        self.server.publish(number, event, &mut publish);
        out.extend(self.shown(&publish, &self.publisher));
    }

    fn acknowledged(&self, answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        self.server.acknowledged(answer)
    }
}
