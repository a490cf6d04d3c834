//! A client of HTTP/2 that sends any frames it is told to, with prior knowledge on a plain socket:
//! for tests of what no good client would do, and of what exactly the server does.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::process::Server;

/// A read that takes longer than this is a failure of the server, whatever the machine does.
const PATIENCE: Duration = Duration::from_secs(60);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
pub mod kind {
    #![allow(missing_docs, reason = "the names are those of the RFC")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
}

/// Nothing more comes on the stream.
pub const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// The setting of how much the server may send on a stream before it is given more.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame.
#[derive(Debug)]
pub struct Frame {
    /// As in [`kind`].
    pub kind: u8,
    /// As they came.
    pub flags: u8,
    /// 0 for the whole connection.
    pub stream: u32,
    /// As it came.
    pub payload: Vec<u8>,
}

/// One connection.
pub struct RawHttp2 {
    socket: TcpStream,
    authority: String,
}

impl RawHttp2 {
    /// Connects, with these settings.
    ///
    /// # Panics
    /// If there is no connection.
    pub fn to(server: &Server, settings: &[(u16, u32)]) -> RawHttp2 {
        let socket = TcpStream::connect(server.address()).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.set_nodelay(true).expect("nodelay");
        let mut raw = RawHttp2 { socket, authority: server.address().to_string() };
        raw.socket.write_all(&opening(settings)).expect("write");
        raw
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// When the server has ended the connection.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.socket.write_all(&frame(kind, flags, stream, payload))
    }

    /// Asks for a path; `fields` come after the usual ones.
    ///
    /// # Errors
    /// When the server has ended the connection.
    pub fn get(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) -> io::Result<()> {
        let authority = self.authority.clone();
        let usual = [(":method", "GET"), (":scheme", "http"), (":authority", &authority), (":path", path)];
        self.headers(stream, &[&usual, fields].concat())
    }

    /// Sends a request that is these fields and nothing else.
    ///
    /// # Errors
    /// When the server has ended the connection.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)]) -> io::Result<()> {
        self.fields(stream, END_STREAM, fields)
    }

    /// Begins a request whose body is still to come.
    ///
    /// # Errors
    /// When the server has ended the connection.
    pub fn begin(&mut self, stream: u32, fields: &[(&str, &str)]) -> io::Result<()> {
        self.fields(stream, 0, fields)
    }

    fn fields(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> io::Result<()> {
        self.socket.write_all(&headers(stream, flags, fields))
    }

    /// Lets the server send so much more; 0 means the whole connection.
    ///
    /// # Errors
    /// When the server has ended the connection.
    pub fn give(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        self.send(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    /// The next frame, settings and pings answered and left out; `None` at the end.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).ok()?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.socket.read_exact(&mut payload).ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & !(1 << 31);
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match frame.kind {
                kind::SETTINGS | kind::PING if frame.flags & ACK == 0 => {
                    let echo = if frame.kind == kind::PING { frame.payload.as_slice() } else { &[] };
                    self.send(frame.kind, ACK, 0, echo).ok()?;
                }
                kind::SETTINGS | kind::PING => {}
                _ => return Some(frame),
            }
        }
    }

    /// The next frame of this type on this stream; `None` at the end.
    pub fn next_of(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.kind == kind && frame.stream == stream {
                return Some(frame);
            }
        }
    }
}

/// What a client says first: the preface, and its settings.
pub fn opening(settings: &[(u16, u32)]) -> Vec<u8> {
    let settings: Vec<u8> =
        settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &settings)].concat()
}

/// A request that is these fields and nothing else.
pub fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, END_STREAM, fields)
}

fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal without indexing (RFC 7541, section 6.2.2).
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    frame(kind::HEADERS, flags | END_HEADERS, stream, &block)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A text without Huffman's code (RFC 7541, sections 5.1 and 5.2).
fn text(text: &str, block: &mut Vec<u8>) {
    const PREFIX: usize = 127;
    if text.len() < PREFIX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX as u8);
        let mut left = text.len() - PREFIX;
        while left >= 128 {
            block.push((left % 128) as u8 | 128);
            left /= 128;
        }
        block.push(left as u8);
    }
    block.extend_from_slice(text.as_bytes());
}
