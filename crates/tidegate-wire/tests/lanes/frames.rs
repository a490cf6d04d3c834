//! From the bytes of a stream to its frames, on any encoding.

use serde_json::{Value, json};
use tidegate_testkit::client::deflate::inflate;
use tidegate_testkit::client::{ndjson, sse};
use tidegate_wire::Encoding;

/// What was read and is no whole frame yet.
pub enum Frames {
    Sse(Box<sse::Parser>),
    Ndjson(ndjson::Lines),
    WebSocket(Vec<u8>),
}

impl Frames {
    pub fn of(encoding: Encoding) -> Frames {
        match encoding {
            Encoding::Sse => Frames::Sse(Box::default()),
            Encoding::Ndjson => Frames::Ndjson(ndjson::Lines::default()),
            Encoding::WebSocket | Encoding::WebSocketDeflated => Frames::WebSocket(Vec::new()),
        }
    }

    /// Takes what was read. Returns the frames that are whole.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Value> {
        let mut frames = Vec::new();
        match self {
            Frames::Sse(parser) => {
                let mut events = Vec::new();
                parser.push(bytes, &mut events);
                frames.extend(events.iter().map(|event| sse::frame(event).expect("a frame")));
            }
            Frames::Ndjson(lines) => lines.push(bytes, &mut frames).expect("lines"),
            Frames::WebSocket(buffer) => {
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
