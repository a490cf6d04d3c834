//! A small ceiling of memory, and more than it can hold: watchers who do not read, each of a view of
//! its own, and a flood. The process stays below the ceiling and what it takes by itself; new watches
//! are refused with a time to come back; nobody is cut, and nobody misses anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;

/// The smallest that there is.
const CEILING: usize = 16 * 1024 * 1024;
/// What the process takes beside it: code, the log's caches, tasks and what the allocator keeps.
const BASE: usize = 128 * 1024 * 1024;
const ADDRESSES: usize = 128;
/// More than the kernel's buffers of a socket take, and a piece of the log.
const EVENTS: usize = 1_000;
const EVENT_BYTES: usize = 512;
/// Events of one publish.
const BATCH: usize = 100;
/// Each a view's bytes of their own.
const WIRES: [&str; 4] = ["as=sse", "as=ndjson", "as=sse&chain=true", "as=ndjson&chain=true"];
/// So many are refused, then no more come.
const REFUSED: usize = 8;
/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watcher {
    path: String,
    socket: TcpStream,
    heard: Vec<u8>,
    /// The number of the event that comes next.
    next: usize,
}

/// What a client was told instead of being let in.
struct Refused {
    retry: Duration,
}

impl Watcher {
    /// Reads what begins the stream, and then nothing.
    fn enter(server: &Server, path: String) -> Result<Watcher, (String, Refused)> {
        let mut socket = TcpStream::connect(server.address()).expect("connect");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        socket.write_all(head.as_bytes()).expect("write");
        let mut watcher = Watcher { path, socket, heard: Vec::new(), next: 0 };
        loop {
            watcher.more();
            let text = String::from_utf8_lossy(&watcher.heard);
            if text.contains("\"op\":\"begin\"") {
                return Ok(watcher);
            }
            let after = |name: &str| {
                let (_, rest) = text.split_once(name)?;
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
            };
            // EventSource comes back only after a 200.
            let retry = match watcher.path.contains("sse") {
                true if text.contains("event: close") && text.ends_with("\n\n") => after("retry: "),
                false if text.contains("HTTP/1.1 429") && text.ends_with('}') => after("\"retry_ms\":"),
                _ => continue,
            };
            assert!(text.contains("rate-limited"), "{text}");
            let retry = Duration::from_millis(retry.expect("when to come back"));
            return Err((watcher.path, Refused { retry }));
        }
    }

    fn more(&mut self) {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer).expect("the server goes on") {
            0 => panic!("{} was cut after event {}", self.path, self.next),
            bytes => self.heard.extend_from_slice(&buffer[..bytes]),
        }
    }

    /// Reads until the event with this number has come; each comes once, in order.
    fn read_to(&mut self, last: usize) {
        while self.next <= last {
            let Some(end) = self.heard.iter().rposition(|byte| *byte == b'\n') else {
                self.more();
                continue;
            };
            let whole: Vec<u8> = self.heard.drain(..=end).collect();
            for frame in String::from_utf8(whole).expect("text").split("{\"n\":").skip(1) {
                let number = frame.split(',').next().and_then(|number| number.parse().ok());
                assert_eq!(number, Some(self.next), "{}", self.path);
                self.next += 1;
            }
            if self.next <= last {
                self.more();
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a client that was refused comes back after the time that it was told")]
fn come_back_after(time: Duration) {
    std::thread::sleep(time);
}

fn publish(server: &Server, from: usize, count: usize) {
    for address in 0..ADDRESSES {
        for first in (from..from + count).step_by(BATCH) {
            let event = |number| format!("{{\"n\":{number},\"pad\":\"{}\"}}\n", "x".repeat(EVENT_BYTES));
            let body: String = (first..first + BATCH).map(event).collect();
            let kind = [("content-type", "application/x-ndjson")];
            let answer = Raw::to(server).send("POST", &format!("/v1/load/{address}"), &kind, &body);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = Raw::admin(server).get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a metric");
    line.trim().parse().expect("a figure")
}

/// What the process has in memory.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().strip_suffix(" kB").expect("kB").parse::<usize>().expect("a number") * 1024
}

fn check(server: &Server, when: &str) {
    let used: Vec<(&str, usize)> = ["rings", "blocks", "outputs", "bodies", "watches"]
        .into_iter()
        .map(|what| (what, metric(server, &format!("tidegate_memory_bytes{{use=\"{what}\"}}")) as usize / 1024))
        .collect();
    println!("{when}: {} MiB resident, KiB by use: {used:?}", resident(server) / 1024 / 1024);
    assert!(resident(server) < CEILING + BASE, "{} bytes {when}", resident(server));
}

fn shed(server: &Server, step: &str) -> f64 {
    metric(server, &format!("tidegate_memory_shed_total{{step=\"{step}\"}}"))
}

#[test]
fn a_small_ceiling_holds_and_nobody_loses_anything() {
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        "memory: { max: 16MiB }\nlog: { path: ./data, journal_bytes: 1MiB }\nchannels:\n  load:\n    \
         address: load/{name}\n    access: { read: \"true\", publish: \"true\" }\n",
    );
    publish(&server, 0, EVENTS);
    check(&server, "with a history");

    let (mut watchers, mut refused) = (Vec::new(), Vec::new());
    let paths = (0..ADDRESSES).flat_map(|address| WIRES.map(|wire| format!("/v1/load/{address}?from=start&{wire}")));
    for path in paths {
        match Watcher::enter(&server, path) {
            Ok(watcher) => watchers.push(watcher),
            Err(refusal) => refused.push(refusal),
        }
        if refused.len() == REFUSED {
            break;
        }
    }
    check(&server, "with watchers who do not read");
    println!("{} watchers, {} refused", watchers.len(), refused.len());
    assert_eq!(refused.len(), REFUSED, "{} watchers were let in", watchers.len());
    assert!(shed(&server, "watches") >= REFUSED as f64);

    // A large body waits for memory, for a while, and is then told to come back.
    let large = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| Raw::to(&server).publish("/v1/load/large", &format!("\"{}\"", "x".repeat(100_000))));
        publish(&server, EVENTS, BATCH);
        check(&server, "after a flood");
        waiting.join().expect("an answer")
    });
    assert_eq!((large.status, &large.json()["code"]), (429, &"rate-limited".into()), "{}", large.text());
    assert!(large.header("retry-after").is_some() && shed(&server, "bodies") > 0.0);

    let mut last = EVENTS + BATCH - 1;
    watchers.iter_mut().for_each(|watcher| watcher.read_to(last));
    for (mut path, mut why) in refused {
        let mut watcher = loop {
            come_back_after(why.retry);
            match Watcher::enter(&server, path) {
                Ok(watcher) => break watcher,
                Err(refusal) => (path, why) = refusal,
            }
        };
        watcher.read_to(last);
        watchers.push(watcher);
    }
    check(&server, "when all have read");

    // All are live; a flood that they do not read at first fills their rings.
    publish(&server, last + 1, 5 * BATCH);
    last += 5 * BATCH;
    check(&server, "after a flood to live watchers");
    watchers.iter_mut().for_each(|watcher| watcher.read_to(last));
    check(&server, "at the end");
    for step in ["blocks", "rings", "bodies", "watches", "laggards"] {
        println!("{step}: {} times", shed(&server, step));
    }
    assert!(shed(&server, "rings") > 0.0);
    assert_eq!(metric(&server, "tidegate_watches_too_far_behind_total"), 0.0, "nobody was cut");
}
