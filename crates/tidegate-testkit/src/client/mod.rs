//! Clients that hide no byte: each transport by hand over TCP, so that a test can cut anywhere.
//!
//! A [`Watch`] gives the frames of any [`Transport`]; what a client makes of them is
//! [`crate::replica`].

pub mod coding;
pub mod deflate;
pub mod http;
pub mod http2;
pub mod many;
pub mod ndjson;
pub mod poll;
pub mod publish;
pub mod renewal;
pub mod sse;
pub mod stream;
pub mod websocket;

use std::net::SocketAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tidegate_core::Kind;

pub use http::{Answer, get_json, get_json_as};
pub use publish::{Publish, Publisher};

/// Every way to watch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Transport {
    /// Server-sent events.
    Sse,
    /// A JSON frame a line.
    Ndjson,
    /// Long-poll, with a GET as JSON to begin.
    Poll,
    /// Server-sent events or a JSON frame a line, by the fall of a coin, as a stream of HTTP/2.
    Http2,
    /// One watch on one WebSocket.
    WebSocket,
    /// One of the watches of a WebSocket.
    Many,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 6] =
        [Transport::Sse, Transport::Ndjson, Transport::Poll, Transport::Http2, Transport::WebSocket, Transport::Many];
}

/// What a client wants to watch and where it is.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Address or pattern, as it stands in a URL behind `/v1/`.
    pub path: String,
    /// Whether the channel has keys.
    pub keyed: bool,
    /// State or history; a plain channel has history alone.
    pub kind: Kind,
    /// Where a history begins that has no cursor: `start`, `now` or a time.
    pub from: Option<String>,
    /// The time of the rows that a state without a cursor begins with.
    pub at: Option<String>,
    /// One key.
    pub key: Option<String>,
    /// Which rows or events, as an expression.
    pub filter: Option<String>,
    /// Which members of them.
    pub fields: Option<String>,
    /// How changes of rows are told.
    pub mode: Option<&'static str>,
    /// How often, on streams.
    pub rate: Option<&'static str>,
    /// Whether frames carry `prev`.
    pub chain: bool,
    /// Where the client is.
    pub cursor: Option<String>,
    /// On SSE: the cursor goes into `Last-Event-ID`, beside the URL of the beginning.
    pub by_header: bool,
    /// On SSE and NDJSON: the content coding that is accepted.
    pub coding: Option<&'static str>,
    /// On long-polls: how many frames an answer has at most.
    pub limit: Option<usize>,
    /// What the client shows of itself.
    pub token: Option<String>,
    /// Lines of the head that are sent beside ours, such as a cookie.
    pub headers: Vec<String>,
    /// Our end is dropped after this many bytes of the server's.
    pub cut_after: Option<u64>,
    /// Size of the socket's receive buffer, so that a slow reader is felt soon.
    pub receive_buffer: Option<u32>,
    /// On HTTP/2: so much of a stream comes before it is read.
    pub window: Option<u32>,
    /// On HTTP/2: the cut ends the stream alone, and not its connection.
    pub cuts_stream: bool,
    /// On HTTP/2: the connection that is asked on, if it is still there.
    pub connection: Option<http2::Connection>,
}

/// Why no more frames come.
#[derive(Debug)]
pub enum Ended {
    /// We cut the connection, as asked.
    Cut,
    /// The connection broke, or the stream is over.
    Gone(String),
    /// The server refused the request.
    Refused(Box<Answer>),
    /// The server said what no server should.
    Garbage(String),
}

/// One running watch on some transport.
pub enum Watch {
    /// SSE or NDJSON, also on HTTP/2.
    Stream(Box<stream::Stream>),
    /// Long-poll.
    Poll(Box<poll::Poll>),
    /// WebSocket.
    WebSocket(Box<websocket::WebSocket>),
    /// One of the watches of a WebSocket.
    Many(Box<many::Many>),
}

impl Ask {
    /// A watch of `path` from its beginning.
    pub fn new(path: &str, keyed: bool, kind: Kind) -> Ask {
        Ask {
            path: path.to_owned(),
            keyed,
            kind,
            from: None,
            at: None,
            key: None,
            filter: None,
            fields: None,
            mode: None,
            rate: None,
            chain: false,
            cursor: None,
            by_header: false,
            coding: None,
            limit: None,
            token: None,
            headers: Vec::new(),
            cut_after: None,
            receive_buffer: None,
            window: None,
            cuts_stream: false,
            connection: None,
        }
    }

