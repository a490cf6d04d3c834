//! Transactions too large to be held: in parts, visible at once, whole through every death.

use tidegate_testkit::postgres::{Cluster, Version};
use tokio::task::block_in_place;

use crate::gateway::bounce;
use crate::rig::Rig;

/// Some ten megabytes, in which every row changes, moves, goes and comes back.
const LARGE: &str = "BEGIN;
UPDATE people SET name = repeat(md5(id::text), 200);
UPDATE people SET city = 'n' || id % 3;
DELETE FROM people WHERE id % 4 = 0;
INSERT INTO people SELECT g, 'back', repeat('x', 5000), 1 FROM generate_series(1, 700) g ON CONFLICT (id) DO UPDATE SET city = 'met';
UPDATE people SET id = id + 10000 WHERE id % 5 = 0;
COMMIT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_is_whole() {
    for version in Version::ALL {
        let mut rig = Rig::start(Cluster::setup(version)).await;
        for round in 0..3 {
            rig.sql(LARGE);
            rig.sql(
                "UPDATE people SET id = id - 10000 WHERE id > 10000; UPDATE people SET age = age + 1 WHERE id < 100",
            );
            rig.sql(&LARGE.replace("COMMIT", "ROLLBACK"));
            rig.sql("UPDATE people SET city = 'home' WHERE id % 7 = 0; DELETE FROM people WHERE id % 11 = 0");
            rig.equal(&format!("round {round}")).await;
            block_in_place(|| bounce(&mut rig.server));
            rig.sql("UPDATE people SET city = 'again' WHERE id % 13 = 0");
            rig.equal(&format!("after the death of round {round}")).await;
        }
        rig.was_never_reset();
        rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0));
    }
}

/// Each death falls into the large transaction on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_amid_a_large_transaction() {
    let mut rig = Rig::start(Cluster::setup(Version::V18)).await;
    for round in 0..4 {
        let part =
            "INSERT INTO people SELECT g, 'c' || g % 9, repeat('x', 500), 1 FROM generate_series(20000, 50000) g;
                    UPDATE people SET city = 'd' || id % 7 WHERE id > 30000; DELETE FROM people WHERE id > 19999";
        rig.sql(&format!("BEGIN; {part}; {LARGE}", LARGE = LARGE.trim_start_matches("BEGIN;")));
        block_in_place(|| bounce(&mut rig.server));
        if round % 2 == 1 {
            block_in_place(|| {
                rig.cluster.kill9();
                rig.cluster.start_again();
            });
        }
        rig.sql("UPDATE people SET id = id - 10000 WHERE id > 10000");
        rig.equal(&format!("round {round}")).await;
    }
    rig.was_never_reset();
    rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0));
}
