//! What the owner of a database has set, and what the operator of a gateway changes later.

use std::time::Duration;

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tidegate_testkit::shim::Shim;
use tokio::task::block_in_place;

use crate::gateway::{self, SLOT, config, metric, rows};
use crate::rig::{CHANGES, PEOPLE, Rig, SCHEMA};
use crate::tables::{Table, VISITS, VISITS_SCHEMA};

fn state(server: &Server, path: &str) -> Follower {
    Follower::state(server.address(), path, Habits::steady(Transport::Sse))
}

/// Limits that are meant for an application's statements must not cut ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_for_applications_do_not_hurt() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", SCHEMA);
        cluster.sql(
            "postgres",
            "INSERT INTO people SELECT g, 'c' || g % 5, repeat('x', 1000), 1 FROM generate_series(2000, 60000) g",
        );
        cluster.sql(
            "postgres",
            "ALTER DATABASE postgres SET statement_timeout = '150ms'; ALTER DATABASE postgres SET idle_in_transaction_session_timeout = '150ms';
             ALTER DATABASE postgres SET lock_timeout = '50ms';
             ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'; ALTER DATABASE postgres SET search_path = '';
             ALTER DATABASE postgres SET client_encoding = 'LATIN1'",
        );
        if version == Version::V18 {
            cluster.sql("postgres", "ALTER DATABASE postgres SET transaction_timeout = '150ms'; ALTER DATABASE postgres SET idle_session_timeout = '150ms'");
        }
        let server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
        let follower = state(&server, "people/*");
        // The test's own sessions write and read UTF-8.
        let limits_off = "SET client_encoding = 'UTF8'; SET statement_timeout = 0; SET transaction_timeout = 0;";
        let limits_off = match version {
            Version::V18 => limits_off,
            Version::V15 => "SET client_encoding = 'UTF8'; SET statement_timeout = 0;",
        };
        let table = || block_in_place(|| gateway::rows_after(&cluster, &PEOPLE, limits_off));
        follower.until_rows("the table", &table()).await;
        cluster.sql("postgres", &format!("{limits_off} SET search_path = public; {CHANGES}; ALTER TABLE people ADD COLUMN later text DEFAULT 'ä€'; UPDATE people SET age = 2 WHERE id = 2"));
        follower.until_rows("the table, changed", &table()).await;
        assert_eq!(follower.see(|seen| seen.replica.resets.clone()), ["start"]);
    }
}

/// Nobody's sessions write by accident; a publication and a heartbeat are no accident.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_unless_said() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "ALTER DATABASE postgres SET default_transaction_read_only = on");
    let server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
    let follower = state(&server, "people/*");
    follower.until_rows("the table", &block_in_place(|| rows(&cluster, &PEOPLE))).await;
    cluster.sql("postgres", &format!("SET default_transaction_read_only = off; {CHANGES}"));
    follower.until_rows("the table, changed", &block_in_place(|| rows(&cluster, &PEOPLE))).await;
}

/// A slot needs the end of every transaction that is open; meanwhile a stream waits and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_stays_open_is_waited_for() {
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", SCHEMA);
    let client = cluster.connect("postgres").await.expect("connected");
    client.batch_execute("BEGIN; UPDATE people SET age = 99 WHERE id = 1").await.expect("begun");
    let server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
    let follower = state(&server, "people/*");
    let slot = format!(
        "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{SLOT}') LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
    );
    block_in_place(|| cluster.sql("postgres", &slot));
    // The application is not held up by it.
    block_in_place(|| {
        cluster.sql("postgres", "SET lock_timeout = '2s'; UPDATE people SET age = 98 WHERE id = 2; INSERT INTO people VALUES (999, 'c1', 'meanwhile', 1)")
    });
    // It outlasts every patience of ours with a server that does not answer.
    tokio::time::sleep(Duration::from_secs(12)).await;
    client.batch_execute("COMMIT").await.expect("committed");
    follower.until_rows("the table", &block_in_place(|| rows(&cluster, &PEOPLE))).await;
    assert!(follower.see(|seen| seen.notices.iter().any(|notice| notice["code"] == "loading")));
}

