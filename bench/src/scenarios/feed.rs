//! Bytes on the wire for a feed like that of a market: the same updates of the same server to watchers with different
//! options, all of one transport at the same time.

mod quotes;
mod watcher;

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::SSE;
use crate::place::Missing;
use crate::requests::{ask, once};
use quotes::{ADDRESS, FIELDS, KEYS, Quotes};
use watcher::{Carrier, Counted, Watcher, Way};

/// The best way brings at most this share of the whole values.
const GOAL: f64 = 0.11;
/// A publisher that gets this share of the updates away in their time has kept up.
const KEPT_UP: f64 = 0.95;

pub(super) const FEED: Scenario = Scenario { name: "feed", number: 22, measure };

/// How the updates come.
struct Pace {
    title: &'static str,
    /// Updates of one publish, which are visible at once.
    batch: u32,
    per_second: u32,
}

const BURSTS: Pace = Pace { title: "5,000/s in tens", batch: 10, per_second: 5_000 };
const ALONE: Pace = Pace { title: "1,000/s alone", batch: 1, per_second: 1_000 };

const SSE_PLAIN: Carrier = Carrier::Sse(None);
const GZIP: Carrier = Carrier::Sse(Some("gzip"));
const ZSTD: Carrier = Carrier::Sse(Some("zstd"));
const SOCKET: Carrier = Carrier::WebSocket { deflate: false };
const DEFLATE: Carrier = Carrier::WebSocket { deflate: true };

/// The others of a transport are compared with the first.
const TRANSPORTS: [&[Way]; 2] = [
    &[
        way("SSE, full", SSE_PLAIN, ""),
        way("SSE, fields", SSE_PLAIN, FIELDS),
        way("SSE, patch", SSE_PLAIN, "mode=patch"),
        way("SSE, json-patch", SSE_PLAIN, "mode=json-patch"),
        way("SSE, full, gzip", GZIP, ""),
        way("SSE, full, zstd", ZSTD, ""),
        way("SSE, patch, gzip", GZIP, "mode=patch"),
        way("SSE, patch, zstd", ZSTD, "mode=patch"),
        way("SSE, full, rate=1/s", SSE_PLAIN, "rate=1/s"),
        way("SSE, patch, rate=1/s", SSE_PLAIN, "mode=patch&rate=1/s"),
        way("SSE, full, rate=1/s, zstd", ZSTD, "rate=1/s"),
        way("SSE, patch, rate=1/s, zstd", ZSTD, "mode=patch&rate=1/s"),
    ],
    &[
        way("WebSocket, full", SOCKET, ""),
        way("WebSocket, fields", SOCKET, FIELDS),
        way("WebSocket, patch", SOCKET, "mode=patch"),
        way("WebSocket, full, deflate", DEFLATE, ""),
        way("WebSocket, patch, deflate", DEFLATE, "mode=patch"),
        way("WebSocket, patch, rate=1/s", SOCKET, "mode=patch&rate=1/s"),
        way("WebSocket, patch, rate=1/s, deflate", DEFLATE, "mode=patch&rate=1/s"),
    ],
];

/// A way and what it took.
type Taken = (&'static Way, Counted);

const fn way(title: &'static str, carrier: Carrier, query: &'static str) -> Way {
    Way { title, carrier, query }
}

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let mut findings = Vec::new();
    for pace in [&BURSTS, &ALONE] {
        let mut found = Vec::new();
        for ways in TRANSPORTS {
            let (counted, updates) = watched(bench, ways, pace)?;
            found.extend(compared(pace, &counted, updates)?);
        }
        findings.extend(least(pace, &found));
        findings.extend(found.into_iter().map(|(_, finding)| finding));
    }
    Ok(findings)
}

/// What each way brought of how many updates.
fn watched(bench: &Bench<'_>, ways: &'static [Way], pace: &Pace) -> Result<(Vec<Taken>, u64), Missing> {
    let running = bench.start(&SSE)?;
    let server = running.subject.publish_address();
    let mut quotes = Quotes::new();
    once(server, &post(&quotes.rows()))?;
    let watchers = ways.iter().map(|way| Ok((way, Watcher::open(running.subject.watch_address(), way)?)));
    let watchers = watchers.collect::<Result<Vec<_>, Missing>>()?;
    let updates = publish(server, &mut quotes, pace, bench.options.time())?;
    let counted = watchers.into_iter().map(|(way, watcher)| Ok((way, watcher.end()?)));
    Ok((counted.collect::<Result<_, Missing>>()?, updates))
}

/// Publishes on a schedule, and then the row that ends it; returns the number of updates.
fn publish(server: SocketAddr, quotes: &mut Quotes, pace: &Pace, time: Duration) -> Result<u64, Missing> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    let batches = (time.as_secs() as u32 * pace.per_second / pace.batch).max(1);
    let began = Instant::now();
    for batch in 0..batches {
        let rows: Vec<String> = (0..pace.batch).map(|_| quotes.traded()).collect();
        let due = began + time * batch / batches;
        #[expect(clippy::disallowed_methods, reason = "it is a schedule")]
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        ask(&mut socket, &post(&rows))?;
    }
    if began.elapsed().as_secs_f64() * KEPT_UP > time.as_secs_f64() {
        return Err(Missing(format!("{}: the server did not keep up", pace.title)));
    }
    ask(&mut socket, &post(&[quotes::end()]))?;
    Ok(u64::from(batches) * u64::from(pace.batch))
}

fn post(rows: &[String]) -> String {
    let body = format!("[{}]", rows.join(","));
    let length = body.len();
    format!(
        "POST /v1/{ADDRESS} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Bytes of an update, beside those of the first way.
fn compared(pace: &Pace, counted: &[Taken], updates: u64) -> Result<Vec<(&'static Way, Finding)>, Missing> {
    let each = |counted: &Counted| counted.bytes as f64 / updates as f64;
    let full = counted.first().map(|(_, counted)| each(counted)).unwrap_or_default();
    let mut findings = Vec::new();
    for (way, counted) in counted {
        let rated = way.query.contains("rate=");
        if !rated && counted.frames != updates + 1 {
            return Err(Missing(format!("{}: {} of {updates} updates came", way.title, counted.frames)));
        }
        let bytes = each(counted);
        let title = format!("a feed, {}, {}: bytes an update", pace.title, way.title);
        let note = format!(
            "{:.1} % of full; {} frames of {:.0} B; before them {} B for {KEYS} rows",
            100.0 * bytes / full,
            counted.frames,
            counted.bytes as f64 / counted.frames as f64,
            counted.snapshot_bytes
        );
        let finding = Finding::new(22, title, Unit::Bytes, bytes, Goal::Quoted).beside("full", full);
        findings.push((*way, finding.note(note)));
    }
    Ok(findings)
}

/// The one that brings the smallest share.
fn least(pace: &Pace, found: &[(&'static Way, Finding)]) -> Option<Finding> {
    let ratio = |finding: &Finding| finding.ratio().unwrap_or(f64::INFINITY);
    let (way, least) = found.iter().min_by(|(_, one), (_, other)| ratio(one).total_cmp(&ratio(other)))?;
    let title = format!("a feed, {}, the least: bytes an update", pace.title);
    Some(Finding { title, goal: Goal::TimesAtMost(GOAL), note: way.title.to_owned(), ..least.clone() })
}
