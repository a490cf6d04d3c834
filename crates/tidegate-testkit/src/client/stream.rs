//! SSE and NDJSON: an answer without an end.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use super::coding::Unpacker;
use super::http::{Wire, request};
use super::{Ask, Ended, Transport, ndjson, sse};

/// A streamed watch.
pub struct Stream {
    wire: Wire,
    unpacker: Unpacker,
    parser: Parser,
    frames: VecDeque<Value>,
}

enum Parser {
    Sse(Box<sse::Parser>),
    Ndjson(ndjson::Lines),
}

impl Stream {
    pub(super) async fn open(server: SocketAddr, transport: Transport, ask: &Ask) -> Result<Stream, Ended> {
        let (accept, parser) = match transport {
            Transport::Sse => ("text/event-stream", Parser::Sse(Box::default())),
            _ => ("application/x-ndjson", Parser::Ndjson(ndjson::Lines::default())),
        };
        let mut wire = Wire::connect(server, ask.receive_buffer).await?;
        wire.cut_after(ask.cut_after);
        let mut headers = vec![format!("Accept: {accept}")];
        if let (true, Some(cursor)) = (ask.by_header, &ask.cursor) {
            headers.push(format!("Last-Event-ID: {cursor}"));
        }
        headers.extend(ask.shown());
        headers.extend(ask.coding.map(|coding| format!("Accept-Encoding: {coding}")));
        wire.send(&request(server, "GET", &ask.url(&[]), &headers, b"")).await?;
        let head = wire.head().await?;
        if head.status != 200 {
            return Err(Ended::Refused(Box::new(wire.rest(head).await?)));
        }
        if !head.header("content-type").is_some_and(|own| own.starts_with(accept)) {
            return Err(Ended::Garbage(format!("asked for {accept}: {head:?}")));
        }
        // A length has only what ends at once: a temporary refusal, told as a `close` frame.
        if head.header("transfer-encoding").is_some() {
            return Err(Ended::Garbage(format!("a stream is close-delimited: {head:?}")));
        }
        let coding = head.header("content-encoding");
        // What ends at once is too small to be worth it.
        if coding != ask.coding && head.header("content-length").is_none() {
            return Err(Ended::Garbage(format!("{:?} is accepted: {head:?}", ask.coding)));
        }
        let unpacker = Unpacker::of(coding).map_err(Ended::Garbage)?;
        Ok(Stream { wire, unpacker, parser, frames: VecDeque::new() })
    }

    pub(super) async fn next_frame(&mut self) -> Result<Value, Ended> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            if self.wire.buffer.is_empty() {
                self.wire.fill().await?;
            }
            let bytes = self.unpacker.push(&self.wire.buffer.split()).map_err(Ended::Garbage)?;
            match &mut self.parser {
                Parser::Sse(parser) => {
                    let mut events = Vec::new();
                    parser.push(&bytes, &mut events);
                    for event in &events {
                        self.frames.push_back(sse::frame(event).map_err(Ended::Garbage)?);
                    }
                }
                Parser::Ndjson(lines) => {
                    let mut frames = Vec::new();
                    lines.push(&bytes, &mut frames).map_err(Ended::Garbage)?;
                    self.frames.extend(frames);
                }
            }
        }
    }
}
