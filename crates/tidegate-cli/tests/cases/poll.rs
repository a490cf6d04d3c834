//! A watch by plain requests: what is there first, then long-polls from its cursor.

use std::collections::VecDeque;

use anyhow::{Context, ensure};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::http::{Answer, Request, ask};
use crate::line::Place;
use crate::watch::Target;

/// How long one poll waits; a case goes on polling.
const WAIT: &str = "10s";
/// Polls without an answer before a frame is given up.
const EMPTY_MAX: usize = 3;

/// A client that polls.
pub struct Poll {
    server: Place,
    address: String,
    /// Those that stand in every request.
    options: Vec<String>,
    headers: Vec<(String, String)>,
    history: bool,
    cursor: String,
    frames: VecDeque<Value>,
}

impl Poll {
    /// Reads what is there; `Err` has a refusal.
    pub fn open(target: Target) -> anyhow::Result<Result<Poll, Answer>> {
        let (address, query) = target.path.split_once('?').unwrap_or((target.path, ""));
        let all: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let is = |pair: &str, names: &[&str]| names.iter().any(|name| pair.split('=').next() == Some(name));
        let mut poll = Poll {
            server: target.server,
            address: address.to_owned(),
            options: all
                .iter()
                .filter(|pair| !is(pair, &["after", "from", "at"]))
                .map(|pair| (*pair).to_owned())
                .collect(),
            headers: target.headers,
            history: all.iter().any(|pair| is(pair, &["from"]) || *pair == "snapshot=false"),
            cursor: all.iter().find_map(|pair| pair.strip_prefix("after=")).unwrap_or_default().to_owned(),
            frames: VecDeque::new(),
        };
        let answer = poll.get(&all)?;
        if answer.head.status >= 400 && !absent(&answer) {
            return Ok(Err(answer));
        }
        if all.iter().any(|pair| is(pair, &["after"])) {
            poll.take_poll(&answer)?;
            return Ok(Ok(poll));
        }
        let body = answer.json()?;
        if poll.key().is_some() && !poll.history || body.get("rows").is_some() {
            poll.frames.push_back(json!({ "op": "reset", "reason": "start" }));
            poll.take_state(answer)?;
        } else {
            // A plain address has its newest events as JSON; a watch of it begins now.
            let body = if poll.history { body } else { poll.get(&["from=now"])?.json()? };
            poll.history = true;
            poll.take_frames(&body)?;
        }
        Ok(Ok(poll))
    }

    /// The next frame.
    pub fn next(&mut self) -> anyhow::Result<Value> {
        for _ in 0..EMPTY_MAX {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            let after = format!("after={}", self.cursor);
            let mut options: Vec<String> = vec![after, format!("wait={WAIT}")];
            options.extend(self.options.iter().filter(|pair| !pair.starts_with("snapshot=")).cloned());
            if self.history {
                options.push("snapshot=false".to_owned());
            }
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let answer = self.get(&options)?;
            self.take_poll(&answer)?;
        }
        self.frames.pop_front().context("no frame came")
    }

    fn take_poll(&mut self, answer: &Answer) -> anyhow::Result<()> {
        if answer.head.status == 204 {
            let cursor = answer.head.header("Tidegate-Cursor").context("a 204 has a cursor")?.to_owned();
            return self.current(cursor);
        }
        ensure!(answer.head.status == 200, "a poll answered {}: {}", answer.head.status, answer.text());
        let body = answer.json()?;
        if body["cursor"].is_null() {
            let frames = body["frames"].as_array().context("`frames` is a list")?;
            ensure!(frames.last().is_some_and(|frame| frame["op"] == "reset"), "without a cursor `reset` is last");
            self.frames.extend(frames.iter().cloned());
            let options: Vec<String> = self.options.clone();
            let answer = self.get(&options.iter().map(String::as_str).collect::<Vec<_>>())?;
            return self.take_state(answer);
        }
        self.take_frames(&body)
    }

    fn take_frames(&mut self, body: &Value) -> anyhow::Result<()> {
        for frame in body["frames"].as_array().context("`frames` is a list")? {
            if let Some(cursor) = frame["cursor"].as_str().or(frame["to"].as_str()) {
                cursor.clone_into(&mut self.cursor);
            }
            self.frames.push_back(frame.clone());
        }
        self.current(body["cursor"].as_str().context("`cursor` is text")?.to_owned())
    }

    /// Current up to `cursor`: what a stream would say with a bookmark.
    fn current(&mut self, cursor: String) -> anyhow::Result<()> {
        if cursor != self.cursor {
            let mut bookmark = json!({ "op": "bookmark", "cursor": cursor });
            if self.options.iter().any(|pair| pair == "chain=true") && !self.cursor.is_empty() {
                bookmark["prev"] = json!(self.cursor);
            }
            self.frames.push_back(bookmark);
            self.cursor = cursor;
        }
        Ok(())
    }

    fn take_state(&mut self, answer: Answer) -> anyhow::Result<()> {
        match self.key() {
            Some(key) if !self.address.contains('*') => self.take_value(&key, &answer),
            _ => self.take_rows(answer),
        }
    }

    /// The bare value of one key, or none, as a snapshot of at most one row.
    fn take_value(&mut self, key: &str, answer: &Answer) -> anyhow::Result<()> {
        answer.head.header("Tidegate-Cursor").context("a value has a cursor")?.clone_into(&mut self.cursor);
        let count = u64::from(!absent(answer));
        if count == 1 {
            let row = json!({ "op": "snapshot", "address": self.address, "key": key, "data": answer.json()? });
            self.frames.push_back(row);
        }
        self.frames.push_back(json!({ "op": "snapshot", "last": true, "count": count, "cursor": self.cursor }));
        Ok(())
    }

    /// The key that is watched, decoded.
    fn key(&self) -> Option<String> {
        let text = self.options.iter().find_map(|pair| pair.strip_prefix("key="))?;
        Some(percent_decode_str(text).decode_utf8_lossy().into_owned())
    }

    /// All pages of rows, as the frames of a snapshot; the first page's cursor is that of all.
    fn take_rows(&mut self, mut answer: Answer) -> anyhow::Result<()> {
        let (mut count, mut cursor) = (0_u64, None);
        loop {
            let body = answer.json()?;
            for row in body["rows"].as_array().context("`rows` is a list")? {
                let mut frame = row.clone();
                frame["op"] = json!("snapshot");
                self.frames.push_back(frame);
                count += 1;
            }
            let own = body["cursor"].as_str().context("`cursor` is text")?.to_owned();
            let first = cursor.get_or_insert(own);
            let Some(next) = answer.head.header("Link").map(linked) else {
                self.cursor.clone_from(first);
                let last = json!({ "op": "snapshot", "last": true, "count": count, "cursor": self.cursor });
                self.frames.push_back(last);
                return Ok(());
            };
            answer = ask(self.server, Request { method: "GET", path: &next, ..Request::default() })?;
        }
    }

    fn get(&self, options: &[&str]) -> anyhow::Result<Answer> {
        let path = match options.join("&") {
            none if none.is_empty() => format!("/v1/{}", self.address),
            query => format!("/v1/{}?{query}", self.address),
        };
        ask(self.server, Request { method: "GET", path: &path, headers: self.headers.clone(), body: None })
    }
}

/// The key has no value; the answer has a cursor all the same.
fn absent(answer: &Answer) -> bool {
    answer.head.status == 404 && answer.json().is_ok_and(|problem| problem["code"] == "key-not-found")
}

/// The address in `<…>; rel="next"`.
pub fn linked(header: &str) -> String {
    header.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
