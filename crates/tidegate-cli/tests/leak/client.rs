//! One client: it asks, reads, and is cut.

use std::fmt;
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rustix::event::epoll::EventFlags;
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustls::ClientConnection;

use crate::gate::Gate;
use crate::request::{Request, Way};

/// A hello of TLS and what ends its handshake.
const HANDSHAKE_BYTES: usize = 500;
/// Of one that does not read all: the rest waits in the server. With less the kernel would send a
/// piece every 200 ms, since a segment of loopback is as large.
const STALLED_BUFFER_BYTES: usize = 64 * 1024;
/// Others that end while one watches.
const OTHERS_MAX: u64 = 100;

/// Where its life ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// After so many bytes that it wrote.
    Written(usize),
    /// Once it watches, or has asked.
    Begun,
    /// After so many bytes that it read.
    Read(usize),
    /// So many others after it has begun to watch, or has asked.
    Later { others: u64, reads: bool },
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// RST.
    Reset,
    /// FIN, or RST if something was not read.
    Close,
    /// FIN; it reads until the server closes.
    HalfClose,
}

/// What is to be done with a client.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    GoesOn,
    /// It waits for others to end.
    Waits(u64),
    Ended,
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    session: Option<Box<ClientConnection>>,
    /// What it writes, as it goes to the socket.
    out: Vec<u8>,
    written: usize,
    /// What it read, up to where it begins to watch.
    seen: Vec<u8>,
    begins: &'static [u8],
    begun: bool,
    read: usize,
    pub(crate) way: Way,
    pub(crate) cut: Cut,
    pub(crate) ending: Ending,
    half_closed: bool,
    waits: bool,
}

impl Client {
    pub(crate) fn random(gate: &Gate, random: &mut StdRng) -> Result<Client> {
        let way = Way::ALL[random.random_range(0..Way::ALL.len())];
        let request = Request::random(way, gate, random);
        let handshake = if gate.tls.is_some() { HANDSHAKE_BYTES } else { 0 };
        let cut = match random.random_range(0..5) {
            0 => Cut::Written(random.random_range(0..=request.bytes.len() + handshake)),
            1 => Cut::Begun,
            // As often a few bytes as many.
            2 if request.comes_bytes > 0 => {
                Cut::Read(random.random_range(1..=request.comes_bytes) >> random.random_range(0..16))
            }
            _ => Cut::Later { others: random.random_range(0..OTHERS_MAX), reads: random.random() },
        };
        let ending = [Ending::Reset, Ending::Close, Ending::HalfClose][random.random_range(0..3)];
        let socket = TcpStream::connect(gate.server.address())?;
        if matches!(cut, Cut::Later { reads: false, .. } | Cut::Read(_)) {
            set_socket_recv_buffer_size(&socket, STALLED_BUFFER_BYTES)?;
        }
        socket.set_nonblocking(true)?;
        let mut client = Client {
            socket,
            session: None,
            out: Vec::new(),
            written: 0,
            seen: Vec::new(),
            begins: request.begins,
            begun: false,
            read: 0,
            way,
            cut,
            ending,
            half_closed: false,
            waits: false,
        };
        match &gate.tls {
            None => client.out = request.bytes,
            Some(clients) => {
                let config = if way == Way::Http2 { &clients.http2 } else { &clients.http1 };
                let mut session = ClientConnection::new(config.clone(), gate.name()).map_err(strange)?;
                session.writer().write_all(&request.bytes)?;
                client.session = Some(Box::new(session));
            }
        }
        Ok(client)
    }

    /// What it waits for.
    pub(crate) fn wants(&self) -> EventFlags {
        let stalled = self.waits && matches!(self.cut, Cut::Later { reads: false, .. });
        let reads = if stalled && !self.half_closed { EventFlags::empty() } else { EventFlags::IN };
        if self.written < self.out.len() { reads | EventFlags::OUT } else { reads }
    }

