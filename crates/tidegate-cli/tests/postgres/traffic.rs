//! Applications that write: transactions of one to some hundreds of rows, some rolled back, some
//! in part, at the same time, through every death of the server.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_testkit::postgres::connect;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::Client;

/// Rows of `accounts` lie in this range, so that they meet often.
const ACCOUNTS: u32 = 120;
/// Pause between two transactions of one writer: the load leaves room for who shares the machine.
const PAUSE_MS: std::ops::Range<u64> = 2..25;

/// Running writers.
pub(crate) struct Traffic {
    stop: watch::Sender<bool>,
    commits: watch::Receiver<u64>,
    writers: JoinSet<()>,
}

impl Traffic {
    pub(crate) fn start(url: &str, seed: u64, writers: u64) -> Traffic {
        let (stop, stopped) = watch::channel(false);
        let (committed, commits) = watch::channel(0);
        let mut running = JoinSet::new();
        for number in 0..writers {
            let writer = Writer {
                url: url.to_owned(),
                number,
                txn: 0,
                rng: StdRng::seed_from_u64(seed ^ (number << 32)),
                committed: committed.clone(),
            };
            running.spawn(writer.run(stopped.clone()));
        }
        Traffic { stop, commits, writers: running }
    }

    /// Waits until so many more transactions have been committed.
    pub(crate) async fn more(&mut self, commits: u64) {
        let until = *self.commits.borrow() + commits;
        let reached = self.commits.wait_for(|count| *count >= until);
        tokio::time::timeout(crate::gateway::PATIENCE, reached).await.expect("writers go on").expect("writers live");
    }

    /// Ends after the transactions that are open; says how many were committed.
    pub(crate) async fn stop(mut self) -> u64 {
        self.stop.send_replace(true);
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("a writer");
        }
        *self.commits.borrow()
    }
}

struct Writer {
    url: String,
    number: u64,
    txn: u64,
    rng: StdRng,
    committed: watch::Sender<u64>,
}

