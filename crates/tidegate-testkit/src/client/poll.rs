//! Long-poll: GET as JSON to begin, then the frames since, again and again.
//!
//! Its answers are told as the frames of a stream: a GET of rows as `reset`, `snapshot` and the
//! last one, an answer's cursor as a `bookmark` behind its frames. Rows of several pages are an unfinished
//! snapshot until all is told that changed meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tidegate_core::Kind;

use super::http::{Answer, Wire, request};
use super::renewal::TOKEN;
use super::{Ask, Ended};

/// How long the server may hold a poll; short, since a poll that is cut must end soon.
const WAIT: &str = "2s";

/// A client that polls.
pub struct Poll {
    server: SocketAddr,
    ask: Ask,
    wire: Option<Wire>,
    frames: VecDeque<Value>,
    cursor: Option<String>,
    /// The next page of rows.
    next: Option<String>,
    /// So many rows came with an unfinished snapshot.
    unfinished: Option<usize>,
    wait: String,
}

impl Poll {
    /// A client that has not asked yet.
    pub fn new(server: SocketAddr, ask: Ask) -> Poll {
        let cursor = ask.cursor.clone();
        let ask = Ask { by_header: false, rate: None, ..ask };
        let frames = VecDeque::new();
        Poll { server, ask, wire: None, frames, cursor, next: None, unfinished: None, wait: WAIT.to_owned() }
    }

    /// With another `wait`.
    pub fn wait(self, wait: &str) -> Poll {
        Poll { wait: wait.to_owned(), ..self }
    }

    /// From its next request on it shows this token; not before the end of a snapshot.
    pub(super) fn renew(&mut self, token: &str) -> bool {
        if self.next.is_some() || self.unfinished.is_some() || self.cursor.is_none() {
            return false;
        }
        self.ask.token = Some(token.to_owned());
        self.frames.push_back(json!({"op": "done", "ref": TOKEN}));
        true
    }

