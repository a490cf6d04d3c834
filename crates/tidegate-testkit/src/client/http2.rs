//! Streams of HTTP/2, with prior knowledge on a plain socket, by a client that keeps to its windows: one stream after the other
//! on a connection, which breaks off when nobody holds it any more, or amid any byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::http::{Answer, Head, connect};
use super::{Ask, Ended};

/// So much is read at once.
const READ_BYTES: usize = 4096;

/// One connection, held by whoever asks on it.
#[derive(Clone, Debug)]
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    left: Left,
    _line: Arc<Line>,
}

/// An answer whose head has come.
pub struct Exchange {
    connection: Connection,
    head: Head,
    body: Incoming,
    /// Of the body, until its stream is cut.
    left: Option<u64>,
}

/// How many bytes of the server may still come on a connection before it is cut; `None`: as many as it likes.
#[derive(Clone, Debug, Default)]
struct Left(Arc<Mutex<Option<u64>>>);

/// The task that reads and writes.
#[derive(Debug)]
struct Line(AbortHandle);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Connects. `window`: how much of a stream comes before it is read.
    ///
    /// # Errors
    /// [`Ended::Gone`] when nobody listens, [`Ended::Cut`] where not even the beginning may come.
    pub async fn open(server: SocketAddr, ask: &Ask) -> Result<Connection, Ended> {
        let left = Left::default();
        left.set(ask.cut_after.filter(|_| !ask.cuts_stream));
        let socket = Counted { socket: connect(server, ask.receive_buffer).await?, left: left.clone() };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(ask.window);
        let opened = builder.handshake(TokioIo::new(socket)).await;
        let (sender, line) = opened.map_err(|error| left.ended(&error))?;
        let line = tokio::spawn(async move {
            // Those who wait for something on it are told.
            drop(line.await);
        });
        Ok(Connection { sender, left, _line: Arc::new(Line(line.abort_handle())) })
    }

    /// Whether nothing can be asked on it any more.
    pub fn is_over(&self) -> bool {
        self.sender.is_closed()
    }

    /// Begins a watch; where it is told to be cut is counted from here.
    ///
    /// # Errors
    /// As for [`Self::ask`].
    pub(super) async fn watch(&self, server: SocketAddr, ask: &Ask, headers: &[String]) -> Result<Exchange, Ended> {
        self.left.set(ask.cut_after.filter(|_| !ask.cuts_stream));
        let exchange = self.ask(server, "GET", &ask.url(&[]), headers).await?;
        Ok(Exchange { left: ask.cut_after.filter(|_| ask.cuts_stream), ..exchange })
    }

    /// Sends a request without a body, and waits for the head of its answer. `headers` are whole lines.
    ///
    /// # Errors
    /// [`Ended::Gone`], [`Ended::Cut`], and garbage.
    pub(super) async fn ask(
        &self,
        server: SocketAddr,
        method: &str,
        url: &str,
        headers: &[String],
    ) -> Result<Exchange, Ended> {
        let lines = headers.iter().filter_map(|line| line.split_once(": "));
        let request = Request::builder().method(method).uri(format!("http://{server}{url}"));
        let request = lines.fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Empty::new()).map_err(|error| Ended::Garbage(error.to_string()))?;
        let answer = self.sender.clone().send_request(request).await.map_err(|error| self.left.ended(&error))?;
        let (parts, body) = answer.into_parts();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
        let head = Head { status: parts.status.as_u16(), headers };
        Ok(Exchange { connection: self.clone(), head, body, left: None })
    }
}

impl Exchange {
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What comes next of the body.
    ///
    /// # Errors
    /// [`Ended::Cut`] where it is to be cut, [`Ended::Gone`] at the end of stream or connection.
    pub(super) async fn fill(&mut self) -> Result<Bytes, Ended> {
        self.piece().await?.ok_or_else(|| Ended::Gone("the server ended the stream".to_owned()))
    }

    /// The whole answer, whose body ends.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub(super) async fn answer(mut self) -> Result<Answer, Ended> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(Answer::new(self.head, &whole))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Ended> {
        if self.left == Some(0) {
            return Err(Ended::Cut);
        }
        let Some(frame) = self.body.frame().await else { return Ok(None) };
        let frame = frame.map_err(|error| self.connection.left.ended(&error))?;
        let mut piece = frame.into_data().unwrap_or_default();
        if let Some(left) = &mut self.left {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
        }
        Ok(Some(piece))
    }
}

impl Left {
    fn set(&self, bytes: Option<u64>) {
        *self.lock() = bytes;
    }

    fn ended(&self, error: &hyper::Error) -> Ended {
        match *self.lock() {
            Some(0) => Ended::Cut,
            _ => Ended::Gone(format!("{error:?}")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that breaks when so many bytes have come.
struct Counted {
    socket: TcpStream,
    left: Left,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Counted { socket, left } = self.get_mut();
        let mut left = left.lock();
        let most = left.unwrap_or(u64::MAX).min(READ_BYTES.min(into.remaining()) as u64) as usize;
        if most == 0 && *left == Some(0) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let mut room = [0; READ_BYTES];
        let mut came = ReadBuf::new(&mut room[..most]);
        ready!(Pin::new(socket).poll_read(context, &mut came))?;
        into.put_slice(came.filled());
        if let Some(left) = &mut *left {
            *left -= came.filled().len() as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
