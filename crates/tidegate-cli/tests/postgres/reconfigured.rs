//! Channels whose table, address, key or numbers are others than in the last config.

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::replica::Rows;
use tokio::task::block_in_place;

use crate::check::{check, said};
use crate::gateway::{self, config, reconfigure};
use crate::site::Site;
use crate::tables::Table;

const THINGS: Table = Table { channel: "things", address: "things/{shelf}", table: "public.things", key: &["id"] };
/// The same table, otherwise spelled.
const NAMED: Table = Table { channel: "named", address: "named", table: "things", key: &["id"] };
const SHOUTED: Table = Table { channel: "shouted", address: "shouted/{room}", table: "Public.THINGS", key: &["id"] };

const SCHEMA: &str = "
CREATE TABLE things (id int, shelf text, room text NOT NULL, n bigint, PRIMARY KEY (id, shelf), UNIQUE (id));
ALTER TABLE things REPLICA IDENTITY FULL;
INSERT INTO things SELECT g, 's' || g % 3, 'r' || g % 4, g * 10000000000 FROM generate_series(1, 40) g;
";

fn cluster() -> Cluster {
    let cluster = Cluster::start(Version::V18);
    cluster.sql("postgres", SCHEMA);
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_table_under_several_names() {
    let mut site = Site::start(block_in_place(cluster), &[], &[THINGS, NAMED, SHOUTED]).await;
    let found = check(site.server.folder());
    assert!(found.status.success(), "{}", said(&found));
    site.run("UPDATE things SET room = 'moved', shelf = 'moved' WHERE id < 5; DELETE FROM things WHERE id = 9").await;
    // One of them goes, misses something, and comes back.
    site.reconfigure(&[THINGS, SHOUTED]).await;
    site.run("UPDATE things SET n = 1 WHERE id = 10; INSERT INTO things VALUES (100, 's1', 'r1', 1); DELETE FROM things WHERE id = 100").await;
    site.reconfigure(&[THINGS, NAMED, SHOUTED]).await;
    site.run("UPDATE things SET n = 2 WHERE id = 10").await;
    assert_eq!(
        (site.gaps("named"), site.gaps("things"), site.gaps("shouted")),
        (1, 0, 0),
        "who missed something is told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_and_keys_of_another_config() {
    let mut site = Site::start(block_in_place(cluster), &[], &[THINGS]).await;
    for (address, key) in [
        ("things/{room}", &["id"][..]),
        // Nothing is left behind at the old addresses, which come back.
        ("goods/{room}", &["id"]),
        ("goods/{shelf}", &["id", "shelf"]),
        ("things/{shelf}", &["id"]),
    ] {
        site.reconfigure(&[Table { address, key, ..THINGS }]).await;
        site.run("UPDATE things SET room = room || 'x', shelf = shelf || 'x' WHERE id % 7 = 0").await;
        site.run("DELETE FROM things WHERE id = (SELECT max(id) FROM things)").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_become_texts() {
    let mut site = Site::start(block_in_place(cluster), &[], &[THINGS]).await;
    let text = config(&site.cluster.url("postgres"), &[], &[THINGS]);
    let text = text.replacen("    key:", "    numbers: string\n    key:", 1);
    block_in_place(|| reconfigure(&mut site.server, &text));
    let texts = || -> Rows {
        let mut rows = gateway::rows(&site.cluster, &THINGS);
        rows.values_mut().for_each(|row| row["n"] = row["n"].to_string().into());
        rows
    };
    let state = Follower::state(site.server.address(), "things/*", Habits::steady(Transport::Sse));
    state.until_rows("with texts", &block_in_place(texts)).await;
    site.sql("UPDATE things SET n = 7 WHERE id = 7");
    state.until_rows("with texts, live", &block_in_place(texts)).await;
}

/// A slot of other settings holds WAL without end, which nobody would notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_of_earlier_settings_is_not_forgotten() {
    let mut site = Site::start(block_in_place(cluster), &[], &[THINGS]).await;
    site.server.kill9();
    let text = config(&site.cluster.url("postgres"), &["slot: another"], &[THINGS]);
    std::fs::write(site.server.folder().join("tidegate.yaml"), text).expect("written");
    // The server notices a reader's death when it next writes to it.
    let gone = "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_replication_slots WHERE active) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$";
    site.sql(gone);
    let found = said(&check(site.server.folder()));
    assert!(found.contains("pg_drop_replication_slot('tidegate_shop')"), "{found}");
}
