//! Tables of large rows: what is held of them at a time is bounded by bytes, not by rows.

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::gateway::{self, bounce, drop_slot};
use crate::tables::Table;

const WIDE: Table = Table { channel: "wide", address: "wide/{id}", table: "public.wide", key: &["id"] };
/// More than all that a comparison holds at a time.
const ROWS: u32 = 1_200;
/// The peak of the process: its code, the log's cache, and a few rows.
const PEAK_MIB_MAX: u64 = 170;

/// One row as the table has it.
async fn has(follower: &Follower, cluster: &Cluster, id: u32) {
    let select = format!("SELECT to_jsonb(t) FROM wide t WHERE id = {id}");
    let text = block_in_place(|| cluster.sql("postgres", &select));
    let row = WIDE.row(serde_json::from_str(&text).expect("JSON"));
    follower.until_rows("its row", &[row].into_iter().collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_rows_of_forty_kilobytes_than_one_batch_has_room_for() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    block_in_place(|| {
        cluster.sql(
            "postgres",
            &format!("CREATE TABLE wide (id int PRIMARY KEY, body text); INSERT INTO wide SELECT g, repeat('x', 40000) FROM generate_series(1, {ROWS}) g"),
        )
    });
    let mut server = block_in_place(|| gateway::serve(&cluster, &[WIDE]));
    let last = Follower::state(server.address(), &format!("wide/{ROWS}"), Habits::steady(Transport::Sse));
    has(&last, &cluster, ROWS).await;
    // And when all of it has to be compared.
    server.kill9();
    drop_slot(&cluster);
    cluster.sql("postgres", &format!("UPDATE wide SET body = 'new' WHERE id = {ROWS}"));
    block_in_place(|| bounce(&mut server));
    has(&last, &cluster, ROWS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_three_megabytes_are_loaded_one_by_one() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    block_in_place(|| {
        cluster.sql(
            "postgres",
            "CREATE TABLE wide (id int PRIMARY KEY, body text); INSERT INTO wide SELECT g, repeat('x', 3000000) FROM generate_series(1, 60) g",
        )
    });
    let server = block_in_place(|| gateway::serve(&cluster, &[WIDE]));
    let last = Follower::state(server.address(), "wide/60", Habits::steady(Transport::Sse));
    has(&last, &cluster, 60).await;
    let peak = peak_mib(server.pid());
    println!("60 rows of 3 MB: {peak} MiB at most");
    assert!(peak < PEAK_MIB_MAX, "{peak} MiB");
}

/// The largest that a process has been in memory.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") / 1024
}
