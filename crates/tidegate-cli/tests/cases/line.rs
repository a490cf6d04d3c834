//! What carries a request and its answer: a plain socket, TLS, or a stream of HTTP/2 over TLS.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tidegate_testkit::tls::{Authority, Pair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::http::{Request, SILENCE_MAX};

/// The three of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    Plain,
    Tls,
    Http2,
}

/// A server, and how it is spoken to.
#[derive(Clone, Copy)]
pub struct Place {
    pub address: SocketAddr,
    pub line: Line,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
static PAIR: LazyLock<Pair> = LazyLock::new(|| AUTHORITY.issue("a server of the cases"));
static HTTP1: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| AUTHORITY.client(&["http/1.1"]));
static HTTP2: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| AUTHORITY.client(&["h2"]));

impl Line {
    /// Behind the name of the transport; nothing for a plain socket.
    pub fn suffix(self) -> &'static str {
        match self {
            Line::Plain => "",
            Line::Tls => " over TLS",
            Line::Http2 => " over HTTP/2",
        }
    }

    /// The files of the certificate that its server shows, in `folder`.
    pub fn certificate(self, folder: &Path) -> Option<(PathBuf, PathBuf)> {
        (self != Line::Plain).then(|| PAIR.write(folder))
    }
}

impl Place {
    pub fn plain(self) -> anyhow::Result<TcpStream> {
        let socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    pub fn tls(self) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
        let connection = ClientConnection::new(HTTP1.clone(), ServerName::from(self.address.ip()))?;
        Ok(StreamOwned::new(connection, self.plain()?))
    }

    /// Sends the request on a connection of its own. The answer comes as HTTP/1.1 would write it,
    /// but for what only HTTP/2 has.
    pub fn http2(self, request: &Request) -> anyhow::Result<UnixStream> {
        let (near, far) = UnixStream::pair()?;
        near.set_read_timeout(Some(SILENCE_MAX))?;
        far.set_nonblocking(true)?;
        let uri = format!("https://{}{}", self.address, request.path);
        let mut built = hyper::Request::builder().method(request.method).uri(uri);
        for (name, value) in &request.headers {
            built = built.header(name, value);
        }
        let request = built.body(Full::new(Bytes::from(request.body.clone().unwrap_or_default())))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            // Whoever waits for the answer sees that it ends; how, is not told by a close either.
            let _ = runtime.block_on(async {
                let mut far = tokio::net::UnixStream::from_std(far)?;
                carry(self.address, request, &mut far).await
            });
        });
        Ok(near)
    }
}

async fn carry(
    server: SocketAddr,
    request: hyper::Request<Full<Bytes>>,
    far: &mut tokio::net::UnixStream,
) -> anyhow::Result<()> {
    let socket = tokio::net::TcpStream::connect(server).await?;
    let socket = TlsConnector::from(HTTP2.clone()).connect(ServerName::from(server.ip()), socket).await?;
    ensure!(socket.get_ref().1.alpn_protocol() == Some(b"h2"), "HTTP/2 is not spoken");
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let mut head = format!("HTTP/2 {}\r\n", answer.status().as_u16());
    for (name, value) in answer.headers() {
        ensure!(name != "connection" && name != "transfer-encoding", "HTTP/2 has no `{name}`");
        head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    head.push_str("\r\n");
    far.write_all(head.as_bytes()).await?;
    let mut body = answer.into_body();
    loop {
        let mut said = [0];
        tokio::select! {
            frame = body.frame() => match frame {
                None => break,
                Some(frame) => far.write_all(&frame?.into_data().unwrap_or_default()).await?,
            },
            // The reader has gone.
            _ = far.read(&mut said) => break,
        }
    }
    drop((sender, body));
    connection.abort();
    Ok(())
}