    /// Writes and reads what can be.
    pub(crate) fn go_on(&mut self, buffer: &mut [u8]) -> Next {
        match self.try_to(buffer) {
            Ok(next) => next,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Next::GoesOn,
            // Cut by the server: it has refused, or answered all.
            Err(_) => Next::Ended,
        }
    }

    fn try_to(&mut self, buffer: &mut [u8]) -> Result<Next> {
        if !self.half_closed {
            self.write()?;
            if matches!(self.cut, Cut::Written(bytes) if self.written >= bytes) {
                return self.end();
            }
        }
        let asked = self.written == self.out.len() && self.session.as_ref().is_none_or(|own| !own.is_handshaking());
        if self.way == Way::Poll && asked && !self.half_closed {
            match self.cut {
                // Written: it was longer than it was thought to be.
                Cut::Begun | Cut::Written(_) => return self.end(),
                Cut::Later { others, .. } if !self.waits => return Ok(self.wait(others)),
                _ => {}
            }
        }
        let room = match self.cut {
            Cut::Read(bytes) if !self.half_closed => (bytes - self.read).min(buffer.len()),
            _ => buffer.len(),
        };
        let bytes = self.socket.read(&mut buffer[..room])?;
        if bytes == 0 {
            return Ok(Next::Ended);
        }
        if self.half_closed {
            return Ok(Next::GoesOn);
        }
        self.read += bytes;
        self.see(&buffer[..bytes])?;
        match self.cut {
            Cut::Read(bytes) if self.read >= bytes => self.end(),
            // Shorter than it was thought to be.
            Cut::Begun | Cut::Written(_) if self.begun => self.end(),
            Cut::Later { others, .. } if self.begun && !self.waits => Ok(self.wait(others)),
            _ => Ok(Next::GoesOn),
        }
    }

    fn wait(&mut self, others: u64) -> Next {
        self.waits = true;
        Next::Waits(others)
    }

    fn write(&mut self) -> Result<()> {
        if let Some(session) = &mut self.session {
            while session.wants_write() {
                session.write_tls(&mut self.out)?;
            }
        }
        let until = match self.cut {
            Cut::Written(bytes) => bytes.min(self.out.len()),
            _ => self.out.len(),
        };
        while self.written < until {
            self.written += self.socket.write(&self.out[self.written..until])?;
        }
        Ok(())
    }

    fn see(&mut self, mut bytes: &[u8]) -> Result<()> {
        match &mut self.session {
            None => self.seen.extend_from_slice(bytes),
            Some(session) => {
                while !bytes.is_empty() {
                    session.read_tls(&mut bytes)?;
                    session.process_new_packets().map_err(strange)?;
                    match session.reader().read_to_end(&mut self.seen) {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                        _ => {}
                    }
                }
                self.write()?;
            }
        }
        if !self.begun {
            let size = self.begins.len();
            self.begun = size == 0 || self.seen.windows(size).any(|window| window == self.begins);
        }
        if self.begun {
            self.seen.clear();
        }
        Ok(())
    }

    /// Cuts it where it is.
    pub(crate) fn end(&mut self) -> Result<Next> {
        match self.ending {
            Ending::Reset => set_socket_linger(&self.socket, Some(Duration::ZERO))?,
            Ending::Close => {}
            Ending::HalfClose => {
                self.socket.shutdown(Shutdown::Write)?;
                self.half_closed = true;
                return Ok(Next::GoesOn);
            }
        }
        Ok(Next::Ended)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Client { way, cut, ending, written, read, begun, half_closed, waits, .. } = self;
        let tls = self.session.is_some();
        write!(
            f,
            "{way:?}, {cut:?}, {ending:?}, encrypted {tls}, written {written} of {}, read {read}, ",
            self.out.len()
        )?;
        write!(f, "begun {begun}, half closed {half_closed}, waits {waits}")
    }
}

fn strange(error: rustls::Error) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, error)
}
