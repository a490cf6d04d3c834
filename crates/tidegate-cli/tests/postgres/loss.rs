//! What upstream loses heals: by a comparison, of which only differences are told, behind a gap in
//! each history.

use std::time::Duration;

use tidegate_testkit::client::{Transport, get_json};
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tidegate_testkit::shim::Shim;
use tokio::task::block_in_place;

use crate::gateway::{self, PATIENCE, SLOT, bounce, drop_slot};
use crate::rig::{CHANGES, PEOPLE, RECORDS, Rig, SCHEMA};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_dropped_while_nobody_looked() {
    for version in Version::ALL {
        let mut rig = Rig::start(Cluster::setup(version)).await;
        block_in_place(|| rig.server.kill9());
        drop_slot(&rig.cluster);
        rig.sql(CHANGES);
        block_in_place(|| rig.server.restart()).unwrap_or_else(|error| panic!("{error}"));
        rig.equal("healed").await;
        rig.was_never_reset();
        assert_eq!(rig.after_the_gap().await.len(), RECORDS, "only differences are told");
        // And it goes on from there, with the new slot.
        rig.sql("UPDATE people SET age = 5 WHERE id = 1");
        bounce_and_compare(&mut rig).await;
        assert_eq!(rig.after_the_gap().await.len(), RECORDS + 1);
    }
}

