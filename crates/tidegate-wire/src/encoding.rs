//! One frame as bytes, for each kind of wire; and a run of frames as its content coding has it.

mod coding;
mod counters;
mod deflate;

pub use coding::Coding;
pub use counters::Compressed;
pub use deflate::{DEFLATE_WINDOW_BITS, deflated};

use tidegate_core::Frame;
use tidegate_core::frame::Cursors;

/// A kind of wire that carries a stream of frames.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encoding {
    /// Server-sent events (WHATWG HTML, section 9.2).
    Sse(Coding),
    /// One JSON object a line.
    Ndjson(Coding),
    /// Unmasked text frames (RFC 6455), the same bytes for every client.
    WebSocket,
    /// The same with permessage-deflate (RFC 7692), each message deflated on its own, so that its
    /// bytes too are the same for every client.
    WebSocketDeflated,
}

impl Encoding {
    /// Each of them.
    pub const ALL: [Encoding; 8] = [
        Encoding::Sse(Coding::Identity),
        Encoding::Sse(Coding::Gzip),
        Encoding::Sse(Coding::Zstd),
        Encoding::Ndjson(Coding::Identity),
        Encoding::Ndjson(Coding::Gzip),
        Encoding::Ndjson(Coding::Zstd),
        Encoding::WebSocket,
        Encoding::WebSocketDeflated,
    ];

    /// The word in listings and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Sse(_) => "sse",
            Encoding::Ndjson(_) => "ndjson",
            Encoding::WebSocket | Encoding::WebSocketDeflated => "websocket",
        }
    }

    /// Whether the wire is a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Encoding::WebSocket | Encoding::WebSocketDeflated)
    }

    /// The content coding of the body; messages of a WebSocket have none.
    pub fn coding(self) -> Coding {
        match self {
            Encoding::Sse(coding) | Encoding::Ndjson(coding) => coding,
            Encoding::WebSocket | Encoding::WebSocketDeflated => Coding::Identity,
        }
    }

    /// Makes of a run of whole frames what goes on the wire. It depends on nothing before it, so
    /// that it is the same for all, and anyone may begin with it.
    pub fn pack(self, run: Vec<u8>) -> Vec<u8> {
        self.coding().pack(run)
    }

    /// The same of the last run of a stream.
    pub fn pack_last(self, run: Vec<u8>) -> Vec<u8> {
        self.coding().pack_last(run)
    }

    /// Appends one frame to a run, which is to be packed.
    pub fn write(self, frame: &Frame, cursors: &mut Cursors, out: &mut Vec<u8>) {
        match self {
            Encoding::Sse(_) => write_sse(frame, cursors, out),
            Encoding::Ndjson(_) => {
                frame.write_json(cursors, out);
                out.push(b'\n');
            }
            Encoding::WebSocket => {
                let mut text = Vec::with_capacity(256);
                frame.write_json(cursors, &mut text);
                websocket_text(&text, out);
            }
            Encoding::WebSocketDeflated => deflate::write(|text| frame.write_json(cursors, text), out),
        }
    }
}

/// Data frames have no `event` line, so that `EventSource.onmessage` fires; frames are one line of
/// JSON, so there is one `data` line. `id` is the cursor; `close` also sets the retry time.
fn write_sse(frame: &Frame, cursors: &mut Cursors, out: &mut Vec<u8>) {
    if !frame.is_data() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(frame.op().as_bytes());
        out.push(b'\n');
    }
    if let Frame::Close { retry_ms: Some(ms), .. } = frame {
        out.extend_from_slice(format!("retry: {ms}\n").as_bytes());
    }
    if let Some(offset) = frame.cursor() {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(cursors.text(offset).as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    frame.write_json(cursors, out);
    out.extend_from_slice(b"\n\n");
}

/// A final, unmasked text frame (RFC 6455, section 5.2).
pub fn websocket_text(text: &[u8], out: &mut Vec<u8>) {
    websocket_frame(0x81, text, out);
}

/// An unmasked frame with this first byte.
fn websocket_frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_core::{Address, ChannelId, Cursor, Epoch, Fingerprint, Millis, Op, Record, Shown};

    use super::*;

    #[test]
    fn a_notice_of_a_source_is_a_control_frame_with_an_id() {
        let (channel, view) = (ChannelId::of("c"), Fingerprint::of(&[b"v"]));
        let cursor = Cursor { channel, epoch: Epoch::from_bits(1), view, offset: 5 };
        let record = Record {
            offset: 5,
            appended: Millis(0),
            time: Millis(0),
            op: Op::Notice,
            address: Address::parse("a").expect("address"),
            key: None,
            data: br#"{"code":"schema","message":"m","table":"t"}"#[..].into(),
            before: None,
            tx: None,
        };
        let mut out = Vec::new();
        let frame = Frame::Change { record: Arc::new(record), shown: Shown::Whole, conflated: None, cursor: Some(5) };
        Encoding::Sse(Coding::Identity).write(&frame, &mut Cursors::new(cursor.prefix(), false, None), &mut out);
        let wanted = format!(
            "event: notice\nid: {cursor}\ndata: {{\"op\":\"notice\",\"cursor\":\"{cursor}\",\
             \"time\":\"1970-01-01T00:00:00.000Z\",\"code\":\"schema\",\"message\":\"m\",\"table\":\"t\"}}\n\n"
        );
        assert_eq!(String::from_utf8(out).expect("text"), wanted);
    }
}
