//! Rows that have no place, and tables that cannot be read: they stop nothing else.

use serde_json::Value;
use tidegate_testkit::client::{Transport, get_json};
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::gateway::{self, DEAD, metric};
use crate::rig::{PEOPLE, Rig};
use crate::tables::Table;

const FILES: Table = Table { channel: "files", address: "files/{folder}", table: "public.files", key: &["id"] };

/// Row, statement, and what the reason must say.
const POISONED: [(u32, &str, &str); 6] = [
    (1, "UPDATE files SET folder = 'a/b' WHERE id = 1", "folder"),
    (2, "UPDATE files SET folder = NULL WHERE id = 2", "folder"),
    (3, "UPDATE files SET folder = '..' WHERE id = 3", "folder"),
    (4, "UPDATE files SET doc = (repeat('[', 200) || repeat(']', 200))::jsonb WHERE id = 4", "deep"),
    (5, "UPDATE files SET body = repeat('0123456789', 4000000) WHERE id = 5", "large"),
    (6, "UPDATE files SET folder = repeat('x', 300) WHERE id = 6", "folder"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_row_goes_to_the_dead_letters() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql(
            "postgres",
            "CREATE TABLE files (id int PRIMARY KEY, folder text, doc jsonb, body text);
             INSERT INTO files SELECT g, 'f', '{}', 'short' FROM generate_series(1, 20) g;
             INSERT INTO files VALUES (99, 'bad/from/the/start', '{}', '')",
        );
        let server = block_in_place(|| gateway::serve(&cluster, &[FILES]));
        let state = Follower::state(server.address(), "files/*", Habits::steady(Transport::Sse));
        let history = Follower::history(server.address(), "files/*", Habits::steady(Transport::Ndjson));
        let letters = Follower::events(server.address(), DEAD, Habits::steady(Transport::WebSocket));
        letters.until("the one of the snapshot", |seen| letter(&seen.frames, 99).is_some()).await;
        state.until("the snapshot", |seen| seen.replica.rows().is_some_and(|rows| rows.len() == 20)).await;

        for (id, statement, reason) in POISONED {
            cluster.sql("postgres", statement);
            cluster.sql("postgres", "UPDATE files SET body = body || '!' WHERE id = 20");
            letters.until(statement, |seen| letter(&seen.frames, id).is_some()).await;
            let told = letters.see(|seen| letter(&seen.frames, id).cloned()).expect("it is there");
            let text = told["data"]["reason"].as_str().unwrap_or_else(|| panic!("no reason: {told}")).to_owned();
            assert!(text.contains(reason), "{statement}: {text}");
            assert_eq!(
                (&told["data"]["table"], &told["data"]["source"]),
                (&"public.files".into(), &"shop".into()),
                "{told}"
            );
            let key = id.to_string();
            let gone = |rows: &tidegate_testkit::replica::Rows| rows.keys().all(|(_, own)| *own != key);
            state.until("the old row is gone", |seen| seen.replica.rows().is_some_and(gone)).await;
        }
        // Insert, in one transaction with good ones, which are there; and the way back.
        cluster.sql(
            "postgres",
            "BEGIN; INSERT INTO files VALUES (101, 'f', '{}', ''), (102, 'x/y', '{}', ''), (103, 'f', '{}', ''); COMMIT;
             UPDATE files SET folder = 'f', doc = '{}', body = '' WHERE id < 10",
        );
        cluster.sql("postgres", "DELETE FROM files WHERE id IN (99, 102)");
        let wanted = gateway::rows(&cluster, &FILES);
        state.until_rows("all that is good", &wanted).await;
        history.until("all that is good", |seen| crate::truth::replayed(&seen.frames) == wanted).await;
        letters.see(|seen| assert!(letter(&seen.frames, 102).is_some(), "{:?}", seen.frames));
        let counted = metric(&server, "tidegate_source_dead_letters_total{").await;
        assert_eq!(counted, Some(8.0), "one letter a row, and the metric counts them");
        assert_eq!(letters.see(|seen| seen.frames.len()), 8, "one letter a row");
    }
}

