//! A stalled reader costs nothing: of 100 watchers at 500 events/s one stops reading, and the
//! others, the server's memory, and in the end the stalled one itself, do not notice.
//!
//! The figures are printed; what is asserted is only what does not depend on the machine's mood:
//! memory, and that nobody misses anything. `TIDEGATE_STALL_SECONDS` makes it long.

use std::path::Path;
use std::time::Duration;

use tidegate_bench::{Options, Pace, Scenario, Target};
use tidegate_testkit::process::Server;

/// Several drains; the rings, the hot records, the caches and the allocator's arenas fill first.
const WARM: Duration = Duration::from_secs(10);
/// What one stalled reader may cost, beyond what the same time costs without it.
const GROWTH_MAX: i64 = 2 * 1024 * 1024;

#[test]
fn a_stalled_reader_costs_the_others_nothing() {
    let seconds = std::env::var("TIDEGATE_STALL_SECONDS").map_or(5, |text| text.parse().expect("seconds"));
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        // Drains keep the log's own memory small and the same in both halves.
        "log: { path: ./data, journal_bytes: 1MiB }\nchannels:\n  load:\n    address: load/{name}\n    access: { read: \"true\", publish: \"true\" }\n",
    );
    let options = Options {
        target: Target { event_bytes: 512, ..Target::new(server.address(), "load/hot") },
        watchers: 100,
        pace: Pace::PerSecond(500.0),
        time: Duration::from_secs(2 * seconds),
        warm_up: WARM,
        patience: Duration::from_secs(60),
        server: Some(server.process()),
    };
    let report = tidegate_bench::run(Scenario::Slow { stalled: 1 }, &options, |_| {});
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_clean(), "a watcher missed or doubled something: {report:?}");
    assert_eq!(report.cut_by_server, 0, "no watcher was cut");
    let stalled = report.stalled.expect("one stalled");
    let growth = |bytes: Option<i64>| bytes.expect("the server's memory");
    let (alone, with) = (growth(stalled.pss_growth_before_bytes), growth(stalled.pss_growth_bytes));
    println!(
        "twice {seconds} s, 500 events/s of 512 bytes, 99 others: publish-to-watcher p50 {} / {} us, p99 {} / {} us (ratio {:.2}), \
         Pss growth {} / {} KiB (all read / one stalled)",
        stalled.latency_before.p50_us,
        report.latency.p50_us,
        stalled.latency_before.p99_us,
        report.latency.p99_us,
        report.latency.p99_us as f64 / stalled.latency_before.p99_us.max(1) as f64,
        alone / 1024,
        with / 1024,
    );
    assert!(with - alone.max(0) < GROWTH_MAX, "a stalled reader cost {} bytes", with - alone);
}
