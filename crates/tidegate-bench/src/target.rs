//! What is loaded, and the requests that watch it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::socket::Trust;
use crate::subject::Subject;

/// A transport of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// A WebSocket each.
    WebSocket,
    /// A JSON object a line.
    Ndjson,
    /// One request after the other.
    Poll,
}

/// What is loaded, with what.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the server listens.
    pub server: SocketAddr,
    /// What the `Host` field says.
    pub host: String,
    /// The address behind `/v1/`; `{n}` becomes a number below `addresses`.
    pub address: String,
    /// How many addresses; watchers and events go round them.
    pub addresses: u32,
    /// How the watchers watch.
    pub transport: Transport,
    /// Whether frames are chained, and the chain is looked at.
    pub chain: bool,
    /// Connections that publish, each with one request under way.
    pub publishers: u32,
    /// Events of one publish.
    pub batch: u32,
    /// Whether the events of one publish are each at another address, in envelopes that name it; else
    /// all are at one. For channels without keys.
    pub spread: bool,
    /// Whether each watcher sees the events of all addresses, as one with many watches does.
    pub wide: bool,
    /// Bytes of one event.
    pub event_bytes: usize,
    /// As fast as it goes, nobody publishes while so many events are under way: a server that
    /// acknowledges before it delivers would only grow its queue, or lose.
    pub window: Option<u32>,
    /// All connections are within TLS, to a server that shows a certificate trusted by this
    /// ([`trusting`](crate::trusting)).
    pub trust: Option<Trust>,
    /// What is loaded in place of Tidegate; then address and transport say nothing.
    pub foreign: Option<Arc<dyn Subject>>,
}

impl Transport {
    /// The word on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Sse => "sse",
            Transport::WebSocket => "websocket",
            Transport::Ndjson => "ndjson",
            Transport::Poll => "poll",
        }
    }
}

impl Target {
    /// One SSE watch's worth of load: eight publishers, one event of 64 bytes each time.
    pub fn new(server: SocketAddr, address: &str) -> Target {
        Target {
            server,
            host: server.to_string(),
            address: address.to_owned(),
            addresses: 1,
            transport: Transport::Sse,
            chain: false,
            publishers: 8,
            batch: 1,
            spread: false,
            wide: false,
            event_bytes: 64,
            window: None,
            trust: None,
            foreign: None,
        }
    }

    /// Where watchers connect.
    pub(crate) fn watch_address(&self) -> SocketAddr {
        self.foreign.as_ref().map_or(self.server, |subject| subject.watch_address())
    }

    /// Where publishers connect.
    pub(crate) fn publish_address(&self) -> SocketAddr {
        self.foreign.as_ref().map_or(self.server, |subject| subject.publish_address())
    }

    /// Streams of events: at least one an address, and one for each that is under way, because what
    /// goes out at the same time has no order. Stream `s` is at address `s % addresses`.
    pub(crate) fn streams(&self) -> u32 {
        self.addresses.max(self.publishers * self.streams_of_publish())
    }

    /// Streams that one publish has events of.
    pub(crate) fn streams_of_publish(&self) -> u32 {
        if self.spread { self.batch } else { 1 }
    }

    /// The most streams that one watcher sees.
    pub(crate) fn streams_of_one(&self) -> u32 {
        if self.wide { self.streams() } else { self.streams().div_ceil(self.addresses) }
    }

    /// The first stream that a watcher sees, and how far it is from each to the next.
    pub(crate) fn seen_by(&self, watcher: u32) -> (u32, u32) {
        if self.wide { (0, 1) } else { (watcher % self.addresses, self.addresses) }
    }

    /// How many of so many watchers see a stream.
    pub(crate) fn watchers_of(&self, stream: u32, watchers: u32) -> u32 {
        let address = stream % self.addresses;
        if self.wide { watchers } else { (watchers + self.addresses - 1 - address) / self.addresses }
    }

    /// The path of the address with this number.
    pub(crate) fn path(&self, number: u32) -> String {
        format!("/v1/{}", self.address.replace("{n}", &number.to_string()))
    }

    /// The request that begins a watch or goes on behind `held`.
    pub(crate) fn watch(&self, number: u32, held: &str) -> String {
        let mut request = format!("GET {}", self.path(number));
        // Writing to memory.
        let _ = match held {
            "" => write!(request, "?from=now"),
            held => write!(request, "?snapshot=false&after={held}"),
        };
        if self.chain {
            request.push_str("&chain=true");
        }
        let accept = match self.transport {
            Transport::Sse => "text/event-stream",
            Transport::Ndjson => "application/x-ndjson",
            Transport::WebSocket | Transport::Poll => "application/json",
        };
        if self.transport == Transport::Poll && !held.is_empty() {
            request.push_str("&wait=30s");
        }
        let _ = write!(request, " HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\n", self.host);
        if self.transport == Transport::WebSocket {
            // The key proves nothing to a load generator; that of RFC 6455's example will do.
            request.push_str(
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            );
        }
        request.push_str("\r\n");
        request
    }

    /// Appends a publish of `body` to the address with this number.
    pub(crate) fn publish(&self, number: u32, body: &[u8], out: &mut Vec<u8>) {
        if let Some(subject) = &self.foreign {
            return subject.publish(number, body, out);
        }
        let kind = match self.batch {
            _ if self.spread => "application/vnd.tidegate+x-ndjson",
            1 => "application/json",
            _ => "application/x-ndjson",
        };
        let (path, host, length) = (self.path(number), &self.host, body.len());
        out.extend_from_slice(
            format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
                .as_bytes(),
        );
        out.extend_from_slice(body);
    }

    /// What stands before and behind an event of the address with this number in the body of a
    /// publish.
    pub(crate) fn envelope(&self, number: u32) -> Option<(String, &'static str)> {
        let address = || self.address.replace("{n}", &number.to_string());
        self.spread.then(|| (format!(r#"{{"op":"append","address":"{}","data":"#, address()), "}"))
    }
}
