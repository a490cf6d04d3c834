//! What the database keeps because of us has a bound, whoever is slow, quiet or gone.
//!
//! `TIDEGATE_PG_WAL_SECONDS` says how long each part writes: 6 in CI, 600 in the soak, in which they
//! run side by side. Each prints the largest that it saw.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Setup, Version, connect};
use tidegate_testkit::process::Server;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::Instant;

use crate::gateway::{self, PATIENCE, SLOT, number};
use crate::refusals::says;
use crate::rig::{PEOPLE, Rig};
use crate::tables::Table;

const BUSY: Table = Table { channel: "busy", address: "busy", table: "public.busy", key: &["id"] };
/// A thousand rows that are changed again and again.
const BUSY_SCHEMA: &str = "
CREATE TABLE busy (id int PRIMARY KEY, v bigint, pad text);
INSERT INTO busy SELECT g, 0, repeat('x', 200) FROM generate_series(1, 1000) g;
";
/// Two seconds of the load, two rounds of the server's own notes of running transactions (15 s
/// each), on which the place of a slot moves, and some files: far below what ten minutes write.
const RETAINED_MAX: u64 = 48 << 20;

fn seconds() -> u64 {
    number("TIDEGATE_PG_WAL_SECONDS", 6)
}

/// Small files and early checkpoints, so that what is kept is kept because of a slot.
fn setup() -> Setup {
    Cluster::setup(Version::V15).segment_mib(1).set("min_wal_size", "4MB").set("max_wal_size", "16MB")
}

/// Writes about `bytes_per_second` of WAL, a twentieth of it each 50 ms.
fn load(url: String, bytes_per_second: u64) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let client = connect(&url).await.expect("connected");
        let end = Instant::now() + Duration::from_secs(seconds());
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        let mut round = 0;
        // A row of the table is some 300 bytes of WAL.
        let rows = (bytes_per_second / 20 / 300).max(1);
        while Instant::now() < end {
            ticks.tick().await;
            round += 1;
            let sql = format!("UPDATE busy SET v = v + 1 WHERE (id + {round} * {rows}) % 1000 < {rows}");
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        round * rows
    })
}

