//! A database that was put back to an earlier time, and has grown past what we hold since.

use tidegate_testkit::postgres::{Cluster, Saved, Version};
use tokio::task::block_in_place;

use crate::gateway::{PATIENCE, SLOT, bounce};
use crate::refusals::says;
use crate::rig::{CHANGES, Rig};

/// Another future: two rows of it, and far more WAL than the lost one had.
const FUTURE: &str = "
INSERT INTO people VALUES (3000, 'c2', 'of the other future', 1);
DELETE FROM people WHERE id = 1;
SELECT pg_logical_emit_message(false, 'filling', repeat('x', 1000000)) IS NULL FROM generate_series(1, 30);
SELECT pg_switch_wal() IS NULL;
";

async fn saved() -> (Rig, Saved) {
    let mut rig = Rig::start(Cluster::setup(Version::V15)).await;
    rig.sql("UPDATE people SET age = 3 WHERE id = 3");
    rig.equal("of both futures").await;
    let saved = block_in_place(|| {
        rig.cluster.stop();
        let saved = rig.cluster.save();
        rig.cluster.start_again();
        saved
    });
    (rig, saved)
}

fn put_back(rig: &mut Rig, saved: &Saved) {
    rig.server.kill9();
    block_in_place(|| {
        rig.cluster.stop();
        rig.cluster.restore(saved);
        rig.cluster.start_again();
    });
    rig.sql(FUTURE);
}

/// The table was quiet: what we hold ends long before the place that we have come to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_where_there_were_none() {
    let (mut rig, saved) = saved().await;
    rig.sql(
        "SELECT pg_logical_emit_message(false, 'filling', repeat('x', 1000000)) IS NULL FROM generate_series(1, 10)",
    );
    let place = rig.sql("SELECT pg_current_wal_lsn()");
    let confirmed = format!(
        "DO $$ BEGIN WHILE (SELECT confirmed_flush_lsn < '{place}' FROM pg_replication_slots WHERE slot_name = '{SLOT}')
         LOOP PERFORM pg_sleep(0.02); END LOOP; END $$"
    );
    let client = rig.cluster.connect("postgres").await.expect("connected");
    tokio::time::timeout(PATIENCE, client.batch_execute(&confirmed)).await.expect("it moves on").expect("SQL");
    drop(client);
    put_back(&mut rig, &saved);
    rig.server.restart().unwrap_or_else(|error| panic!("{error}"));
    rig.equal("of the other future").await;
    rig.sql("UPDATE people SET age = 5 WHERE id = 5");
    rig.equal("live").await;
    rig.was_never_reset();
    rig.after_the_gap().await;
}

/// Killed before the loss was healed, it must find it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_before_the_loss_has_healed() {
    let (mut rig, saved) = saved().await;
    rig.sql(CHANGES);
    rig.equal("before").await;
    put_back(&mut rig, &saved);
    rig.server.restart().unwrap_or_else(|error| panic!("{error}"));
    // The server's words come at once; what follows takes it a while.
    says(&rig.server, &["changes arrive as they happen"]).await;
    block_in_place(|| bounce(&mut rig.server));
    rig.equal("of the other future").await;
    rig.was_never_reset();
    rig.after_the_gap().await;
}
