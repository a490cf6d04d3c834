//! Where output goes, and how it looks there.

use std::io::{IsTerminal, stderr, stdout};

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
        _ if color => eprintln!("{} {error:#}", styled(Style::Red, "error:")),
        _ => eprintln!("error: {error:#}"),
    }
}

/// Text from the network, safe to print: control characters would drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
