//! Frames on stdout: for people on a terminal, as they came in a pipe.

use std::io::{self, BufWriter, Stdout, Write};

use anyhow::Result;

use super::frames::{Frame, Told};
use crate::terminal::{Style, out_has_color, out_is_terminal, printable, styled};

/// Data longer than this is cut on a terminal.
const DATA_CHARS_SHOWN: usize = 400;

pub(super) struct Printer {
    out: BufWriter<Stdout>,
    json: bool,
    color: bool,
    /// Nobody reads any more.
    closed: bool,
}

impl Printer {
    /// `json`: write frames as they came, also on a terminal.
    pub(super) fn new(json: bool) -> Printer {
        let json = json || !out_is_terminal();
        Printer { out: BufWriter::new(io::stdout()), json, color: !json && out_has_color(), closed: false }
    }

    pub(super) fn frame(&mut self, frame: &Frame, line: &[u8]) {
        let written = if self.json {
            self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"))
        } else {
            match self.pretty(frame) {
                Some(text) => writeln!(self.out, "{text}"),
                None => Ok(()),
            }
        };
        self.closed |= written.is_err();
    }

    /// Writes out what was printed; `false` if nobody reads any more, as `| head` does.
    pub(super) fn flush(&mut self) -> Result<bool> {
        match self.out.flush() {
            Ok(()) => Ok(!self.closed),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the command itself has to say; it never mixes with frames.
    pub(super) fn aside(&mut self, text: &str) {
        // If stdout is gone, the next flush finds out.
        let _ = self.out.flush();
        eprintln!("{}", printable(text));
    }

    fn pretty(&self, frame: &Frame) -> Option<String> {
        let text = |name: &str| printable(frame.text(name).unwrap_or_default());
        let line = match frame.op() {
            "bookmark" | "begin" => return None,
            "reset" => self.paint(Style::Dim, &format!("reset ({})", text("reason"))),
            "snapshot" if frame.is_last() => self.paint(Style::Dim, &format!("{} rows; live from here", frame.count())),
            "gap" if frame.text("reason") == Some("source") => self.paint(
                Style::Yellow,
                "gap (source): changes before are lost at the source; what can be found again follows",
            ),
            "gap" => self.paint(Style::Yellow, &format!("gap ({}): records before are no longer held", text("reason"))),
            "notice" => self.paint(Style::Yellow, &format!("notice {}: {}", text("code"), text("message"))),
            "close" => self.paint(Style::Yellow, &format!("close {}: {}", text("code"), text("message"))),
            op => {
                let style = match op {
                    "delete" | "clear" => Style::Red,
                    "snapshot" => Style::Dim,
                    _ => Style::Green,
                };
                let key = frame.text("key").map(|key| format!(" {}", self.paint(Style::Bold, &printable(key))));
                let op = if matches!(frame.told(), Some(Told::Patch(_))) { "patch" } else { op };
                let told = match frame.told() {
                    Some(Told::Data(text) | Told::Patch(text)) => short(text),
                    None => String::new(),
                };
                let conflated = match frame.conflated() {
                    1 => String::new(),
                    count => self.paint(Style::Dim, &format!(" ({count} changes)")),
                };
                format!(
                    "{} {} {}{} {told}{conflated}",
                    self.paint(Style::Dim, &clock(&text("time"))),
                    self.paint(style, &format!("{op:8}")),
                    self.paint(Style::Cyan, &text("address")),
                    key.unwrap_or_default(),
                )
            }
        };
        Some(line)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.color { styled(style, text) } else { text.to_owned() }
    }
}

/// `2026-11-21T21:08:13.123Z` as `21:08:13.123`.
fn clock(time: &str) -> String {
    time.split('T').nth(1).unwrap_or(time).trim_end_matches('Z').to_owned()
}

fn short(data: &str) -> String {
    let data = printable(data);
    if data.chars().count() <= DATA_CHARS_SHOWN {
        return data;
    }
    data.chars().take(DATA_CHARS_SHOWN).chain(['…']).collect()
}
