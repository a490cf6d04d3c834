//! SSE and NDJSON: a head, then frames until one side ends it; and the sockets of all streams.
//!
//! The body is delimited by the close of the connection (RFC 9112, section 6.3), so its bytes are
//! the same for every watcher and pass proxies that speak HTTP/1.0.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, ORIGIN, VARY};
use http::{Request, Version};
use httpdate::fmt_http_date;
use hyper::body::Incoming;
use tidegate_core::frame::{Cursors, PROTOCOL};
use tidegate_core::{Frame, Millis, Problem, Target};
use tidegate_hub::{Start, WatchEntry};
use tidegate_wire::{Encoding, Sink, Watcher, follow};
use tokio::net::TcpStream;

use crate::Gateway;
use crate::answer;
use crate::connection::Outcome;
use crate::negotiate::Representation;
use crate::options::Options;
use crate::read::plan;
use crate::socket::Socket;
use crate::websocket;

/// Proxies and browsers that buffer the beginning of a body let it go after this.
const PADDING: usize = 2 * 1024;
/// What a client may say on a stream that it should only read; more ends it.
const CHATTER_BYTES_MAX: usize = 64 * 1024;
/// A watcher whose socket took no byte for this long is cut; it resumes by its cursor. Long enough
/// for a client that pauses, short enough to free what a dead one holds.
pub(crate) const STALLED: Duration = Duration::from_secs(5 * 60);
/// After the last byte the client has this long to take it, and may go on to send so much of what
/// nobody wants any more.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
pub(crate) const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A watch that is ready for its socket.
pub(crate) struct Stream {
    pub(crate) watcher: Watcher,
    pub(crate) entry: WatchEntry,
    /// The answer's head, and what comes before the first frame.
    pub(crate) head: Bytes,
    /// Of HTTP/2, where they are not part of the head's bytes.
    pub(crate) fields: Vec<(HeaderName, String)>,
}

/// Begins a stream, or refuses in the way that its client understands.
pub(crate) async fn open(
    gateway: &Gateway,
    target: Target,
    options: Options,
    representation: Representation,
    request: &Request<Incoming>,
    peer: SocketAddr,
) -> Result<Outcome, Problem> {
    let encoding = match representation {
        Representation::Sse => Encoding::Sse,
        _ => Encoding::Ndjson,
    };
    match prepare(gateway, target, options, encoding, peer).await {
        Ok((watcher, entry)) => {
            let origin = request.headers().get(ORIGIN).and_then(|value| value.to_str().ok());
            let fields = fields(gateway, &watcher, origin.filter(|origin| gateway.allowed.lists(origin)));
            if request.method() == http::Method::HEAD {
                let mut answer = answer::with_body(200, media_type(encoding), Bytes::new());
                for (name, value) in fields {
                    answer::header(&mut answer, name, &value);
                }
                return Ok(Outcome::Answer(answer));
            }
            let (head, fields) = match request.version() {
                Version::HTTP_2 => (Bytes::from(lead(encoding)), fields),
                _ => (head(encoding, &fields), Vec::new()),
            };
            Ok(Outcome::Stream(Box::new(Stream { watcher, entry, head, fields })))
        }
        Err(problem) if encoding == Encoding::Sse && problem.code.retry_ms().is_some() => {
            Ok(Outcome::Answer(come_back(problem)))
        }
        Err(problem) => Err(problem),
    }
}

/// What all streams share: the plan, and an entry on the list of watches.
pub(crate) async fn prepare(
    gateway: &Gateway,
    target: Target,
    options: Options,
    encoding: Encoding,
    peer: SocketAddr,
) -> Result<(Watcher, WatchEntry), Problem> {
    options.for_stream()?;
    if gateway.hub.drain().draining() {
        return Err(gateway.hub.draining_problem());
    }
    let plan = plan(gateway, target, &options).await?;
    let id = format!("{:012x}", rand::random::<u64>() >> 16);
    let entry = WatchEntry {
        id: id.as_str().into(),
        address: plan.view.scope.target.as_str().into(),
        channel: plan.channel.config.name.as_str().into(),
        transport: encoding.as_str(),
        peer: Some(peer),
        since: Millis::now(),
    };
    Ok((Watcher { plan, encoding, chain: options.chain, id, options: options.given }, entry))
}

/// `EventSource` gives up for good on anything but 200, so a temporary refusal is a stream that
/// ends at once and says when to come back.
fn come_back(problem: Problem) -> answer::Answer {
    let Problem { code, detail, retry_ms, .. } = problem;
    let mut body = Vec::new();
    let unused = tidegate_core::Cursor {
        channel: tidegate_core::ChannelId::from_bits(0),
        epoch: tidegate_core::Epoch::from_bits(0),
        view: tidegate_core::Fingerprint::of(&[]),
        offset: 0,
    };
    let close = Frame::Close { code, message: detail, retry_ms };
    Encoding::Sse.write(&close, &mut Cursors::new(unused.prefix(), false, None), &mut body);
    answer::with_body(200, media_type(Encoding::Sse), body)
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Sse => "text/event-stream",
        Encoding::Ndjson | Encoding::WebSocket => "application/x-ndjson",
    }
}