    pub(super) async fn next_frame(&mut self) -> Result<Value, Ended> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            self.round().await?;
        }
    }

    /// The next frame of the answers so far.
    pub fn pop(&mut self) -> Option<Value> {
        self.frames.pop_front()
    }

    /// Asks once and keeps the frames of the answer.
    ///
    /// # Errors
    /// As for a watch.
    pub async fn round(&mut self) -> Result<(), Ended> {
        if let Some(next) = self.next.clone() {
            let answer = self.get(&next).await?;
            // Not before: who asked may stop waiting, and asks again.
            self.next = None;
            return match answer.head.status {
                200 => self.take(answer),
                _ => Err(Ended::Refused(Box::new(answer))),
            };
        }
        let limit = self.ask.limit.map(|limit| limit.to_string());
        let mut more: Vec<(&str, &str)> = Vec::new();
        self.ask.cursor = self.cursor.clone();
        if self.ask.cursor.is_some() {
            more.push(("wait", &self.wait));
        } else if self.ask.kind == Kind::History && self.ask.from.is_none() {
            // Without a place to begin, JSON has the newest events; a stream begins now.
            self.ask.from = Some("now".to_owned());
        }
        let alone = self.ask.cursor.is_none() && self.ask.kind == Kind::State && !self.ask.path.contains('*');
        let bare = self.ask.key.clone().filter(|_| alone);
        if let (Some(limit), None) = (&limit, &bare) {
            more.push(("limit", limit));
        }
        let url = self.ask.url(&more);
        let answer = self.get(&url).await?;
        match answer.head.status {
            200 | 404 if let Some(key) = &bare => {
                let row = json!({"address": self.ask.path, "key": key, "data": answer.body});
                let rows: &[Value] = if answer.head.status == 200 { &[row] } else { &[] };
                let cursor = answer.head.header("tidegate-cursor");
                let cursor =
                    cursor.ok_or_else(|| Ended::Garbage(format!("no Tidegate-Cursor: {answer:?}")))?.to_owned();
                self.begin(rows);
                self.last(rows.len(), cursor);
                Ok(())
            }
            200 if self.ask.cursor.is_none() && self.ask.at.is_some() => self.take_pages(answer).await,
            200 => self.take(answer),
            204 => {
                let cursor = answer.head.header("tidegate-cursor");
                let cursor = cursor.ok_or_else(|| Ended::Garbage("204 without Tidegate-Cursor".to_owned()))?;
                self.stand(cursor.to_owned());
                Ok(())
            }
            _ => Err(Ended::Refused(Box::new(answer))),
        }
    }

    fn take(&mut self, answer: Answer) -> Result<(), Ended> {
        let garbage = || Ended::Garbage(format!("neither rows nor frames: {}", answer.text));
        let cursor = answer.body.get("cursor").and_then(Value::as_str).map(str::to_owned);
        let link = answer.head.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
        let more = link.map(|(url, _)| url.to_owned());
        if let Some(rows) = answer.body.get("rows").and_then(Value::as_array) {
            return self.rows(rows, more, cursor.ok_or_else(garbage)?);
        }
        let frames = answer.body.get("frames").and_then(Value::as_array).ok_or_else(garbage)?;
        if self.ask.cursor.is_none() && self.ask.from.as_deref() == Some("now") {
            // Where it begins is before what came while it was asked.
            let begin = cursor.as_ref().filter(|_| frames.is_empty());
            self.frames
                .push_back(begin.map_or(json!({"op": "begin"}), |begin| json!({"op": "begin", "cursor": begin})));
        }
        self.frames.extend(frames.iter().cloned());
        match cursor {
            Some(cursor) if self.unfinished.is_some() && more.is_some() => self.cursor = Some(cursor),
            Some(cursor) => self.stand(cursor),
            // The state is not to be had by polling: GET again.
            None if frames.last().is_some_and(|frame| frame["op"] == "reset") => {
                // The rows of now, as on a stream.
                (self.cursor, self.unfinished, self.ask.at) = (None, None, None);
            }
            None => return Err(garbage()),
        }
        Ok(())
    }

    /// A page of rows. Those of several are the state only when all is told that came after their cursor.
    fn rows(&mut self, rows: &[Value], next: Option<String>, cursor: String) -> Result<(), Ended> {
        match self.unfinished {
            None => self.begin(rows),
            Some(_) => self.push(rows),
        }
        let count = self.unfinished.unwrap_or(0) + rows.len();
        if next.is_none() && self.unfinished.is_none() {
            self.last(count, cursor);
            return Ok(());
        }
        (self.unfinished, self.next, self.cursor) = (Some(count), next, Some(cursor));
        Ok(())
    }

    /// Rows as of a past time with those of the pages that follow, which are all of one state.
    async fn take_pages(&mut self, mut answer: Answer) -> Result<(), Ended> {
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let garbage = || Ended::Garbage(format!("no rows, or not of the first page: {}", answer.text));
            rows.extend(answer.body["rows"].as_array().ok_or_else(garbage)?.iter().cloned());
            let own = answer.body["cursor"].as_str().ok_or_else(garbage)?;
            if cursor.get_or_insert_with(|| own.to_owned()) != own {
                return Err(garbage());
            }
            let link = answer.head.header("link").and_then(|link| link.split(['<', '>']).nth(1)).map(str::to_owned);
            match link {
                None => break,
                Some(next) => answer = self.get(&next).await?,
            }
            if answer.head.status != 200 {
                return Err(Ended::Refused(Box::new(answer)));
            }
        }
        self.begin(&rows);
        self.last(rows.len(), cursor.unwrap_or_default());
        Ok(())
    }

    fn begin(&mut self, rows: &[Value]) {
        self.frames.push_back(json!({"op": "reset", "reason": "start"}));
        self.push(rows);
    }

    fn push(&mut self, rows: &[Value]) {
        for row in rows {
            let mut frame = row.clone();
            frame["op"] = "snapshot".into();
            self.frames.push_back(frame);
        }
    }

    fn last(&mut self, count: usize, cursor: String) {
        let last = json!({"op": "snapshot", "last": true, "count": count, "cursor": cursor});
        self.frames.push_back(last);
        self.cursor = Some(cursor);
    }

    fn stand(&mut self, cursor: String) {
        if let Some(count) = self.unfinished.take() {
            return self.last(count, cursor);
        }
        self.frames.push_back(json!({"op": "bookmark", "cursor": cursor}));
        self.cursor = Some(cursor);
    }

    async fn get(&mut self, url: &str) -> Result<Answer, Ended> {
        let mut headers = vec!["Accept: application/json".to_owned()];
        headers.extend(self.ask.shown());
        let text = request(self.server, "GET", url, &headers, b"");
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => {
                let mut wire = Wire::connect(self.server, self.ask.receive_buffer).await?;
                wire.cut_after(self.ask.cut_after);
                wire
            }
        };
        wire.send(&text).await?;
        let answer = wire.answer().await?;
        if answer.head.header("connection") != Some("close") {
            self.wire = Some(wire);
        }
        Ok(answer)
    }
}
