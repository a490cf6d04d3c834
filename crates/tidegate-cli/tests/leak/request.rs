//! What clients ask for: each transport, at an address where something is published, was published,
//! or never is.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;
use tidegate_testkit::http2;

use crate::gate::{Gate, HOT, PAST, QUIET};

/// Of addresses that nobody else watches.
const NAMES: u32 = u32::MAX;
/// Watches on one WebSocket, and streams of one connection of HTTP/2, at most.
const WATCHES_MAX: u32 = 5;
/// A stream of HTTP/2 takes no more without being given more (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;
/// What one reads before it is cut: less than there was published before.
const READ_MAX: usize = 512 * 1024;

/// Every way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Sse,
    Ndjson,
    WebSocket,
    Deflated,
    Many,
    Poll,
    Http2,
}

impl Way {
    pub(crate) const ALL: [Way; 7] =
        [Way::Sse, Way::Ndjson, Way::WebSocket, Way::Deflated, Way::Many, Way::Poll, Way::Http2];
}

/// The bytes that a client writes, and what it will see.
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// The watch has begun when this has come.
    pub(crate) begins: &'static [u8],
    /// So much comes without further asking; less where little is published.
    pub(crate) comes_bytes: usize,
}

impl Request {
    pub(crate) fn random(way: Way, gate: &Gate, random: &mut StdRng) -> Request {
        let place = place(random);
        let comes_bytes = if place.starts_with(PAST) { READ_MAX } else { 0 };
        let watch = |bytes: String| Request { bytes: bytes.into_bytes(), begins: BEGIN, comes_bytes };
        match way {
            Way::Sse => watch(get(&place, "accept: text/event-stream\r\n")),
            Way::Ndjson => watch(get(&place, "accept: application/x-ndjson\r\n")),
            Way::WebSocket => watch(get(&place, UPGRADE)),
            Way::Deflated => {
                let offer = format!("{UPGRADE}sec-websocket-extensions: permessage-deflate\r\n");
                Request { begins: HEAD, ..watch(get(&place, &offer)) }
            }
            Way::Many => {
                let mut bytes = get("/v1/_ws", UPGRADE).into_bytes();
                for reference in 0..random.random_range(1..=WATCHES_MAX) {
                    bytes.extend(message(reference, random));
                }
                Request { bytes, begins: BEGIN, comes_bytes: 0 }
            }
            Way::Poll => {
                let (path, cursor) = if random.random() { (HOT, &gate.hot) } else { (QUIET, &gate.quiet) };
                let bytes = get(&format!("{path}?after={cursor}&wait=60s"), "").into_bytes();
                Request { bytes, begins: HEAD, comes_bytes: 0 }
            }
            Way::Http2 => over_http2(place, comes_bytes.min(WINDOW), random),
        }
    }
}

const BEGIN: &[u8] = br#""op":"begin""#;
const HEAD: &[u8] = b"\r\n\r\n";
const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn place(random: &mut StdRng) -> String {
    match random.random_range(0..4) {
        0 => format!("{HOT}?from=now"),
        1 => format!("{HOT}?chain=true"),
        2 => format!("{PAST}?from=start"),
        _ => format!("/v1/load/{}", random.random_range(0..NAMES)),
    }
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n")
}

/// A masked text frame (the mask is zero) that asks for a watch.
fn message(reference: u32, random: &mut StdRng) -> Vec<u8> {
    let names = ["load/hot".to_owned(), format!("load/{}", random.random_range(0..NAMES)), "past/all".to_owned()];
    let name = names.choose(random).expect("one");
    let text = json!({ "do": "watch", "ref": reference, "address": name }).to_string();
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

fn over_http2(mut path: String, comes_bytes: usize, random: &mut StdRng) -> Request {
    // One in four gives no room for the answer's body.
    let stuck = random.random_ratio(1, 4);
    let settings = if stuck { &[(http2::INITIAL_WINDOW_SIZE, 0)][..] } else { &[] };
    let mut bytes = http2::opening(settings);
    for stream in 0..random.random_range(1..=WATCHES_MAX) {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", &path),
            ("accept", "application/x-ndjson"),
        ];
        bytes.extend(http2::request(2 * stream + 1, &fields));
        path = place(random);
    }
    let (begins, comes_bytes) = if stuck { (&b""[..], 0) } else { (BEGIN, comes_bytes) };
    Request { bytes, begins, comes_bytes }
}
