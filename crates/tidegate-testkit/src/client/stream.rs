//! SSE and NDJSON: an answer without an end, on HTTP/1.1 and HTTP/2.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::Value;

use super::coding::Unpacker;
use super::http::{Answer, Head, Wire, request};
use super::http2::{Connection, Exchange};
use super::{Ask, Ended, Transport, ndjson, sse};

/// A streamed watch.
pub struct Stream {
    body: Body,
    unpacker: Unpacker,
    parser: Parser,
    frames: VecDeque<Value>,
}

enum Body {
    /// The rest of a connection.
    Wire(Wire),
    /// One of the streams of a connection.
    Exchange(Box<Exchange>),
}

enum Parser {
    Sse(Box<sse::Parser>),
    Ndjson(ndjson::Lines),
}

impl Stream {
    pub(super) async fn open(server: SocketAddr, transport: Transport, ask: &Ask) -> Result<Stream, Ended> {
        let http2 = transport == Transport::Http2;
        let (accept, parser) = match transport == Transport::Sse || http2 && rand::random() {
            true => ("text/event-stream", Parser::Sse(Box::default())),
            false => ("application/x-ndjson", Parser::Ndjson(ndjson::Lines::default())),
        };
        let mut headers = vec![format!("Accept: {accept}")];
        if let (true, Some(cursor)) = (ask.by_header, &ask.cursor) {
            headers.push(format!("Last-Event-ID: {cursor}"));
        }
        headers.extend(ask.shown());
        headers.extend(ask.coding.map(|coding| format!("Accept-Encoding: {coding}")));
        let (head, body) = if http2 {
            let connection = match ask.connection.as_ref().filter(|connection| !connection.is_over()) {
                Some(connection) => connection.clone(),
                None => Connection::open(server, ask).await?,
            };
            let exchange = connection.watch(server, ask, &headers).await?;
            (exchange.head().clone(), Body::Exchange(Box::new(exchange)))
        } else {
            let mut wire = Wire::connect(server, ask.receive_buffer).await?;
            wire.cut_after(ask.cut_after);
            wire.send(&request(server, "GET", &ask.url(&[]), &headers, b"")).await?;
            (wire.head().await?, Body::Wire(wire))
        };
        if head.status != 200 {
            return Err(Ended::Refused(Box::new(body.rest(head).await?)));
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
        Ok(Stream { body, unpacker, parser, frames: VecDeque::new() })
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.body {
            Body::Wire(_) => None,
            Body::Exchange(exchange) => Some(exchange.connection()),
        }
    }

    pub(super) async fn next_frame(&mut self) -> Result<Value, Ended> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let bytes = self.body.fill().await?;
            let bytes = self.unpacker.push(&bytes).map_err(Ended::Garbage)?;
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

impl Body {
    async fn fill(&mut self) -> Result<Bytes, Ended> {
        match self {
            Body::Wire(wire) => {
                if wire.buffer.is_empty() {
                    wire.fill().await?;
                }
                Ok(wire.buffer.split().freeze())
            }
            Body::Exchange(exchange) => exchange.fill().await,
        }
    }

    async fn rest(self, head: Head) -> Result<Answer, Ended> {
        match self {
            Body::Wire(mut wire) => wire.rest(head).await,
            Body::Exchange(exchange) => exchange.answer().await,
        }
    }
}
