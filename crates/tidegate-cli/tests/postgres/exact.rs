//! Whatever dies and whenever: each replica equals its table, and the history of a table is what
//! was committed, once and in order.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_testkit::follower::{Follower, Habits, difference};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::gateway::{self, drop_slot, number, rows};
use crate::tables::{ALL, BASKET, LEDGER, MARKERS, SCHEMA, Table, VISITS_SCHEMA};
use crate::traffic::Traffic;
use crate::truth;

const WRITERS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_their_tables_15() {
    run(Version::V15, Slot::Stays).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_equal_their_tables_18() {
    run(Version::V18, Slot::Stays).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_dropped_under_load_heals_without_a_reset_15() {
    run(Version::V15, Slot::IsDropped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_dropped_under_load_heals_without_a_reset_18() {
    run(Version::V18, Slot::IsDropped).await;
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Stays,
    IsDropped,
}

/// What happens while the writers write.
#[derive(Clone, Copy, Debug)]
enum Blow {
    KillTidegate,
    KillPostgres,
    DropSlot,
}

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

async fn run(version: Version, slot: Slot) {
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
    let mut server = block_in_place(|| gateway::serve(&cluster, &ALL));
    let watched: Vec<Watched> = ALL.iter().map(|table| Watched::start(&server, *table, &mut rng)).collect();
    let ledger = watched.iter().find(|watched| watched.table.channel == LEDGER.channel).expect("it is there");
    ledger.histories[0].until("the ledger is loaded", |seen| !seen.frames.is_empty()).await;
    let in_snapshot = cluster.sql("postgres", "SELECT count(*) FROM ledger").parse().expect("a count");

    for blow in blows(seconds, slot, &mut rng) {
        tokio::time::sleep_until(blow.0).await;
        block_in_place(|| match blow.1 {
            Blow::KillTidegate => gateway::bounce(&mut server),
            Blow::KillPostgres => {
                cluster.kill9();
                cluster.start_again();
            }
            Blow::DropSlot => drop_slot(&cluster),
        });
    }
    let transactions = traffic.stop().await;
    cluster.sql("postgres", MARKERS);

    for watched in &watched {
        compare(watched, &cluster, slot).await;
    }
    let order = truth::ledger(&cluster);
    for history in &ledger.histories {
        history.see(|seen| {
            truth::has_each_once(&seen.frames, &order);
            if slot == Slot::Stays {
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

/// When what happens, spread over the time at random.
fn blows(seconds: u64, slot: Slot, rng: &mut StdRng) -> Vec<(Instant, Blow)> {
    let begin = Instant::now();
    let mut blows = vec![Blow::KillTidegate; number("TIDEGATE_PG_KILLS", 3) as usize];
    blows.extend(vec![Blow::KillPostgres; number("TIDEGATE_PG_SERVER_KILLS", 1) as usize]);
    let mut at = || begin + Duration::from_secs_f64(seconds as f64 * rng.random::<f64>());
    let mut blows: Vec<(Instant, Blow)> = blows.into_iter().map(|blow| (at(), blow)).collect();
    if slot == Slot::IsDropped {
        blows.push((begin + Duration::from_secs(seconds) / 2, Blow::DropSlot));
    }
    blows.sort_by_key(|(at, _)| *at);
    blows
}

async fn compare(watched: &Watched, cluster: &Cluster, slot: Slot) {
    let Watched { table, states, histories } = watched;
    let wanted = rows(cluster, table);
    for follower in states {
        let has_marker = |rows: &tidegate_testkit::replica::Rows| rows.values().any(|row| table.is_marker(row));
        follower.until("the marker", |seen| seen.replica.rows().is_some_and(has_marker)).await;
        if slot == Slot::IsDropped {
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
        if slot == Slot::IsDropped {
            follower.until("the table", |seen| truth::replayed(&seen.frames) == wanted).await;
        }
        follower.see(|seen| {
            let found = truth::replayed(&seen.frames);
            assert!(found == wanted, "history of {}: {}", table.channel, difference(&found, &wanted));
            match slot {
                Slot::Stays => assert_eq!(seen.ops("gap"), 0, "history of {}", table.channel),
                Slot::IsDropped => assert!(
                    seen.frames.iter().any(|frame| frame["op"] == "gap" && frame["reason"] == "source"),
                    "no gap in the history of {}",
                    table.channel
                ),
            }
        });
    }
}