impl Writer {
    async fn run(mut self, stopped: watch::Receiver<bool>) {
        let mut client: Option<Client> = None;
        while !*stopped.borrow() {
            let Some(connected) = &client else {
                client = connect(&self.url).await.ok();
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (statements, commits) = self.transaction();
            match connected.batch_execute(&statements).await {
                Ok(()) if commits => self.committed.send_modify(|count| *count += 1),
                Ok(()) => {}
                // Whether it was committed is not known; the table will tell.
                Err(_) if connected.is_closed() => client = None,
                // A deadlock, a row that was moved away, a key that is taken, the last words of a killed server.
                Err(error) => {
                    assert!(
                        error
                            .code()
                            .is_some_and(|code| ["40001", "40P01", "23505", "57P01", "57P02"].contains(&code.code())),
                        "{statements}: {error:?}"
                    );
                    drop(connected.batch_execute("ROLLBACK").await);
                }
            }
            let pause = self.rng.random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// The text of one, and whether it ends well.
    fn transaction(&mut self) -> (String, bool) {
        self.txn += 1;
        let mut statements = vec!["BEGIN".to_owned()];
        let changes =
            if self.rng.random_bool(0.1) { self.rng.random_range(10..60) } else { self.rng.random_range(1..5) };
        if self.rng.random_bool(0.01) {
            let upheaval = self.upheaval();
            statements.push(upheaval);
        }
        for _ in 0..changes {
            let savepoint = self.rng.random_bool(0.1);
            if savepoint {
                statements.push("SAVEPOINT s".to_owned());
            }
            let change = self.change();
            statements.push(change);
            if savepoint {
                statements.push(if self.rng.random() { "ROLLBACK TO s" } else { "RELEASE s" }.to_owned());
            }
        }
        if self.rng.random_bool(0.7) {
            let (number, txn) = (self.number, self.txn);
            let rows =
                if self.rng.random_bool(0.05) { self.rng.random_range(100..400) } else { self.rng.random_range(1..4) };
            statements.push(format!(
                "INSERT INTO ledger (writer, txn, n) SELECT {number}, {txn}, g FROM generate_series(1, {rows}) g"
            ));
        }
        let commits = self.rng.random_bool(0.9);
        statements.push(if commits { "COMMIT" } else { "ROLLBACK" }.to_owned());
        (statements.join("; "), commits)
    }

    /// Several megabytes: everything changes, moves, goes and comes back.
    fn upheaval(&mut self) -> String {
        let (number, txn, n) = (self.number, self.txn, self.rng.random_range(2..7));
        format!(
            "UPDATE accounts SET note = repeat(md5('{txn}' || id), 320), v = v + 1; UPDATE accounts SET region = 'north' WHERE id % {n} = 0;
             UPDATE accounts SET note = repeat(md5('{n}' || id), 350) WHERE id % {n} <> 1; UPDATE accounts SET region = 'r' || id % {n};
             UPDATE accounts SET v = v + 1; DELETE FROM accounts WHERE id % {n} = 1;
             INSERT INTO accounts SELECT g, 'new', g, '{{}}', repeat('{n}', 9000), now(), {txn} FROM generate_series(0, {ACCOUNTS} - 1) g
               ON CONFLICT (id) DO UPDATE SET region = 'old';
             UPDATE notes SET body = repeat('{txn}', 4000); UPDATE stock SET n = {n}; TRUNCATE app.basket;
             INSERT INTO ledger (writer, txn, n) SELECT {number}, {txn}, -g FROM generate_series(1, 3000) g"
        )
    }

    fn change(&mut self) -> String {
        match self.rng.random_range(0..20) {
            0..8 => self.account(),
            8..11 => self.stock(),
            11..13 => self.note(),
            13..15 => self.coupon(),
            15..18 => self.visit(),
            _ => self.basket(),
        }
    }

    fn account(&mut self) -> String {
        let rng = &mut self.rng;
        let (id, other) = (rng.random_range(0..ACCOUNTS), rng.random_range(0..ACCOUNTS));
        let region = ["north", "south", "east", "west", "söd öst"][rng.random_range(0..5)];
        let cents = rng.random_range(0..1_000_000_000);
        // Some are long enough to be kept apart from their row.
        let note = match rng.random_range(0..3) {
            0 => format!("repeat(md5('{cents}'), 320)"),
            1 => "NULL".to_owned(),
            _ => format!("'short {cents} \"quoted\" \\ ü €'"),
        };
        match rng.random_range(0..14) {
            0..4 => format!(
                "INSERT INTO accounts VALUES ({id}, '{region}', {cents} / 10000.0, '{{\"n\": [{cents}, null, {{\"é\": \"x\"}}]}}', {note}, now(), 1)
                 ON CONFLICT (id) DO UPDATE SET v = accounts.v + 1"
            ),
            4..7 => format!("UPDATE accounts SET v = v + 1, amount = {cents} / 10000.0 WHERE id = {id}"),
            7 => format!("UPDATE accounts SET note = {note} WHERE id = {id}"),
            8 => format!("UPDATE accounts SET region = '{region}', v = v + 1 WHERE id = {id}"),
            9 => format!("UPDATE accounts SET region = '{region}' WHERE id % 17 = {}", id % 17),
            10 => format!("UPDATE accounts SET id = {other} WHERE id = {id}"),
            // Both change places; and one gives its key away and gets it back.
            11 => format!(
                "UPDATE accounts SET id = -{id} - 10 WHERE id = {id}; UPDATE accounts SET id = {id}, region = '{region}' WHERE id = {other};
                 UPDATE accounts SET id = {other} WHERE id = -{id} - 10"
            ),
            12 => format!("DELETE FROM accounts WHERE id = {id}; INSERT INTO accounts (id, region, v) VALUES ({id}, '{region}', 7)"),
            _ => format!("DELETE FROM accounts WHERE id IN ({id}, {other})"),
        }
    }

    fn stock(&mut self) -> String {
        let rng = &mut self.rng;
        let (shop, item, n) = (rng.random_range(0..4), rng.random_range(0..50), rng.random_range(0..1000));
        match rng.random_range(0..10) {
            0..4 => format!(
                "INSERT INTO stock VALUES ('s{shop}', {item}, {n}) ON CONFLICT (shop, item) DO UPDATE SET n = {n}"
            ),
            4 => format!(
                "INSERT INTO stock SELECT 's{shop}', g, {n} FROM generate_series(0, 49) g ON CONFLICT (shop, item) DO UPDATE SET n = stock.n + 1"
            ),
            5..7 => format!("UPDATE stock SET n = n + 1 WHERE item = {item}"),
            7 => format!("UPDATE stock SET shop = 's{}' WHERE shop = 's{shop}' AND item = {item}", (shop + 1) % 4),
            8 => format!("DELETE FROM stock WHERE shop = 's{shop}' AND item % 7 = {}", item % 7),
            _ => format!("DELETE FROM stock WHERE item = {item}"),
        }
    }

    fn note(&mut self) -> String {
        let rng = &mut self.rng;
        let (code, topic) = (rng.random_range(0..60), rng.random_range(0..3));
        match rng.random_range(0..6) {
            0 | 1 => format!(
                "INSERT INTO notes VALUES ('n{code}', 't{topic}', repeat('{code} ', 1500), 1) ON CONFLICT (code) DO UPDATE SET v = notes.v + 1"
            ),
            2 | 3 => format!("UPDATE notes SET v = v + 1 WHERE code LIKE 'n{}%'", code % 10),
            4 => format!("UPDATE notes SET topic = 't{topic}' WHERE code = 'n{code}'"),
            _ => format!("DELETE FROM notes WHERE code = 'n{code}'"),
        }
    }

    fn coupon(&mut self) -> String {
        let rng = &mut self.rng;
        let (code, other, shop) = (rng.random_range(0..60), rng.random_range(0..60), rng.random_range(0..3));
        match rng.random_range(0..6) {
            0 | 1 => format!(
                "INSERT INTO coupons (code, shop, v) VALUES ('c{code}', 's{shop}', 1) ON CONFLICT (code) DO UPDATE SET v = coupons.v + 1"
            ),
            2 => format!("UPDATE coupons SET v = v + 1 WHERE code = 'c{code}'"),
            3 => format!("UPDATE coupons SET shop = 's{shop}' WHERE code = 'c{code}'"),
            4 => format!("UPDATE coupons SET code = 'c{other}' WHERE code = 'c{code}'"),
            _ => format!("DELETE FROM coupons WHERE code = 'c{code}'"),
        }
    }

    fn visit(&mut self) -> String {
        let rng = &mut self.rng;
        let (id, day, other) = (rng.random_range(0..40), rng.random_range(0..25), rng.random_range(0..25));
        match rng.random_range(0..7) {
            0..3 => format!(
                "INSERT INTO visits VALUES ({id}, {day}, 1) ON CONFLICT (id, day) DO UPDATE SET v = visits.v + 1"
            ),
            3 => format!("UPDATE visits SET v = v + 1 WHERE day = {day}"),
            4 => format!("UPDATE visits SET v = v + 1 WHERE id = {id}"),
            // Into another partition, often.
            5 => format!("UPDATE visits SET day = {other} WHERE id = {id} AND day = {day}"),
            _ => format!("DELETE FROM visits WHERE id = {id}"),
        }
    }

    fn basket(&mut self) -> String {
        let rng = &mut self.rng;
        let (id, v) = (rng.random_range(0..30), rng.random_range(0..1000));
        match rng.random_range(0..10) {
            0..5 => format!("INSERT INTO app.basket VALUES ({id}, {v}) ON CONFLICT (id) DO UPDATE SET v = {v}"),
            5..7 => format!("UPDATE app.basket SET v = v + 1 WHERE id < {id}"),
            7 => format!("DELETE FROM app.basket WHERE id = {id}"),
            8 => "TRUNCATE app.basket".to_owned(),
            _ => format!(
                "INSERT INTO app.basket VALUES ({id}, 1) ON CONFLICT DO NOTHING; TRUNCATE app.basket; INSERT INTO app.basket VALUES ({id}, {v})"
            ),
        }
    }
}
