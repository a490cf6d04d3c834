//! Three times the load that the server can carry: the important watches do not notice, the others are told less often,
//! and nobody is cut. `cargo xtask soak overload` runs it in full; without that it shows on a small scale that the run works.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Publish, Publisher};
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Rows of the busy address, each changed again and again.
const ROWS: u64 = 20;
/// Publishes a second of the busy address; its rate is in their batches.
const BATCHES_A_SECOND: u64 = 50;
/// Important events a second.
const HIGH_RATE: u64 = 20;

/// How large the run is.
struct Scale {
    low: usize,
    high: usize,
    step: Duration,
    run: Duration,
    rate_max: u64,
}

impl Scale {
    fn of_environment() -> (Scale, bool) {
        let seconds = Duration::from_secs;
        match std::env::var("TIDEGATE_OVERLOAD").is_ok_and(|value| value == "full") {
            true => (Scale { low: 2_000, high: 20, step: seconds(4), run: seconds(20), rate_max: 100_000 }, true),
            false => (Scale { low: 20, high: 2, step: seconds(1), run: seconds(3), rate_max: 100 }, false),
        }
    }
}

/// The server under test: that of the test, or another build of it.
fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_OVERLOAD_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_tidegate").into(), PathBuf::from)
}

/// Gives the server one core and this process the others: else the load would be that of who offers it. Returns what to
/// start in place of the server.
fn part_cores(folder: &Path) -> PathBuf {
    let own = std::process::id().to_string();
    let others = format!("1-{}", std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1));
    let parted = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", &others, &own]).output();
    assert!(parted.is_ok_and(|output| output.status.success()), "taskset: needs two cores or more");
    let pinned = folder.join("tidegate-on-one-core");
    std::fs::write(&pinned, format!("#!/bin/sh\nexec taskset --cpu-list 0 '{}' \"$@\"\n", binary().display()))
        .and_then(|()| std::fs::set_permissions(&pinned, Permissions::from_mode(0o755)))
        .expect("written");
    pinned
}

fn start(binary: &Path, low_priority: &str) -> Server {
    let config = format!(
        r#"
log: {{ path: ./data }}
channels:
  low: {{ address: "low/{{place}}", key: id, priority: {low_priority}, access: {{ read: "true", publish: "true" }} }}
  high: {{ address: "high/{{place}}", key: id, access: {{ read: "true", publish: "true" }} }}
"#
    );
    Server::start(binary, &config)
}

/// What the watchers of the busy address saw.
#[derive(Default)]
struct Crowd {
    bytes: AtomicU64,
    frames: AtomicU64,
    degraded: AtomicU64,
    restored: AtomicU64,
    ended: AtomicU64,
}

