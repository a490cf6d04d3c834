//! A connection of the load: plain, or within TLS. Neither blocks once it belongs to the loop.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// A read stops before less room is left: one step of TLS brings no more, so that nothing is left
/// over within it, of which epoll would not tell.
const ROOM_BYTES_MIN: usize = 24 * 1024;

/// Which certificates are trusted.
pub type Trust = Arc<ClientConfig>;

pub(crate) enum Socket {
    Plain(TcpStream),
    Encrypted(Box<Encrypted>),
}

pub(crate) struct Encrypted {
    socket: TcpStream,
    session: ClientConnection,
}

/// Trusts the certificates in this PEM, and no others.
///
/// # Errors
/// If there is none that can be trusted.
pub fn trusting(pem: &[u8]) -> std::result::Result<Trust, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| rustls::Error::General(error.to_string()))?)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Socket {
    /// `trust`: within TLS. What is written before its handshake waits for it.
    pub(crate) fn new(socket: TcpStream, address: IpAddr, trust: Option<&Trust>) -> Result<Socket> {
        let Some(trust) = trust else { return Ok(Socket::Plain(socket)) };
        let session = ClientConnection::new(Arc::clone(trust), ServerName::from(address)).map_err(strange)?;
        Ok(Socket::Encrypted(Box::new(Encrypted { socket, session })))
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Socket::Plain(socket) => socket,
            Socket::Encrypted(encrypted) => &encrypted.socket,
        }
    }

    /// Whether something that was taken in is not written yet.
    pub(crate) fn has_to_write(&self) -> bool {
        matches!(self, Socket::Encrypted(encrypted) if encrypted.session.wants_write())
    }
}

impl Encrypted {
    /// Writes what the socket takes.
    fn write_out(&mut self) -> Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                written => drop(written?),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut got = 0;
        while got == 0 || buffer.len() - got >= ROOM_BYTES_MIN {
            match self.session.read_tls(&mut self.socket) {
                Ok(0) => return Ok(got),
                Err(error) if error.kind() == ErrorKind::WouldBlock && got > 0 => return Ok(got),
                read => drop(read?),
            }
            self.session.process_new_packets().map_err(strange)?;
            self.write_out()?;
            match self.session.reader().read(&mut buffer[got..]) {
                // The server has said that it says no more.
                Ok(0) => return Ok(got),
                Ok(bytes) => got += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Socket::Plain(socket) => socket.read(buffer),
            Socket::Encrypted(encrypted) => encrypted.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Socket::Plain(socket) => socket.write(bytes),
            Socket::Encrypted(encrypted) => {
                let taken = encrypted.session.writer().write(bytes)?;
                encrypted.write_out()?;
                if taken == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Socket::Plain(socket) => socket.flush(),
            Socket::Encrypted(encrypted) => encrypted.write_out(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp().as_fd()
    }
}

fn strange(error: rustls::Error) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    const ANSWER_BYTES: usize = 300_000;
    const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

    /// Reads a request of one byte, answers it, and waits for another.
    fn serve(listener: &TcpListener, config: ServerConfig) {
        let (socket, _) = listener.accept().expect("a connection");
        let session = ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = StreamOwned::new(session, socket);
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a request");
        stream.write_all(&[b'x'; ANSWER_BYTES]).and_then(|()| stream.flush()).expect("answered");
        stream.read_exact(&mut byte).expect("it has all");
    }

    #[test]
    fn nothing_is_left_within_tls_of_which_epoll_would_not_tell() {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![own.cert.der().clone()], key).expect("a config");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || serve(&listener, config));

        let socket = TcpStream::connect(address).expect("connected");
        socket.set_nonblocking(true).expect("an option");
        let trust = trusting(own.cert.pem().as_bytes()).expect("trusted");
        let mut socket = Socket::new(socket, address.ip(), Some(&trust)).expect("a session");
        assert_eq!(socket.write(b"?").expect("taken in before the handshake"), 1);
        let (mut buffer, mut got) = (vec![0; 32 * 1024], 0);
        while got < ANSWER_BYTES {
            let ready = poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&PATIENCE)).expect("polled");
            assert_eq!(ready, 1, "after {got} bytes nothing comes any more");
            match socket.read(&mut buffer) {
                Ok(bytes) => got += bytes,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert_eq!((got, socket.write(b"!").expect("said"), socket.has_to_write()), (ANSWER_BYTES, 1, false));
        server.join().expect("it is content");
    }
}
