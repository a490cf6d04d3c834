//! Tables that cannot be served as the config wants it: `check` says so beforehand, the application
//! does not suffer, and what is mended is served.

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::check::{Quick, check, remedies, said};
use crate::gateway::{self, binary, config};
use crate::rig::{CHANGES, PEOPLE, Rig, SCHEMA};
use crate::tables::Table;

struct Misfit {
    table: Table,
    /// What there is.
    made: &'static str,
    /// What `check` says of it.
    said: &'static str,
    /// Statements of the application.
    used: &'static str,
    /// What has to be done beyond what `check` says to run.
    mended: &'static str,
}

/// Its key is in more rows than one.
const TWINS: Misfit = Misfit {
    table: Table { channel: "twins", address: "twins", table: "public.twins", key: &["a"] },
    made: "CREATE TABLE twins (a int NOT NULL, v text); ALTER TABLE twins REPLICA IDENTITY FULL; INSERT INTO twins VALUES (1, 'x'), (1, 'y'), (2, 'z')",
    said: "nothing says that (a) tells its rows apart",
    used: "DELETE FROM twins WHERE v = 'x'; UPDATE twins SET v = v || '!'",
    mended: "",
};
/// The identity of the whole is not that of the part, which is what changes.
const HALVES: Misfit = Misfit {
    table: Table { channel: "halves", address: "halves", table: "public.halves", key: &["name", "half"] },
    made: "CREATE TABLE halves (name text NOT NULL, half text NOT NULL, v int, UNIQUE (name, half)) PARTITION BY LIST (half);
           CREATE TABLE halves_a PARTITION OF halves FOR VALUES IN ('a'); ALTER TABLE halves REPLICA IDENTITY FULL;
           INSERT INTO halves VALUES ('x', 'a', 1), ('y', 'a', 2), ('z', 'a', 3)",
    said: "halves_a does not name rows by the columns",
    used: "DELETE FROM halves WHERE name = 'x'; UPDATE halves SET name = name || '!', v = 9",
    mended: "",
};
const ODD: Misfit = Misfit {
    table: Table { channel: "odd", address: "odd", table: "public.odd", key: &["id", "half"] },
    made: "CREATE TABLE odd (id int, half text, code text NOT NULL, PRIMARY KEY (id, half)) PARTITION BY LIST (half);
           CREATE TABLE odd_a PARTITION OF odd FOR VALUES IN ('a'); CREATE UNIQUE INDEX odd_code ON odd_a (code);
           ALTER TABLE odd_a REPLICA IDENTITY USING INDEX odd_code; INSERT INTO odd VALUES (1, 'a', 'x'), (2, 'a', 'y'), (3, 'a', 'z')",
    said: "odd_a does not name rows by the columns",
    used: "DELETE FROM odd WHERE code = 'x'; UPDATE odd SET id = id + 10",
    mended: "",
};
const FOREIGN: Misfit = Misfit {
    table: Table { channel: "far", address: "far", table: "public.far", key: &["id", "half"] },
    made: "CREATE TABLE far (id int NOT NULL, half text NOT NULL) PARTITION BY LIST (half); CREATE TABLE far_a PARTITION OF far FOR VALUES IN ('a');
           ALTER TABLE far REPLICA IDENTITY FULL; ALTER TABLE far_a REPLICA IDENTITY FULL; INSERT INTO far VALUES (1, 'a');
           CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
           CREATE FOREIGN TABLE far_b PARTITION OF far FOR VALUES IN ('b') SERVER nowhere",
    said: "far_b is a foreign table",
    used: "UPDATE far SET id = id + 1 WHERE half = 'a'",
    mended: "DROP FOREIGN TABLE far_b; CREATE UNIQUE INDEX ON far (id, half)",
};
/// Its name and those of its columns are words of SQL.
const RESERVED: Misfit = Misfit {
    table: Table { channel: "order", address: "order/{table}", table: "public.\"order\"", key: &["user"] },
    made: "CREATE TABLE \"order\" (\"user\" int NOT NULL, \"table\" text NOT NULL); INSERT INTO \"order\" VALUES (1, 'a'), (2, 'b')",
    said: "public.\"order\" cannot be served",
    used: "UPDATE \"order\" SET \"user\" = \"user\" + 10",
    mended: "",
};
/// A part of its address is in no change.
const MADE: Misfit = Misfit {
    table: Table { channel: "made", address: "made/{twice}", table: "public.made", key: &["id"] },
    made: "CREATE TABLE made (id int PRIMARY KEY, v int NOT NULL, twice int GENERATED ALWAYS AS (v * 2) VIRTUAL); INSERT INTO made VALUES (1, 1)",
    said: "`twice` is generated",
    used: "UPDATE made SET v = v + 1",
    mended: "ALTER TABLE made DROP twice; ALTER TABLE made ADD twice int NOT NULL DEFAULT 1",
};
/// Updates of it would fail if it were published.
const VIRTUAL: Misfit = Misfit {
    table: Table { channel: "half", address: "half", table: "public.half", key: &["id"] },
    made: "CREATE TABLE half (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) VIRTUAL);
           ALTER TABLE half REPLICA IDENTITY FULL; INSERT INTO half VALUES (1, 1), (2, 2)",
    said: "the virtual generated column `twice`",
    used: "UPDATE half SET v = v + 1; DELETE FROM half WHERE id = 2",
    mended: "ALTER TABLE half DROP twice",
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misfits_are_told_before_and_served_when_mended() {
    let misfits = [TWINS, HALVES, ODD, FOREIGN, RESERVED, MADE, VIRTUAL];
    let cluster = block_in_place(|| Cluster::start(Version::V18));
    cluster.sql("postgres", SCHEMA);
    misfits.iter().for_each(|misfit| drop(cluster.sql("postgres", misfit.made)));
    let url = cluster.url("postgres");
    let folder = tempfile::tempdir().expect("a folder");
    // None of them keeps a URL from being served.
    let introduction = block_in_place(|| Quick::start(&url, folder.path()).stop());
    assert!(introduction.contains("public.far"), "{introduction}");

    let mut tables = vec![PEOPLE];
    tables.extend(misfits.iter().map(|misfit| misfit.table));
    let server = block_in_place(|| gateway::serve(&cluster, &tables));
    let rig = Rig::around(cluster, server).await;
    let found = said(&check(rig.server.folder()));
    for misfit in &misfits {
        assert!(found.contains(misfit.said), "{} is missing in:\n{found}", misfit.said);
        rig.sql(misfit.used);
    }
    rig.sql(CHANGES);
    rig.equal("beside them").await;

    println!("runs:\n{}", remedies(&found));
    rig.sql(&remedies(&found));
    misfits.iter().for_each(|misfit| drop(rig.sql(misfit.mended)));
    let found = check(rig.server.folder());
    assert!(found.status.success(), "{}", said(&found));
    for again in ["when mended", "live"] {
        for Misfit { table, used, .. } in &misfits {
            let follower = Follower::state(rig.server.address(), &table.pattern(), Habits::steady(Transport::Sse));
            let wanted = block_in_place(|| gateway::rows(&rig.cluster, table));
            follower.until_rows(&format!("{} {again}", table.table), &wanted).await;
            rig.sql(used);
        }
    }
    rig.equal("beside them").await;
    rig.was_never_reset();
}

/// What a user may not see is not taken for absent.
#[test]
fn a_schema_that_the_user_may_not_use() {
    let cluster = Cluster::start(Version::V15);
    cluster.sql(
        "postgres",
        "CREATE SCHEMA hidden; CREATE TABLE hidden.vault (id int PRIMARY KEY); CREATE ROLE app LOGIN REPLICATION;
         CREATE PUBLICATION mine FOR TABLE hidden.vault",
    );
    let vault = Table { channel: "vault", address: "vault", table: "hidden.vault", key: &["id"] };
    let folder = tempfile::tempdir().expect("a folder");
    let text = config(&cluster.url_as("app", "postgres"), &["publication: mine"], &[vault]);
    std::fs::write(folder.path().join("tidegate.yaml"), text).expect("written");
    let found = said(&check(folder.path()));
    assert!(found.contains("GRANT USAGE ON SCHEMA hidden TO app;"), "{found}");
    cluster.sql("postgres", &remedies(&found));
    let found = check(folder.path());
    assert!(found.status.success(), "{}", said(&found));
}

/// A config is shown where it is wrong, but not its secrets.
#[test]
fn a_url_that_cannot_be_read_is_told_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    for place in ["127.0.0.1:99999/shop", "[::1/shop", "db/shop?foo=1"] {
        let text = config(&format!("postgres://me:hunter2@{place}"), &[], &[PEOPLE]);
        std::fs::write(folder.path().join("tidegate.yaml"), text).expect("written");
        let mut serve = std::process::Command::new(binary());
        let served = serve.args(["serve", "--config", "tidegate.yaml"]).current_dir(folder.path()).output();
        for found in [check(folder.path()), served.expect("the binary runs")] {
            assert!(!found.status.success() && said(&found).contains("url"), "{place}: {}", said(&found));
            assert!(!said(&found).contains("hunter2"), "{place}: {}", said(&found));
        }
    }
}