/// The server takes a client for dead that does not answer; ours answers while its disk is slow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_of_ours_does_not_cut_the_stream() {
    let cluster = block_in_place(|| Cluster::setup(Version::V15).set("wal_sender_timeout", "3s").start());
    cluster.sql("postgres", SCHEMA);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("the log's folder");
    let shim = Shim::new(&folder.path().join("data"));
    let environment = shim.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = config(&cluster.url("postgres"), &[], &[PEOPLE]);
    let server = block_in_place(|| Server::start_in(gateway::binary(), folder.path(), &text, &environment));
    let rig = Rig::around(cluster, server.unwrap_or_else(|error| panic!("{error}"))).await;
    let failures = metric(&rig.server, "tidegate_source_failures_total{").await;
    shim.sync_delay(Duration::from_secs(8));
    // More than waits anywhere between the two.
    rig.sql("UPDATE people SET age = 1; UPDATE people SET name = repeat('x', 3000); UPDATE people SET age = 2");
    rig.equal("at last").await;
    shim.sync_delay(Duration::ZERO);
    assert_eq!(metric(&rig.server, "tidegate_source_failures_total{").await, failures, "{}", rig.server.output());
}

const NAMES: Table = Table { channel: "names", address: "names", table: "people", key: &["id"] };
const MORE: Table = Table { channel: "more", address: "more/{shelf}", table: "public.more", key: &["id"] };

/// Channels come and go with the config; the others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_added_and_removed() {
    let mut rig = Rig::start(Cluster::setup(Version::V15)).await;
    rig.sql("CREATE TABLE more (id int PRIMARY KEY, shelf text NOT NULL); INSERT INTO more SELECT g, 's' || g % 3 FROM generate_series(1, 300) g");
    let configure = |rig: &mut Rig, tables: &[Table]| {
        let text = config(&rig.cluster.url("postgres"), &[], tables);
        block_in_place(|| gateway::reconfigure(&mut rig.server, &text));
    };
    // Another table, and a second channel of the same one.
    configure(&mut rig, &[PEOPLE, NAMES, MORE]);
    rig.sql(CHANGES);
    rig.sql("UPDATE more SET shelf = 'moved' WHERE id < 9");
    let more = state(&rig.server, "more/*");
    let names = state(&rig.server, "names");
    more.until_rows("the new one", &block_in_place(|| rows(&rig.cluster, &MORE))).await;
    names.until_rows("the second of one table", &block_in_place(|| rows(&rig.cluster, &NAMES))).await;
    rig.equal("beside them").await;
    drop((more, names));
    // One goes, changes without us, and comes back.
    configure(&mut rig, &[PEOPLE]);
    rig.sql("DELETE FROM more WHERE id > 200; UPDATE people SET age = 9 WHERE id = 50; UPDATE more SET shelf = 'alone' WHERE id = 20");
    rig.equal("alone").await;
    configure(&mut rig, &[PEOPLE, MORE]);
    let more = state(&rig.server, "more/*");
    let history = Follower::history(rig.server.address(), "more/*", Habits::steady(Transport::Sse));
    more.until_rows("as it is now", &block_in_place(|| rows(&rig.cluster, &MORE))).await;
    rig.sql("UPDATE more SET shelf = 'live' WHERE id = 21; TRUNCATE people");
    more.until_rows("live", &block_in_place(|| rows(&rig.cluster, &MORE))).await;
    rig.equal("live").await;
    rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0, "they lost nothing"));
    history.until("live", |seen| seen.frames.iter().any(|frame| frame["address"] == "more/live")).await;
    history.see(|seen| assert_eq!(seen.ops("gap"), 1, "what was done while it was not watched is not known"));
}

/// Partitions are attached, detached, truncated and dropped behind the back of the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_come_and_go() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", VISITS_SCHEMA);
        cluster.sql("postgres", "INSERT INTO visits SELECT g, g % 25, 0 FROM generate_series(1, 200) g");
        let server = block_in_place(|| gateway::serve(&cluster, &[VISITS]));
        let follower = state(&server, "visits/*");
        follower.until_rows("the table", &block_in_place(|| rows(&cluster, &VISITS))).await;
        for statements in [
            "CREATE TABLE visits_next (id int, day int, v bigint, PRIMARY KEY (id, day)); INSERT INTO visits_next VALUES (1, 45, 1);
             DELETE FROM visits WHERE day BETWEEN 40 AND 50; ALTER TABLE visits ATTACH PARTITION visits_next FOR VALUES FROM (40) TO (50)",
            "UPDATE visits SET v = 2 WHERE day = 45",
            "ALTER TABLE visits DETACH PARTITION visits_old",
            "TRUNCATE visits_new",
            "DROP TABLE visits_rest",
            "INSERT INTO visits VALUES (500, 12, 1)",
        ] {
            cluster.sql("postgres", statements);
            follower.until_rows(statements, &block_in_place(|| rows(&cluster, &VISITS))).await;
        }
    }
}