/// The largest that the slot kept while the load ran.
async fn retained_while(cluster: &Cluster, loads: Vec<JoinHandle<u64>>) -> u64 {
    let client = cluster.connect("postgres").await.expect("connected");
    let sql = format!(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
    );
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut largest = 0;
    while loads.iter().any(|load| !load.is_finished()) {
        ticks.tick().await;
        let retained: i64 = client.query_one(&sql, &[]).await.expect("a slot").get(0);
        largest = largest.max(retained as u64);
    }
    for load in loads {
        load.await.expect("the load");
    }
    largest
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_is_not_kept_for_a_watcher_that_never_reads() {
    let cluster = block_in_place(|| setup().start());
    cluster.sql("postgres", BUSY_SCHEMA);
    let server = block_in_place(|| gateway::serve(&cluster, &[BUSY]));
    let follower = Follower::state(server.address(), "busy", Habits::steady(Transport::Sse));
    follower.until_rows("loaded", &gateway::rows(&cluster, &BUSY)).await;
    let dead = never_reads(&server);
    let begun = cluster.sql("postgres", "SELECT pg_current_wal_lsn()");
    let largest = retained_while(&cluster, vec![load(cluster.url("postgres"), 1 << 20)]).await;
    follower.until_rows("the table", &gateway::rows(&cluster, &BUSY)).await;
    let written: u64 = cluster
        .sql("postgres", &format!("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{begun}')::bigint"))
        .parse()
        .expect("bytes");
    println!("dead watcher: {:.1} MiB of WAL written, at most {:.1} MiB kept", mib(written), mib(largest));
    assert!(largest < RETAINED_MAX, "{largest} bytes were kept");
    drop(dead);
}

/// A watcher that has begun and reads nothing more.
fn never_reads(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.address()).expect("connected");
    let head = "GET /v1/busy HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    socket.write_all(head.as_bytes()).expect("sent");
    let mut first = [0; 64];
    socket.read_exact(&mut first).expect("the stream begins");
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_is_not_kept_for_a_quiet_table() {
    let cluster = block_in_place(|| setup().start());
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.sql("other", BUSY_SCHEMA);
    cluster.sql("postgres", BUSY_SCHEMA);
    cluster.sql("postgres", crate::rig::SCHEMA);
    let server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
    let rig = Rig::around(cluster, server).await;
    let begun = rig.sql("SELECT pg_current_wal_lsn()");
    let loads = vec![load(rig.cluster.url("postgres"), 1 << 19), load(rig.cluster.url("other"), 1 << 19)];
    let largest = retained_while(&rig.cluster, loads).await;
    let written: u64 =
        rig.sql(&format!("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{begun}')::bigint")).parse().expect("bytes");
    println!("quiet table: {:.1} MiB of WAL written beside it, at most {:.1} MiB kept", mib(written), mib(largest));
    assert!(largest < RETAINED_MAX, "{largest} bytes were kept");
    rig.sql(crate::rig::CHANGES);
    rig.equal("still live").await;
    rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_has_the_bound_of_the_database_while_we_are_gone() {
    const KEEP: u64 = 32 << 20;
    /// Removal happens at checkpoints, which begin well before `max_wal_size` is reached.
    const FILES_MAX: u64 = KEEP + (16 << 20) + (16 << 20);
    let mut rig = Rig::start(setup().set("max_slot_wal_keep_size", "32MB")).await;
    rig.sql(BUSY_SCHEMA);
    rig.sql(crate::rig::CHANGES);
    block_in_place(|| rig.server.kill9());
    rig.sql("UPDATE people SET name = 'while nobody looked' WHERE id < 50; DELETE FROM people WHERE id = 60");
    // At least three times what may be kept, however short the test is.
    let per_second = (3 * KEEP / seconds()).max(1 << 20);
    let writing = load(rig.cluster.url("postgres"), per_second);
    let mut largest = 0;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while !writing.is_finished() {
        ticks.tick().await;
        largest = largest.max(rig.cluster.wal_bytes());
    }
    writing.await.expect("the load");
    rig.sql("CHECKPOINT");
    let status = rig.sql(&format!("SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{SLOT}'"));
    println!("gone: at most {:.1} MiB of WAL files, the slot is {status}", mib(largest));
    assert_eq!(status, "lost", "the load was not large enough to show anything");
    assert!(largest < FILES_MAX, "{largest} bytes of files");
    block_in_place(|| rig.server.restart()).unwrap_or_else(|error| panic!("{error}"));
    rig.equal("healed").await;
    rig.was_never_reset();
    rig.after_the_gap().await;
}

/// `slot_lag_max` holds whatever keeps the source from reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_is_bounded_while_nothing_is_read() {
    const FILL: &str =
        "SELECT pg_logical_emit_message(false, 'filling', repeat('x', 1000000)) IS NULL FROM generate_series(1, 100)";
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", crate::rig::SCHEMA);
    let text = gateway::config(&cluster.url("postgres"), &["slot_lag_max: 64MiB"], &[PEOPLE]);
    let server = block_in_place(|| Server::start(gateway::binary(), &text));
    let rig = Rig::around(cluster, server).await;
    let evictions = || rig.server.output().matches("holds back more WAL").count();

    // No table is fit to be served.
    rig.sql("ALTER TABLE people DROP CONSTRAINT people_pkey");
    says(&rig.server, &["no table can be served"]).await;
    rig.sql(FILL);
    says(&rig.server, &["holds back more WAL"]).await;
    rig.sql("ALTER TABLE people ADD PRIMARY KEY (id); UPDATE people SET age = 9 WHERE id = 9");
    rig.equal("healed").await;
    rig.after_the_gap().await;

    // A comparison waits for a transaction that stays open.
    let (before, client) = (evictions(), rig.cluster.connect("postgres").await.expect("connected"));
    client.batch_execute("BEGIN; CREATE TABLE unfinished (id int)").await.expect("begun");
    rig.sql("ALTER TABLE people ADD COLUMN later int; UPDATE people SET age = 10 WHERE id = 9");
    says(&rig.server, &["connecting anew", "changed"]).await;
    rig.sql(FILL);
    let deadline = Instant::now() + PATIENCE;
    while evictions() == before {
        assert!(Instant::now() < deadline, "the slots stay:\n{}", rig.server.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.batch_execute("COMMIT").await.expect("committed");
    rig.equal("healed again").await;
    rig.was_never_reset();
}
