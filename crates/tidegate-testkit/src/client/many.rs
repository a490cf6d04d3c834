//! One watch among others on one WebSocket, `/v1/_ws`.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::http::Head;
use super::websocket::WebSocket;
use super::{Answer, Ask, Ended};

/// The reference of our watch; the other has another.
const OURS: u64 = 1;
const OTHER: u64 = 2;

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
        let mut socket = WebSocket::connect(server, "/v1/_ws", ask.receive_buffer, ask.cut_after).await?;
        let ask = Ask { by_header: false, ..ask.clone() };
        let mut watch: Map<String, Value> =
            ask.options().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        watch.extend([("do".to_owned(), json!("watch")), ("address".to_owned(), json!(ask.path))]);
        let first = rand::random::<bool>();
        if first {
            socket.send_text(&other(&ask.path)).await?;
        }
        watch.insert("ref".to_owned(), json!(OURS));
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

    /// The next frame of our watch.
    pub(super) async fn next_frame(&mut self) -> Result<Value, Ended> {
        loop {
            let frame = self.socket.next_frame().await?;
            match frame["op"].as_str() {
                Some("on") => self.on = frame["watch"] == self.name,
                Some("done" | "problem") if frame["ref"] == OTHER => {}
                Some("done" | "problem") => return Err(Ended::Garbage(format!("an answer to nothing: {frame}"))),
                _ if self.on => return Ok(frame),
                _ => {}
            }
        }
    }
}

fn other(address: &str) -> String {
    json!({ "do": "watch", "ref": OTHER, "address": address }).to_string()
}

fn refused(problem: Value) -> Ended {
    let status = problem["status"].as_u64().unwrap_or_default() as u16;
    let head = Head { status, headers: Vec::new() };
    Ended::Refused(Box::new(Answer { head, text: problem.to_string(), body: problem }))
}
