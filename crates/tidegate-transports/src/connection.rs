//! The accept loop, and one connection of HTTP/1.1: hyper reads requests and writes answers until
//! a request becomes a stream; then the socket is taken back from hyper and given to the stream.
//!
//! ```text
//!   accept ─► TLS? ─► HTTP/2? ─► see `http2`
//!               │
//!               └──► hyper: request ─► answer ─┐
//!                      ▲                       │ keep-alive
//!                      └───────────────────────┘
//!                      └─► request that becomes a stream ─► into_parts ─► a lane: head and frames, by us
//! ```
//!
//! While a stream is being handed over the service's future stays pending, so hyper writes
//! nothing on the socket that we take.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tidegate_wire::Line;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Gateway;
use crate::answer::{self, Answer};
use crate::opening::{Opening, look, turn_away};
use crate::patient::{PATIENCE, Patient};
use crate::stream::{Handed, Stream, finish};
use crate::tls::{self, Encrypted};
use crate::visitor::Visitor;
use crate::{http2, route};

/// A request's head must be complete within this time, and the next one on the same connection
/// must begin within it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A request's head may have this many bytes; a client with more is told 431. It is also what is read
/// ahead of a request, which alone would be no limit of heads: it is judged between reads.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;
/// A request may have this many header fields; a client with more is told 431. hyper itself reads up to
/// 100, and in less time when it is not told how many.
pub(crate) const HEADERS_MAX: usize = 64;
/// Connections at once; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 200_000;
/// After a failed accept (no file descriptors left), wait this long for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a request comes to.
pub(crate) enum Outcome {
    /// An answer that ends.
    Answer(Answer),
    /// The socket is wanted.
    Stream(Box<Stream>),
}

/// What hyper waits for.
enum Answering {
    /// It is there.
    Known(Option<Answer>),
    /// It is read, or published, or becomes a stream.
    Sought(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Answering::Known(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Answering::Sought(answer) => answer.as_mut().poll(context).map(Ok),
        }
    }
}

/// Accepts connections until the future is dropped, encrypted ones with `tls`. Connections live on
/// by themselves.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, tls: Option<Arc<ServerConfig>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Frames go out when they are there; there is nothing to wait for.
                let _ = socket.set_nodelay(true);
                tokio::spawn(connected(socket, peer, gateway.clone(), place, tls.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Who has come, and whether it may.
async fn connected(
    mut socket: TcpStream,
    peer: SocketAddr,
    gateway: Arc<Gateway>,
    place: OwnedSemaphorePermit,
    tls: Option<Arc<ServerConfig>>,
) {
    let introduced = gateway.proxies.introduced(&mut socket, peer).await;
    let come = introduced.and_then(|peer| Visitor::connects(&gateway, peer).map(|()| peer));
    match (come, tls) {
        (Ok(peer), None) => plain(socket, peer, gateway, place).await,
        (Ok(peer), Some(tls)) => encrypted(socket, peer, gateway, place, tls).await,
        (Err(problem), tls) => {
            tracing::debug!(%peer, %problem, "a connection is refused");
            // Encrypted, a word would cost what the limit is to save.
            if tls.is_none() {
                turn_away(socket, &problem).await;
            }
        }
    }
}

async fn plain(socket: TcpStream, peer: SocketAddr, gateway: Arc<Gateway>, place: OwnedSemaphorePermit) {
    match look(&socket).await {
        Ok(Opening::Http2) => http2::serve(socket, peer, gateway, None).await,
        Ok(Opening::Http1 | Opening::Tls) => http1(socket, peer, gateway, place, None, plain_line).await,
        Err(error) => tracing::debug!(%peer, %error, "a connection ended before its first request"),
    }
}

async fn encrypted(
    socket: TcpStream,
    peer: SocketAddr,
    gateway: Arc<Gateway>,
    place: OwnedSemaphorePermit,
    tls: Arc<ServerConfig>,
) {
    let Some(stream) = tls::handshake(socket, peer, tls).await else { return };
    let secure = Some(tls::encrypted(&stream));
    if tls::speaks_http2(&stream) {
        http2::serve(stream, peer, gateway, secure).await;
    } else {
        http1(stream, peer, gateway, place, secure, tls::line).await;
    }
}

fn plain_line(socket: TcpStream) -> io::Result<Line> {
    socket.into_std().map(Line::Plain)
}

/// Answers requests, and gives the socket to a lane when one of them becomes a stream.
async fn http1<IO>(
    io: IO,
    peer: SocketAddr,
    gateway: Arc<Gateway>,
    place: OwnedSemaphorePermit,
    secure: Option<Encrypted>,
    line: impl FnOnce(IO) -> io::Result<Line>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, io) = requests(io, peer, gateway.clone(), secure).await;
    let Some((stream, heard)) = stream else { return finish(io).await };
    let begun = line(io).and_then(|line| stream.run(&gateway, line, Handed { heard, place }));
    if let Err(error) = begun {
        tracing::warn!(%peer, %error, "a stream could not be begun");
    }
}

/// Lets hyper answer requests. Returns the socket, and when one of them becomes a stream that and
/// what was read from the socket beyond the request.
async fn requests<IO>(
    io: IO,
    peer: SocketAddr,
    gateway: Arc<Gateway>,
    secure: Option<Encrypted>,
) -> (Option<(Box<Stream>, Bytes)>, IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (handed, mut taken) = oneshot::channel();
    let handed = Arc::new(Mutex::new(Some(handed)));
    let service = service_fn(move |mut request: Request<Incoming>| -> Answering {
        if let Some(secure) = &secure {
            request.extensions_mut().insert(secure.clone());
        }
        let known = match request.headers().len() > HEADERS_MAX {
            true => Some(answer::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16())),
            false => route::kept(&gateway, &request),
        };
        if known.is_some() {
            return Answering::Known(known);
        }
        let (gateway, handed) = (gateway.clone(), handed.clone());
        Answering::Sought(Box::pin(async move {
            match route::route(&gateway, request, peer).await {
                Outcome::Answer(answer) => answer,
                Outcome::Stream(stream) => {
                    if let Some(handed) = handed.lock().expect("no holder of this lock panics").take() {
                        let _ = handed.send(stream);
                    }
                    std::future::pending().await
                }
            }
        }))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(io, PATIENCE)), service);
    let stream = tokio::select! {
        biased;
        stream = &mut taken => stream.ok(),
        ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            None
        }
    };
    let parts = connection.into_parts();
    // A copy of what little there may be: the buffer itself would live as long as the watch.
    let stream = stream.map(|stream| (stream, Bytes::copy_from_slice(&parts.read_buf)));
    (stream, parts.io.into_inner().into_inner())
}
