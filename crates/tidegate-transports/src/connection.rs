//! The accept loop, and one connection: hyper reads requests and writes answers until a request
//! becomes a stream; then the socket is taken back from hyper and given to the stream.
//!
//! ```text
//!   accept ─► hyper: request ─► answer ─┐
//!               ▲                       │ keep-alive
//!               └───────────────────────┘
//!               └─► request that becomes a stream ─► into_parts ─► a lane: head and frames, by us
//! ```
//!
//! While a stream is being handed over the service's future stays pending, so hyper writes
//! nothing on the socket that we take.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Gateway;
use crate::patient::Patient;
use crate::route;
use crate::stream::{Handed, Stream, finish};

/// A request's head must be complete within this time, and the next one on the same connection
/// must begin within it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A request's head may have this many bytes; a client with more is told 431.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// A request may have this many header fields.
const HEADERS_MAX: usize = 64;
/// Connections at once; more wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 200_000;
/// After a failed accept (no file descriptors left), wait this long for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a request comes to.
pub(crate) enum Outcome {
    /// An answer that ends.
    Answer(Response<Full<Bytes>>),
    /// The socket is wanted.
    Stream(Box<Stream>),
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// Accepts connections until the future is dropped. Connections live on by themselves.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, peer)) => {
                tokio::spawn(connection(socket, peer, gateway.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, gateway: Arc<Gateway>, place: OwnedSemaphorePermit) {
    // Frames go out when they are there; there is nothing to wait for.
    let _ = socket.set_nodelay(true);
    if let Some((stream, socket, heard)) = requests(socket, peer, gateway.clone()).await
        && let Err(error) = stream.run(&gateway, socket, Handed { heard, place })
    {
        tracing::warn!(%peer, %error, "a stream could not be begun");
    }
}

/// Lets hyper answer requests. Returns the socket, and what was read from it beyond the request,
/// when one of them becomes a stream.
async fn requests(
    socket: TcpStream,
    peer: SocketAddr,
    gateway: Arc<Gateway>,
) -> Option<(Box<Stream>, TcpStream, Bytes)> {
    let (handed, mut taken) = oneshot::channel();
    let handed = Arc::new(Mutex::new(Some(handed)));
    let service = service_fn(move |request: Request<Incoming>| -> Answering {
        let (gateway, handed) = (gateway.clone(), handed.clone());
        Box::pin(async move {
            match route::route(&gateway, request, peer).await {
                Outcome::Answer(response) => Ok(response),
                Outcome::Stream(stream) => {
                    if let Some(handed) = handed.lock().expect("no holder of this lock panics").take() {
                        let _ = handed.send(stream);
                    }
                    std::future::pending().await
                }
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Patient::new(socket)), service);
    let stream = tokio::select! {
        biased;
        stream = &mut taken => stream.ok()?,
        ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => {
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            let mut socket = connection.into_parts().io.into_inner().into_inner();
            finish(&mut socket).await;
            return None;
        }
    };
    let parts = connection.into_parts();
    // A copy of what little there may be: the buffer itself would live as long as the watch.
    let read = Bytes::copy_from_slice(&parts.read_buf);
    Some((stream, parts.io.into_inner().into_inner(), read))
}
