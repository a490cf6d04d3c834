//! Streams on a socket: SSE, NDJSON and WebSocket, read as strictly as the standards allow.

use std::collections::VecDeque;
use std::io::{Read, Write};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tidegate_testkit::client::coding::Unpacker;
use tidegate_testkit::client::{deflate, ndjson::Lines, sse};

use crate::case::Transport;
use crate::http::{Answer, Reader, Request, open, rest};
use crate::watch::Target;

/// An open stream.
pub struct Stream {
    reader: Reader,
    unpacker: Unpacker,
    decoder: Decoder,
    frames: VecDeque<Value>,
}

enum Decoder {
    Sse(sse::Parser),
    Ndjson(Lines),
    Websocket,
}

impl Stream {
    /// Asks for a stream; `Err` has a refusal.
    pub fn open(transport: Transport, target: Target) -> anyhow::Result<Result<Stream, Answer>> {
        let mut headers = target.headers;
        let mut header = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        let decoder = match transport {
            Transport::Sse | Transport::SseGzip | Transport::SseZstd => {
                header("Accept", "text/event-stream");
                Decoder::Sse(sse::Parser::default())
            }
            Transport::Ndjson | Transport::NdjsonGzip | Transport::NdjsonZstd => {
                header("Accept", "application/x-ndjson");
                Decoder::Ndjson(Lines::default())
            }
            Transport::Websocket | Transport::WebsocketDeflate => {
                header("Connection", "Upgrade");
                header("Upgrade", "websocket");
                header("Sec-WebSocket-Version", "13");
                header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
                if transport == Transport::WebsocketDeflate {
                    header("Sec-WebSocket-Extensions", deflate::OFFER);
                }
                Decoder::Websocket
            }
            Transport::WebsocketMany | Transport::Poll => bail!("no stream of one watch"),
        };
        if let Some(coding) = transport.coding() {
            header("Accept-Encoding", coding);
        }
        let path = format!("/v1/{}", target.path);
        let request = Request { method: "GET", path: &path, headers, body: None };
        let (head, reader) = open(target.server, &request)?;
        let success = if matches!(decoder, Decoder::Websocket) { 101 } else { 200 };
        if head.status != success {
            let body = rest(&head, reader)?;
            return Ok(Err(Answer { head, body }));
        }
        let coding = head.header("Content-Encoding");
        ensure!(coding == transport.coding(), "the content coding is {coding:?}");
        match decoder {
            // The example of RFC 6455, section 1.3.
            Decoder::Websocket => {
                ensure!(head.header("Sec-WebSocket-Accept") == Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "a wrong accept");
                let agreed = (transport == Transport::WebsocketDeflate).then_some(deflate::ANSWER);
                ensure!(head.header("Sec-WebSocket-Extensions") == agreed, "agreed to an extension: {agreed:?}");
            }
            _ => {
                let framed = head.header("Content-Length").or(head.header("Transfer-Encoding"));
                ensure!(framed.is_none(), "a stream is close-delimited");
                let sse = matches!(decoder, Decoder::Sse(_));
                let wanted = if sse { "text/event-stream" } else { "application/x-ndjson" };
                let given = head.header("Content-Type").unwrap_or_default();
                ensure!(given.starts_with(wanted), "the content type is `{given}`");
            }
        }
        let unpacker = Unpacker::of(coding).map_err(anyhow::Error::msg)?;
        Ok(Ok(Stream { reader, unpacker, decoder, frames: VecDeque::new() }))
    }

    /// The next frame.
    pub fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            match self.decoder {
                Decoder::Websocket => self.message()?,
                _ => self.bytes()?,
            }
        }
    }

    /// Says something on a WebSocket.
    pub fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let mut frame = vec![0x81];
        match text.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.reader.get_mut().write_all(&frame)?;
        Ok(self.reader.get_mut().flush()?)
    }

    fn bytes(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let taken = self.reader.read(&mut buffer).context("waiting for a frame")?;
        ensure!(taken > 0, "the stream ended");
        let bytes = self.unpacker.push(&buffer[..taken]).map_err(anyhow::Error::msg)?;
        match &mut self.decoder {
            Decoder::Sse(parser) => {
                let mut events = Vec::new();
                parser.push(&bytes, &mut events);
                for event in &events {
                    self.frames.push_back(sse::frame(event).map_err(anyhow::Error::msg)?);
                }
            }
            Decoder::Ndjson(lines) => {
                let mut frames = Vec::new();
                lines.push(&bytes, &mut frames).map_err(anyhow::Error::msg)?;
                self.frames.extend(frames);
            }
            Decoder::Websocket => {}
        }
        Ok(())
    }

    /// One message of the server: whole, unmasked, as the protocol says.
    fn message(&mut self) -> anyhow::Result<()> {
        let mut head = [0; 2];
        self.reader.read_exact(&mut head).context("waiting for a message")?;
        ensure!(head[1] & 0x80 == 0, "a server does not mask");
        let length = match head[1] {
            126 => u64::from(u16::from_be_bytes(self.array()?)),
            127 => u64::from_be_bytes(self.array()?),
            short => u64::from(short),
        };
        let mut payload = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut payload)?;
        match head[0] {
            0x81 => self.frames.push_back(serde_json::from_slice(&payload)?),
            0xc1 => {
                let text = deflate::inflate(&payload).map_err(anyhow::Error::msg)?;
                self.frames.push_back(serde_json::from_slice(&text)?);
            }
            0x88 => bail!("the socket was closed: {:?}", String::from_utf8_lossy(&payload)),
            0x89 | 0x8a => {}
            other => bail!("a message begins with {other:#x}"),
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
