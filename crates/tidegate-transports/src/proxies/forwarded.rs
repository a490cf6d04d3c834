//! `Forwarded` (RFC 7239) and `X-Forwarded-For`: the hops of a request, the nearest last.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::ForwardedBy;

/// A hop whose address cannot be read is `None`. Headers on several lines are one list.
pub(super) fn hops(header: ForwardedBy, headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    let name = match header {
        ForwardedBy::Forwarded => "forwarded",
        ForwardedBy::XForwardedFor => "x-forwarded-for",
    };
    let lines = headers.get_all(name).iter().map(|line| line.to_str().ok());
    lines.flat_map(|line| line.map_or(vec![None], |line| elements(header, line))).collect()
}

fn elements(header: ForwardedBy, line: &str) -> Vec<Option<SocketAddr>> {
    match header {
        ForwardedBy::XForwardedFor => line.split(',').map(|hop| address(hop.trim())).collect(),
        ForwardedBy::Forwarded => {
            split(line, ',').map_or(vec![None], |all| all.into_iter().map(forwarded_for).collect())
        }
    }
}

/// The `for` of one element; two of them would let two readers disagree.
fn forwarded_for(element: &str) -> Option<SocketAddr> {
    let pairs = split(element, ';')?;
    let mut named = pairs.iter().filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let value = named.next().filter(|_| named.next().is_none())?;
    match value.strip_prefix('"') {
        None => address(value),
        Some(rest) => address(rest.strip_suffix('"')?),
    }
}

/// Splits where no quotes are; `None` if they are not closed. No address has an escape in it.
fn split(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut quoted) = (Vec::new(), 0, false);
    for (place, one) in text.char_indices() {
        match one {
            '\\' => return None,
            '"' => quoted = !quoted,
            _ if one == at && !quoted => {
                parts.push(&text[from..place]);
                from = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    (!quoted).then_some(parts)
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0));
    alone.or_else(|_| text.parse()).ok()
}
