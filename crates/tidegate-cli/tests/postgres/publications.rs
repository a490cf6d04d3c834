//! Publications that go, change, and belong to somebody else.

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;

use crate::check::{Quick, check, said};
use crate::gateway::{self, bounce, config};
use crate::refusals::says;
use crate::rig::{CHANGES, PEOPLE, Rig, SCHEMA};
use crate::tables::Table;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_goes_or_loses_a_table() {
    for version in Version::ALL {
        let mut rig = Rig::start(Cluster::setup(version)).await;
        rig.sql("CREATE TABLE other (id int)");
        rig.sql("ALTER PUBLICATION tidegate_shop DROP TABLE people");
        rig.sql(CHANGES);
        rig.equal("after it lost the table").await;
        rig.sql(
            "DROP PUBLICATION tidegate_shop; UPDATE people SET age = 33 WHERE id < 4; INSERT INTO other VALUES (1)",
        );
        rig.equal("after it was dropped").await;
        rig.sql("UPDATE people SET age = 34 WHERE id < 4");
        rig.equal("live").await;
        // The same while nobody looks.
        rig.server.kill9();
        rig.sql("DROP PUBLICATION tidegate_shop; UPDATE people SET age = 35 WHERE id < 4; INSERT INTO other VALUES (2); DELETE FROM people WHERE id = 44");
        block_in_place(|| bounce(&mut rig.server));
        rig.equal("after a start without it").await;
        rig.sql("UPDATE people SET age = 36 WHERE id < 4");
        rig.equal("live again").await;
        rig.was_never_reset();
    }
}

/// What a publication has: its flags, tables and filters.
fn anatomy(cluster: &Cluster) -> String {
    cluster.sql(
        "postgres",
        "SELECT p.pubname, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, t.tablename, t.attnames, t.rowfilter
         FROM pg_publication p LEFT JOIN pg_publication_tables t USING (pubname) ORDER BY 1, t.tablename",
    )
}

/// One that somebody else reads, too, stays as it is, though we might change it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_of_somebody_else_is_taken_as_it_is() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    cluster.sql(
        "postgres",
        "ALTER TABLE people REPLICA IDENTITY FULL; CREATE TABLE other (id int PRIMARY KEY); CREATE ROLE app LOGIN REPLICATION;
         GRANT SELECT ON people TO app; CREATE PUBLICATION mine FOR TABLE people WHERE (age >= 18), other;
         CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA public; CREATE PUBLICATION inserts FOR TABLE people WITH (publish = 'insert')",
    );
    let before = anatomy(&cluster);
    let adults = |from: u32| {
        let text = cluster.sql("postgres", &format!("SELECT to_jsonb(t) FROM people t WHERE age >= {from}"));
        text.lines().map(|line| PEOPLE.row(serde_json::from_str(line).expect("JSON"))).collect()
    };
    // A superuser might change them all, and a user who may not needs not.
    let start = |user: &str, settings: &[&str]| {
        let text = config(&cluster.url_as(user, "postgres"), settings, &[PEOPLE]);
        block_in_place(|| Server::start(gateway::binary(), &text))
    };
    let filtered = start("postgres", &["publication: mine"]);
    let all = start("app", &["publication: whole_schema", "slot: all"]);
    let partial = start("postgres", &["publication: inserts", "slot: partial"]);
    let state = |server: &Server| Follower::state(server.address(), "people/*", Habits::steady(Transport::Sse));
    let (filtered_rows, all_rows) = (state(&filtered), state(&all));
    filtered_rows.until_rows("the published rows", &block_in_place(|| adults(18))).await;
    all_rows.until_rows("all rows", &block_in_place(|| adults(0))).await;
    says(&partial, &["inserts", "somebody else's"]).await;
    cluster.sql("postgres", CHANGES);
    filtered_rows.until_rows("the published rows, changed", &block_in_place(|| adults(18))).await;
    all_rows.until_rows("all rows, changed", &block_in_place(|| adults(0))).await;
    assert_eq!(anatomy(&cluster), before);

    // Its owner may change it, and rows come and go with it.
    for from in [10, 40] {
        cluster.sql("postgres", &format!("ALTER PUBLICATION mine SET TABLE people WHERE (age >= {from}), other"));
        filtered_rows.until_rows("what is published now", &block_in_place(|| adults(from))).await;
    }
    cluster.sql("postgres", "ALTER PUBLICATION inserts SET (publish = 'insert, update, delete, truncate')");
    state(&partial).until_rows("all rows, once it will do", &block_in_place(|| adults(0))).await;
}

#[test]
fn a_column_that_a_channel_needs_is_missed_before_the_start() {
    let cluster = Cluster::start(Version::V15);
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "CREATE PUBLICATION mine FOR TABLE people (id, name, age)");
    let folder = tempfile::tempdir().expect("a folder");
    let text = config(&cluster.url("postgres"), &["publication: mine"], &[PEOPLE]);
    std::fs::write(folder.path().join("tidegate.yaml"), text).expect("written");
    let found = check(folder.path());
    assert!(!found.status.success() && said(&found).contains("leaves out the column `city`"), "{}", said(&found));
}

const OTHER: Table = Table { channel: "other", address: "other", table: "public.other", key: &["id"] };

/// `serve URL` beside a source that is named as its database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_and_a_source_of_one_name_keep_apart() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "CREATE TABLE other (id int PRIMARY KEY, v int)");
    let text = config(&cluster.url("postgres"), &[], &[PEOPLE]).replace("shop", "postgres");
    let mut server = block_in_place(|| Server::start(gateway::binary(), &text));
    let people = Follower::state(server.address(), "people/*", Habits::steady(Transport::Sse));
    people.until_rows("the table", &block_in_place(|| gateway::rows(&cluster, &PEOPLE))).await;

    let folder = tempfile::tempdir().expect("a folder");
    let quick = block_in_place(|| Quick::start(&cluster.url("postgres"), folder.path()));
    let other = Follower::state(quick.address, "other", Habits::steady(Transport::Sse));
    block_in_place(|| bounce(&mut server));
    cluster.sql("postgres", CHANGES);
    people.until_rows("the table, changed", &block_in_place(|| gateway::rows(&cluster, &PEOPLE))).await;
    // By now the source has made its publication as it needs it.
    cluster.sql("postgres", "INSERT INTO other VALUES (1, 1)");
    other.until_rows("the table of the other", &block_in_place(|| gateway::rows(&cluster, &OTHER))).await;
}
