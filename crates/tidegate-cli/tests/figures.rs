//! The first figures: durable publishes/s, deliveries/s and CPU time per delivery, memory per idle
//! watcher. Quick by default, so that it stays true; `TIDEGATE_FIGURES=full` measures.
//!
//! Nothing is asserted of the time that something takes; that nothing is lost is, and that an idle
//! watcher is small.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_bench::{Options, Pace, Report, Scenario, Target, Transport};
use tidegate_testkit::process::Server;

/// One at a time: processes of one binary share its pages, so that the end of one makes the others weigh more.
static ALONE: Mutex<()> = Mutex::new(());

fn full() -> bool {
    std::env::var("TIDEGATE_FIGURES").is_ok_and(|text| text == "full")
}

/// Runs a scenario against a server of its own.
fn run(scenario: Scenario, watchers: u32, pace: Pace, seconds: u64, target: impl FnOnce(&mut Target)) -> Report {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        "channels:\n  load:\n    address: load/{name}\n    access: { read: \"true\", publish: \"true\" }\n",
    );
    // What is free goes back a second after the last has come.
    let short = if scenario == Scenario::Idle { 2 } else { 1 };
    let mut options = Options {
        target: Target::new(server.address(), "load/hot"),
        watchers,
        pace,
        time: Duration::from_secs(if full() { seconds } else { short }),
        warm_up: Duration::ZERO,
        patience: Duration::from_secs(10),
        server: Some(server.process()),
    };
    target(&mut options.target);
    let report = tidegate_bench::run(scenario, &options, |_| {}).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.is_clean() && report.cut_by_server == 0, "a watcher missed or doubled something: {report:?}");
    report
}

#[test]
fn durable_publishes() {
    for in_flight in [1, 64] {
        let report = run(Scenario::Publish, 0, Pace::Fastest, 10, |target| {
            (target.publishers, target.event_bytes) = (in_flight, 256);
        });
        println!(
            "durable publishes, {in_flight} in flight, 256 bytes: {:.0}/s, p50 {} us, p99 {} us, server CPU {:.1} us each",
            report.published_per_second,
            report.acknowledgement.p50_us,
            report.acknowledgement.p99_us,
            report.server.and_then(|server| server.cpu_us_per_event).unwrap_or_default(),
        );
    }
}

#[test]
fn fan_out() {
    let sizes: &[u32] = if full() { &[1_000, 10_000] } else { &[100] };
    for watchers in sizes {
        // 50,000 deliveries/s, then as fast as eight publishers go.
        for pace in [Pace::PerSecond(50_000.0 / f64::from(*watchers)), Pace::Fastest] {
            let report = run(Scenario::Fanout, *watchers, pace, 10, |_| {});
            assert_eq!(report.deliveries, report.published * u64::from(*watchers));
            println!(
                "{watchers} SSE watchers, {pace:?}: {:.0} deliveries/s, server CPU {:.2} us each, latency p50 {} us, p99 {} us",
                report.deliveries_per_second,
                report.server.and_then(|server| server.cpu_us_per_delivery).unwrap_or_default(),
                report.latency.p50_us,
                report.latency.p99_us,
            );
        }
    }
}

#[test]
fn idle_watchers() {
    let count = if full() { 10_000 } else { 3_000 };
    for (transport, measured_max) in [(Transport::Sse, 600.0), (Transport::WebSocket, 700.0)] {
        // On a busy machine free memory may go back a little later than it is looked at.
        let bytes_max = if full() { measured_max } else { 2_000.0 };
        let report = run(Scenario::Idle, count, Pace::Fastest, 10, |target| target.transport = transport);
        let each = report.server.and_then(|server| server.pss_bytes_per_watcher).unwrap_or_default();
        println!("idle watchers of one address: {count}, {}, Pss {each:.0} bytes each", transport.as_str());
        assert!(each < bytes_max, "an idle watcher weighs {each:.0} bytes");
    }
}
