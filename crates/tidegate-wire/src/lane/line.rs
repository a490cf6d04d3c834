//! What a socket's bytes go over: TCP as it is, or TLS on it.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

use rustls::ServerConnection;

/// See the module. Neither blocks.
pub enum Line {
    /// Bytes as they are.
    Plain(TcpStream),
    /// Encrypted for this client, with a bounded buffer of what is encrypted and not sent.
    Tls(TcpStream, Box<ServerConnection>),
}

/// What a line took.
pub(super) struct Taken {
    /// So many bytes; they count as sent, though some may be encrypted and waiting.
    pub(super) bytes: usize,
    /// It takes no more at the moment.
    pub(super) full: bool,
}

impl Line {
    /// The socket itself.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Line::Plain(socket) | Line::Tls(socket, _) => socket,
        }
    }

    /// Takes as much as goes without waiting: in one system call, or in one for what was encrypted.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Taken> {
        match self {
            Line::Plain(socket) => {
                let offered: usize = slices.iter().map(|slice| slice.len()).sum();
                let bytes = write(socket, slices)?;
                Ok(Taken { bytes, full: bytes < offered })
            }
            Line::Tls(socket, tls) => {
                let mut bytes = 0;
                for mut left in slices.iter().map(|slice| &**slice) {
                    while !left.is_empty() {
                        let taken = tls.writer().write(left)?;
                        bytes += taken;
                        left = &left[taken..];
                        // The buffer is as full as it may be.
                        if !left.is_empty() && !send(socket, tls)? {
                            return Ok(Taken { bytes, full: true });
                        }
                    }
                }
                let full = !send(socket, tls)?;
                Ok(Taken { bytes, full })
            }
        }
    }

    /// Sends what is encrypted. Returns whether all of it is gone.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Line::Plain(_) => Ok(true),
            Line::Tls(socket, tls) => send(socket, tls),
        }
    }

    /// Reads what is there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(socket) => socket.read(buffer),
            Line::Tls(socket, tls) => {
                if let Ok(bytes @ 1..) = tls.reader().read(buffer) {
                    return Ok(bytes);
                }
                if tls.read_tls(socket)? == 0 {
                    return Ok(0);
                }
                tls.process_new_packets().map_err(io::Error::other)?;
                // An alert, or new keys.
                send(socket, tls)?;
                match tls.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                    read => read,
                }
            }
        }
    }

    /// Whether its bytes are those that it is given.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Line::Plain(_))
    }

    /// Whether more has been read than was taken, of which the system tells nothing.
    pub(super) fn has_read_ahead(&self) -> bool {
        match self {
            Line::Plain(_) => false,
            // It wants to read, unless there is something to be taken.
            Line::Tls(_, tls) => !tls.wants_read(),
        }
    }

    /// Tells the client that nothing more comes.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Line::Tls(socket, tls) = self {
            tls.send_close_notify();
            send(socket, tls)?;
        }
        self.tcp().shutdown(Shutdown::Write)
    }
}

/// Sends what is encrypted. Returns whether all of it is gone.
fn send(socket: &mut TcpStream, tls: &mut ServerConnection) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// One system call; a socket that is full takes nothing.
fn write(socket: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let written = match slices {
            [] => return Ok(0),
            // `send` is cheaper than `sendmsg`.
            [only] => socket.write(only),
            several => socket.write_vectored(several),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}