/// Watchers who read and count; their tasks end with the runtime. Each has a view of its own, which is told every event,
/// so that it is the server that has the work, and not who reads.
async fn crowd(server: SocketAddr, watchers: usize) -> Arc<Crowd> {
    let crowd = Arc::new(Crowd::default());
    for number in 0..watchers {
        let mut socket = tokio::net::TcpStream::connect(server).await.expect("connected");
        let watch = format!(
            "GET /v1/low/a?as=ndjson&filter=data.n%20%3E%20-{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
            number + 1
        );
        socket.write_all(watch.as_bytes()).await.expect("sent");
        let crowd = crowd.clone();
        tokio::spawn(async move {
            let (mut buffer, mut line) = (vec![0; 64 * 1024], Vec::new());
            while let Ok(bytes @ 1..) = socket.read(&mut buffer).await {
                crowd.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                for piece in buffer[..bytes].split_inclusive(|byte| *byte == b'\n') {
                    line.extend_from_slice(&piece[..piece.len().min(200)]);
                    if piece.ends_with(b"\n") {
                        crowd.see(&line);
                        line.clear();
                    }
                }
            }
            crowd.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    crowd
}

impl Crowd {
    fn see(&self, line: &[u8]) {
        if line.starts_with(b"{\"op\":\"upsert\"") {
            self.frames.fetch_add(1, Ordering::Relaxed);
        } else if line.starts_with(b"{\"op\":\"notice\",\"code\":\"degraded\"") {
            self.degraded.fetch_add(1, Ordering::Relaxed);
        } else if line.starts_with(b"{\"op\":\"notice\",\"code\":\"restored\"") {
            self.restored.fetch_add(1, Ordering::Relaxed);
        } else if line.starts_with(b"{\"op\":\"close\"") {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Publishes so many events a second to the busy address, on a schedule that waits for nobody but the server.
async fn flood(server: SocketAddr, rate: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut publisher = Publisher::new(server);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / BATCHES_A_SECOND as u32);
    let (mut n, mut published, mut batches) = (0, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        batches += 1;
        let batch = rate * batches / BATCHES_A_SECOND - n;
        if batch == 0 {
            continue;
        }
        let events: Vec<_> = (n..n + batch).map(|n| json!({ "id": format!("{}", n % ROWS), "n": n })).collect();
        n += batch;
        let answer = publisher.send(&Publish::post("low/a", types::JSON, json!(events).to_string())).await;
        match answer.expect("an answer").head.status {
            200 => published += batch,
            429 | 503 => {}
            other => panic!("{other}"),
        }
    }
    published
}

/// Latencies of the important events at their watchers, in microseconds; each on a thread of its own.
struct High {
    latencies: Arc<Mutex<Vec<u64>>>,
    ended: Arc<AtomicU64>,
}

impl High {
    fn watch(server: SocketAddr, watchers: usize, base: Instant) -> High {
        let high = High { latencies: Arc::default(), ended: Arc::default() };
        for _ in 0..watchers {
            let mut socket = TcpStream::connect(server).expect("connected");
            socket.write_all(b"GET /v1/high/a?as=ndjson HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
            let (latencies, ended) = (high.latencies.clone(), high.ended.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(socket).lines().map_while(Result::ok) {
                    let now_us = base.elapsed().as_micros() as u64;
                    if line.starts_with("{\"op\":\"close\"") {
                        break;
                    }
                    let Some((_, due)) = line.split_once("\"due\":") else { continue };
                    let due: u64 =
                        due.split(|c: char| !c.is_ascii_digit()).next().and_then(|due| due.parse().ok()).expect("due");
                    latencies.lock().expect("latencies").push(now_us.saturating_sub(due));
                }
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        high
    }

    /// Publishes on a schedule and returns the latencies of this time, sorted.
    async fn measure(&self, server: SocketAddr, base: Instant, time: Duration) -> Vec<u64> {
        self.latencies.lock().expect("latencies").clear();
        let mut publisher = Publisher::new(server);
        let (began, every) = (Instant::now(), Duration::from_secs(1) / HIGH_RATE as u32);
        let mut number: u32 = 0;
        while began.elapsed() < time {
            let due = began + every * number;
            tokio::time::sleep_until(due.into()).await;
            let event = json!({ "id": "1", "due": (due - base).as_micros() as u64 }).to_string();
            let answer = publisher.send(&Publish::post("high/a", types::JSON, event)).await.expect("an answer");
            assert_eq!(answer.head.status, 200);
            number += 1;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut latencies = std::mem::take(&mut *self.latencies.lock().expect("latencies"));
        latencies.sort_unstable();
        latencies
    }
}

fn percentile(sorted: &[u64], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default() as f64 / 1_000.0
}

fn metric(server: &Server, line: &str) -> f64 {
    let text = Raw::admin(server).get("/metrics").text();
    text.lines().find_map(|own| own.strip_prefix(line)).and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

/// The rate of events of which all watchers still get each, in its time.
async fn capacity(binary: &Path, scale: &Scale) -> u64 {
    let server = start(binary, "high");
    let at = server.address();
    let crowd = crowd(at, scale.low).await;
    let mut rate = 50;
    loop {
        let stop = Arc::new(AtomicBool::new(false));
        let flood = tokio::spawn(flood(at, rate, stop.clone()));
        tokio::time::sleep(scale.step / 4).await;
        let before = (crowd.frames.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(scale.step).await;
        let told = (crowd.frames.load(Ordering::Relaxed) - before.0) as f64 / before.1.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        flood.await.expect("the flood");
        let offered = (rate * scale.low as u64) as f64;
        println!("{rate} events/s to {} watchers: {told:.0} deliveries/s of {offered:.0}", scale.low);
        if told < offered * 0.95 || rate >= scale.rate_max {
            return if told < offered * 0.95 { (told / scale.low as f64) as u64 } else { rate };
        }
        rate = rate * 3 / 2;
    }
}

/// So many who want to watch now. Returns how many were let in, and how many were told when to come back.
fn newcomers(server: SocketAddr, count: usize) -> (usize, usize) {
    let (mut let_in, mut refused) = (0, 0);
    for _ in 0..count {
        let answer = Raw::at(server).send("GET", "/v1/low/a?as=ndjson", &[("range", "none")], "");
        match answer.status {
            200 => let_in += 1,
            status => {
                assert!(answer.header("retry-after").is_some(), "{status}: {}", answer.text());
                refused += 1;
            }
        }
    }
    (let_in, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn important_watches_do_not_notice_three_times_the_load() {
    let (scale, full) = Scale::of_environment();
    let folder = tempfile::tempdir().expect("a folder");
    let binary = if full { part_cores(folder.path()) } else { binary() };
    let capacity = capacity(&binary, &scale).await;
    let offered = capacity * 3;
    println!("capacity: {capacity} events/s to {} watchers; offered: {offered} events/s", scale.low);
    let server = start(&binary, "low");
    let (at, base) = (server.address(), Instant::now());
    let crowd = crowd(at, scale.low).await;
    let high = High::watch(at, scale.high, base);
    let unloaded = high.measure(at, base, scale.run).await;
    let stop = Arc::new(AtomicBool::new(false));
    let flood = tokio::spawn(flood(at, offered, stop.clone()));
    // Who comes at once with it, as after a cut; the load has to last before anybody gives way.
    let storm = tokio::task::spawn_blocking(move || newcomers(at, scale.low / 2));
    let settling = high.measure(at, base, scale.run).await;
    let (let_in, refused) = storm.await.expect("newcomers");
    let loaded = high.measure(at, base, scale.run).await;
    let (level, degraded) = (metric(&server, "tidegate_load_level "), metric(&server, "tidegate_watches_degraded "));
    let (cpu, lag) = (metric(&server, "tidegate_load_cpu_ratio "), metric(&server, "tidegate_load_lag_seconds "));
    stop.store(true, Ordering::Relaxed);
    let published = flood.await.expect("the flood");
    for (name, all) in [("unloaded", &unloaded), ("while the load begins", &settling), ("under load", &loaded)] {
        println!(
            "high, {name}: {} deliveries, p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            all.len(),
            percentile(all, 0.5),
            percentile(all, 0.99),
            percentile(all, 1.0)
        );
    }
    println!(
        "level {level}, {degraded} watches degraded at the end (CPU {cpu:.2}, lag {lag:.3} s); published {published}; \
         notices: {} degraded; {let_in} let in, {refused} refused",
        crowd.degraded.load(Ordering::Relaxed),
    );
    let ended = crowd.ended.load(Ordering::Relaxed) + high.ended.load(Ordering::Relaxed);
    assert_eq!(ended, 0, "somebody was cut");
    if full {
        let (before, after) = (percentile(&unloaded, 0.99), percentile(&loaded, 0.99));
        println!("p99 under load is {:.2} times that without", after / before);
    }
}
