//! The ways a body holds events.

use bytes::Bytes;
use tidegate_core::json::{self, Elements, JsonError};
use tidegate_core::suggest::nearest;
use tidegate_core::{ErrorCode, Op, Problem};

/// One batch may have this many events.
const EVENTS_MAX: usize = 100_000;
const ENVELOPE_MEMBERS: [&str; 4] = ["op", "address", "key", "data"];
/// A problem shows no more characters of a name that it does not know; comparing costs their square.
const NAME_SHOWN_MAX: usize = 40;

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

/// One event of a body, not yet looked into. Small: a body may hold [`EVENTS_MAX`] of them.
pub(super) struct Text {
    /// Of the body, from 1.
    pub(super) number: usize,
    /// A slice of the body where it stands on one line.
    pub(super) json: Bytes,
}

/// What one event says.
pub(super) struct Line {
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

    fn envelopes(self) -> bool {
        matches!(self, Format::Envelope | Format::EnvelopeNdjson)
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
        Line { op: Some(Op::Delete), address: None, key: None, data: Bytes::new() }
    }

    pub(super) fn read(format: Format, json: Bytes) -> Result<Line, Problem> {
        if format.envelopes() {
            Line::envelope(&json)
        } else {
            Ok(Line { op: None, address: None, key: None, data: json })
        }
    }

    fn envelope(text: &Bytes) -> Result<Line, Problem> {
        if text.first() != Some(&b'{') {
            return Err(refused("an envelope is a JSON object".to_owned()));
        }
        let (mut op, mut address, mut key, mut data) = (None, None, None, None);
        for (name, raw) in json::members(text) {
            match &*name {
                "op" => op = Some(raw),
                "address" => address = Some(raw),
                "key" => key = Some(raw),
                "data" => data = Some(raw),
                // A misspelt `address` would publish to another place than was meant.
                other => return Err(unknown_member(other)),
            }
        }
        let op = match op.and_then(json::string).as_deref() {
            Some("upsert") => Op::Upsert,
            Some("delete") => Op::Delete,
            Some("append") => Op::Append,
            Some(other) => return Err(refused(format!("`{other}` is no op of a publish"))),
            None => return Err(refused("the envelope has no `op`".to_owned())),
        };
        let address = match address {
            Some(raw) => Some(json::string(raw).ok_or_else(|| refused("`address` is a string".to_owned()))?),
            None => None,
        };
        let data = match data {
            _ if op == Op::Delete => Bytes::new(),
            Some(raw) => text.slice_ref(raw),
            None => return Err(refused(format!("the envelope of an `{}` has no `data`", op.as_str()))),
        };
        Ok(Line { op: Some(op), address, key: key.map(|raw| text.slice_ref(raw)), data })
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(ErrorCode::Unprocessable, detail)
        .hint("an envelope is {\"op\":\"upsert\",\"key\":…,\"data\":…}, with `address` where it is not that of the URL")
}

fn unknown_member(name: &str) -> Problem {
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    let problem = refused(format!("an envelope has no member `{shown}`"));
    match nearest(&shown, ENVELOPE_MEMBERS) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// One value that is no batch.
pub(super) fn single(body: &Bytes) -> Result<Bytes, Problem> {
    json::validate(body).map_err(|error| invalid_json(body, 1, &error))
}

/// The events of a body, in order. Reads no further than one event more than may be: a byte or two
/// of a body make an event, and an event costs more than a hundred bytes of memory.
pub(super) fn texts(format: Format, body: &Bytes) -> Result<Vec<Text>, Problem> {
    match format {
        Format::Json | Format::Envelope => match json::elements(body, EVENTS_MAX) {
            Ok(Elements::Found(found)) => Ok(found.into_iter().map(|(number, json)| Text { number, json }).collect()),
            Ok(Elements::NoArray) => Ok(vec![Text { number: 1, json: single(body)? }]),
            Ok(Elements::TooMany) => Err(too_many()),
            Err(error) => Err(invalid_json(body, 1, &error)),
        },
        Format::Ndjson | Format::EnvelopeNdjson => ndjson(body),
    }
}

fn ndjson(body: &Bytes) -> Result<Vec<Text>, Problem> {
    let mut texts = Vec::new();
    for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if texts.len() == EVENTS_MAX {
            return Err(too_many());
        }
        let json = json::validate(&body.slice_ref(line)).map_err(|error| invalid_json(line, index + 1, &error))?;
        texts.push(Text { number: index + 1, json });
    }
    Ok(texts)
}

fn too_many() -> Problem {
    Problem::new(ErrorCode::TooLarge, format!("a batch has at most {EVENTS_MAX} events"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, body: Vec<u8>) -> Result<Vec<Text>, Problem> {
        texts(format, &Bytes::from(body))
    }

    /// What is broken behind the limit is not reached, so neither is its memory spent.
    #[test]
    fn reading_stops_behind_the_last_event_that_may_be() {
        let array = |count: usize, end: &str| format!("[{}{end}", vec!["1"; count].join(",")).into_bytes();
        assert_eq!(read(Format::Json, array(EVENTS_MAX, "]")).expect("allowed").len(), EVENTS_MAX);
        assert_eq!(
            read(Format::Json, array(EVENTS_MAX + 1, ",broken")).err().map(|p| p.code),
            Some(ErrorCode::TooLarge)
        );
        let lines = |count: usize, end: &str| format!("{}{end}", "1\n\n".repeat(count)).into_bytes();
        assert_eq!(read(Format::Ndjson, lines(EVENTS_MAX, "")).expect("allowed").len(), EVENTS_MAX);
        let more = read(Format::Ndjson, lines(EVENTS_MAX + 1, "broken"));
        assert_eq!(more.err().map(|problem| problem.code), Some(ErrorCode::TooLarge));
        assert!(size_of::<Text>() <= 40);
    }

    #[test]
    fn texts_are_slices_of_the_body() {
        for (format, body) in
            [(Format::Json, "[ {\"a\":1}, 2]"), (Format::Ndjson, " 1 \r\n[2, 3]\r\n"), (Format::Json, " {} ")]
        {
            let body = Bytes::from(body);
            for text in texts(format, &body).expect("read") {
                assert!(body.as_ptr_range().contains(&text.json.as_ptr()), "{:?}", text.json);
            }
        }
    }

    #[test]
    fn an_envelope_has_its_members_and_no_others() {
        let line = |text: &'static str| Line::read(Format::Envelope, Bytes::from_static(text.as_bytes()));
        let problem = line(r#"{"op":"upsert","adress":"a/b","data":1}"#).err().expect("refused");
        assert_eq!(problem.code, ErrorCode::Unprocessable);
        assert!(problem.detail.contains("`adress`") && problem.hint.contains("`address`"), "{problem:?}");
        assert!(line(r#"{"op":"upsert","zzzzzz":1,"data":1}"#).err().expect("refused").hint.contains("\"op\""));
        let read = line(r#"{"\u006fp":"append","data":[1],"data":[2],"key":"k","address":"a/b"}"#)
            .unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(
            (read.op, read.address.as_deref(), read.data.as_ref()),
            (Some(Op::Append), Some("a/b"), &b"[2]"[..])
        );
        assert!(line(r#"{"op":"append"}"#).is_err());
    }
}
