//! Bytes of a stream into lines, and lines into frames.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use tidegate_core::json;

/// Longer lines are no frames: events are limited to 1 MiB.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Cuts a stream into lines.
#[derive(Default)]
pub(super) struct Lines(BytesMut);

/// One frame.
pub(super) struct Frame {
    members: Value,
    told: Option<Told>,
}

/// What a frame tells of a value, exactly as it came: order and digits of the data are no business of ours.
pub(super) enum Told {
    /// All of it.
    Data(String),
    /// What is other than in the frame before of the same key.
    Patch(String),
}

impl Lines {
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.0.len() + chunk.len() > LINE_BYTES_MAX {
            bail!("a line is longer than {LINE_BYTES_MAX} bytes; this is no stream of frames");
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    /// The next whole line that is not empty.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        loop {
            let end = self.0.iter().position(|byte| *byte == b'\n')?;
            let line = self.0.split_to(end).freeze();
            self.0.advance(1);
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

impl Frame {
    pub(super) fn read(line: &[u8]) -> Result<Frame> {
        let members: Value = serde_json::from_slice(line)?;
        if !members["op"].is_string() {
            bail!("it has no `op`");
        }
        let member = |name| json::member(line, name).map(|raw| String::from_utf8_lossy(raw).into_owned());
        let told = match member("data") {
            Some(data) => Some(Told::Data(data)),
            None => member("patch").or_else(|| member("patches")).map(Told::Patch),
        };
        Ok(Frame { members, told })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members[name].as_str()
    }

    pub(super) fn op(&self) -> &str {
        self.text("op").unwrap_or_default()
    }

    pub(super) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// How many changes it stands for; more than one only at a tick.
    pub(super) fn conflated(&self) -> u64 {
        self.members["conflated"].as_u64().unwrap_or(1)
    }

    pub(super) fn count(&self) -> u64 {
        self.members["count"].as_u64().unwrap_or_default()
    }

    pub(super) fn cursor(&self) -> Option<&str> {
        self.text("cursor")
    }

    /// The row-less end of a snapshot.
    pub(super) fn is_last(&self) -> bool {
        self.members["last"] == true
    }

    /// A row or a change, as against a word of the protocol.
    pub(super) fn is_data(&self) -> bool {
        matches!(self.op(), "snapshot" | "upsert" | "delete" | "append" | "clear") && !self.is_last()
    }

    pub(super) fn heartbeat(&self) -> Option<Duration> {
        self.members["heartbeat_ms"].as_u64().map(Duration::from_millis)
    }

    /// Of a `close`: when to come back, if at all, and why it ended.
    pub(super) fn close(&self) -> Option<(Option<Duration>, String)> {
        (self.op() == "close").then(|| {
            let code = self.text("code").unwrap_or_default();
            let message = self.text("message").unwrap_or_default();
            (
                self.members["retry_ms"].as_u64().map(Duration::from_millis),
                format!("the server closed: {code}: {message}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut lines = Lines::default();
        lines.push(b"{\"op\":\"a\"}\n\n{\"op\"").expect("push");
        assert_eq!(lines.next().as_deref(), Some(&b"{\"op\":\"a\"}"[..]));
        assert_eq!(lines.next(), None);
        lines.push(b":\"b\"}\n").expect("push");
        assert_eq!(lines.next().as_deref(), Some(&b"{\"op\":\"b\"}"[..]));
        assert!(lines.push(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_final_close_has_no_retry() {
        let close = |text: &str| Frame::read(text.as_bytes()).expect("frame").close();
        assert_eq!(close(r#"{"op":"close","retry_ms":null}"#).map(|(retry, _)| retry), Some(None));
        assert_eq!(
            close(r#"{"op":"close","retry_ms":250}"#).map(|(retry, _)| retry),
            Some(Some(Duration::from_millis(250)))
        );
        assert!(close(r#"{"op":"bookmark"}"#).is_none());
    }
}
