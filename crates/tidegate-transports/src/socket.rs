//! What a watch lives on after its request: bytes out, bytes in, and an end in order, at the same
//! time and through a shared reference. A plain socket is one by itself; [`Shared`] makes one of
//! anything that reads and writes, such as a TLS connection.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stream::{LINGER, LINGER_BYTES_MAX, STALLED, gone, write_all};

/// So much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// Pieces of one vectored write.
const PIECES_MAX: usize = 64;

/// See the module.
pub(crate) trait Socket: Send + Sync + Sized {
    /// Writes all chunks. Gives up when the client took no byte for [`STALLED`].
    fn write_all(&self, chunks: &[Bytes]) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until something can be read, and shows it to `take`. Returns how much it was; 0 at the
    /// end. Holds no buffer while it waits.
    fn read(&self, take: impl FnMut(&[u8]) + Send) -> impl Future<Output = io::Result<usize>> + Send;

    /// Tells the client that nothing more comes.
    fn shut(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Ends the answer in order: a close with unread bytes in the socket would be a reset, which may
    /// destroy the last frame on its way.
    fn finish(mut self) -> impl Future<Output = ()> + Send {
        async move {
            if matches!(timeout(LINGER, self.shut()).await, Ok(Ok(()))) {
                let _ = timeout(LINGER, gone(&self, LINGER_BYTES_MAX)).await;
            }
        }
    }
}

impl Socket for TcpStream {
    async fn write_all(&self, chunks: &[Bytes]) -> io::Result<()> {
        write_all(self, chunks).await
    }

    async fn read(&self, mut take: impl FnMut(&[u8]) + Send) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match read_now(self, &mut take) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    async fn shut(&mut self) -> io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(self).await
    }
}

/// Apart, so that a waiting watcher holds no buffer.
fn read_now(socket: &TcpStream, take: &mut impl FnMut(&[u8])) -> io::Result<usize> {
    let mut buffer = [0; READ_BYTES];
    let bytes = socket.try_read(&mut buffer)?;
    take(&buffer[..bytes]);
    Ok(bytes)
}

/// Reads and writes in turn, from the one task that lives on it.
pub(crate) struct Shared<IO>(Mutex<IO>);

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Shared<IO> {
    pub(crate) fn new(io: IO) -> Shared<IO> {
        Shared(Mutex::new(io))
    }

    fn with<T>(&self, poll: impl FnOnce(Pin<&mut IO>) -> T) -> T {
        poll(Pin::new(&mut *self.0.lock().expect("no holder of this lock panics")))
    }

    fn poll_write(&self, context: &mut Context<'_>, left: &[&[u8]]) -> Poll<io::Result<usize>> {
        let pieces: Vec<IoSlice<'_>> = left.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
        self.with(|io| io.poll_write_vectored(context, &pieces))
    }

    fn poll_read(&self, context: &mut Context<'_>, take: &mut impl FnMut(&[u8])) -> Poll<io::Result<usize>> {
        let mut buffer = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(self.with(|io| io.poll_read(context, &mut buffer)))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Socket for Shared<IO> {
    async fn write_all(&self, chunks: &[Bytes]) -> io::Result<()> {
        let mut left: Vec<&[u8]> = chunks.iter().map(Bytes::as_ref).filter(|chunk| !chunk.is_empty()).collect();
        let mut first = 0;
        while first < left.len() {
            let write = std::future::poll_fn(|context| self.poll_write(context, &left[first..]));
            let mut written = match timeout(STALLED, write).await.map_err(|_| io::ErrorKind::TimedOut)?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => written,
            };
            while written > 0 {
                let taken = written.min(left[first].len());
                left[first] = &left[first][taken..];
                written -= taken;
                if left[first].is_empty() {
                    first += 1;
                }
            }
        }
        // What is encrypted is not yet on its way.
        let flush = std::future::poll_fn(|context| self.with(|io| io.poll_flush(context)));
        timeout(STALLED, flush).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn read(&self, mut take: impl FnMut(&[u8]) + Send) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_read(context, &mut take)).await
    }

    async fn shut(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.with(|io| io.poll_shutdown(context))).await
    }
}