async fn bounce_and_compare(rig: &mut Rig) {
    block_in_place(|| bounce(&mut rig.server));
    rig.equal("after a restart").await;
    assert_eq!(rig.sql("SELECT count(*) FROM pg_replication_slots"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_within_the_first_snapshot() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", SCHEMA);
    // Some tens of thousands, so that a death falls amid them.
    cluster.sql(
        "postgres",
        "INSERT INTO people SELECT g, 'c' || g % 5, repeat('x', 300), 1 FROM generate_series(2000, 60000) g",
    );
    let mut server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
    for age in 1..=3 {
        block_in_place(|| {
            await_copy(&cluster);
            bounce(&mut server);
        });
        let answer = get_json(server.address(), "/v1/people/c1").await.expect("an answer");
        assert_eq!((answer.head.status, answer.code()), (503, Some("loading")), "{answer:?}");
        assert!(answer.head.header("retry-after").is_some(), "{answer:?}");
        cluster.sql(
            "postgres",
            &format!(
                "UPDATE people SET age = {age} WHERE id % 1000 = {age}; DELETE FROM people WHERE id % 999 = {age}"
            ),
        );
    }
    let follower = Follower::state(server.address(), "people/*", Habits::steady(Transport::Ndjson));
    follower.until_rows("the table", &gateway::rows(&cluster, &PEOPLE)).await;
    let told = follower.see(|seen| seen.notices.iter().any(|notice| notice["code"] == "loading"));
    assert!(told, "a stream that waits says why");
    cluster.sql("postgres", CHANGES);
    follower.until_rows("the table", &gateway::rows(&cluster, &PEOPLE)).await;
    assert_eq!(cluster.sql("postgres", "SELECT slot_name FROM pg_replication_slots"), SLOT);
}

/// Returns while rows of the first snapshot are being sent.
fn await_copy(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        "DO $$ BEGIN
           WHILE NOT EXISTS (SELECT FROM pg_stat_progress_copy WHERE command = 'COPY TO' AND tuples_processed > 1000) LOOP
             PERFORM pg_sleep(0.002);
             PERFORM pg_stat_clear_snapshot();
           END LOOP;
         END $$",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_standby() {
    for version in Version::ALL {
        let mut rig = Rig::start(Cluster::setup(version)).await;
        let mut standby = block_in_place(|| rig.cluster.standby());
        rig.sql("UPDATE people SET name = 'on both' WHERE id < 5");
        block_in_place(|| {
            standby.catch_up(&rig.cluster);
            standby.stop();
        });
        // What the standby never got was seen by every watcher, and must be taken back.
        rig.sql("UPDATE people SET name = 'lost' WHERE id < 3; INSERT INTO people VALUES (2000, 'c0', 'lost', 1); DELETE FROM people WHERE id = 100");
        rig.equal("before the failover").await;
        let port = rig.cluster.port();
        block_in_place(|| {
            rig.cluster.kill9();
            standby.start_on(port);
            standby.promote();
        });
        rig.cluster = standby;
        rig.sql(CHANGES);
        rig.equal("after the failover").await;
        rig.was_never_reset();
        assert_eq!(rig.after_the_gap().await.len(), RECORDS + 4, "only differences are told");
        bounce_and_compare(&mut rig).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_put_back() {
    for version in Version::ALL {
        let mut rig = Rig::start(Cluster::setup(version)).await;
        block_in_place(|| rig.cluster.stop());
        let saved = block_in_place(|| rig.cluster.save());
        block_in_place(|| rig.cluster.start_again());
        rig.sql(CHANGES);
        rig.equal("before").await;
        block_in_place(|| {
            rig.server.kill9();
            rig.cluster.stop();
            rig.cluster.restore(&saved);
            rig.cluster.start_again();
        });
        // Another future, which passes every place of the old one before anybody looks.
        rig.sql(
            "UPDATE people SET name = 'again' WHERE id = 3;
             SELECT pg_logical_emit_message(false, 'filling', repeat('x', 1000000)) IS NULL FROM generate_series(1, 20);
             SELECT pg_switch_wal() IS NULL;
             INSERT INTO people VALUES (3000, 'c2', 'again', 1)",
        );
        block_in_place(|| rig.server.restart()).unwrap_or_else(|error| panic!("{error}"));
        rig.equal("of the other future").await;
        rig.was_never_reset();
        assert_eq!(rig.after_the_gap().await.len(), RECORDS + 2, "only differences are told");
        bounce_and_compare(&mut rig).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_put_back_under_a_running_server() {
    let mut rig = Rig::start(Cluster::setup(Version::V15)).await;
    block_in_place(|| rig.cluster.stop());
    let saved = block_in_place(|| rig.cluster.save());
    block_in_place(|| rig.cluster.start_again());
    rig.sql(CHANGES);
    rig.equal("before").await;
    block_in_place(|| {
        rig.cluster.stop();
        rig.cluster.restore(&saved);
        rig.cluster.start_again();
    });
    rig.sql("UPDATE people SET name = 'again' WHERE id = 3");
    rig.equal("of the other future").await;
    rig.was_never_reset();
    rig.after_the_gap().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_behind_the_url() {
    let mut rig = Rig::start(Cluster::setup(Version::V15)).await;
    let other = block_in_place(|| Cluster::start(Version::V18));
    other.sql("postgres", SCHEMA);
    other.sql("postgres", CHANGES);
    rig.restart_with(&other.url("postgres"));
    rig.cluster = other;
    rig.equal("of the other cluster").await;
    rig.was_never_reset();
    assert_eq!(rig.after_the_gap().await.len(), RECORDS, "only differences are told");
}

/// A log that takes nothing must not fill the database's disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_holds_too_much_is_given_up_and_healed() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("the log's folder");
    let shim = Shim::new(&folder.path().join("data"));
    let environment = shim.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let config = gateway::config(&cluster.url("postgres"), &["slot_lag_max: 64MiB"], &[PEOPLE]);
    let server = block_in_place(|| Server::start_in(gateway::binary(), folder.path(), &config, &environment));
    let rig = Rig::around(cluster, server.unwrap_or_else(|error| panic!("{error}"))).await;

    shim.full(true);
    rig.sql(CHANGES);
    rig.sql(
        "SELECT pg_logical_emit_message(false, 'filling', repeat('x', 1000000)) IS NULL FROM generate_series(1, 100)",
    );
    let gone =
        "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_replication_slots) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$";
    let waited =
        tokio::time::timeout(PATIENCE, rig.cluster.connect("postgres").await.expect("connected").batch_execute(gone))
            .await;
    waited.expect("the slot is dropped").expect("SQL");
    // Nothing brings it back while the log is full.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.sql("SELECT count(*) FROM pg_replication_slots"), "0");
    shim.full(false);
    rig.equal("healed").await;
    rig.was_never_reset();
    rig.after_the_gap().await;
    assert_eq!(rig.sql("SELECT slot_name FROM pg_replication_slots"), SLOT);
}
