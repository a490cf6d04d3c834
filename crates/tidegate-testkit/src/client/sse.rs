//! Server-sent events: the parser of the WHATWG standard, and frames out of its events.

use serde_json::Value;

/// An event as `EventSource` would dispatch it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event:` field; empty means `message`.
    pub name: String,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
    /// The last event ID at this event.
    pub id: String,
}

/// Bytes in, events out; an event whose blank line did not come is never seen.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    event: Event,
    has_data: bool,
    id: String,
    /// The last `retry:` seen, in milliseconds.
    pub retry_ms: Option<u64>,
    /// Lines that were comments.
    pub comments: u64,
}

impl Parser {
    /// Takes bytes as they come, cut anywhere.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) {
        for &byte in bytes {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.line_end(&line, out);
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
    }

    fn line_end(&mut self, line: &[u8], out: &mut Vec<Event>) {
        let text = String::from_utf8_lossy(line);
        let mut text = text.as_ref();
        if !self.begun {
            text = text.strip_prefix('\u{feff}').unwrap_or(text);
            self.begun = true;
        }
        if text.is_empty() {
            return self.dispatch(out);
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => self.comments += 1,
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = value.to_owned(),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms)
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, out: &mut Vec<Event>) {
        let mut event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            event.id = self.id.clone();
            out.push(event);
        }
    }
}

/// The frame that an event carries.
///
/// # Errors
/// When the event's name or id contradicts the frame: data frames have no name, control frames
/// are named by their `op`, and the id is the frame's cursor.
pub fn frame(event: &Event) -> Result<Value, String> {
    let frame: Value = serde_json::from_str(&event.data).map_err(|error| format!("{error}: {event:?}"))?;
    let op = frame["op"].as_str().unwrap_or_default();
    let data = matches!(op, "snapshot" | "upsert" | "delete" | "append" | "clear");
    if event.name != if data { "" } else { op } {
        return Err(format!("an event named `{}` carries `{op}`", event.name));
    }
    match frame.get("cursor") {
        Some(cursor) if *cursor != event.id.as_str() => Err(format!("the id is not the cursor: {event:?}")),
        _ => Ok(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bytes: &[u8]) -> (Vec<Event>, Parser) {
        let (mut parser, mut out) = (Parser::default(), Vec::new());
        parser.push(bytes, &mut out);
        (out, parser)
    }

    #[test]
    fn fields_lines_and_ends_are_read_as_the_standard_says() {
        let text = "\u{feff}: hello\r\nid: 7\ndata: a\rdata:b\ndata\n\nevent: x\nretry: 12\ndata: c\r\n\r\nid: 8\n\ndata: lost";
        let (found, parser) = events(text.as_bytes());
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into(), id: "7".into() };
        assert_eq!(found, [event("", "a\nb\n"), event("x", "c")]);
        assert_eq!((parser.retry_ms, parser.comments), (Some(12), 1));
    }

    #[test]
    fn a_cut_between_any_two_bytes_changes_nothing() {
        let text = "id: 1\r\ndata: é\r\n\r\n:x\n\ndata: 2\n\n".as_bytes();
        let whole = events(text).0;
        for cut in 0..=text.len() {
            let (mut parser, mut out) = (Parser::default(), Vec::new());
            parser.push(&text[..cut], &mut out);
            parser.push(&text[cut..], &mut out);
            assert_eq!(out, whole);
        }
    }

    #[test]
    fn an_event_that_contradicts_its_frame_is_told() {
        let event = |name: &str, id: &str| Event {
            name: name.into(),
            data: r#"{"op":"upsert","cursor":"c"}"#.into(),
            id: id.into(),
        };
        assert!(frame(&event("", "c")).is_ok());
        assert!(frame(&event("upsert", "c")).is_err());
        assert!(frame(&event("", "d")).is_err());
    }
}
