//! Tables change under their watchers: who watches is told, and sees the rows as they are then.

use std::time::{Duration, Instant};

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::gateway;
use crate::rig::{PEOPLE, Rig, SCHEMA};
use crate::tables::Table;

const STRANGERS: Table =
    Table { channel: "strangers", address: "strangers/{city}", table: "public.strangers", key: &["id"] };

/// Runs one change of the schema and then one of a row, and waits until all see the table so.
async fn change(rig: &Rig, what: &str, statements: &str) {
    let notices = |follower: &Follower| follower.see(|seen| seen.notices.len());
    let before = (notices(&rig.state), notices(&rig.history));
    rig.sql(statements);
    rig.sql("UPDATE people SET age = age + 1 WHERE id = 50");
    rig.equal(what).await;
    for (follower, before) in [(&rig.state, before.0), (&rig.history, before.1)] {
        follower.until(&format!("the notice of: {what}"), |seen| seen.notices.len() > before).await;
        follower.see(|seen| {
            let told = &seen.notices[before..];
            assert!(told.iter().all(|notice| notice["code"] == "schema" && notice["message"].is_string()), "{told:?}");
            assert!(told.iter().any(|notice| notice["message"].as_str().expect("text").contains("people")), "{told:?}");
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_come_and_go() {
    for version in Version::ALL {
        let rig = Rig::start(Cluster::setup(version)).await;
        change(&rig, "a column with a default", "ALTER TABLE people ADD COLUMN points int DEFAULT 5").await;
        change(&rig, "another name", "ALTER TABLE people RENAME COLUMN name TO called").await;
        change(&rig, "another type", "ALTER TABLE people ALTER points TYPE text USING points || ' points'").await;
        change(&rig, "one less", "ALTER TABLE people DROP COLUMN called").await;
        change(
            &rig,
            "all at once, in the transaction that writes",
            "BEGIN; UPDATE people SET age = 3 WHERE id = 3; ALTER TABLE people ADD COLUMN a int, DROP COLUMN points;
             UPDATE people SET a = 4 WHERE id < 5; ALTER TABLE people ADD COLUMN b jsonb DEFAULT '{}'; DELETE FROM people WHERE id = 5; COMMIT",
        )
        .await;
        rig.was_never_reset();
        rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0, "a change of the schema loses nothing"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_renamed_and_comes_back() {
    for version in Version::ALL {
        let rig = Rig::start(Cluster::setup(version)).await;
        rig.sql("ALTER TABLE people RENAME TO folk");
        rig.sql("UPDATE folk SET age = 77 WHERE id < 10; DELETE FROM folk WHERE id = 11");
        rig.sql("ALTER TABLE folk RENAME TO people");
        rig.sql("UPDATE people SET age = 78 WHERE id = 1");
        rig.equal("under its old name").await;
        // Long enough away that the server has looked for it in vain.
        rig.sql("ALTER TABLE people RENAME TO folk; UPDATE folk SET age = 79 WHERE id = 2");
        tokio::time::sleep(Duration::from_secs(2)).await;
        rig.sql("UPDATE folk SET age = 80 WHERE id = 3; ALTER TABLE folk RENAME TO people; UPDATE people SET age = 81 WHERE id = 4");
        rig.equal("back again").await;
        rig.was_never_reset();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tables_change_places() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", SCHEMA);
        cluster.sql("postgres", "CREATE TABLE strangers (LIKE people INCLUDING ALL); INSERT INTO strangers SELECT id + 100, city, 'stranger', age FROM people");
        let server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE, STRANGERS]));
        let strangers = Follower::state(server.address(), "strangers/*", Habits::steady(Transport::Ndjson));
        let rig = Rig::around(cluster, server).await;
        for round in 0..2 {
            rig.sql(
                "BEGIN; ALTER TABLE people RENAME TO aside; ALTER TABLE strangers RENAME TO people; ALTER TABLE aside RENAME TO strangers;
                 UPDATE people SET age = 1 WHERE id = 300; COMMIT;
                 UPDATE people SET age = 2 WHERE id = 301; UPDATE strangers SET age = 3 WHERE id = 302",
            );
            rig.equal(&format!("after swap {round}")).await;
            let wanted = block_in_place(|| gateway::rows(&rig.cluster, &STRANGERS));
            strangers.until_rows("the other table", &wanted).await;
        }
        rig.was_never_reset();
    }
}

/// As nightly loads do it: the new one is filled aside, and takes the name of the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_table_takes_the_place_of_the_old_one() {
    let rig = Rig::start(Cluster::setup(Version::V15)).await;
    rig.sql(
        "CREATE TABLE fresh (LIKE people INCLUDING ALL); INSERT INTO fresh SELECT id, city, name, age + 1 FROM people WHERE id < 400;
         BEGIN; DROP TABLE people; ALTER TABLE fresh RENAME TO people; COMMIT; UPDATE people SET age = 5 WHERE id = 5",
    );
    rig.equal("as it was loaded").await;
    rig.was_never_reset();
}

/// A table that loses its key must not make the application's statements fail for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_is_dropped() {
    /// Heartbeats come every half second; the rest is for a machine that is busy.
    const SOON: Duration = Duration::from_secs(3);
    for version in Version::ALL {
        let rig = Rig::start(Cluster::setup(version)).await;
        rig.sql("ALTER TABLE people DROP CONSTRAINT people_pkey");
        let dropped = Instant::now();
        while let Err(said) =
            block_in_place(|| rig.cluster.try_sql("postgres", "UPDATE people SET age = 66 WHERE id < 9"))
        {
            assert!(said.contains("replica identity"), "{said}");
            assert!(
                dropped.elapsed() < SOON,
                "after {:?} the application still cannot write: {said}",
                dropped.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        rig.sql("INSERT INTO people VALUES (5000, 'c1', 'while nobody looked', 1)");
        rig.sql("ALTER TABLE people ADD PRIMARY KEY (id); UPDATE people SET age = 67 WHERE id = 9");
        rig.equal("once it has a key again").await;
        rig.was_never_reset();
    }
}
