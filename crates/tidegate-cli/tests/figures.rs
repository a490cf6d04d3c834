//! The first figures: durable publishes/s, deliveries/s and CPU time per delivery, memory per idle
//! watcher. Quick by default, so that it stays true; `TIDEGATE_FIGURES=full` measures.
//!
//! Nothing is asserted of the time that something takes; that nothing is lost is.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_testkit::load::{Watchers, publish_at_rate, publish_in_flight, quantile};
use tidegate_testkit::process::Server;

fn full() -> bool {
    std::env::var("TIDEGATE_FIGURES").is_ok_and(|text| text == "full")
}

fn server() -> Server {
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        "channels:\n  load:\n    address: load/{name}\n    access: { read: \"true\", publish: \"true\" }\n",
    )
}

#[test]
fn durable_publishes() {
    let time = Duration::from_secs(if full() { 10 } else { 1 });
    let server = server();
    for in_flight in [1, 64] {
        let before = server.cpu();
        let published =
            publish_in_flight(server.address(), |_| "/v1/load/hot".to_owned(), 256, in_flight, time).expect("publish");
        let cpu = server.cpu() - before;
        println!(
            "durable publishes, {in_flight} in flight, 256 bytes: {:.0}/s, p50 {} us, p99 {} us, server CPU {:.1} us each",
            published.events as f64 / published.time.as_secs_f64(),
            quantile(&published.latencies_us, 0.5),
            quantile(&published.latencies_us, 0.99),
            cpu.as_micros() as f64 / published.events as f64,
        );
    }
}

#[test]
fn fan_out() {
    let sizes: &[usize] = if full() { &[1_000, 10_000] } else { &[100] };
    for watchers in sizes {
        // 50,000 deliveries/s, then as fast as eight publishers go.
        alone(*watchers, (50_000 / *watchers as u32).max(1));
        saturated(*watchers);
    }
}

fn alone(count: usize, per_second: u32) {
    let time = Duration::from_secs(if full() { 10 } else { 1 });
    let server = server();
    let watchers = Watchers::connect(server.address(), "/v1/load/hot", count).expect("watchers");
    let before = server.cpu();
    let published = publish_at_rate(server.address(), "/v1/load/hot", 64, per_second, time).expect("publish");
    let deliveries = published.events * count as u64;
    watchers.wait_for(deliveries);
    let cpu = server.cpu() - before;
    let seen = watchers.stop().expect("watchers");
    assert!(seen.events.iter().all(|events| *events == published.events), "a watcher missed or doubled something");
    println!(
        "{count} SSE watchers, {per_second} events/s: {deliveries} deliveries, server CPU {:.2} us each, latency p50 {} us, p99 {} us",
        cpu.as_micros() as f64 / deliveries as f64,
        quantile(&seen.latencies_us, 0.5),
        quantile(&seen.latencies_us, 0.99),
    );
}

fn saturated(count: usize) {
    let time = Duration::from_secs(if full() { 5 } else { 1 });
    let server = server();
    let watchers = Watchers::connect(server.address(), "/v1/load/hot", count).expect("watchers");
    let (before, began) = (server.cpu(), Instant::now());
    let published = publish_in_flight(server.address(), |_| "/v1/load/hot".to_owned(), 64, 8, time).expect("publish");
    let deliveries = published.events * count as u64;
    watchers.wait_for(deliveries);
    let (cpu, took) = (server.cpu() - before, began.elapsed());
    let seen = watchers.stop().expect("watchers");
    assert!(seen.events.iter().all(|events| *events == published.events), "a watcher missed or doubled something");
    println!(
        "{count} SSE watchers, eight publishers: {:.0} deliveries/s, server CPU {:.2} us each",
        deliveries as f64 / took.as_secs_f64(),
        cpu.as_micros() as f64 / deliveries as f64,
    );
}

#[test]
fn idle_watchers() {
    let count: usize = if full() { 10_000 } else { 500 };
    for (name, path) in [("one address", "/v1/load/hot"), ("a pattern", "/v1/load/*")] {
        let server = server();
        let first = Watchers::connect(server.address(), path, 100).expect("watchers");
        let before = server.pss_bytes();
        let watchers = Watchers::connect(server.address(), path, count).expect("watchers");
        let grown = server.pss_bytes().saturating_sub(before);
        println!("idle SSE watchers of {name}: {count}, Pss {} bytes each", grown / count as u64);
        for watchers in [first, watchers] {
            assert_eq!(watchers.stop().expect("watchers").ended, 0);
        }
    }
}
