//! One watch among others on one WebSocket, `/v1/_ws`.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::http::Head;
use super::renewal::{TOKEN, fresh_token};
use super::websocket::WebSocket;
use super::{Answer, Ask, Ended};

/// The reference of our watch; the other has another.
const OURS: u64 = 1;
const OTHER: u64 = 2;
/// Of a change of ours.
pub const CHANGE: u64 = 3;

/// A socket with our watch, and by the fall of a coin with another of the same address.
pub struct Many {
    socket: WebSocket,
    /// As the answer named it.
    name: Value,
    /// Whether it is our watch whose frames come.
    on: bool,
}

impl Many {
    pub(super) async fn open(server: SocketAddr, ask: &Ask) -> Result<Many, Ended> {
        let mut socket = WebSocket::connect_as(server, "/v1/_ws", ask).await?;
        let ask = Ask { by_header: false, ..ask.clone() };
        let mut watch = members(&ask, "watch", OURS);
        watch.insert("address".to_owned(), json!(ask.path));
        let first = rand::random::<bool>();
        if first {
            socket.send_text(&other(&ask.path)).await?;
        }
        socket.send_text(&Value::Object(watch).to_string()).await?;
        if !first && rand::random() {
            socket.send_text(&other(&ask.path)).await?;
        }
        let mut many = Many { socket, name: Value::Null, on: false };
        while many.name.is_null() {
            let frame = many.socket.next_frame().await?;
            match (frame["op"].as_str(), frame["ref"].as_u64()) {
                (Some("done"), Some(OURS)) => many.name = frame["watch"].clone(),
                (Some("problem"), Some(OURS)) => return Err(refused(frame)),
                _ => {}
            }
        }
        Ok(many)
    }

    /// Asks for other options.
    pub(super) async fn change(&mut self, ask: &Ask) -> Result<(), Ended> {
        let mut change = members(ask, "change", CHANGE);
        change.insert("watch".to_owned(), self.name.clone());
        self.socket.send_text(&Value::Object(change).to_string()).await
    }

    /// Shows a fresh token for all watches of the socket.
    pub(super) async fn renew(&mut self, token: &str) -> Result<(), Ended> {
        self.socket.send_text(&fresh_token(token)).await
    }

    /// The next frame of our watch, or the answer to its change or to a fresh token.
    pub(super) async fn next_frame(&mut self) -> Result<Value, Ended> {
        loop {
            let frame = self.socket.next_frame().await?;
            match frame["op"].as_str() {
                Some("on") => self.on = frame["watch"] == self.name,
                Some("done" | "problem") if frame["ref"] == OTHER => {}
                Some("problem") if frame["ref"] == CHANGE => return Ok(frame),
                Some("done" | "problem") if frame["ref"] == TOKEN => return Ok(frame),
                Some("done") if frame["ref"] == CHANGE => {
                    (self.name, self.on) = (frame["watch"].clone(), false);
                    return Ok(frame);
                }
                Some("done" | "problem") => return Err(Ended::Garbage(format!("an answer to nothing: {frame}"))),
                _ if self.on => return Ok(frame),
                _ => {}
            }
        }
    }
}

/// A message of the protocol, with options.
pub(super) fn members(ask: &Ask, command: &str, reference: u64) -> Map<String, Value> {
    let options = ask.options().into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
    options.chain([("do".to_owned(), json!(command)), ("ref".to_owned(), json!(reference))]).collect()
}

fn other(address: &str) -> String {
    json!({ "do": "watch", "ref": OTHER, "address": address }).to_string()
}

fn refused(problem: Value) -> Ended {
    let status = problem["status"].as_u64().unwrap_or_default() as u16;
    let head = Head { status, headers: Vec::new() };
    Ended::Refused(Box::new(Answer { head, text: problem.to_string(), body: problem }))
}
