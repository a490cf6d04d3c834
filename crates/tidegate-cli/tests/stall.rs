//! A stalled reader costs nothing: of 100 watchers at 500 events/s one stops reading, and the
//! others, the server's memory, and in the end the stalled one itself, do not notice.
//!
//! The figures are printed; what is asserted is only what does not depend on the machine's mood:
//! memory, and that nobody misses anything. `TIDEGATE_STALL_SECONDS` makes it long.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use tidegate_testkit::load::{MARK, Published, Seen, Watchers, publish_at_rate, quantile};
use tidegate_testkit::process::Server;

const PATH: &str = "/v1/load/hot";
const EVENT_BYTES: usize = 512;
const PER_SECOND: u32 = 500;
const OTHERS: usize = 99;
/// Several drains.
const WARM: Duration = Duration::from_secs(10);
/// What one stalled reader may cost, beyond the noise of the same run without it.
const GROWTH_MAX: i64 = 2 * 1024 * 1024;

fn server() -> Server {
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        // Drains keep the log's own memory small and the same in both runs.
        "log: { path: ./data, journal_bytes: 1MiB }\nchannels:\n  load:\n    address: load/{name}\n    access: { read: \"true\", publish: \"true\" }\n",
    )
}

struct Run {
    published: Published,
    seen: Seen,
    growth: i64,
}

/// Publishes for `time` to the others, and runs `beside` before the others are let go.
fn run(server: &Server, time: Duration, beside: impl FnOnce(&Published)) -> Run {
    let watchers = Watchers::connect(server.address(), PATH, OTHERS).expect("watchers");
    // The rings, the hot records, the caches and the allocator's arenas fill first.
    let warm = publish_at_rate(server.address(), PATH, EVENT_BYTES, PER_SECOND, WARM).expect("publish");
    let before = server.pss_bytes() as i64;
    let mut published = publish_at_rate(server.address(), PATH, EVENT_BYTES, PER_SECOND, time).expect("publish");
    let growth = server.pss_bytes() as i64 - before;
    published.events += warm.events;
    watchers.wait_for(published.events * OTHERS as u64);
    beside(&published);
    let seen = watchers.stop().expect("watchers");
    assert_eq!(seen.ended, 0, "no watcher was cut");
    assert!(seen.events.iter().all(|events| *events == published.events), "a watcher missed or doubled something");
    Run { published, seen, growth }
}

#[test]
fn a_stalled_reader_costs_the_others_nothing() {
    let seconds = std::env::var("TIDEGATE_STALL_SECONDS").map_or(5, |text| text.parse().expect("seconds"));
    let time = Duration::from_secs(seconds);
    let alone = {
        let server = server();
        run(&server, time, |_| {})
    };
    let server = server();
    let mut stalled = TcpStream::connect(server.address()).expect("connect");
    stalled
        .write_all(format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n").as_bytes())
        .expect("request");
    let mut first = [0; 64];
    stalled.read_exact(&mut first).expect("the stream begins");
    let with = run(&server, time, |published| {
        let received = wake(&mut stalled, published.events);
        assert_eq!(received, published.events, "the stalled watcher gets everything once it wakes");
    });
    let p99 = |run: &Run| quantile(&run.seen.latencies_us, 0.99);
    println!(
        "{seconds} s, {PER_SECOND} events/s of {EVENT_BYTES} bytes, {OTHERS} others: publish-to-watcher p50 {} / {} us, p99 {} / {} us (ratio {:.2}), \
         publish p99 {} / {} us, Pss growth {} / {} KiB (alone / with one stalled)",
        quantile(&alone.seen.latencies_us, 0.5),
        quantile(&with.seen.latencies_us, 0.5),
        p99(&alone),
        p99(&with),
        p99(&with) as f64 / p99(&alone).max(1) as f64,
        quantile(&alone.published.latencies_us, 0.99),
        quantile(&with.published.latencies_us, 0.99),
        alone.growth / 1024,
        with.growth / 1024,
    );
    assert!(
        with.growth - alone.growth.max(0) < GROWTH_MAX,
        "a stalled reader cost {} bytes",
        with.growth - alone.growth
    );
}

/// Reads at last, until `events` have come.
fn wake(socket: &mut TcpStream, events: u64) -> u64 {
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    let mut buffer = vec![0; 256 * 1024];
    let mut received = 0;
    while received < events {
        let bytes = socket.read(&mut buffer).expect("the stalled watcher is served");
        assert!(bytes > 0, "the stalled watcher was cut after {received} of {events}");
        received += buffer[..bytes].iter().filter(|byte| **byte == MARK).count() as u64;
    }
    received
}
