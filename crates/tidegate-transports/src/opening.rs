//! The first bytes of a connection say what it speaks. They are only looked at: whoever serves the
//! connection reads them.

use std::io;
use std::time::Duration;

use http::StatusCode;
use tidegate_core::Problem;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::answer;
use crate::stream::finish;

/// A client must say something within this time.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(15);
/// The beginning of the preface of RFC 9113, section 3.4; no request of HTTP/1.1 begins so.
const PREFACE: &[u8] = b"PRI ";
/// The first byte of a record with a handshake in it (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A TLS handshake.
    Tls,
    /// HTTP/2 by a client that knows already ("prior knowledge").
    Http2,
    /// Anything else, which is HTTP/1.1 or will be told so.
    Http1,
}

/// Waits for the first bytes; an error when there are none.
pub(crate) async fn look(socket: &TcpStream) -> io::Result<Opening> {
    let mut first = [0; PREFACE.len()];
    let bytes = timeout(FIRST_BYTE_TIMEOUT, socket.peek(&mut first)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    match &first[..bytes] {
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        [HANDSHAKE, ..] => Ok(Opening::Tls),
        PREFACE => Ok(Opening::Http2),
        _ => Ok(Opening::Http1),
    }
}

/// Answers a client with a problem in plain HTTP, whatever it asks, and ends.
pub(crate) async fn turn_away(mut socket: TcpStream, problem: &Problem) {
    let body = problem.to_json().to_string();
    let status: StatusCode = answer::status(problem);
    let mut head =
        format!("HTTP/1.1 {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\n", answer::PROBLEM, body.len());
    if let Some(ms) = problem.retry_ms {
        head.push_str(&format!("retry-after: {}\r\n", ms.div_ceil(1_000)));
    }
    if socket.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.is_ok() {
        finish(socket).await;
    }
}