/// The answer's head as bytes, and what comes before the first frame.
fn head(encoding: Encoding, fields: &[(HeaderName, String)]) -> Bytes {
    let mut head = format!("HTTP/1.1 200 OK\r\ndate: {}\r\nconnection: close\r\n", fmt_http_date(SystemTime::now()));
    push_fields(fields, &mut head);
    head.push_str("\r\n");
    head.push_str(&lead(encoding));
    Bytes::from(head)
}

/// What comes before the first frame.
fn lead(encoding: Encoding) -> String {
    match encoding {
        Encoding::Sse => format!(":{:PADDING$}\n\n", ""),
        Encoding::Ndjson | Encoding::WebSocket => String::new(),
    }
}

/// Appends header fields as they are on the wire.
pub(crate) fn push_fields(fields: &[(HeaderName, String)], head: &mut String) {
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
}

fn fields(gateway: &Gateway, watcher: &Watcher, origin: Option<&str>) -> Vec<(HeaderName, String)> {
    let mut fields = vec![
        (CONTENT_TYPE, media_type(watcher.encoding).to_owned()),
        (CACHE_CONTROL, "no-store, no-transform".to_owned()),
        (HeaderName::from_static("x-accel-buffering"), "no".to_owned()),
    ];
    fields.extend(begin_fields(gateway, watcher));
    match origin {
        None => fields.push((VARY, "accept".to_owned())),
        Some(origin) => fields.extend(answer::cross_origin(origin)),
    }
    fields
}

/// What the `begin` frame says, for those who read heads.
pub(crate) fn begin_fields(gateway: &Gateway, watcher: &Watcher) -> Vec<(HeaderName, String)> {
    let mut fields = vec![
        (HeaderName::from_static("tidegate-watch"), watcher.id.clone()),
        (HeaderName::from_static("tidegate-heartbeat-ms"), gateway.hub.options().heartbeat.as_millis().to_string()),
        (HeaderName::from_static("tidegate-protocol"), PROTOCOL.to_owned()),
    ];
    if let Start::At(offset) = watcher.plan.start {
        let cursor = watcher.plan.channel.cursor(&watcher.plan.view, offset);
        fields.push((answer::TIDEGATE_CURSOR, cursor.to_string()));
    }
    fields
}

impl Stream {
    /// Lives on the socket until the watch ends.
    pub(crate) async fn run(self, gateway: &Gateway, socket: impl Socket, read: Bytes) {
        let Stream { watcher, entry, head, .. } = self;
        let (id, address) = (entry.id.clone(), entry.address.clone());
        let _listed = gateway.hub.watches().enter(entry);
        if watcher.encoding == Encoding::WebSocket {
            // In a box, so that the other streams do not carry its memory.
            Box::pin(websocket::run(gateway, &watcher, &socket, head, read)).await;
        } else {
            let mut sink = SocketSink { socket: &socket, head: Some(head) };
            tokio::select! {
                end = follow(&gateway.tails, &watcher, &mut sink) => tracing::debug!(%id, %address, ?end, "a watch ended"),
                () = gone(&socket, CHATTER_BYTES_MAX) => tracing::debug!(%id, %address, "the client left"),
            }
        }
        socket.finish().await;
    }
}

/// Returns when the client has closed its side, or says more than it should.
pub(crate) async fn gone(socket: &impl Socket, bytes_max: usize) {
    let mut said = 0;
    while said < bytes_max {
        match socket.read(|_| {}).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => said += bytes,
        }
    }
}

struct SocketSink<'s, S> {
    socket: &'s S,
    head: Option<Bytes>,
}

impl<S: Socket> Sink for SocketSink<'_, S> {
    async fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        match self.head.take() {
            None => self.socket.write_all(chunks).await,
            Some(head) => {
                let mut all = vec![head];
                all.extend_from_slice(chunks);
                self.socket.write_all(&all).await
            }
        }
    }
}

/// Writes all chunks with as few system calls as the socket takes.
pub(crate) async fn write_all(socket: &TcpStream, chunks: &[Bytes]) -> io::Result<()> {
    let mut left: Vec<&[u8]> = chunks.iter().map(Bytes::as_ref).filter(|chunk| !chunk.is_empty()).collect();
    let mut first = 0;
    while first < left.len() {
        let slices: Vec<IoSlice<'_>> = left[first..].iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut written = match socket.try_write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::timeout(STALLED, socket.writable()).await.map_err(|_| io::ErrorKind::TimedOut)??;
                continue;
            }
            Err(error) => return Err(error),
        };
        while written > 0 {
            let taken = written.min(left[first].len());
            left[first].advance(taken);
            written -= taken;
            if left[first].is_empty() {
                first += 1;
            }
        }
    }
    Ok(())
}