/// Publications that somebody made, and that leave rows or columns out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_may_leave_rows_and_columns_out() {
    const ADULTS: (&str, &str) = (
        "ALTER TABLE people REPLICA IDENTITY FULL; CREATE PUBLICATION mine FOR TABLE people WHERE (age >= 18)",
        "SELECT to_jsonb(t) FROM people t WHERE age >= 18",
    );
    const NARROW: (&str, &str) = (
        "CREATE PUBLICATION mine FOR TABLE people (id, city, age)",
        "SELECT to_jsonb(t) FROM (SELECT id, city, age FROM people) t",
    );
    for (version, (publication, select)) in [(Version::V15, ADULTS), (Version::V18, ADULTS), (Version::V18, NARROW)] {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", SCHEMA);
        cluster.sql("postgres", publication);
        let text = config(&cluster.url("postgres"), &["publication: mine"], &[PEOPLE]);
        let server = block_in_place(|| Server::start(gateway::binary(), &text));
        let follower = state(&server, "people/*");
        let published = || {
            let text = cluster.sql("postgres", select);
            text.lines().map(|line| PEOPLE.row(serde_json::from_str(line).expect("JSON"))).collect()
        };
        follower.until_rows(publication, &block_in_place(published)).await;
        cluster.sql("postgres", CHANGES);
        cluster.sql("postgres", "UPDATE people SET age = 17 WHERE id BETWEEN 30 AND 40; UPDATE people SET age = 18 WHERE id BETWEEN 90 AND 100");
        follower.until_rows("the same, changed", &block_in_place(published)).await;
    }
}

/// Rows that the user may not see must not be missing in silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_security_does_not_hide_rows_in_silence() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "CREATE ROLE app LOGIN REPLICATION; GRANT SELECT ON people TO app; ALTER TABLE people ENABLE ROW LEVEL SECURITY;
         CREATE POLICY few ON people USING (id < 10); CREATE PUBLICATION tidegate_shop FOR TABLE people WITH (publish_via_partition_root = true)",
    );
    let server = block_in_place(|| {
        Server::start(gateway::binary(), &config(&cluster.url_as("app", "postgres"), &[], &[PEOPLE]))
    });
    let line = crate::refusals::says(&server, &["people", "row"]).await;
    println!("{line}");
    let answer = tidegate_testkit::client::get_json(server.address(), "/v1/people/c1").await.expect("an answer");
    assert_eq!(answer.code(), Some("loading"), "{answer:?}");
    cluster.sql("postgres", "ALTER ROLE app BYPASSRLS");
    state(&server, "people/*").until_rows("all rows", &block_in_place(|| rows(&cluster, &PEOPLE))).await;
}

/// A temporary slot leaves nothing behind, and a cut heals as any loss does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_slot_leaves_nothing() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    let text = config(&cluster.url("postgres"), &["temporary: true"], &[PEOPLE]);
    let server = block_in_place(|| Server::start(gateway::binary(), &text));
    let mut rig = Rig::around(cluster, server).await;
    assert_eq!(rig.sql("SELECT count(*) FILTER (WHERE temporary), count(*) FROM pg_replication_slots"), "1|1");
    rig.sql(CHANGES);
    rig.equal("live").await;
    block_in_place(|| rig.server.kill9());
    rig.sql(
        "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_replication_slots) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$",
    );
    rig.sql("UPDATE people SET age = 1003 WHERE id = 3");
    block_in_place(|| rig.server.restart()).unwrap_or_else(|error| panic!("{error}"));
    rig.equal("healed").await;
    rig.was_never_reset();
    assert_eq!(rig.after_the_gap().await.len(), 1);
}
