//! Texts of the config into values: durations, sizes, counts, listeners, names.

use std::net::SocketAddr;
use std::time::Duration;

/// Why a text is no such value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// Under the text.
    pub(super) label: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl Complaint {
    pub(super) fn new(label: impl Into<String>) -> Complaint {
        Complaint { label: label.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Complaint {
        Complaint { help: Some(help.into()), ..self }
    }
}

/// `7d`, `1h 30m`, `15s`.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let example = "write a number with a unit, such as `15s`, `10m`, `12h` or `7d`";
    if text.parse::<f64>().is_ok() {
        return Err(Complaint::new("a duration needs a unit").help(example));
    }
    let duration = humantime::parse_duration(text).map_err(|_| Complaint::new("no duration").help(example))?;
    if duration.is_zero() { Err(Complaint::new("this is no time at all").help(example)) } else { Ok(duration) }
}

/// `64MiB`, `2 GB`, or a plain number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, Complaint> {
    let units: [(&str, u64); 11] = [
        ("", 1),
        ("B", 1),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    number(text, &units).ok_or_else(|| {
        Complaint::new("no size").help("write a whole number with a unit, such as `64KiB`, `128MiB` or `2GiB`")
    })
}

/// `500`, `10k`, `1M`.
pub(super) fn count(text: &str) -> Result<u64, Complaint> {
    number(text, &[("", 1), ("k", 1_000), ("M", 1_000_000)])
        .ok_or_else(|| Complaint::new("no count").help("write a whole number, such as `500`, `10k` or `1M`"))
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, Complaint> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Complaint::new("neither true nor false").help("write `true` or `false`, or leave the line out")),
    }
}

/// An address and a port to listen on.
pub(super) fn listener(text: &str) -> Result<SocketAddr, Complaint> {
    text.parse().map_err(|_| {
        Complaint::new("no address with a port")
            .help("write an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`; port 0 picks a free one")
    })
}

/// A host name as a browser sends it, without scheme and port.
pub(super) fn host(text: &str) -> Result<String, Complaint> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if good {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Complaint::new("no host name").help("write the bare name, such as `live.example.org`, without scheme and port"))
}

/// The origin of a page: scheme, name and perhaps a port.
pub(super) fn origin(text: &str) -> Result<String, Complaint> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| {
        let (name, port) = rest.split_once(':').unwrap_or((rest, "443"));
        host(name).is_ok() && port.parse::<u16>().is_ok()
    });
    if good {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Complaint::new("no origin").help("write scheme and name and nothing behind, such as `https://app.example.org`"))
}

/// The name of a channel or a source.
pub(super) fn name(text: &str) -> Result<(), Complaint> {
    let good = text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if good {
        return Ok(());
    }
    Err(Complaint::new("no name").help("a name has letters, digits, `-` and `_`, first a letter, at most 64"))
}

/// The value, if it lies in the range; `low` and `high` are its ends as people write them.
pub(super) fn ranged<T: PartialOrd>(
    value: T,
    range: std::ops::RangeInclusive<T>,
    low: &str,
    high: &str,
) -> Result<T, Complaint> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Complaint::new(format!("out of range: {low} to {high}")))
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("2 GB"), Ok(2_000_000_000));
        for bad in ["", "MiB", "1.5GiB", "-1", "1mib", "99999999TiB", "1 0"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(count("1M"), Ok(1_000_000));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("15").expect_err("unit").label, "a duration needs a unit");
        assert!(duration("0s").is_err());
        assert!(duration("soon").is_err());
    }

    #[test]
    fn origins_are_bare() {
        assert!(origin("https://App.example.org:8443").is_ok_and(|origin| origin == "https://app.example.org:8443"));
        for bad in ["app.example.org", "https://app.example.org/", "https://a:b", "ftp://a"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
