//! HTTP/1.1 by hand: a socket, what it brought, and how many bytes are left until the cut.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::Ended;

/// A head longer than this is garbage.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A connection to the server.
pub struct Wire {
    stream: TcpStream,
    /// What came and was not used yet.
    pub buffer: BytesMut,
    left: Option<u64>,
}

/// Status line and headers.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub body: Value,
}

impl Head {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub(super) fn new(head: Head, body: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(body).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { head, text, body }
    }

    /// The `code` of a problem.
    pub fn code(&self) -> Option<&str> {
        self.body.get("code").and_then(Value::as_str)
    }
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// [`Ended::Gone`] when nobody listens.
    pub async fn connect(server: SocketAddr, receive_buffer: Option<u32>) -> Result<Wire, Ended> {
        let stream = connect(server, receive_buffer).await?;
        Ok(Wire { stream, buffer: BytesMut::with_capacity(4096), left: None })
    }

    /// After `bytes` more bytes of the server this end acts as if the line had been cut.
    pub fn cut_after(&mut self, bytes: Option<u64>) {
        self.left = bytes;
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// [`Ended::Gone`].
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.stream.write_all(bytes).await.map_err(gone)
    }

    /// Waits for more bytes.
    ///
    /// # Errors
    /// [`Ended::Cut`] once the budget is used up, [`Ended::Gone`] at the end of the stream.
    pub async fn fill(&mut self) -> Result<(), Ended> {
        let most = self.left.unwrap_or(u64::MAX).min(64 * 1024) as usize;
        if most == 0 {
            return Err(Ended::Cut);
        }
        self.buffer.reserve(most.min(4096));
        let got = (&mut self.stream).take(most as u64).read_buf(&mut self.buffer).await.map_err(gone)?;
        if got == 0 {
            return Err(Ended::Gone("the server closed the connection".to_owned()));
        }
        if let Some(left) = &mut self.left {
            *left -= got as u64;
        }
        Ok(())
    }

    /// Reads the head of an answer.
    ///
    /// # Errors
    /// As [`Self::fill`], and garbage.
    pub async fn head(&mut self) -> Result<Head, Ended> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Ended::Garbage("an endless head".to_owned()));
            }
            self.fill().await?;
        };
        let text = self.buffer.split_to(end + 4);
        let text = String::from_utf8_lossy(&text);
        parse_head(&text).ok_or_else(|| Ended::Garbage(format!("no head of HTTP/1.1: {text}")))
    }

    /// Reads the body that belongs to `head`.
    ///
    /// # Errors
    /// As [`Self::fill`], and garbage.
    pub async fn body(&mut self, head: &Head) -> Result<Vec<u8>, Ended> {
        if head.status == 204 || head.status == 304 || head.status < 200 {
            return Ok(Vec::new());
        }
        if head.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.chunks().await;
        }
        match head.header("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| Ended::Garbage(format!("content-length: {length}")))?;
                self.exactly(length).await
            }
            None => self.until_end().await,
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Ended> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).to_vec())
    }

    async fn until_end(&mut self) -> Result<Vec<u8>, Ended> {
        loop {
            match self.fill().await {
                Ok(()) => {}
                Err(Ended::Gone(_)) => return Ok(self.buffer.split().to_vec()),
                Err(ended) => return Err(ended),
            }
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Ended> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(at) => break at,
                    None => self.fill().await?,
                }
            };
            let line = self.buffer.split_to(end + 2);
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim().split(';').next().unwrap_or_default(), 16);
            let size = size.map_err(|_| Ended::Garbage("a chunk without a size".to_owned()))?;
            body.extend_from_slice(&self.exactly(size).await?);
            while self.buffer.len() < 2 {
                self.fill().await?;
            }
            self.buffer.advance(2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// As [`Self::fill`], and garbage.
    pub async fn answer(&mut self) -> Result<Answer, Ended> {
        let head = self.head().await?;
        self.rest(head).await
    }

    /// Reads the rest of an answer whose head was read.
    ///
    /// # Errors
    /// As [`Self::fill`], and garbage.
    pub async fn rest(&mut self, head: Head) -> Result<Answer, Ended> {
        let body = self.body(&head).await?;
        Ok(Answer::new(head, &body))
    }
}

/// A socket for whatever is spoken on it.
pub(super) async fn connect(server: SocketAddr, receive_buffer: Option<u32>) -> Result<TcpStream, Ended> {
    let connect = async {
        let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connect.await.map_err(gone)
}

/// The text of a request. `headers` are whole lines without their ends.
pub fn request(server: SocketAddr, method: &str, url: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {url} HTTP/1.1\r\nHost: {server}\r\n");
    for line in headers {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT") {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// One GET as JSON on a connection of its own.
///
/// # Errors
/// No connection, or garbage; a refusal is an answer.
pub async fn get_json(server: SocketAddr, url: &str) -> Result<Answer, Ended> {
    get_json_as(server, url, None).await
}

/// The same as somebody who shows a token.
///
/// # Errors
/// As there.
pub async fn get_json_as(server: SocketAddr, url: &str, token: Option<&str>) -> Result<Answer, Ended> {
    let mut headers = vec!["Accept: application/json".to_owned(), "Connection: close".to_owned()];
    headers.extend(token.map(|token| format!("Authorization: Bearer {token}")));
    ask(server, "GET", url, &headers, b"").await
}

/// One request on a connection of its own. `headers` are whole lines without their ends.
///
/// # Errors
/// No connection, or one that broke before the answer.
pub async fn ask(
    server: SocketAddr,
    method: &str,
    url: &str,
    headers: &[String],
    body: &[u8],
) -> Result<Answer, Ended> {
    let mut wire = Wire::connect(server, None).await?;
    wire.send(&request(server, method, url, headers, body)).await?;
    wire.answer().await
}

fn parse_head(text: &str) -> Option<Head> {
    let mut lines = text.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let headers = lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()?;
    Some(Head { status, headers })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn gone(error: std::io::Error) -> Ended {
    Ended::Gone(error.to_string())
}
