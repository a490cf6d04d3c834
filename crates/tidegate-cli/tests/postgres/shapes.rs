//! What changes the rows of a table, or their shape, and is no change of a row.

use std::time::{Duration, Instant};

use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::gateway::{bounce, metric};
use crate::site::Site;
use crate::tables::Table;

const SHAPED: Table = Table { channel: "shaped", address: "shaped", table: "public.shaped", key: &["id"] };
const WHOLE: Table = Table { channel: "whole", address: "whole", table: "public.whole", key: &["id"] };

const SCHEMA: &str = "
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE part AS (a int, b text);
CREATE TABLE shaped (id int PRIMARY KEY, v text, n int, mood mood, part part);
INSERT INTO shaped VALUES (1, 'a', 1, 'sad', (1, 'x')), (2, 'b', 2, 'ok', (2, 'y'));
CREATE TABLE whole (id int PRIMARY KEY, v int);
ALTER TABLE whole REPLICA IDENTITY FULL;
INSERT INTO whole SELECT g, g FROM generate_series(1, 9) g;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_rewritten_without_a_change_of_theirs() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    let mut site = Site::start(cluster, &[], &[SHAPED, WHOLE]).await;
    for statements in [
        "ALTER TABLE shaped ALTER v TYPE text USING upper(v) || '!'",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "ALTER TYPE mood ADD VALUE 'late'; INSERT INTO shaped VALUES (3, 'c', 3, 'late', NULL)",
        "ALTER TYPE part ADD ATTRIBUTE c int; UPDATE shaped SET part = (9, 'q', 7) WHERE id = 2; INSERT INTO shaped VALUES (5, 'e', 5, 'ok', (1, 'w', 3))",
        "ALTER TYPE part DROP ATTRIBUTE b",
        "TRUNCATE shaped; INSERT INTO shaped VALUES (1, 'a', 1, 'ok', (1, 2)), (2, 'b', 2, 'ok', NULL)",
    ] {
        site.run(statements).await;
    }
    let letters = metric(&site.server, "tidegate_source_dead_letters_total{").await;
    assert_eq!((letters, site.gaps("shaped")), (Some(0.0), 0), "nothing is lost by it");
    // And while nobody looked: a shape that came and went leaves nothing behind.
    site.server.kill9();
    site.sql(
        "ALTER TABLE shaped ADD passing int DEFAULT 1; UPDATE shaped SET n = 9 WHERE id = 2; ALTER TABLE shaped DROP passing;
         ALTER TABLE shaped ALTER n TYPE text; INSERT INTO shaped VALUES (3, 'c', '3', 'ok', NULL); ALTER TABLE shaped ALTER n TYPE int USING n::int",
    );
    block_in_place(|| bounce(&mut site.server));
    site.equal("as it is now").await;
    let letters = metric(&site.server, "tidegate_source_dead_letters_total{").await;
    assert_eq!((letters, site.gaps("shaped")), (Some(0.0), 0), "nor by that");
}

/// From version 18 on, stored ones are published, and a virtual one in an identity makes the
/// application's own statements fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_columns_come_and_go() {
    /// Heartbeats come every half second; the rest is for a machine that is busy.
    const SOON: Duration = Duration::from_secs(3);
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", SCHEMA);
    let site = Site::start(cluster, &[], &[SHAPED, WHOLE]).await;
    site.run("ALTER TABLE shaped ADD COLUMN twice int GENERATED ALWAYS AS (n * 2) STORED").await;
    site.run("INSERT INTO shaped (id, n) VALUES (7, 70); UPDATE shaped SET n = 20 WHERE id = 2").await;

    site.sql("ALTER TABLE whole ADD COLUMN twice int GENERATED ALWAYS AS (v * 2) VIRTUAL");
    let added = Instant::now();
    while let Err(said) = block_in_place(|| site.cluster.try_sql("postgres", "UPDATE whole SET v = v + 1 WHERE id < 4"))
    {
        assert!(said.contains("cannot update"), "{said}");
        assert!(added.elapsed() < SOON, "after {:?} the application still cannot write: {said}", added.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.sql("DELETE FROM whole WHERE id = 9; UPDATE shaped SET n = 5 WHERE id = 1; ALTER TABLE whole DROP twice");
    site.run("UPDATE whole SET v = v + 1 WHERE id = 2").await;
}
