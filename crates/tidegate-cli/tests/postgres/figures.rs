//! Measurements; only what must not be wrong is asserted.
//!
//! `TIDEGATE_PG_ROWS` is the number of rows of the largest part: 20,000 in CI, ten million in the soak.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pgwire_replication::{Lsn, ReplicationClient, ReplicationConfig, ReplicationEvent};
use tidegate_bench::{Load, Mark, Target};
use tidegate_testkit::postgres::{Cluster, Version, connect};
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::gateway::{self, SLOT, metric, number};
use crate::tables::Table;

const EVENTS: Table = Table { channel: "events", address: "events", table: "public.events", key: &["id"] };
const EVENTS_SCHEMA: &str = "CREATE TABLE events (id bigserial PRIMARY KEY, us bigint, mark text, body text, n int)";
/// Transactions of this many rows.
const ROWS_EACH: u64 = 10;

fn rows() -> u64 {
    number("TIDEGATE_PG_ROWS", 20_000)
}

fn cluster() -> Cluster {
    Cluster::setup(Version::V18).fsync(true).set("max_wal_size", "8GB").set("shared_buffers", "256MB").start()
}

/// Tells how much is in the log by the server's own count.
async fn until_events(server: &Server, events: u64) {
    let mut last = (0.0, Instant::now());
    loop {
        let seen = metric(server, "tidegate_source_events_total{").await.unwrap_or_default();
        if seen >= events as f64 {
            return;
        }
        if seen > last.0 {
            last = (seen, Instant::now());
        }
        assert!(last.1.elapsed() < gateway::PATIENCE, "it stands at {seen} of {events}:\n{}", server.output());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Rows read to `until` by the bare client library, and for how long; `sync` writes each
/// transaction to a file and waits for the disk.
async fn bare(cluster: &Cluster, slot: &str, until: Lsn, sync: Option<File>) -> (u64, Duration) {
    let config = ReplicationConfig::new("127.0.0.1", "postgres", "", "postgres", slot, SLOT)
        .with_port(cluster.port())
        .with_start_lsn(Lsn::ZERO)
        .with_buffer_size(8192);
    let mut client = ReplicationClient::connect(config).await.expect("connected");
    let (mut rows, mut file, mut begun) = (0, sync, None);
    loop {
        match client.recv().await.expect("an event").expect("no end") {
            ReplicationEvent::XLogData { data, .. } => {
                begun.get_or_insert_with(Instant::now);
                rows += u64::from(data.first() == Some(&b'I'));
                if let Some(file) = &mut file {
                    file.write_all(&data).expect("written");
                }
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                if let Some(file) = &file {
                    block_in_place(|| file.sync_data()).expect("synced");
                }
                client.update_applied_lsn(end_lsn);
                if end_lsn >= until {
                    break;
                }
            }
            ReplicationEvent::KeepAlive { wal_end, .. } if wal_end >= until && rows > 0 => break,
            _ => {}
        }
    }
    let took = begun.expect("rows").elapsed();
    client.shutdown().await.expect("shut down");
    (rows, took)
}

fn per_second(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_catching_up() {
    let total = (rows() / 10).max(5_000);
    let cluster = block_in_place(cluster);
    cluster.sql("postgres", EVENTS_SCHEMA);
    let mut server = block_in_place(|| gateway::serve(&cluster, &[EVENTS]));
    cluster.sql("postgres", "INSERT INTO events (body) VALUES ('first')");
    until_events(&server, 1).await;
    block_in_place(|| server.kill9());
    for slot in ["bare", "bare_sync"] {
        cluster.sql("postgres", &format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
    }
    let client = cluster.connect("postgres").await.expect("connected");
    client.batch_execute("SET synchronous_commit = off").await.expect("set");
    let insert = format!(
        "INSERT INTO events (us, mark, body, n) SELECT 1, 'm', repeat('x', 100), g FROM generate_series(1, {ROWS_EACH}) g"
    );
    let statements: String = format!("{insert};\nCOMMIT;\n").repeat(100);
    for _ in 0..total / ROWS_EACH / 100 {
        client
            .batch_execute(&format!("BEGIN;\n{}", statements.replace("COMMIT;", "COMMIT; BEGIN;") + "COMMIT;"))
            .await
            .expect("rows");
    }
    let total = total / ROWS_EACH / 100 * 100 * ROWS_EACH;
    let until = Lsn::parse(&cluster.sql("postgres", "SELECT pg_current_wal_insert_lsn()")).expect("an LSN");
    cluster.sql("postgres", "SELECT pg_logical_emit_message(false, 'x', 'x') IS NULL; CHECKPOINT");

    let (seen, took) = bare(&cluster, "bare", until, None).await;
    println!("bare client, discarding: {seen} rows, {:.0} rows/s", per_second(seen, took));
    let folder = tempfile::tempdir().expect("a folder");
    let file = File::create(folder.path().join("synced")).expect("a file");
    let (seen, took) = bare(&cluster, "bare_sync", until, Some(file)).await;
    println!(
        "bare client, fdatasync per transaction of {ROWS_EACH}: {seen} rows, {:.0} rows/s",
        per_second(seen, took)
    );

    block_in_place(|| server.restart()).unwrap_or_else(|error| panic!("{error}"));
    until_events(&server, 1).await;
    let (begun, cpu) = (Instant::now(), server.cpu());
    let before = metric(&server, "tidegate_source_events_total{").await.unwrap_or_default() as u64;
    until_events(&server, total).await;
    let (took, cpu) = (begun.elapsed(), server.cpu() - cpu);
    let rows = total - before;
    println!(
        "into the log: {rows} rows, {:.0} rows/s, server CPU {:.1} us each",
        per_second(rows, took),
        cpu.as_micros() as f64 / rows as f64
    );
    let resyncs = metric(&server, "tidegate_source_resyncs_total{").await;
    assert_eq!(resyncs, Some(0.0), "it caught up, and compared nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_latency() {
    /// Each writes an eighth of the thousand rows a second.
    const WRITERS: u32 = 8;
    const PER_SECOND: u64 = 1_000;
    let time = Duration::from_secs(if rows() > 1_000_000 { 60 } else { 3 });
    let cluster = block_in_place(cluster);
    cluster.sql("postgres", EVENTS_SCHEMA);
    let server = block_in_place(|| gateway::serve(&cluster, &[EVENTS]));
    cluster.sql("postgres", "INSERT INTO events (body) VALUES ('first')");
    until_events(&server, 1).await;
    let target = Target { publishers: WRITERS, ..Target::new(server.address(), "events") };
    let mut load = Load::new(target, None, |_| {}).expect("a load");
    block_in_place(|| load.watch(1)).expect("a watcher");
    let (clock, run) = (load.clock(), load.run());
    let cpu = server.cpu();
    let mut writers = tokio::task::JoinSet::new();
    for stream in 0..WRITERS {
        let url = cluster.url("postgres");
        writers.spawn(async move {
            let client = connect(&url).await.expect("connected");
            let insert = "INSERT INTO events (us, mark, body) VALUES (0, $1, repeat('x', 100))";
            let insert = client.prepare(insert).await.expect("prepared");
            let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 * u64::from(WRITERS) / PER_SECOND));
            let (end, mut rows) = (Instant::now() + time, 0);
            while Instant::now() < end {
                ticks.tick().await;
                let mark = Mark { stream, number: rows, at_us: clock.now_us() };
                client.execute(&insert, &[&mark.text(run)]).await.expect("a row");
                rows += 1;
            }
            (stream, rows)
        });
    }
    block_in_place(|| load.run_for("watching", time)).expect("the watcher");
    let mut rows = 0;
    for (stream, events) in writers.join_all().await {
        load.published_by_others(stream, events);
        rows += u64::from(events);
    }
    let tally = block_in_place(|| load.finish()).expect("the watcher");
    let cpu = server.cpu() - cpu;
    let latency = load.latency();
    println!(
        "{:.0} rows/s: from the INSERT to the socket p50 {} us, p99 {} us, largest {} us; server CPU {:.1} us each",
        rows as f64 / time.as_secs_f64(),
        latency.p50_us,
        latency.p99_us,
        latency.max_us,
        cpu.as_micros() as f64 / rows as f64,
    );
    assert!(tally.is_clean() && latency.count == rows, "each row once: {tally:?}, {} of {rows}", latency.count);
}

/// Samples the memory of a process until it is told to stop.
struct Peak {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
}

impl Peak {
    fn of(server: &Server) -> Peak {
        let peak = Peak { stop: Arc::default(), bytes: Arc::default() };
        let (stop, bytes, pid) = (peak.stop.clone(), peak.bytes.clone(), server.pid());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            while !stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
                let pss = text
                    .lines()
                    .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
                bytes.fetch_max(pss.unwrap_or_default() * 1024, Ordering::Relaxed);
            }
        });
        peak
    }

    fn mib(&self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed) as f64 / f64::from(1 << 20)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_one_large_transaction() {
    let total = (rows() / 10).max(5_000);
    let cluster = block_in_place(cluster);
    cluster.sql("postgres", EVENTS_SCHEMA);
    let server = block_in_place(|| gateway::serve(&cluster, &[EVENTS]));
    cluster.sql("postgres", "INSERT INTO events (body) VALUES ('first')");
    until_events(&server, 1).await;
    let insert = format!(
        "INSERT INTO events (us, mark, body, n) SELECT 1, 'm', repeat('x', 100), g FROM generate_series(1, {total}) g"
    );
    block_in_place(|| cluster.sql("postgres", &insert));
    let (begun, peak) = (Instant::now(), Peak::of(&server));
    until_events(&server, total + 1).await;
    println!(
        "one transaction of {total} rows: {:.0} rows/s after its commit, peak Pss {:.0} MiB",
        per_second(total, begun.elapsed()),
        peak.mib()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_a_first_snapshot() {
    let total = rows();
    let cluster = block_in_place(cluster);
    cluster.sql("postgres", EVENTS_SCHEMA);
    let insert = format!(
        "INSERT INTO events (us, mark, body, n) SELECT 1, 'm', repeat('x', 100), g FROM generate_series(1, {total}) g"
    );
    block_in_place(|| cluster.sql("postgres", &insert));
    let server = block_in_place(|| gateway::serve(&cluster, &[EVENTS]));
    let peak = Peak::of(&server);
    let begun = Instant::now();
    until_events(&server, total).await;
    let took = begun.elapsed();
    println!(
        "a first snapshot of {total} rows: {:.0} rows/s, peak Pss {:.0} MiB, server CPU {:.1} us each",
        per_second(total, took),
        peak.mib(),
        server.cpu().as_micros() as f64 / total as f64
    );
}
