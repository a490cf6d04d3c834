//! What filters cost: the CPU time of an event with none, one, a thousand and a hundred thousand of them installed,
//! and what who has none notices of a hundred thousand.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_bench::{Acknowledged, Error, Options as Wanted, Pace, Scenario as What, Step, Subject, Target};

use super::{Bench, Scenario};
use crate::findings::{Finding, Goal, Unit};
use crate::peers::{Running, SSE};
use crate::place::Missing;
use crate::subject::{channel_name, frame, upgrade};

/// What one WebSocket of many watches may have.
const WATCHES_OF_ONE: u32 = 1_000;
const MANY: u32 = 100_000;
/// Fifty thousand deliveries a second.
const WATCHERS: u32 = 1_000;
const PACE: Pace = Pace::PerSecond(50.0);
/// Installing a watch takes the server some 50 microseconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const FILTERS: Scenario = Scenario { name: "filters", number: 21, measure };

fn measure(bench: &Bench<'_>) -> Result<Vec<Finding>, Missing> {
    let mut findings = Vec::new();
    let none = cost(bench, 0, indexed)?;
    for (count, filter, what) in [
        (1, indexed as fn(u32) -> String, "1 filter `data.symbol == …`"),
        (1_000, indexed, "1,000 of them"),
        (MANY, indexed, "100,000 of them"),
        (1_000, evaluated, "1,000 filters `data.n > …`"),
    ] {
        let cost = cost(bench, count, filter)?;
        let title = format!("{what}: CPU an event of their address");
        let finding = Finding::new(21, title, Unit::Us, cost, Goal::Quoted).beside("no filters", none);
        findings.push(finding.note(format!("{:.0} ns more", (cost - none) * 1e3)));
    }
    let without = p99(bench, 0)?;
    let with = p99(bench, MANY)?;
    let title = "50,000/s to 1,000 without a filter, beside 100,000 watches with one: p99";
    findings.push(Finding::new(21, title, Unit::Ms, with, Goal::TimesAtMost(1.3)).beside("without them", without));
    Ok(findings)
}

fn indexed(number: u32) -> String {
    format!(r#"data.symbol == \"S{number}\""#)
}

/// Passes nothing: each has to be evaluated to know.
fn evaluated(number: u32) -> String {
    format!("data.n > {number}")
}

/// CPU time of an event, in microseconds, as fast as eight publish.
fn cost(bench: &Bench<'_>, count: u32, filter: fn(u32) -> String) -> Result<f64, Missing> {
    loaded(bench, count, filter, 1, Pace::Fastest).map(|(cost, _)| cost)
}

fn p99(bench: &Bench<'_>, count: u32) -> Result<f64, Missing> {
    loaded(bench, count, indexed, WATCHERS, PACE).map(|(_, p99)| p99)
}

/// CPU time of an event, in microseconds, and its p99 in milliseconds.
fn loaded(
    bench: &Bench<'_>,
    count: u32,
    filter: fn(u32) -> String,
    watchers: u32,
    pace: Pace,
) -> Result<(f64, f64), Missing> {
    let running = bench.start(&SSE)?;
    let _filtered = Filtered::install(&running, count, filter)?;
    let wanted = bench.wanted(&running);
    let tagged = Tagged { server: running.subject.clone(), symbols: count.max(1), next: AtomicU32::new(0) };
    let target = Target { foreign: Some(Arc::new(tagged)), ..wanted.target };
    let report = bench.report(What::Fanout, &running, &Wanted { target, watchers, pace, ..wanted })?;
    let cost = report.server.as_ref().and_then(|server| server.cpu_us_per_event);
    let cost = cost.ok_or_else(|| Missing("published nothing".to_owned()))?;
    Ok((cost, report.latency.p99_us as f64 / 1e3))
}

/// Publishes events with the members that filters look at, each symbol in its turn.
#[derive(Debug)]
struct Tagged {
    server: Arc<dyn Subject>,
    symbols: u32,
    next: AtomicU32,
}

impl Subject for Tagged {
    fn watch_address(&self) -> SocketAddr {
        self.server.watch_address()
    }

    fn watch(&self, number: u32, watcher: u32) -> Vec<Step> {
        self.server.watch(number, watcher)
    }

    fn publish_address(&self) -> SocketAddr {
        self.server.publish_address()
    }

    fn publish(&self, number: u32, event: &[u8], out: &mut Vec<u8>) {
        let symbol = self.next.fetch_add(1, Ordering::Relaxed) % self.symbols;
        let mut tagged = format!(r#"{{"symbol":"S{symbol}","n":0,"event":"#).into_bytes();
        tagged.extend_from_slice(event);
        tagged.push(b'}');
        self.server.publish(number, &tagged, out);
    }

    fn acknowledged(&self, answer: &[u8]) -> Result<Option<Acknowledged>, Error> {
        self.server.acknowledged(answer)
    }
}

/// Watches with a filter each, a thousand on a socket, which is read by a thread of its own until this is dropped.
struct Filtered {
    sockets: Vec<TcpStream>,
    readers: Vec<JoinHandle<()>>,
}

impl Filtered {
    fn install(running: &Running, count: u32, filter: fn(u32) -> String) -> Result<Filtered, Missing> {
        let address = running.subject.watch_address();
        let firsts = (0..count).step_by(WATCHES_OF_ONE as usize);
        let sockets = firsts.map(|first| socket(address, first..count.min(first + WATCHES_OF_ONE), filter));
        let sockets = sockets.collect::<std::io::Result<Vec<TcpStream>>>()?;
        let mut readers = Vec::new();
        for socket in &sockets {
            let mut socket = socket.try_clone()?;
            readers.push(std::thread::spawn(move || {
                let mut buffer = vec![0; 64 * 1024];
                while matches!(socket.read(&mut buffer), Ok(1..)) {}
            }));
        }
        Ok(Filtered { sockets, readers })
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        for socket in &self.sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// A WebSocket on which all these watches have begun.
fn socket(address: SocketAddr, numbers: std::ops::Range<u32>, filter: fn(u32) -> String) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&upgrade("/v1/_ws"))?;
    hear(&mut socket, b"\r\n\r\n")?;
    let (place, last) = (channel_name(0), numbers.end - 1);
    for number in numbers {
        let filter = filter(number);
        let watch = format!(r#"{{"do":"watch","ref":{number},"address":"live/{place}","filter":"{filter}"}}"#);
        socket.write_all(&frame(&watch))?;
        if number % 64 == 0 || number == last {
            // Not too much ahead of the answers.
            hear(&mut socket, format!(r#""op":"done","ref":{number},"#).as_bytes())?;
        }
    }
    socket.set_read_timeout(None)?;
    Ok(socket)
}

/// Reads until this has come.
fn hear(socket: &mut TcpStream, wanted: &[u8]) -> std::io::Result<()> {
    let (mut heard, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let bytes = socket.read(&mut buffer)?;
        if bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        heard.extend_from_slice(&buffer[..bytes]);
        if heard.windows(wanted.len()).any(|window| window == wanted) {
            return Ok(());
        }
        let kept = heard.len().saturating_sub(wanted.len());
        heard.drain(..kept);
    }
}
