//! What is loaded, and the requests that watch it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

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
    /// Bytes of one event.
    pub event_bytes: usize,
    /// As fast as it goes, nobody publishes while so many events are under way: a server that
    /// acknowledges before it delivers would only grow its queue, or lose.
    pub window: Option<u32>,
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
            event_bytes: 64,
            window: None,
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

    /// Streams of events: at least one an address, and one a publisher, because what goes out at
    /// the same time has no order. Stream `s` is at address `s % addresses`.
    pub(crate) fn streams(&self) -> u32 {
        self.addresses.max(self.publishers)
    }

    /// Streams of the address with the most.
    pub(crate) fn streams_of_one(&self) -> u32 {
        self.streams().div_ceil(self.addresses)
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
        let kind = if self.batch == 1 { "application/json" } else { "application/x-ndjson" };
        let (path, host, length) = (self.path(number), &self.host, body.len());
        out.extend_from_slice(
            format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
                .as_bytes(),
        );
        out.extend_from_slice(body);
    }
}
