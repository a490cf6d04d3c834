//! One connection of HTTP/2: many requests at once, each answered as on HTTP/1.1; a watch is an
//! answer whose body goes on until one side ends it.
//!
//! ```text
//!   connection ─┬─ request ─► answer ─► pieces ─┐
//!               ├─ request ─► watch ──► frames ─┴─► windows of the client ─► socket
//!               └─ patrol: a body that nobody takes, nothing to do, a drain
//! ```
//!
//! WebSockets stay on HTTP/1.1 (RFC 8441 is not offered), where browsers open them by themselves.

mod body;
mod clock;
mod open;
mod rest;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tidegate_core::{ErrorCode, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior};

use crate::Gateway;
use crate::answer;
use crate::connection::{HEAD_BYTES_MAX, HEADERS_MAX, Outcome};
use crate::patient::Patient;
use crate::route;
use crate::tls::Encrypted;
use body::Body;
use clock::{Clock, Ticket, Verdict};
pub use open::Multiplexed;
pub(crate) use rest::discard;

/// Requests and watches at once on one connection; a client with more opens another.
const STREAMS_MAX: u32 = 200;
/// A client may send so much of one body before it is read; and of all on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is written for a stream and waits for the client's windows.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// A client that says nothing is asked whether it is there, and must answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that a client gives up before they are looked at; more close the connection, as with
/// "rapid reset" (CVE-2023-44487).
const RESETS_PENDING_MAX: usize = 20;
/// Streams that are ended by us because the client broke the protocol on them; more close the
/// connection.
const RESETS_BY_US_MAX: usize = 256;
/// A connection without a request for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How often is looked for what waits for too long.
const PATROL: Duration = Duration::from_secs(5);

/// Answers requests until the connection ends.
pub(crate) async fn serve<IO>(io: IO, peer: SocketAddr, gateway: Arc<Gateway>, secure: Option<Encrypted>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Until what was written for its last stream is on its way.
    let _open = gateway.multiplexed.enter();
    let clock = Arc::new(Clock::new());
    let service = {
        let (gateway, clock) = (gateway.clone(), clock.clone());
        service_fn(move |request: Request<Incoming>| {
            let (gateway, secure, ticket) = (gateway.clone(), secure.clone(), clock.enter());
            async move { Ok::<_, Infallible>(answer(gateway, request, peer, secure, ticket).await) }
        })
    };
    let io = Patient::new(io, gateway.tails.options().write_timeout);
    let connection = builder().serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let mut draining = std::pin::pin!(gateway.hub.drain().begun());
    let mut patrol = tokio::time::interval_at(Instant::now() + PATROL, PATROL);
    patrol.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let old = gateway.tails.options().age(rand::random());
    let mut old = std::pin::pin!(async move {
        match old {
            Some(age) => tokio::time::sleep(age).await,
            None => std::future::pending().await,
        }
    });
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            // What is under way is finished; the client opens another connection for the rest.
            _ = &mut draining, if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            // Its watches end by themselves; what comes next comes on another connection.
            () = &mut old, if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = patrol.tick() => match clock.verdict(Instant::now(), IDLE) {
                Verdict::Good => {}
                Verdict::Stalled => {
                    tracing::debug!(%peer, "a connection was cut: an answer on it is not taken");
                    return;
                }
                // It was asked to leave before, and does not answer.
                Verdict::Idle if leaving => return,
                Verdict::Idle => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_BY_US_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

async fn answer(
    gateway: Arc<Gateway>,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    secure: Option<Encrypted>,
    ticket: Ticket,
) -> Response<Body> {
    if request.headers().len() > HEADERS_MAX {
        let answer = answer::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16());
        return answer.map(|empty| Body::whole(empty, ticket));
    }
    if let Some(secure) = secure {
        request.extensions_mut().insert(secure);
    }
    let only_head = request.method() == Method::HEAD;
    let outcome = match name_host(&mut request) {
        Ok(()) => route::route(&gateway, request, peer).await,
        Err(problem) => Outcome::Answer(answer::problem(&problem)),
    };
    match outcome {
        Outcome::Answer(answer) => {
            let (mut head, whole) = answer.into_parts();
            if !only_head {
                return Response::from_parts(head, Body::whole(whole, ticket));
            }
            if let Some(bytes) = whole.size_hint().exact().filter(|bytes| *bytes > 0) {
                head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(bytes));
            }
            Response::from_parts(head, Body::whole(Full::default(), ticket))
        }
        Outcome::Stream(mut stream) => {
            let fields = std::mem::take(&mut stream.fields);
            let mut answer = Response::new(Body::watch(gateway, *stream, ticket));
            for (name, value) in fields {
                answer
                    .headers_mut()
                    .insert(name, HeaderValue::from_str(&value).expect("header values of ours are ASCII"));
            }
            answer
        }
    }
}

/// Puts the `:authority` where requests of HTTP/1.1 have it. Two that differ would let two readers
/// of the request disagree (RFC 9113, section 8.3.1).
fn name_host(request: &mut Request<Incoming>) -> Result<(), Problem> {
    let Some(authority) = request.uri().authority() else { return Ok(()) };
    let authority = HeaderValue::from_str(authority.as_str())
        .map_err(|_| Problem::new(ErrorCode::Invalid, "the request's :authority is not ASCII"))?;
    let hosts = request.headers().get_all(HOST);
    if hosts.iter().any(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes())) {
        return Err(Problem::new(ErrorCode::Invalid, "the request's Host is not its :authority"));
    }
    request.headers_mut().insert(HOST, authority);
    Ok(())
}
