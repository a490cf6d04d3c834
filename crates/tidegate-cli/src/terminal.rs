//! Where output goes, and how it looks there.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

use tidegate_server::config::ConfigError;

/// A style of the terminal, or none in a pipe.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Dim,
    Bold,
    Green,
    Red,
    Yellow,
    Cyan,
}

/// Whether stdout is a terminal.
pub(crate) fn out_is_terminal() -> bool {
    stdout().is_terminal()
}

/// Whether stdout is a terminal that wants colours; <https://no-color.org>.
pub(crate) fn out_has_color() -> bool {
    out_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a line. Nobody has to read it: `| head` is no failure.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// `text` in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    let code = match style {
        Style::Dim => 2,
        Style::Bold => 1,
        Style::Green => 32,
        Style::Red => 31,
        Style::Yellow => 33,
        Style::Cyan => 36,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Shows why something did not work. A config's mistakes speak for themselves.
pub(crate) fn complain(error: &anyhow::Error) {
    let color = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match error.downcast_ref::<ConfigError>() {
        Some(ConfigError::Mistakes(report)) => eprint!("{}", report.render(color)),
        _ if color => eprintln!("{} {}", styled(Style::Red, "error:"), story(error)),
        _ => eprintln!("error: {}", story(error)),
    }
}

/// The error and its causes, each once: many tell their cause in their own words already.
fn story(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(&format!("{separator}{cause}"));
        }
    }
    text
}

/// Text from the network, safe to print: control characters would drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow::anyhow!("the disk is full").context("no log: the disk is full").context("cannot start");
        assert_eq!(story(&error), "cannot start: no log: the disk is full");
    }
}
