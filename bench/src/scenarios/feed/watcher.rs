//! Who watches the feed, and counts the bytes that its socket brings. What they say is read only to know where the
//! snapshot and the feed end, and how many frames there were.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_testkit::client::coding::Unpacker;
use tidegate_testkit::client::deflate;

use super::quotes::{ADDRESS, END};
use crate::place::Missing;

/// Nothing for so long: it does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How somebody watches.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) title: &'static str,
    pub(super) carrier: Carrier,
    /// Options of the watch.
    pub(super) query: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Carrier {
    /// Server-sent events, with this content coding.
    Sse(Option<&'static str>),
    /// With permessage-deflate or without.
    WebSocket { deflate: bool },
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Head of the answer and snapshot.
    pub(super) snapshot_bytes: u64,
    /// All that came after the snapshot.
    pub(super) bytes: u64,
    /// Changes that were told in them.
    pub(super) frames: u64,
}

/// A watcher that has its snapshot.
pub(super) struct Watcher {
    reader: JoinHandle<Result<Counted, Missing>>,
}

impl Watcher {
    /// Returns when the snapshot has come.
    pub(super) fn open(address: SocketAddr, way: &Way) -> Result<Watcher, Missing> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(ask(way).as_bytes())?;
        let mut reading = Reading { socket, text: None, carried: Vec::new(), bytes: 0, frames: 0 };
        reading.head(way)?;
        reading.until(br#""last":true"#)?;
        let snapshot_bytes = reading.bytes;
        reading.frames = 0;
        let reader = std::thread::spawn(move || {
            reading.until(format!(r#""key":"{END}""#).as_bytes())?;
            Ok(Counted { snapshot_bytes, bytes: reading.bytes - snapshot_bytes, frames: reading.frames })
        });
        Ok(Watcher { reader })
    }

    /// Returns when the last row has come.
    pub(super) fn end(self) -> Result<Counted, Missing> {
        self.reader.join().map_err(|_| Missing("a watcher failed".to_owned()))?
    }
}

fn ask(way: &Way) -> String {
    let path = format!("/v1/{ADDRESS}?{}", way.query);
    let headers = match way.carrier {
        Carrier::Sse(None) => "accept: text/event-stream\r\n".to_owned(),
        Carrier::Sse(Some(coding)) => format!("accept: text/event-stream\r\naccept-encoding: {coding}\r\n"),
        Carrier::WebSocket { deflate } => {
            let extensions = match deflate {
                true => format!("sec-websocket-extensions: {}\r\n", deflate::OFFER),
                false => String::new(),
            };
            format!(
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}"
            )
        }
    };
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n")
}

/// Bytes of the socket on their way to text.
struct Reading {
    socket: TcpStream,
    /// Once the head is there.
    text: Option<Text>,
    /// What may be the beginning of what is looked for; before there is text: of the head.
    carried: Vec<u8>,
    bytes: u64,
    frames: u64,
}

enum Text {
    Stream(Unpacker),
    /// What came of a message that is not whole.
    Messages(Vec<u8>),
}

impl Reading {
    fn read(&mut self) -> Result<Vec<u8>, Missing> {
        let mut buffer = vec![0; 64 * 1024];
        let bytes = self.socket.read(&mut buffer)?;
        if bytes == 0 {
            return Err(Missing("a watcher was cut".to_owned()));
        }
        self.bytes += bytes as u64;
        buffer.truncate(bytes);
        Ok(buffer)
    }

    fn head(&mut self, way: &Way) -> Result<(), Missing> {
        let mut came = Vec::new();
        let end = loop {
            came.extend(self.read()?);
            if let Some(end) = came.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
        let agreed = match way.carrier {
            Carrier::Sse(coding) => {
                let coding = coding.map(|coding| format!("content-encoding: {coding}\r\n"));
                head.starts_with("http/1.1 200") && coding.is_none_or(|coding| head.contains(&coding))
            }
            Carrier::WebSocket { deflate } => {
                head.starts_with("http/1.1 101") && deflate == head.contains("permessage-deflate")
            }
        };
        if !agreed {
            return Err(Missing(format!("{}: {}", way.title, String::from_utf8_lossy(&came))));
        }
        self.text = Some(match way.carrier {
            Carrier::Sse(coding) => Text::Stream(Unpacker::of(coding).map_err(Missing)?),
            Carrier::WebSocket { .. } => Text::Messages(Vec::new()),
        });
        self.take(&came[end..])
    }

    /// Reads until this text has come.
    fn until(&mut self, wanted: &[u8]) -> Result<(), Missing> {
        loop {
            if self.carried.windows(wanted.len()).any(|window| window == wanted) {
                return Ok(());
            }
            let keep = wanted.len().max(UPSERT.len()) - 1;
            self.carried.drain(..self.carried.len().saturating_sub(keep));
            let came = self.read()?;
            self.take(&came)?;
        }
    }

    /// Puts what came behind what is carried.
    fn take(&mut self, came: &[u8]) -> Result<(), Missing> {
        // What begins so far back that it would have been whole is counted already.
        let from = self.carried.len().saturating_sub(UPSERT.len() - 1);
        let text = self.text.as_mut().ok_or_else(|| Missing("there is no head".to_owned()))?;
        match text {
            Text::Stream(unpacker) => self.carried.extend(unpacker.push(came).map_err(Missing)?),
            Text::Messages(partial) => {
                partial.extend_from_slice(came);
                while let Some((message, length)) = message(partial)? {
                    self.carried.extend(message);
                    partial.drain(..length);
                }
            }
        }
        self.frames += self.carried[from..].windows(UPSERT.len()).filter(|window| *window == UPSERT).count() as u64;
        Ok(())
    }
}

const UPSERT: &[u8] = br#""op":"upsert""#;

/// The first message of a server, once it is whole, and its length on the wire.
fn message(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Missing> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let (length, head) = match (second, rest) {
        (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        (127, [_, _, _, _, a, b, c, d, ..]) => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, 10),
        (126 | 127, _) => return Ok(None),
        (length, _) => (usize::from(*length), 2),
    };
    let Some(payload) = bytes.get(head..head + length) else { return Ok(None) };
    let text = match first {
        // Text, whole; and the same with RSV1: deflated.
        0x81 => payload.to_vec(),
        0xc1 => deflate::inflate(payload).map_err(Missing)?,
        other => return Err(Missing(format!("a message begins with {other:#x}"))),
    };
    Ok(Some((text, head + length)))
}