    /// The options of the request, not encoded. A cursor in a header goes beside those of the
    /// beginning, as `EventSource` does it.
    pub fn options(&self) -> Vec<(&str, &str)> {
        let mut options: Vec<(&str, &str)> = Vec::new();
        let after = self.cursor.as_deref().filter(|_| !self.by_header);
        match (after, &self.from) {
            (Some(after), _) => options.push(("after", after)),
            (None, Some(from)) if self.kind == Kind::History => options.push(("from", from)),
            (None, None) => options.extend(self.at.as_deref().map(|at| ("at", at))),
            _ => {}
        }
        let from = options.iter().any(|(name, _)| *name == "from");
        if self.keyed && self.kind == Kind::History && !from {
            options.push(("snapshot", "false"));
        }
        options.extend(self.key.as_deref().map(|key| ("key", key)));
        options.extend(self.filter.as_deref().map(|filter| ("filter", filter)));
        options.extend(self.fields.as_deref().map(|fields| ("fields", fields)));
        options.extend(self.mode.map(|mode| ("mode", mode)));
        options.extend(self.rate.map(|rate| ("rate", rate)));
        options.extend(self.chain.then_some(("chain", "true")));
        options
    }

    /// Lines of the head that say who asks, and others.
    pub(crate) fn shown(&self) -> impl Iterator<Item = String> {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}"));
        token.into_iter().chain(self.headers.iter().cloned())
    }

    /// The path and query of the request.
    pub fn url(&self, more: &[(&str, &str)]) -> String {
        let options = self.options();
        let query = options.iter().chain(more);
        let query: Vec<String> =
            query.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/v1/{}{mark}{}", self.path, query.join("&"))
    }
}

impl Watch {
    /// Sends the request and reads the answer's head.
    ///
    /// # Errors
    /// No connection, a refusal, or our own cut.
    pub async fn open(server: SocketAddr, transport: Transport, ask: &Ask) -> Result<Watch, Ended> {
        Ok(match transport {
            Transport::Sse | Transport::Ndjson | Transport::Http2 => {
                Watch::Stream(Box::new(stream::Stream::open(server, transport, ask).await?))
            }
            Transport::Poll => Watch::Poll(Box::new(poll::Poll::new(server, ask.clone()))),
            Transport::WebSocket => Watch::WebSocket(Box::new(websocket::WebSocket::open(server, ask).await?)),
            Transport::Many => Watch::Many(Box::new(many::Many::open(server, ask).await?)),
        })
    }

    /// Asks for other options on the same connection, where the transport can. What comes before the answer, a `done`
    /// among the frames, is of the old ones; so is what comes after a `problem`.
    ///
    /// # Errors
    /// [`Ended::Gone`].
    pub async fn change(&mut self, ask: &Ask) -> Result<bool, Ended> {
        match self {
            Watch::Stream(_) | Watch::Poll(_) => return Ok(false),
            Watch::WebSocket(socket) => socket.change(ask).await?,
            Watch::Many(many) => many.change(ask).await?,
        }
        Ok(true)
    }

    /// Shows a fresh token on the same connection, where the transport can; on one that cannot it is [`renewal::by_request`] that
    /// does. The answer, a `done` or `problem`, comes among the frames; a long-poll says `done` where the answers begin that
    /// are asked for with it.
    ///
    /// # Errors
    /// [`Ended::Gone`].
    pub async fn renew(&mut self, token: &str) -> Result<bool, Ended> {
        match self {
            Watch::Stream(_) => return Ok(false),
            Watch::Poll(poll) => return Ok(poll.renew(token)),
            Watch::WebSocket(socket) => socket.renew(token).await?,
            Watch::Many(many) => many.renew(token).await?,
        }
        Ok(true)
    }

    /// Its connection of HTTP/2, for others.
    pub fn connection(&self) -> Option<&http2::Connection> {
        match self {
            Watch::Stream(stream) => stream.connection(),
            Watch::Poll(_) | Watch::WebSocket(_) | Watch::Many(_) => None,
        }
    }

    /// The next frame.
    ///
    /// # Errors
    /// [`Ended`]: the watch is over; drop it and open another with the replica's cursor.
    pub async fn next_frame(&mut self) -> Result<Value, Ended> {
        match self {
            Watch::Stream(stream) => stream.next_frame().await,
            Watch::Poll(poll) => poll.next_frame().await,
            Watch::WebSocket(socket) => socket.next_frame().await,
            Watch::Many(many) => many.next_frame().await,
        }
    }
}
