//! The ways a body holds events.

use bytes::Bytes;
use tidegate_core::json::{self, JsonError};
use tidegate_core::{ErrorCode, Op, Problem};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value, or an array of them.
    Json,
    /// A JSON value on each line.
    Ndjson,
    /// One envelope `{op,address?,key,data}`, or an array of them.
    Envelope,
    /// An envelope on each line.
    EnvelopeNdjson,
}

/// One event of a body.
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    /// Said by an envelope.
    pub(super) op: Option<Op>,
    /// Said by an envelope.
    pub(super) address: Option<String>,
    /// Said by an envelope, as JSON.
    pub(super) key: Option<Bytes>,
    /// The value; empty on a delete.
    pub(super) data: Bytes,
}

impl Format {
    /// Reads a `Content-Type`. What `curl -d` sends when nothing is said is read as JSON: the
    /// first command that anybody tries should work, and the body has to be JSON all the same.
    pub fn of_content_type(content_type: Option<&str>) -> Option<Format> {
        let essence = content_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        Some(match essence.as_deref() {
            None | Some("" | "application/json" | "application/x-www-form-urlencoded") => Format::Json,
            Some("application/x-ndjson" | "application/jsonl" | "application/ndjson") => Format::Ndjson,
            Some("application/vnd.tidegate+json") => Format::Envelope,
            Some("application/vnd.tidegate+x-ndjson") => Format::EnvelopeNdjson,
            Some(_) => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Envelope => "envelope",
            Format::EnvelopeNdjson => "envelope-ndjson",
        }
    }
}

impl Line {
    pub(super) fn delete() -> Line {
        Line { number: 1, op: Some(Op::Delete), address: None, key: None, data: Bytes::new() }
    }

    fn plain(number: usize, data: Bytes) -> Line {
        Line { number, op: None, address: None, key: None, data }
    }

    fn envelope(number: usize, text: &Bytes) -> Result<Line, Problem> {
        let refuse = |detail: String| {
            Problem::new(ErrorCode::Unprocessable, detail)
                .hint("an envelope is {\"op\":\"upsert\",\"key\":…,\"data\":…}, with `address` where it is not that of the URL")
        };
        if text.first() != Some(&b'{') {
            return Err(refuse("an envelope is a JSON object".to_owned()));
        }
        let op = json::member(text, "op").and_then(json::string);
        let op = match op.as_deref() {
            Some("upsert") => Op::Upsert,
            Some("delete") => Op::Delete,
            Some("append") => Op::Append,
            Some(other) => return Err(refuse(format!("`{other}` is no op of a publish"))),
            None => return Err(refuse("the envelope has no `op`".to_owned())),
        };
        let address = match json::member(text, "address") {
            Some(raw) => Some(json::string(raw).ok_or_else(|| refuse("`address` is a string".to_owned()))?),
            None => None,
        };
        let member = |name| json::member(text, name).map(|raw| text.slice_ref(raw));
        let data = member("data");
        if data.is_none() && op != Op::Delete {
            return Err(refuse(format!("the envelope of an `{}` has no `data`", op.as_str())));
        }
        let data = if op == Op::Delete { Bytes::new() } else { data.unwrap_or_default() };
        Ok(Line { number, op: Some(op), address, key: member("key"), data })
    }
}

/// One value that is no batch.
pub(super) fn single(body: &[u8]) -> Result<Line, Problem> {
    Ok(Line::plain(1, json::validate(body).map_err(|error| invalid_json(body, 1, &error))?))
}

/// The events of a body, in order.
pub(super) fn lines(format: Format, body: &[u8]) -> Result<Vec<Line>, Problem> {
    let envelopes = matches!(format, Format::Envelope | Format::EnvelopeNdjson);
    let texts = match format {
        Format::Json | Format::Envelope => match json::elements(body) {
            Ok(Some(elements)) => elements,
            Ok(None) => vec![(1, json::validate(body).map_err(|error| invalid_json(body, 1, &error))?)],
            Err(error) => return Err(invalid_json(body, 1, &error)),
        },
        Format::Ndjson | Format::EnvelopeNdjson => ndjson(body)?,
    };
    let count = texts.len();
    let line = |(number, text): (usize, Bytes)| {
        if envelopes {
            Line::envelope(number, &text)
                .map_err(|problem| if count == 1 { problem } else { super::nothing_accepted(problem, number) })
        } else {
            Ok(Line::plain(number, text))
        }
    };
    texts.into_iter().map(line).collect()
}

fn ndjson(body: &[u8]) -> Result<Vec<(usize, Bytes)>, Problem> {
    let mut texts = Vec::new();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let text = json::validate(line).map_err(|error| invalid_json(line, index + 1, &error))?;
        texts.push((index + 1, text));
    }
    Ok(texts)
}

/// `text` begins on line `first` of the body.
fn invalid_json(text: &[u8], first: usize, error: &JsonError) -> Problem {
    let before = &text[..error.at.min(text.len())];
    let line = first + before.iter().filter(|byte| **byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let detail = format!("line {line}, column {column}: not JSON: {}; nothing was accepted", error.reason);
    Problem::new(ErrorCode::Invalid, detail)
        .hint("send JSON (RFC 8259) in UTF-8; for several events a JSON array, or one on each line as application/x-ndjson")
        .line(line)
}