fn letter(frames: &[Value], id: u32) -> Option<&Value> {
    frames.iter().find(|frame| frame["data"]["row"]["id"].to_string().trim_matches('"') == id.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_table_is_empty_at_once() {
    let rig = Rig::start(Cluster::setup(Version::V18)).await;
    rig.sql("BEGIN; UPDATE people SET age = 1 WHERE id = 1; TRUNCATE people; INSERT INTO people VALUES (7, 'after', 'x', 1); COMMIT");
    rig.equal("truncated").await;
    rig.history.see(|seen| assert_eq!((seen.ops("clear"), seen.ops("delete")), (1, 0)));
    rig.state.see(|seen| assert_eq!(seen.replica.resets, ["start", "clear"]));
    rig.sql("TRUNCATE people");
    rig.equal("empty").await;
}

const CACHE: Table = Table { channel: "cache", address: "cache", table: "public.cache", key: &["id"] };
const KEYLESS: Table = Table { channel: "keyless", address: "keyless", table: "public.keyless", key: &["id"] };
const ABSENT: Table = Table { channel: "absent", address: "absent", table: "public.absent", key: &["id"] };
const VIEW: Table = Table { channel: "seen", address: "seen", table: "public.seen", key: &["id"] };

/// One config names what cannot be read beside what can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_cannot_be_read_stop_nothing_else() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", crate::rig::SCHEMA);
        cluster.sql(
            "postgres",
            "CREATE UNLOGGED TABLE cache (id int PRIMARY KEY, v int); CREATE TABLE keyless (id int, v int);
             CREATE VIEW seen AS SELECT id FROM people; INSERT INTO keyless VALUES (1, 1); INSERT INTO cache VALUES (1, 1)",
        );
        let tables = [PEOPLE, CACHE, KEYLESS, ABSENT, VIEW];
        let server = block_in_place(|| gateway::serve(&cluster, &tables));
        let rig = Rig::around(cluster, server).await;
        for table in &tables[1..] {
            let answer = get_json(rig.server.address(), &format!("/v1/{}", table.address)).await.expect("an answer");
            assert_eq!(answer.code(), Some("loading"), "{}: {answer:?}", table.channel);
            assert!(
                rig.server.output().contains(table.table),
                "{} is not told of:\n{}",
                table.table,
                rig.server.output()
            );
        }
        // The application does not suffer from being watched.
        rig.sql("UPDATE keyless SET v = 2; DELETE FROM keyless; UPDATE cache SET v = 2; CREATE TEMP TABLE t (id int); INSERT INTO t VALUES (1)");
        rig.sql("UPDATE people SET age = 3 WHERE id = 3");
        rig.equal("beside them").await;
        // What was missing is there at last.
        rig.sql(
            "ALTER TABLE cache SET LOGGED; CREATE TABLE absent (id int PRIMARY KEY); INSERT INTO absent VALUES (5);
             INSERT INTO keyless VALUES (9, 9); ALTER TABLE keyless ADD PRIMARY KEY (id)",
        );
        for table in [CACHE, KEYLESS, ABSENT] {
            let follower = Follower::state(rig.server.address(), table.address, Habits::steady(Transport::Sse));
            follower.until_rows(table.table, &block_in_place(|| gateway::rows(&rig.cluster, &table))).await;
        }
        rig.sql("UPDATE keyless SET v = 10; DELETE FROM people WHERE id = 4");
        rig.equal("beside them, still").await;
        rig.was_never_reset();
        rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0, "a table that comes loads alone"));
    }
}

const FATS: Table = Table { channel: "fats", address: "fats/{folder}", table: "public.fats", key: &["id"] };

/// A column that updates leave out, and rows that we do not have: neither may stop the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_which_a_part_is_not_told() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", crate::rig::SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE TABLE fats (id int PRIMARY KEY, folder text, n int, body text); ALTER TABLE fats ALTER body SET STORAGE EXTERNAL;
         INSERT INTO fats SELECT g, 'f' || g % 5, 0, repeat('y', 5000) FROM generate_series(1, 1000) g",
    );
    let mut server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
    Follower::state(server.address(), "people/*", Habits::steady(Transport::Sse))
        .until("loaded", |seen| seen.replica.rows().is_some_and(|rows| rows.len() == 500))
        .await;

    // The table comes to a running source while the application goes on with it.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let url = cluster.url("postgres");
    let writer = tokio::spawn(async move {
        let client = tidegate_testkit::postgres::connect(&url).await.expect("connected");
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
        for round in 1.. {
            ticks.tick().await;
            let both = format!(
                "UPDATE fats SET n = n + 1 WHERE id = {round} % 1000 + 1; UPDATE people SET age = {round} WHERE id = 3"
            );
            client.batch_execute(&both).await.unwrap_or_else(|error| panic!("{both}: {error}"));
            if *stopped.borrow() {
                return;
            }
        }
    });
    let text = gateway::config(&cluster.url("postgres"), &[], &[PEOPLE, FATS]);
    block_in_place(|| gateway::reconfigure(&mut server, &text));
    let fats = Follower::state(server.address(), "fats/*", Habits::steady(Transport::Sse));
    let letters = Follower::events(server.address(), DEAD, Habits::steady(Transport::Sse));
    fats.until("all are there", |seen| seen.replica.rows().is_some_and(|rows| rows.len() == 1000)).await;
    stop.send_replace(true);
    writer.await.expect("the writer");
    let rig = Rig::around(cluster, server).await;
    fats.until_rows("the table", &block_in_place(|| gateway::rows(&rig.cluster, &FATS))).await;

    // A row that has no place, whatever its body is, needs no comparison each time.
    rig.sql("INSERT INTO fats VALUES (0, NULL, 0, repeat('y', 5000))");
    let compared = || rig.server.output().matches("was compared").count();
    let before = compared();
    for _ in 0..10 {
        rig.sql("UPDATE fats SET n = n + 1 WHERE id = 0");
    }
    letters.until("a letter for each", |seen| seen.frames.len() == 11).await;
    assert_eq!(compared(), before, "{}", rig.server.output());
}
