//! WebSocket (RFC 6455), the client's side, as small as it can be; with permessage-deflate by the
//! fall of a coin.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Buf;
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::http::{Wire, request};
use super::many::{CHANGE, members};
use super::renewal::fresh_token;
use super::{Ask, Ended, deflate};

/// Of the RFC; it makes the accept key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// RSV1, as it stands beside the opcode: the message is deflated.
const DEFLATED: u8 = 0x40;

/// One watch on one socket.
pub struct WebSocket {
    wire: Wire,
    /// Whether permessage-deflate was agreed.
    deflate: bool,
    /// The text of a message whose last fragment has not come.
    partial: Option<Vec<u8>>,
}

impl WebSocket {
    pub(super) async fn open(server: SocketAddr, ask: &Ask) -> Result<WebSocket, Ended> {
        let ask = Ask { by_header: false, ..ask.clone() };
        WebSocket::connect_as(server, &ask.url(&[]), &ask).await
    }

    /// Connects to any URL of the server.
    ///
    /// # Errors
    /// A refusal is an answer; a wrong handshake is garbage.
    pub async fn connect(
        server: SocketAddr,
        url: &str,
        receive_buffer: Option<u32>,
        cut_after: Option<u64>,
    ) -> Result<WebSocket, Ended> {
        let ask = Ask { receive_buffer, cut_after, ..Ask::new("", false, tidegate_core::Kind::History) };
        WebSocket::connect_as(server, url, &ask).await
    }

    /// The same as somebody, with the socket that `ask` wants.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_as(server: SocketAddr, url: &str, ask: &Ask) -> Result<WebSocket, Ended> {
        let mut wire = Wire::connect(server, ask.receive_buffer).await?;
        wire.cut_after(ask.cut_after);
        let key = BASE64.encode(rand::random::<[u8; 16]>());
        let mut headers: Vec<String> =
            ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"].map(str::to_owned).to_vec();
        headers.push(format!("Sec-WebSocket-Key: {key}"));
        headers.extend(ask.shown());
        let offered = rand::random::<bool>();
        if offered {
            headers.push("Sec-WebSocket-Protocol: tidegate.v1".to_owned());
        }
        let deflate = rand::random::<bool>();
        if deflate {
            headers.push(format!("Sec-WebSocket-Extensions: {}", deflate::OFFER));
        }
        wire.send(&request(server, "GET", url, &headers, b"")).await?;
        let head = wire.head().await?;
        if head.status != 101 {
            return Err(Ended::Refused(Box::new(wire.rest(head).await?)));
        }
        let accept = BASE64.encode(Sha1::digest(format!("{key}{GUID}")));
        if head.header("sec-websocket-accept") != Some(accept.as_str()) {
            return Err(Ended::Garbage(format!("the accept key is wrong: {head:?}")));
        }
        if head.header("sec-websocket-protocol").is_some() != offered {
            return Err(Ended::Garbage(format!("subprotocol offered: {offered}; {head:?}")));
        }
        if head.header("sec-websocket-extensions") != deflate.then_some(deflate::ANSWER) {
            return Err(Ended::Garbage(format!("permessage-deflate offered: {deflate}; {head:?}")));
        }
        Ok(WebSocket { wire, deflate, partial: None })
    }

    /// The next text message as a frame.
    ///
    /// # Errors
    /// As for a watch; a close says its code.
    pub async fn next_frame(&mut self) -> Result<Value, Ended> {
        let text = self.next_text().await?;
        serde_json::from_slice(&text)
            .map_err(|error| Ended::Garbage(format!("{error}: {}", String::from_utf8_lossy(&text))))
    }

    /// The next text message; pings are answered.
    ///
    /// # Errors
    /// As for a watch; a close says its code.
    pub async fn next_text(&mut self) -> Result<Vec<u8>, Ended> {
        loop {
            let (first, payload) = self.frame().await?;
            let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
            let deflated = first & DEFLATED != 0;
            match (opcode, self.partial.take()) {
                (TEXT, None) if deflated && last => return deflate::inflate(&payload).map_err(Ended::Garbage),
                _ if deflated => return Err(Ended::Garbage(format!("a WebSocket frame begins with {first:#x}"))),
                (TEXT, None) if last => return Ok(payload),
                (TEXT, None) => self.partial = Some(payload),
                (CONTINUATION, Some(mut text)) => {
                    text.extend_from_slice(&payload);
                    if last {
                        return Ok(text);
                    }
                    self.partial = Some(text);
                }
                (PING, partial) => {
                    self.partial = partial;
                    self.send(PONG, &payload).await?;
                }
                (PONG, partial) => self.partial = partial,
                (CLOSE, _) => {
                    let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                    // The answer may find nobody; the close has been said.
                    drop(self.send(CLOSE, &payload).await);
                    return Err(Ended::Gone(format!("closed with {code} {reason}")));
                }
                _ => return Err(Ended::Garbage(format!("a WebSocket frame begins with {first:#x}"))),
            }
        }
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// [`Ended::Gone`].
    pub async fn send_text(&mut self, text: &str) -> Result<(), Ended> {
        if self.deflate && rand::random::<bool>() {
            return self.send(DEFLATED | TEXT, &deflate::deflate(text.as_bytes())).await;
        }
        self.send(TEXT, text.as_bytes()).await
    }

    /// Asks for other options of the watch of a socket of one; the answer comes among its frames.
    pub(super) async fn change(&mut self, ask: &Ask) -> Result<(), Ended> {
        let change = members(ask, "change", CHANGE);
        self.send_text(&Value::Object(change).to_string()).await
    }

    /// Shows a fresh token; the answer comes among its frames.
    pub(super) async fn renew(&mut self, token: &str) -> Result<(), Ended> {
        self.send_text(&fresh_token(token)).await
    }

    /// Begins the closing handshake.
    ///
    /// # Errors
    /// [`Ended::Gone`].
    pub async fn close(&mut self, code: u16) -> Result<(), Ended> {
        self.send(CLOSE, &code.to_be_bytes()).await
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Ended> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let mask = rand::random::<[u8; 4]>();
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.wire.send(&frame).await
    }

    /// First byte and payload of the next WebSocket frame.
    async fn frame(&mut self) -> Result<(u8, Vec<u8>), Ended> {
        let (first, second) = (self.byte(0).await?, self.byte(1).await?);
        let reserved = if self.deflate { 0x30 } else { 0x70 };
        if second & 0x80 != 0 || first & reserved != 0 {
            return Err(Ended::Garbage(format!("a server's frame begins with {first:#x} {second:#x}")));
        }
        let extended = match second {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut length = if extended == 0 { u64::from(second) } else { 0 };
        for at in 0..extended {
            length = length << 8 | u64::from(self.byte(2 + at).await?);
        }
        // Nothing is taken before all is there: a caller may stop waiting at any time.
        let (head, length) = (2 + extended, length as usize);
        while self.wire.buffer.len() < head + length {
            self.wire.fill().await?;
        }
        self.wire.buffer.advance(head);
        Ok((first, self.wire.buffer.split_to(length).to_vec()))
    }

    async fn byte(&mut self, at: usize) -> Result<u8, Ended> {
        while self.wire.buffer.len() <= at {
            self.wire.fill().await?;
        }
        Ok(self.wire.buffer[at])
    }
}
