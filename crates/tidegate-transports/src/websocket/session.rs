//! One open WebSocket, as a lane hears it: messages in, answers out, and an orderly end.
//!
//! Frames of watches are the lane's. What a message asks for may wait for the disk, so it is done by
//! a task, and the lane hears nothing more from this client until it is done: messages are answered
//! in their order, and a client cannot pile up work.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_wire::{Connection, Ear, Encoding, Hearing, WatchName, websocket_text};
use tokio::runtime::Handle;

use super::codec::{Decoder, Message, Violation, close_frame, control_frame};
use super::command::{self, Begun, Command};
use crate::Gateway;

/// A client that sends so many messages that are none of the protocol is not one of ours.
const NONSENSE_MAX: u32 = 10;
/// So much is heard, or answered, before others on the same lane have their turn: inflated, a read
/// may be a thousand times as long.
const HEAR_BYTES: usize = 64 * 1024;
/// Watches on one socket; a client with more opens another.
const WATCHES_MAX: usize = 1_000;

/// See the module.
pub(crate) struct Session {
    gateway: Arc<Gateway>,
    runtime: Handle,
    /// What is watched; `None` on a socket of many watches.
    watched: Option<Target>,
    /// The live watches of a socket of many, and the last name given.
    watches: Vec<WatchName>,
    last_name: WatchName,
    peer: Option<SocketAddr>,
    encoding: Encoding,
    decoder: Decoder,
    nonsense: u32,
}

impl Session {
    /// `heard` was said with the handshake already.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        watched: Option<Target>,
        peer: Option<SocketAddr>,
        encoding: Encoding,
        heard: &[u8],
    ) -> Session {
        let mut decoder = Decoder::new(encoding == Encoding::WebSocketDeflated);
        decoder.push(heard);
        Session {
            gateway,
            runtime: Handle::current(),
            watched,
            watches: Vec::new(),
            last_name: 0,
            peer,
            encoding,
            decoder,
            nonsense: 0,
        }
    }

    /// Answers one message, or sees to it that it will be answered.
    fn message(&mut self, text: &str, connection: &Connection, answer: &mut Vec<u8>) -> Hearing {
        let command = match command::read(text, self.watched.is_none()) {
            Ok(command) => command,
            Err(refusal) => return self.nonsense(&refusal, answer),
        };
        match command {
            Command::Answered(text) => websocket_text(text.as_bytes(), answer),
            Command::Publish(publish) => {
                let (gateway, watched, connection) = (self.gateway.clone(), self.watched.clone(), connection.clone());
                self.runtime.spawn(async move {
                    let text = command::publish(&gateway, watched.as_ref(), publish).await;
                    connection.say(text_frame(&text));
                    connection.listen();
                });
                return Hearing::Wait;
            }
            Command::Watch { reference, .. } if self.watches.len() >= WATCHES_MAX => {
                let problem = Problem::new(ErrorCode::RateLimited, format!("this socket has {WATCHES_MAX} watches"));
                let problem = problem.hint("unwatch some, or open another socket");
                websocket_text(command::refuse(reference, &problem).as_bytes(), answer);
            }
            Command::Watch { reference, address, options } => {
                self.last_name += 1;
                let name = self.last_name;
                self.watches.push(name);
                let (gateway, connection) = (self.gateway.clone(), connection.clone());
                let (encoding, peer) = (self.encoding, self.peer);
                self.runtime.spawn(async move {
                    match command::watch(&gateway, &address, options, encoding, peer).await {
                        Ok(Begun { watcher, entry }) => {
                            let listed = gateway.hub.watches().enter(entry);
                            connection.say(text_frame(&command::watching(reference, name)));
                            connection.watch(&gateway.tails, name, watcher, listed);
                        }
                        Err(problem) => connection.unwatch(name, text_frame(&command::refuse(reference, &problem))),
                    }
                    connection.listen();
                });
                return Hearing::Wait;
            }
            Command::Unwatch { reference, name } => match self.watches.contains(&name) {
                true => {
                    connection.unwatch(name, text_frame(&command::done(reference)));
                    // What follows is heard, and answered, after that.
                    connection.listen();
                    return Hearing::Wait;
                }
                false => {
                    let problem =
                        Problem::new(ErrorCode::Invalid, format!("there is no watch `w{name}` on this socket"));
                    let problem = problem.hint("name a watch as the answer to `watch` did; it may have ended");
                    websocket_text(command::refuse(reference, &problem).as_bytes(), answer);
                }
            },
        }
        Hearing::On
    }

    fn nonsense(&mut self, refusal: &str, answer: &mut Vec<u8>) -> Hearing {
        websocket_text(refusal.as_bytes(), answer);
        self.nonsense += 1;
        if self.nonsense < NONSENSE_MAX {
            return Hearing::On;
        }
        let reason = "too many messages that are none of the protocol";
        answer.extend(close_frame(ErrorCode::Invalid.close_code(), reason));
        Hearing::Leave
    }
}

impl Ear for Session {
    fn hear(&mut self, bytes: &[u8], connection: &Connection, answer: &mut Vec<u8>) -> Hearing {
        self.decoder.push(bytes);
        let mut heard = 0;
        loop {
            if heard + answer.len() > HEAR_BYTES {
                connection.listen();
                return Hearing::Wait;
            }
            let hearing = match self.decoder.next() {
                Ok(None) => return Hearing::On,
                Ok(Some(Message::Text(text))) => {
                    heard += text.len();
                    self.message(&text, connection, answer)
                }
                Ok(Some(Message::Binary)) => {
                    let problem = Problem::new(ErrorCode::Invalid, "messages of the protocol are text");
                    self.nonsense(&command::refuse(None, &problem), answer)
                }
                Ok(Some(Message::Ping(payload))) => {
                    answer.extend(control_frame(10, &payload));
                    Hearing::On
                }
                Ok(Some(Message::Pong)) => Hearing::On,
                Ok(Some(Message::Close(code))) => {
                    answer.extend(close_frame(code.unwrap_or(1000), ""));
                    Hearing::Leave
                }
                Err(Violation { code, reason }) => {
                    answer.extend(close_frame(code, reason));
                    Hearing::Leave
                }
            };
            if !matches!(hearing, Hearing::On) {
                return hearing;
            }
        }
    }

    fn ended(&mut self, name: WatchName) {
        self.watches.retain(|own| *own != name);
    }

    fn goodbye(&self, code: ErrorCode) -> Bytes {
        close_frame(code.close_code(), code.as_str()).into()
    }
}

fn text_frame(text: &str) -> Bytes {
    let mut frame = Vec::with_capacity(text.len() + 10);
    websocket_text(text.as_bytes(), &mut frame);
    frame.into()
}
