//! One open WebSocket, as a lane hears it: messages in, answers out, and an orderly end.
//!
//! Frames of watches are the lane's. What a message asks for may wait for the disk, so it is done by
//! a task, and the lane hears nothing more from this client until it is done: messages are answered
//! in their order, and a client cannot pile up work.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_wire::{Connection, Ear, Encoding, Hearing, WatchName, websocket_text};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::begin::{Begin, Names};
use super::codec::{Decoder, Message, Violation, close_frame, control_frame};
use super::command::{self, Change, Command};
use super::many::Many;
use crate::Gateway;
use crate::caller::Caller;
use crate::stream::ONLY_WATCH;

/// A client that sends so many messages that are none of the protocol is not one of ours.
const NONSENSE_MAX: u32 = 10;
/// So much is heard, or answered, before others on the same lane have their turn: inflated, a read
/// may be a thousand times as long.
const HEAR_BYTES: usize = 64 * 1024;

/// See the module.
pub(crate) struct Session {
    gateway: Arc<Gateway>,
    caller: Caller,
    /// Who it is from now on, while a fresh token is looked at.
    renewed: Option<oneshot::Receiver<Caller>>,
    runtime: Handle,
    watches: Watches,
    encoding: Encoding,
    /// While something was heard that is not a whole message: thousands of sockets say nothing.
    decoder: Option<Box<Decoder>>,
    nonsense: u32,
}

/// What a socket watches.
enum Watches {
    /// Its address.
    One(One),
    /// What its client asks for.
    Many(Box<Many>),
}

/// The watch of a socket of one.
struct One {
    target: Target,
    name: WatchName,
    /// The one that follows it when it changes.
    last_name: WatchName,
}

impl Watches {
    /// The names of a watch that is to change and of what follows it.
    fn change(&mut self, change: &Change) -> Result<Names, String> {
        match (self, change.name) {
            (Watches::Many(many), Some(old)) => {
                many.has(change.reference, old)?;
                Ok(Names { old, new: many.name() })
            }
            (Watches::One(one), _) => {
                one.last_name += 1;
                Ok(Names { old: one.name, new: one.last_name })
            }
            (Watches::Many(_), None) => unreachable!("a watch among many is named when it is read"),
        }
    }
}

impl Session {
    /// `heard` was said with the handshake already.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        caller: Caller,
        watched: Option<Target>,
        encoding: Encoding,
        heard: &[u8],
    ) -> Session {
        let watches = match watched {
            Some(target) => Watches::One(One { target, name: ONLY_WATCH, last_name: ONLY_WATCH }),
            None => Watches::Many(Box::new(Many::new())),
        };
        let mut session = Session {
            gateway,
            caller,
            renewed: None,
            runtime: Handle::current(),
            watches,
            encoding,
            decoder: None,
            nonsense: 0,
        };
        if !heard.is_empty() {
            session.decoder().push(heard);
        }
        session
    }

    fn decoder(&mut self) -> &mut Decoder {
        let deflated = self.encoding == Encoding::WebSocketDeflated;
        self.decoder.get_or_insert_with(|| Box::new(Decoder::new(deflated)))
    }

    /// Answers one message, or sees to it that it will be answered.
    fn message(&mut self, text: &str, connection: &Connection, answer: &mut Vec<u8>) -> Hearing {
        let command = match command::read(text, matches!(self.watches, Watches::Many(_))) {
            Ok(command) => command,
            Err(refusal) => return self.nonsense(&refusal, answer),
        };
        self.caller.limit_as_now(&self.gateway);
        match (command, &mut self.watches) {
            (Command::Answered(text), _) => websocket_text(text.as_bytes(), answer),
            (Command::Publish(publish), watches) => {
                let watched = match watches {
                    Watches::One(one) => Some(one.target.clone()),
                    Watches::Many(_) => None,
                };
                let (gateway, caller, connection) = (self.gateway.clone(), self.caller.clone(), connection.clone());
                self.runtime.spawn(async move {
                    let text = command::publish(&gateway, &caller, watched.as_ref(), publish).await;
                    connection.say(text_frame(&text));
                    connection.listen();
                });
                return Hearing::Wait;
            }
            (Command::Watch(watch), Watches::Many(many)) => match many.begin(watch.reference) {
                Ok(name) => {
                    self.runtime.spawn(self.begin(connection).watch(watch, name));
                    return Hearing::Wait;
                }
                Err(refusal) => websocket_text(refusal.as_bytes(), answer),
            },
            (Command::Change(change), watches) => match watches.change(&change) {
                Ok(names) => {
                    self.runtime.spawn(self.begin(connection).change(change, names));
                    return Hearing::Wait;
                }
                Err(refusal) => websocket_text(refusal.as_bytes(), answer),
            },
            (Command::Token(token), _) => {
                let (known, renewed) = oneshot::channel();
                self.renewed = Some(renewed);
                self.runtime.spawn(self.begin(connection).renew(token, known));
                return Hearing::Wait;
            }
            (Command::Unwatch { reference, name }, Watches::Many(many)) => match many.has(reference, name) {
                Ok(()) => {
                    connection.unwatch(name, text_frame(&command::done(reference)));
                    // What follows is heard, and answered, after that.
                    connection.listen();
                    return Hearing::Wait;
                }
                Err(refusal) => websocket_text(refusal.as_bytes(), answer),
            },
            (Command::Watch(_) | Command::Unwatch { .. }, Watches::One(_)) => {
                unreachable!("such a message is refused on a socket of one watch")
            }
        }
        Hearing::On
    }

    fn begin(&self, connection: &Connection) -> Begin {
        let (gateway, caller) = (self.gateway.clone(), self.caller.clone());
        Begin { gateway, caller, encoding: self.encoding, connection: connection.clone() }
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
        if !bytes.is_empty() {
            self.decoder().push(bytes);
        }
        if let Some(caller) = self.renewed.take().and_then(|mut renewed| renewed.try_recv().ok()) {
            self.caller = caller;
        }
        let mut heard = 0;
        loop {
            let Some(decoder) = &mut self.decoder else { return Hearing::On };
            if heard + answer.len() > HEAR_BYTES {
                connection.listen();
                return Hearing::Wait;
            }
            let hearing = match decoder.next() {
                Ok(None) => {
                    if decoder.is_idle() {
                        self.decoder = None;
                    }
                    return Hearing::On;
                }
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
        match &mut self.watches {
            Watches::Many(many) => many.ended(name),
            Watches::One(one) if one.name == name => one.name = one.last_name,
            // One that was refused, and never began.
            Watches::One(_) => {}
        }
    }

    fn settle(self: Box<Self>) -> Box<dyn Ear> {
        Box::new(*self)
    }

    fn goodbye(&self, code: ErrorCode) -> Bytes {
        close_frame(code.close_code(), code.as_str()).into()
    }
}

pub(super) fn text_frame(text: &str) -> Bytes {
    let mut frame = Vec::with_capacity(text.len() + 10);
    websocket_text(text.as_bytes(), &mut frame);
    frame.into()
}
