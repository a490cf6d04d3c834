//! From the bytes of a stream to its frames, on any encoding.

use serde_json::{Value, json};
use tidegate_testkit::client::coding::Unpacker;
use tidegate_testkit::client::deflate::inflate;
use tidegate_testkit::client::{ndjson, sse};
use tidegate_wire::Encoding;

/// What was read and is no whole frame yet.
pub struct Frames {
    unpacker: Unpacker,
    parser: Parser,
}

enum Parser {
    Sse(Box<sse::Parser>),
    Ndjson(ndjson::Lines),
    WebSocket(Vec<u8>),
}

impl Frames {
    pub fn of(encoding: Encoding) -> Frames {
        let parser = match encoding {
            Encoding::Sse(_) => Parser::Sse(Box::default()),
            Encoding::Ndjson(_) => Parser::Ndjson(ndjson::Lines::default()),
            Encoding::WebSocket | Encoding::WebSocketDeflated => Parser::WebSocket(Vec::new()),
        };
        let mut unpacker = Unpacker::of(encoding.coding().token()).expect("a coding");
        unpacker.push(encoding.coding().head()).expect("the head of a body");
        Frames { unpacker, parser }
    }

    /// Takes what was read. Returns the frames that are whole.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Value> {
        let bytes = self.unpacker.push(bytes).expect("compressed as it is said to be");
        let bytes = bytes.as_slice();
        let mut frames = Vec::new();
        match &mut self.parser {
            Parser::Sse(parser) => {
                let mut events = Vec::new();
                parser.push(bytes, &mut events);
                frames.extend(events.iter().map(|event| sse::frame(event).expect("a frame")));
            }
            Parser::Ndjson(lines) => lines.push(bytes, &mut frames).expect("lines"),
            Parser::WebSocket(buffer) => {
                buffer.extend_from_slice(bytes);
                let mut done = 0;
                while let Some((frame, length)) = message(&buffer[done..]) {
                    frames.push(frame);
                    done += length;
                }
                buffer.drain(..done);
            }
        }
        frames
    }
}

/// The first message, and its length.
fn message(bytes: &[u8]) -> Option<(Value, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        length => (2, usize::from(length)),
    };
    let payload = bytes.get(head..head + length)?;
    let frame = match bytes[0] {
        0x81 => serde_json::from_slice(payload).expect("a message is JSON"),
        0xc1 => serde_json::from_slice(&inflate(payload).expect("deflated")).expect("a message is JSON"),
        0x88 => json!({ "op": "closed" }),
        other => panic!("a message begins with {other:#x}"),
    };
    Some((frame, head + length))
}
