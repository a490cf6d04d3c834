//! A load generator that costs little beside the server it loads: one thread and one epoll for
//! all its connections, so that on two cores the other one belongs to the server.
//!
//! Payloads carry the time at which they were sent and one `~`, which no frame has elsewhere:
//! counting frames is counting that byte.

mod publishers;
mod watchers;

pub use publishers::{Published, publish_at_rate, publish_in_flight};
pub use watchers::{Seen, Watchers};

use std::time::{SystemTime, UNIX_EPOCH};

/// The byte that each event has once.
pub const MARK: u8 = b'~';

/// Microseconds since 1970, the same clock for sender and receiver on one machine.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// An event of `bytes` bytes (at least 48) that carries the time and the mark.
pub fn event(bytes: usize) -> String {
    let head = format!("{{\"us\":{},\"mark\":\"~\",\"pad\":\"", now_us());
    let pad = bytes.saturating_sub(head.len() + 2);
    format!("{head}{}\"}}", "x".repeat(pad))
}

/// A request that publishes `body` to `path`.
pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The value below which the share `quantile` of sorted values lies.
pub fn quantile(sorted: &[u64], quantile: f64) -> u64 {
    let at = ((sorted.len() as f64) * quantile).ceil() as usize;
    sorted.get(at.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
