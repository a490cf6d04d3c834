//! Applications that give rows away, exchange, move, change and delete them, at the same time; some think better of it.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_testkit::postgres::{Cluster, connect};
use tokio::task::JoinSet;

use super::{CANARY, rows};

const WRITERS: u64 = 4;
/// Keys of the last rows are from here on.
const MARKS: u64 = 1_000_000;

/// Writes until so many statements were made; says how many transactions were committed, and statements in them.
pub(super) async fn write(cluster: &Cluster, seed: u64, principals: u64, changes: u64) -> (u64, u64) {
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let url = cluster.url("postgres");
        let mut rng = StdRng::seed_from_u64(seed ^ (number << 32));
        writers.spawn(async move {
            let client = connect(&url).await.expect("a connection");
            let (mut commits, mut statements) = (0, 0);
            while statements < changes / WRITERS {
                let (text, count) = transaction(principals, &mut rng);
                let commits_it = rng.random_bool(0.95);
                let end = if commits_it { "COMMIT" } else { "ROLLBACK" };
                client.batch_execute(&format!("BEGIN; {text} {end}")).await.expect("a transaction");
                if commits_it {
                    (commits, statements) = (commits + 1, statements + count);
                }
            }
            (commits, statements)
        });
    }
    let ended = writers.join_all().await;
    // One row more for each: who has it has all before it.
    let client = connect(&cluster.url("postgres")).await.expect("a connection");
    let marks = format!(
        "INSERT INTO docs SELECT {MARKS} + g, 'r0', 'p' || g, 'end', '{CANARY}', nextval('versions')
         FROM generate_series(0, {principals} - 1) g"
    );
    client.batch_execute(&marks).await.expect("marks");
    ended.iter().fold((0, 0), |(commits, statements), one| (commits + one.0, statements + one.1))
}

/// One to five statements, in the order of the rows that they lock, so that none waits for another in a circle.
fn transaction(principals: u64, rng: &mut StdRng) -> (String, u64) {
    let mut ids: Vec<u64> = (0..rng.random_range(1..6)).map(|_| rng.random_range(1..=rows(principals))).collect();
    ids.sort_unstable();
    let text: String = ids.iter().map(|id| statement(*id, principals, rng)).collect();
    (text, ids.len() as u64)
}

fn statement(id: u64, principals: u64, rng: &mut StdRng) -> String {
    let (owner, room, any) = (rng.random_range(0..principals), rng.random_range(0..3), rng.random::<u32>());
    let set = match rng.random_range(0..20) {
        0..10 => format!("owner = 'p{owner}', v = nextval('versions')"),
        10..12 => format!("body = 'b{any}', v = nextval('versions')"),
        12 => format!("room = 'r{room}', v = nextval('versions')"),
        13 => format!("room = 'r{room}', owner = 'p{owner}', v = nextval('versions')"),
        // Of which nobody is told.
        14 => format!("cost = '{CANARY}{any}'"),
        // And of this everything but that.
        15 => format!("cost = '{CANARY}{any}', owner = 'p{owner}'"),
        16..18 => return format!("DELETE FROM docs WHERE id = {id};"),
        _ => {
            return format!(
                "INSERT INTO docs VALUES ({id}, 'r{room}', 'p{owner}', 'again', '{CANARY}{any}', nextval('versions'))
                 ON CONFLICT (id) DO UPDATE SET owner = EXCLUDED.owner, v = EXCLUDED.v;"
            );
        }
    };
    format!("UPDATE docs SET {set} WHERE id = {id};")
}
