//! `/v1/_ws`: a socket of many watches, and one watch on it.

use anyhow::{Context, ensure};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::case::Transport;
use crate::http::{Answer, Head};
use crate::line::Place;
use crate::stream::Stream;
use crate::watch::Target;

/// A watch on a socket that could have more.
pub struct Many {
    socket: Stream,
    name: Value,
}

/// Opens a socket that has no watches yet.
pub fn open(server: Place, headers: Vec<(String, String)>) -> anyhow::Result<Stream> {
    match Stream::open(Transport::Websocket, Target { server, path: "_ws", headers })? {
        Ok(socket) => Ok(socket),
        Err(answer) => anyhow::bail!("`/v1/_ws` is refused: {}", answer.text()),
    }
}

impl Many {
    /// Asks for a watch; `Err` has a refusal.
    pub fn watch(target: Target) -> anyhow::Result<Result<Many, Answer>> {
        let (address, query) = target.path.split_once('?').unwrap_or((target.path, ""));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut options: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decode(value)))
            .collect();
        let (resume, headers): (Vec<_>, Vec<_>) =
            target.headers.into_iter().partition(|(name, _)| name.eq_ignore_ascii_case("Last-Event-ID"));
        options.extend(resume.into_iter().map(|(_, cursor)| ("after".to_owned(), cursor)));
        // As text: an object would hide an option that stands there twice.
        let mut message = format!("{{\"do\":\"watch\",\"ref\":7,\"address\":{}", json!(address));
        message.extend(options.iter().map(|(name, value)| format!(",{}:{}", json!(name), json!(value))));
        message.push('}');
        let mut socket = open(target.server, headers)?;
        socket.send(&message)?;
        let answer = socket.next()?;
        ensure!(answer["ref"] == 7, "the answer to a watch is {answer}");
        if answer["op"] == "problem" {
            let status = answer["status"].as_u64().context("a problem has a status")?;
            return Ok(Err(Answer { head: Head::of(status as u16), body: answer.to_string().into_bytes() }));
        }
        ensure!(answer["op"] == "done", "the answer to a watch is {answer}");
        ensure!(socket.next()? == json!({ "op": "on", "watch": answer["watch"] }), "frames are said to be whose");
        Ok(Ok(Many { name: answer["watch"].clone(), socket }))
    }

    /// The next frame. There is one watch, so that nothing else comes in between.
    pub fn next(&mut self) -> anyhow::Result<Value> {
        let frame = self.socket.next()?;
        ensure!(frame["op"] != "on", "{frame} within the frames of {}", self.name);
        Ok(frame)
    }
}
