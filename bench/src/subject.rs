//! A server as the generator sees it: bytes that go in, bytes that come out. What a peer's own
//! file says of it is put together from here.

use std::net::SocketAddr;

use tidegate_bench::{Step, Subject};

/// A server that takes events by `POST`, and is watched over SSE or WebSocket.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) watch: SocketAddr,
    pub(crate) publish: SocketAddr,
    pub(crate) transport: Transport,
    /// The channel's name is put behind it.
    pub(crate) watch_path: &'static str,
    /// Gives the path and the body.
    pub(crate) post: fn(&str, &str) -> (String, String),
    /// What a watcher hears once it watches.
    pub(crate) begun: &'static [u8],
    /// Watchers that may be on their way at once.
    pub(crate) opening_max: u32,
}

/// What most servers take without a murmur.
pub(crate) const OPENING_MAX: u32 = 128;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Sse,
    WebSocket,
}

/// The name of a channel by its number.
pub(crate) fn channel_name(channel: u32) -> String {
    format!("c{channel}")
}

impl Subject for Http {
    fn watch_address(&self) -> SocketAddr {
        self.watch
    }

    fn watch(&self, channel: u32, _: u32) -> Vec<Step> {
        let path = format!("{}{}", self.watch_path, channel_name(channel));
        let say = match self.transport {
            Transport::Sse => stream(&path),
            Transport::WebSocket => upgrade(&path),
        };
        vec![Step { say, hear: self.begun.to_vec() }]
    }

    fn opening_max(&self) -> u32 {
        self.opening_max
    }

    fn publish_address(&self) -> SocketAddr {
        self.publish
    }

    fn publish(&self, channel: u32, event: &[u8], out: &mut Vec<u8>) {
        let (path, body) = (self.post)(&channel_name(channel), &String::from_utf8_lossy(event));
        let length = body.len();
        out.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
    }
}

/// Asks for a stream of SSE.
pub(crate) fn stream(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n").into_bytes()
}

/// Asks for a WebSocket, without compression.
pub(crate) fn upgrade(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A text frame of at most 125 bytes from a client, masked with zeros.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
