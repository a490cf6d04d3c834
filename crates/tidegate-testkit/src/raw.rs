//! A client that sends any bytes it is told to, one connection and one request at a time, without
//! a runtime: for tests of what no good client would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::client::deflate::inflate;
use crate::process::Server;

/// A read that takes longer than this is a failure of the server, whatever the machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub struct Raw {
    socket: TcpStream,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// As long as its content-length says.
    pub body: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub fn to(server: &Server) -> Raw {
        Raw::at(server.address())
    }

    /// Connects to the admin side.
    pub fn admin(server: &Server) -> Raw {
        Raw::at(server.admin())
    }

    /// Connects to an address.
    pub fn at(address: SocketAddr) -> Raw {
        let socket = TcpStream::connect(address).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.set_nodelay(true).expect("nodelay");
        Raw { socket, read: Vec::new() }
    }

    /// Writes all.
    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("write");
    }

    /// Writes while the server reads; `false` when it has stopped to.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// GETs a path.
    pub fn get(self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// POSTs JSON.
    pub fn publish(self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body)
    }

    /// Sends one request.
    pub fn send(mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        // A server that refuses a body early closes while we still write.
        let _ = self.try_write(head.as_bytes()) && self.try_write(body.as_bytes());
        self.answer()
    }

    /// Reads one answer: until its content-length, or the end.
    pub fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = Answer::parse(&self.read) {
                return answer;
            }
            if !self.more() {
                panic!("no whole answer: {:?}", String::from_utf8_lossy(&self.read));
            }
        }
    }

    /// The next line of a stream, without its end.
    pub fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            assert!(self.more(), "the stream ended");
        }
    }

    /// Whether the server ends the connection.
    pub fn ended(&mut self) -> bool {
        while self.more() {}
        true
    }

    /// From now on writes what the socket takes at once; for clients that are cut off in between.
    pub fn nonblocking(&mut self) {
        self.socket.set_nonblocking(true).expect("nonblocking");
    }

    /// Opens a WebSocket.
    pub fn websocket(self, path: &str) -> RawWebSocket {
        self.websocket_with(path, b"")
    }

    /// The same with bytes that follow the handshake in the same write.
    pub fn websocket_with(self, path: &str, early: &[u8]) -> RawWebSocket {
        self.upgrade(path, "", early).0
    }

    /// Opens a WebSocket with these extensions offered. Also returns what the server agreed to.
    pub fn websocket_offering(self, path: &str, extensions: &str) -> (RawWebSocket, Option<String>) {
        let (socket, head) = self.upgrade(path, &format!("sec-websocket-extensions: {extensions}\r\n"), b"");
        let name = "sec-websocket-extensions: ";
        (socket, head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned))
    }

    fn upgrade(mut self, path: &str, headers: &str, early: &[u8]) -> (RawWebSocket, String) {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        self.write(&[head.as_bytes(), early].concat());
        let end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more(), "the handshake ended: {}", String::from_utf8_lossy(&self.read));
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        (RawWebSocket { raw: self }, head)
    }

    /// Reads on; `false` at the end.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(bytes) => {
                self.read.extend_from_slice(&buffer[..bytes]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the server said nothing for {PATIENCE:?}: {error}"),
        }
    }
}

/// A WebSocket whose frames are written by hand.
pub struct RawWebSocket {
    raw: Raw,
}

impl RawWebSocket {
    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.raw.write(bytes);
    }

    /// The writing side, for another thread.
    pub fn writer(&self) -> TcpStream {
        self.raw.socket.try_clone().expect("a second handle")
    }

    /// Sends a masked text frame (the mask is zero).
    pub fn send_text(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes());
    }

    /// Sends a masked frame (the mask is zero) with this first byte.
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.write(&frame);
    }

    /// The next text frame.
    pub fn next_json(&mut self) -> Value {
        let (first, payload) = self.next().expect("a frame");
        assert_eq!(first, 0x81, "{}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// The next text frame past any pong, whether it was deflated, and its bytes on the wire.
    pub fn next_either(&mut self) -> (Value, bool, usize) {
        loop {
            let (first, payload) = self.next().expect("a frame");
            let text = match first {
                0x8a => continue,
                0x81 => payload.clone(),
                0xc1 => inflate(&payload).expect("deflated"),
                _ => panic!("a frame begins with {first:#x}"),
            };
            return (serde_json::from_slice(&text).expect("JSON"), first == 0xc1, payload.len());
        }
    }

    /// The code of the close frame, past whatever comes before it.
    pub fn next_close(&mut self) -> Option<u16> {
        loop {
            match self.next()? {
                (0x88, payload) => return Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?])),
                _ => continue,
            }
        }
    }

    /// First byte and payload of the next frame.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, length, rest @ ..] = self.raw.read.as_slice() {
                let (header, length) = match length {
                    126 if rest.len() >= 2 => (4, usize::from(u16::from_be_bytes([rest[0], rest[1]]))),
                    126 => (4, usize::MAX / 2),
                    length => (2, usize::from(*length)),
                };
                if self.raw.read.len() >= header + length {
                    let first = *first;
                    let frame: Vec<u8> = self.raw.read.drain(..header + length).collect();
                    return Some((first, frame[header..].to_vec()));
                }
            }
            if !self.raw.more() {
                return None;
            }
        }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let end = find(bytes, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is ASCII");
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
        let length = answer.header("content-length").map_or(0, |text| text.parse().expect("a number"));
        (answer.body.len() >= length).then_some(answer)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}
