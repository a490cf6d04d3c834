//! Where a watch writes to: memory, up to the cut.

use std::io;

use bytes::Bytes;
use serde_json::Value;
use tidegate_core::Cursor;
use tidegate_testkit::client::coding::Unpacker;
use tidegate_testkit::client::deflate::inflate;
use tidegate_testkit::replica::offset;
use tidegate_wire::{Encoding, Sink};

/// Takes all.
pub(crate) struct Void;

impl Sink for Void {
    async fn write(&mut self, _chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        Ok(())
    }
}

/// Takes bytes until the cut, or until everything has come that is told.
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cut: usize,
    pub(crate) encoding: Encoding,
    pub(crate) goal: u64,
}

impl Sink for Memory {
    async fn write(&mut self, chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        for chunk in chunks {
            let room = self.cut - self.bytes.len();
            self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        let last = frames(self.encoding, &self.bytes).pop();
        let reached = last.as_ref().and_then(|frame| offset(frame.get("cursor")?.as_str()?));
        if reached >= Some(self.goal) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// The whole frames in what was written.
pub(crate) fn frames(encoding: Encoding, bytes: &[u8]) -> Vec<Value> {
    let parse = |text: &[u8]| serde_json::from_slice(text).expect("a frame is JSON");
    let mut unpacker = Unpacker::of(encoding.coding().token()).expect("a coding");
    unpacker.push(encoding.coding().head()).expect("the head of a body");
    let bytes = unpacker.push(bytes).expect("compressed as it is said to be");
    let bytes = bytes.as_slice();
    match encoding {
        Encoding::Ndjson(_) => {
            bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).map(parse).collect()
        }
        Encoding::Sse(_) => {
            let text = String::from_utf8_lossy(bytes);
            let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
            whole.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| parse(data.as_bytes())).collect()
        }
        Encoding::WebSocket | Encoding::WebSocketDeflated => {
            let mut found = Vec::new();
            let mut rest = bytes;
            while rest.len() >= 2 {
                let (header, length) = match rest[1] {
                    126 if rest.len() >= 4 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                    126 => break,
                    length => (2, usize::from(length)),
                };
                let Some(text) = rest.get(header..header + length) else { break };
                found.push(match rest[0] {
                    0xc1 => parse(&inflate(text).expect("a deflated frame")),
                    _ => parse(text),
                });
                rest = &rest[header + length..];
            }
            found
        }
    }
}
