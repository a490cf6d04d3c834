//! Whatever dies and whenever: each replica equals its table, and the history of a table is what
//! was committed, once and in order.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_testkit::follower::{Follower, Habits, difference};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tidegate_testkit::proxy::FaultProxy;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::gateway::{self, drop_slot, number, rows};
use crate::tables::{ALL, BASKET, LEDGER, MARKERS, SCHEMA, STOCK, Table, VISITS_SCHEMA};
use crate::traffic::Traffic;
use crate::truth;

const WRITERS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_their_tables_15() {
    run(Version::V15, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_their_tables_18() {
    run(Version::V18, Trouble::None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_dropped_under_load_heals_without_a_reset_15() {
    run(Version::V15, Trouble::Slot).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_dropped_under_load_heals_without_a_reset_18() {
    run(Version::V18, Trouble::Slot).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_tables_whose_schema_changes_15() {
    run(Version::V15, Trouble::Schema).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_tables_whose_schema_changes_18() {
    run(Version::V18, Trouble::Schema).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_tables_behind_a_bad_network() {
    run(Version::V18, Trouble::Network).await;
}

/// What there is beside the deaths of both.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// The slot is dropped in the middle.
    Slot,
    /// Columns come, go and change.
    Schema,
    /// Connections to the database are cut after any number of bytes.
    Network,
}

/// What happens while the writers write.
#[derive(Clone, Copy, Debug)]
enum Blow {
    KillTidegate,
    KillPostgres,
    DropSlot,
    Alter(&'static str),
    /// From now on a connection carries so many bytes.
    CutAfter(Option<u64>),
}

/// One transaction each; they leave what the writers use.
const ALTERATIONS: [&str; 8] = [
    "ALTER TABLE accounts ADD COLUMN extra int DEFAULT 7",
    "ALTER TABLE accounts RENAME COLUMN extra TO more; ALTER TABLE stock ADD COLUMN more jsonb DEFAULT '{\"a\": 1}'",
    "ALTER TABLE accounts ALTER v TYPE numeric, ALTER more TYPE text; ALTER TABLE visits ADD COLUMN more text DEFAULT 'x'",
    "UPDATE accounts SET v = v + 1; ALTER TABLE accounts DROP COLUMN more; UPDATE accounts SET v = v + 1 WHERE id < 50",
    "ALTER TABLE app.basket RENAME TO other; ALTER TABLE app.other RENAME TO basket; ALTER TABLE notes ADD COLUMN more date",
    "ALTER TABLE accounts ALTER v TYPE bigint; ALTER TABLE coupons ADD COLUMN more int[] DEFAULT '{1,2}'",
    "LOCK stock; CREATE TABLE fresh (LIKE stock INCLUDING ALL); INSERT INTO fresh SELECT * FROM stock; DROP TABLE stock;
     ALTER TABLE fresh RENAME TO stock; UPDATE stock SET n = n + 1 WHERE item < 10",
    "ALTER TABLE notes DROP COLUMN more; ALTER TABLE coupons ALTER more TYPE text USING more::text; CLUSTER accounts USING accounts_pkey",
];

/// The followers of one table.
struct Watched {
    table: Table,
    states: Vec<Follower>,
    histories: Vec<Follower>,
}

impl Watched {
    fn start(server: &Server, table: Table, rng: &mut StdRng) -> Watched {
        let (at, path) = (server.address(), table.pattern());
        let mut restless = || Habits::restless(rng.random());
        // A GET as JSON has 10,000 rows at most; the ledger has more and never changes.
        let states = if table.channel == LEDGER.channel { 0 } else { 2 };
        Watched {
            table,
            states: (0..states).map(|_| Follower::state(at, &path, restless())).collect(),
            histories: (0..2).map(|_| Follower::history(at, &path, restless())).collect(),
        }
    }
}

async fn run(version: Version, trouble: Trouble) {
    let seed = number("TIDEGATE_SEED", rand::random());
    let seconds = number("TIDEGATE_PG_SECONDS", 8);
    println!("PostgreSQL {version}, seed {seed}, {seconds} s");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cluster = block_in_place(|| Cluster::setup(version).set("deadlock_timeout", "50ms").start());
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", VISITS_SCHEMA);
    truth::begin(&cluster);

    // The first snapshot is taken amid the writing.
    let mut traffic = Traffic::start(&cluster.url("postgres"), seed, WRITERS);
    traffic.more(30).await;
    let proxy = FaultProxy::start(([127, 0, 0, 1], cluster.port()).into()).await.expect("a proxy");
    let url = match trouble {
        Trouble::Network => format!("postgres://postgres@{}/postgres", proxy.address()),
        _ => cluster.url("postgres"),
    };
    let mut server = block_in_place(|| Server::start(gateway::binary(), &gateway::config(&url, &[], &ALL)));
    let watched: Vec<Watched> = ALL.iter().map(|table| Watched::start(&server, *table, &mut rng)).collect();
    let ledger = watched.iter().find(|watched| watched.table.channel == LEDGER.channel).expect("it is there");
    ledger.histories[0].until("the ledger is loaded", |seen| !seen.frames.is_empty()).await;
    let in_snapshot = cluster.sql("postgres", "SELECT count(*) FROM ledger").parse().expect("a count");

    for blow in blows(seconds, trouble, &mut rng) {
        tokio::time::sleep_until(blow.0).await;
        block_in_place(|| match blow.1 {
            Blow::KillTidegate => gateway::bounce(&mut server),
            Blow::KillPostgres => {
                cluster.kill9();
                cluster.start_again();
            }
            Blow::DropSlot => drop_slot(&cluster),
            Blow::Alter(statements) => alter(&cluster, statements),
            Blow::CutAfter(bytes) => proxy.cut_after(bytes),
        });
    }
    proxy.cut_after(None);
    let transactions = traffic.stop().await;
    cluster.sql("postgres", MARKERS);

    for watched in &watched {
        compare(watched, &cluster, trouble).await;
    }
    let order = truth::ledger(&cluster);
    for history in &ledger.histories {
        history.see(|seen| {
            truth::has_each_once(&seen.frames, &order);
            if trouble != Trouble::Slot {
                truth::is_in_commit_order(&seen.frames, &order, in_snapshot);
            }
        });
    }
    let connections: u64 = watched
        .iter()
        .flat_map(|watched| watched.states.iter().chain(&watched.histories))
        .map(|follower| follower.see(|seen| seen.connections))
        .sum();
    println!("{transactions} transactions, {} rows of the ledger, {connections} connections", order.len());
}

/// Repeats what lost a deadlock against the writers.
fn alter(cluster: &Cluster, statements: &str) {
    while let Err(said) = cluster.try_sql("postgres", &format!("BEGIN; {statements}; COMMIT")) {
        assert!(said.contains("deadlock"), "{statements}: {said}");
    }
}

/// When what happens, spread over the time at random.
fn blows(seconds: u64, trouble: Trouble, rng: &mut StdRng) -> Vec<(Instant, Blow)> {
    let begin = Instant::now();
    let mut blows = vec![Blow::KillTidegate; number("TIDEGATE_PG_KILLS", 3) as usize];
    blows.extend(vec![Blow::KillPostgres; number("TIDEGATE_PG_SERVER_KILLS", 1) as usize]);
    let mut at = || begin + Duration::from_secs_f64(seconds as f64 * rng.random::<f64>());
    let mut blows: Vec<(Instant, Blow)> = blows.into_iter().map(|blow| (at(), blow)).collect();
    let part = |part: f64| begin + Duration::from_secs_f64(seconds as f64 * part);
    match trouble {
        Trouble::None => {}
        Trouble::Slot => blows.push((part(0.5), Blow::DropSlot)),
        Trouble::Schema => {
            let share = |at: usize| (at as f64 + 0.5) / ALTERATIONS.len() as f64;
            blows.extend(ALTERATIONS.iter().enumerate().map(|(at, text)| (part(share(at)), Blow::Alter(text))));
        }
        Trouble::Network => {
            let mut at = begin;
            while at < part(1.0) {
                let bytes = rng.random_bool(0.7).then(|| rng.random_range(0..300_000));
                blows.push((at, Blow::CutAfter(bytes)));
                at += Duration::from_millis(rng.random_range(50..700));
            }
        }
    }
    blows.sort_by_key(|(at, _)| *at);
    blows
}

async fn compare(watched: &Watched, cluster: &Cluster, trouble: Trouble) {
    let Watched { table, states, histories } = watched;
    let wanted = rows(cluster, table);
    for follower in states {
        let has_marker = |rows: &tidegate_testkit::replica::Rows| rows.values().any(|row| table.is_marker(row));
        follower.until("the marker", |seen| seen.replica.rows().is_some_and(has_marker)).await;
        if matches!(trouble, Trouble::Slot | Trouble::Schema) {
            // A comparison may find the marker before what was committed earlier.
            follower.until_rows("the table", &wanted).await;
        }
        let found = follower.rows();
        assert!(found == wanted, "{}: {}", table.channel, difference(&found, &wanted));
        follower.see(|seen| {
            let cleared = |reason: &&String| table.channel == BASKET.channel && *reason == "clear";
            let resets: Vec<&String> =
                seen.replica.resets.iter().filter(|reason| *reason != "start" && !cleared(reason)).collect();
            assert!(
                resets.is_empty() && seen.replica.gaps.is_empty(),
                "{}: {resets:?} {:?}",
                table.channel,
                seen.replica.gaps
            );
        });
    }
    for follower in histories {
        let is_marker = |frame: &serde_json::Value| frame["op"] == "upsert" && table.is_marker(&frame["data"]);
        follower.until("the marker", |seen| seen.frames.iter().rev().any(is_marker)).await;
        if matches!(trouble, Trouble::Slot | Trouble::Schema) {
            follower.until("the table", |seen| truth::replayed(&seen.frames) == wanted).await;
        }
        follower.see(|seen| {
            let found = truth::replayed(&seen.frames);
            assert!(found == wanted, "history of {}: {}", table.channel, difference(&found, &wanted));
            match trouble {
                Trouble::Slot => assert!(
                    seen.frames.iter().any(|frame| frame["op"] == "gap" && frame["reason"] == "source"),
                    "no gap in the history of {}",
                    table.channel
                ),
                // What was done to the new table before it was ours is not known.
                Trouble::Schema if table.channel == STOCK.channel => {}
                _ => assert_eq!(seen.ops("gap"), 0, "history of {}", table.channel),
            }
        });
    }
}
