//! SSE and NDJSON: a head, then frames until one side ends it; and the sockets of all streams.
//!
//! The body is delimited by the close of the connection (RFC 9112, section 6.3), so its bytes are
//! the same for every watcher and pass proxies that speak HTTP/1.0.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, ORIGIN, VARY};
use http::{Request, Version};
use httpdate::fmt_http_date;
use hyper::body::Incoming;
use tidegate_core::frame::PROTOCOL;
use tidegate_core::{Millis, Problem, Target};
use tidegate_gate::{Limit, Place};
use tidegate_hub::{Start, WatchEntry, WatchId};
use tidegate_wire::{Coding, Ear, Encoding, Line, Terms, WatchName, Watcher, close_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::Gateway;
use crate::answer;
use crate::caller::Caller;
use crate::coding::Accepted;
use crate::connection::Outcome;
use crate::negotiate::Representation;
use crate::options::Options;
use crate::read::plan;
use crate::tickets;
use crate::visitor;
use crate::websocket::Session;

/// Proxies and browsers that buffer the beginning of a body let it go after this.
const PADDING: usize = 2 * 1024;
/// One decoder of zstd in wide use fails where a read happens to end with a frame; of gzip none does.
const FIRST: Coding = Coding::Gzip;
/// The name of the watch on a socket of one.
pub(crate) const ONLY_WATCH: WatchName = 1;
/// After the last byte the client has this long to take it, and may go on to send so much of what
/// nobody wants any more.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
pub(crate) const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What is ready for its socket.
pub(crate) struct Stream {
    /// What is watched; not yet anything on a socket of many watches.
    pub(crate) watch: Option<(Watcher, WatchEntry)>,
    pub(crate) encoding: Encoding,
    /// The answer's head, and what comes before the first frame.
    pub(crate) head: Bytes,
    /// Of HTTP/2, where they are not part of the head's bytes.
    pub(crate) fields: Vec<(HeaderName, String)>,
    pub(crate) socket: Kind,
}

/// Whether the client is listened to.
pub(crate) enum Kind {
    /// It only reads.
    Reading,
    /// It speaks too, and this is who.
    WebSocket(Caller),
}

/// Begins a stream, or refuses in the way that its client understands.
pub(crate) async fn open(
    gateway: &Gateway,
    target: Target,
    options: Options,
    representation: Representation,
    request: &Request<Incoming>,
    caller: &Caller,
) -> Result<Outcome, Problem> {
    let coding = Accepted::read(request.headers()).choose(gateway.tails.options().compress, FIRST)?;
    let encoding = match representation {
        Representation::Sse => Encoding::Sse(coding),
        _ => Encoding::Ndjson(coding),
    };
    match prepare(gateway, target, options, encoding, caller).await {
        Ok((watcher, entry)) => {
            let origin = request.headers().get(ORIGIN).and_then(|value| value.to_str().ok());
            let mut fields = fields(gateway, &watcher, origin.filter(|origin| gateway.allowed.load().lists(origin)));
            fields.extend(visitor::told(&caller.account).into_iter().flatten());
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
            let watch = Some((watcher, entry));
            Ok(Outcome::Stream(Box::new(Stream { watch, encoding, head, fields, socket: Kind::Reading })))
        }
        Err(problem) if representation == Representation::Sse && problem.code.retry_ms().is_some() => {
            Ok(Outcome::Answer(come_back(&problem)))
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
    caller: &Caller,
) -> Result<(Watcher, WatchEntry), Problem> {
    prepare_at(gateway, target, options, encoding, caller, caller.account.place()).await
}

/// The same for who has a place among the watches at once already, or will have that of another watch.
pub(crate) async fn prepare_at(
    gateway: &Gateway,
    target: Target,
    options: Options,
    encoding: Encoding,
    caller: &Caller,
    place: Result<Option<Place>, Problem>,
) -> Result<(Watcher, WatchEntry), Problem> {
    options.for_stream()?;
    let place = place?;
    caller.good(gateway)?;
    if gateway.hub.drain().draining() {
        return Err(gateway.hub.draining_problem());
    }
    gateway.tails.admit()?;
    caller.account.take(Limit::Watches, 1)?;
    let plan = plan(gateway, target, &options, caller).await?;
    let id = WatchId::random();
    tickets::seat(gateway, caller, &plan, options.after, id)?;
    let entry = WatchEntry {
        id,
        view: plan.view.clone(),
        channel: plan.channel.clone(),
        principal: caller.principal().clone(),
        transport: encoding.as_str(),
        peer: Some(caller.peer),
        since: Millis::now(),
    };
    let (id, until) = (id.to_string(), caller.until_of(&plan.channel));
    let meter = visitor::meter(gateway, &caller.account);
    let (chain, options) = (options.chain, options.given);
    let watcher = Watcher { plan, encoding, chain, id, options, until, meter, place };
    Ok((watcher, entry))
}

/// `EventSource` gives up for good on anything but 200, so a temporary refusal is a stream that
/// ends at once and says when to come back.
pub(crate) fn come_back(problem: &Problem) -> answer::Answer {
    let encoding = Encoding::Sse(Coding::Identity);
    let mut answer = answer::with_body(200, media_type(encoding), close_frame(encoding, problem));
    answer::retry_after(&mut answer, problem);
    answer
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Sse(_) => "text/event-stream",
        Encoding::Ndjson(_) | Encoding::WebSocket | Encoding::WebSocketDeflated => "application/x-ndjson",
    }
}

/// The answer's head as bytes, and what comes before the first frame.
fn head(encoding: Encoding, fields: &[(HeaderName, String)]) -> Bytes {
    let mut head = format!("HTTP/1.1 200 OK\r\ndate: {}\r\nconnection: close\r\n", fmt_http_date(SystemTime::now()));
    push_fields(fields, &mut head);
    head.push_str("\r\n");
    Bytes::from([head.into_bytes(), lead(encoding)].concat())
}

/// What comes before the first frame.
fn lead(encoding: Encoding) -> Vec<u8> {
    let mut lead = encoding.coding().head().to_vec();
    if let Encoding::Sse(coding) = encoding {
        lead.extend(coding.store(format!(":{:PADDING$}\n\n", "").as_bytes()));
    }
    lead
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
    if let Some(token) = watcher.encoding.coding().token() {
        fields.push((CONTENT_ENCODING, token.to_owned()));
    }
    fields.extend(begin_fields(gateway, watcher));
    match origin {
        None => fields.push((VARY, answer::VARIES.to_owned())),
        Some(origin) => {
            fields.push((VARY, format!("{}, origin", answer::VARIES)));
            fields.extend(answer::cross_origin(origin));
        }
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
    /// Gives the socket to a lane, where it lives until the watch ends.
    ///
    /// # Errors
    /// When the socket cannot be set up.
    pub(crate) fn run(self, gateway: &Arc<Gateway>, line: Line, handed: Handed) -> io::Result<()> {
        let Stream { watch, encoding, head, socket: kind, .. } = self;
        let Handed { heard, place } = handed;
        let ear = match kind {
            Kind::Reading => None,
            Kind::WebSocket(caller) => {
                let watched = watch.as_ref().map(|(watcher, _)| {
                    gateway.tails.shared_target(&watcher.plan.channel, &watcher.plan.view.scope.target)
                });
                let session = Session::new(gateway.clone(), caller, watched, encoding, &heard);
                Some(Box::new(session) as Box<dyn Ear>)
            }
        };
        let terms = Terms { encoding, many: watch.is_none(), ear, head, place };
        let connection = gateway.tails.lanes().open(line, terms)?;
        match watch {
            Some((watcher, entry)) => {
                connection.watch(&gateway.tails, ONLY_WATCH, watcher, entry);
            }
            None => connection.listen(),
        }
        Ok(())
    }
}

/// What comes with a socket from its handshake.
pub(crate) struct Handed {
    /// What was read beyond the request.
    pub(crate) heard: Bytes,
    /// Its place among the connections.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Ends an answer in order: a close with unread bytes in the socket would be a reset, which may
/// destroy the last of it on its way.
pub(crate) async fn finish(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    if matches!(timeout(LINGER, io.shutdown()).await, Ok(Ok(()))) {
        let _ = timeout(LINGER, gone(&mut io, LINGER_BYTES_MAX)).await;
    }
}

/// Returns when the client has closed its side, or says more than it should.
async fn gone(io: &mut (impl AsyncRead + Unpin), bytes_max: usize) {
    let (mut said, mut buffer) = (0, vec![0; 16 * 1024]);
    while said < bytes_max {
        match io.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => said += bytes,
        }
    }
}
