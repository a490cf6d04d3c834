//! The PROXY protocol: what a load balancer says of its client before the client's own bytes.
//!
//! The crate `ppp` reads a header; here is where it ends, so that not one byte more is taken from the socket.

use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tidegate_core::{ErrorCode, Problem};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A proxy says it at once.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A header of version 1 is no longer.
const TEXT_BYTES_MAX: usize = 107;
/// A header of version 2 with all that balancers put into it is far shorter.
const BINARY_BYTES_MAX: usize = 4 * 1024;
const TEXT_PREFIX: &[u8] = b"PROXY ";

/// Reads the header; `None` where the proxy speaks for itself, as in its health checks, or of a client without an
/// address.
pub(super) async fn read(socket: &mut TcpStream) -> Result<Option<SocketAddr>, Problem> {
    timeout(HEADER_TIMEOUT, header(socket)).await.unwrap_or_else(|_| Err(missing("did not come in time")))
}

async fn header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, Problem> {
    let (mut header, mut ahead) = (Vec::new(), [0; TEXT_BYTES_MAX]);
    loop {
        let seen = socket.peek(&mut ahead).await.map_err(|_| missing("did not come whole"))?;
        if seen == 0 {
            return Err(missing("did not come whole"));
        }
        let before = header.len();
        header.extend_from_slice(&ahead[..seen]);
        let end = end(&header)?;
        let taken = end.map_or(seen, |end| end.min(header.len()) - before);
        header.truncate(before + taken);
        socket.read_exact(&mut ahead[..taken]).await.map_err(|_| missing("did not come whole"))?;
        if end.is_some_and(|end| header.len() == end) {
            return parse(&header);
        }
    }
}

/// Where the header ends, if that is known yet.
fn end(bytes: &[u8]) -> Result<Option<usize>, Problem> {
    let begins = |prefix: &[u8]| bytes.starts_with(prefix) || prefix.starts_with(bytes);
    if begins(v2::PROTOCOL_PREFIX) {
        let Some(length) = bytes.get(14..16) else { return Ok(None) };
        let end = 16 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        return if end > BINARY_BYTES_MAX { Err(missing("is too long")) } else { Ok(Some(end)) };
    }
    if !begins(TEXT_PREFIX) {
        return Err(missing("is missing"));
    }
    match bytes.windows(2).position(|pair| pair == b"\r\n") {
        Some(at) => Ok(Some(at + 2)),
        None if bytes.len() >= TEXT_BYTES_MAX => Err(missing("is too long")),
        None => Ok(None),
    }
}

fn parse(header: &[u8]) -> Result<Option<SocketAddr>, Problem> {
    if header.starts_with(TEXT_PREFIX) {
        let header = v1::Header::try_from(header).map_err(|_| missing("cannot be read"))?;
        return Ok(match header.addresses {
            v1::Addresses::Tcp4(own) => Some((own.source_address, own.source_port).into()),
            v1::Addresses::Tcp6(own) => Some((own.source_address, own.source_port).into()),
            v1::Addresses::Unknown => None,
        });
    }
    let header = v2::Header::try_from(header).map_err(|_| missing("cannot be read"))?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(own)) => Some((own.source_address, own.source_port).into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(own)) => Some((own.source_address, own.source_port).into()),
        (v2::Command::Local, _) | (v2::Command::Proxy, _) => None,
    })
}

fn missing(what: &str) -> Problem {
    Problem::new(ErrorCode::Invalid, format!("the PROXY header of this connection {what}"))
        .hint("the config lists this proxy with `proxy_protocol`: let it send the header, or list it without")
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    fn binary(command: u8, family: u8, addresses: &[u8], more: usize) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([0x20 | command, family]);
        header.extend((addresses.len() as u16 + more as u16).to_be_bytes());
        header.extend(addresses);
        // One entry of a kind of the proxy's own.
        if let Some(length) = more.checked_sub(3) {
            header.extend([0xe0, (length >> 8) as u8, length as u8]);
            header.resize(header.len() + length, 7);
        }
        header
    }

    /// Sends `header` in pieces, and the client's own bytes right behind it.
    async fn told(header: &[u8], piece: usize) -> Result<Option<String>, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut proxy = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (mut socket, _) = listener.accept().await.expect("accepted");
        let bytes = [header, b"GET / HTTP/1.1\r\n"].concat();
        let sending = tokio::spawn(async move {
            for part in bytes.chunks(piece) {
                proxy.write_all(part).await.expect("sent");
                proxy.flush().await.expect("sent");
                tokio::task::yield_now().await;
            }
            proxy
        });
        let client = read(&mut socket).await.map_err(|problem| problem.detail)?;
        let mut rest = [0; 16];
        socket.read_exact(&mut rest).await.expect("the client's bytes");
        assert_eq!(&rest, b"GET / HTTP/1.1\r\n");
        drop(sending.await);
        Ok(client.map(|client| client.to_string()))
    }

    #[tokio::test]
    async fn a_header_names_the_client_and_leaves_its_bytes() {
        let four = [198, 51, 100, 5, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        let mut six = [0; 36];
        (six[0], six[1], six[15], six[33]) = (0x20, 0x01, 5, 9);
        let cases: [(Vec<u8>, Option<&str>); 8] = [
            (b"PROXY TCP4 198.51.100.5 10.0.0.1 4660 80\r\n".to_vec(), Some("198.51.100.5:4660")),
            (b"PROXY TCP6 2001:db8::5 ::1 9 80\r\n".to_vec(), Some("[2001:db8::5]:9")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (binary(1, 0x11, &four, 0), Some("198.51.100.5:4660")),
            (binary(1, 0x11, &four, 900), Some("198.51.100.5:4660")),
            (binary(1, 0x21, &six, 0), Some("[2001::5]:9")),
            (binary(0, 0x11, &four, 0), None),
            (binary(0, 0x00, &[], 0), None),
        ];
        for (header, client) in cases {
            for piece in [1, 7, 10_000] {
                assert_eq!(told(&header, piece).await, Ok(client.map(str::to_owned)), "{header:?} by {piece}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        for header in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PROXY TCP4 1.2.3 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 70000 2\r\n".to_vec(),
            [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
            binary(1, 0x11, &[0; 5], 0),
            binary(7, 0x11, &[0; 12], 0),
            binary(1, 0x11, &[0; 12], 60_000),
        ] {
            assert!(told(&header, 1_000_000).await.is_err(), "{header:?}");
        }
    }
}
