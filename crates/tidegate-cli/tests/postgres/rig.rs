//! One cluster, one server that reads it, and one table of people in it: what most tests need.

use serde_json::Value;
use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Setup};
use tidegate_testkit::process::Server;
use tidegate_testkit::replica::Rows;
use tokio::task::block_in_place;

use crate::gateway::{self, config};
use crate::tables::Table;
use crate::truth::replayed;

pub(crate) const PEOPLE: Table =
    Table { channel: "people", address: "people/{city}", table: "public.people", key: &["id"] };

/// `people` with five hundred rows.
pub(crate) const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, city text NOT NULL, name text, age int);
INSERT INTO people SELECT g, 'c' || g % 5, 'name ' || g, g % 90 FROM generate_series(1, 500) g;
";

/// Each kind of change, once; and its moves count twice in a history.
pub(crate) const CHANGES: &str = "
INSERT INTO people VALUES (1001, 'c1', 'new', 1);
UPDATE people SET age = age + 1 WHERE id = 7;
UPDATE people SET city = 'elsewhere' WHERE id = 8;
UPDATE people SET id = 1009 WHERE id = 9;
DELETE FROM people WHERE id = 10;
";
/// Records that [`CHANGES`] make.
pub(crate) const RECORDS: usize = 7;

pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) server: Server,
    pub(crate) state: Follower,
    pub(crate) history: Follower,
}

impl Rig {
    /// Starts all of it, and waits until the followers have what is in the table.
    pub(crate) async fn start(setup: Setup) -> Rig {
        let cluster = block_in_place(|| setup.start());
        cluster.sql("postgres", SCHEMA);
        let server = block_in_place(|| gateway::serve(&cluster, &[PEOPLE]));
        Rig::around(cluster, server).await
    }

    pub(crate) async fn around(cluster: Cluster, server: Server) -> Rig {
        let at = server.address();
        let state = Follower::state(at, "people/*", Habits::steady(Transport::Sse));
        let history = Follower::history(at, "people/*", Habits::steady(Transport::WebSocket));
        let rig = Rig { cluster, server, state, history };
        rig.equal("at the beginning").await;
        rig
    }

    pub(crate) fn sql(&self, statements: &str) -> String {
        block_in_place(|| self.cluster.sql("postgres", statements))
    }

    pub(crate) fn table(&self) -> Rows {
        block_in_place(|| gateway::rows(&self.cluster, &PEOPLE))
    }

    /// Waits until state and history show the table as it is now.
    pub(crate) async fn equal(&self, when: &str) {
        let wanted = self.table();
        self.state.until_rows(when, &wanted).await;
        self.history.until(when, |seen| replayed(&seen.frames) == wanted).await;
    }

    /// The state was never thrown away.
    pub(crate) fn was_never_reset(&self) {
        let resets = self.state.see(|seen| seen.replica.resets.clone());
        assert!(resets.iter().all(|reason| reason == "start"), "{resets:?}");
    }

    /// What came after the one gap of the history, until it showed the table.
    pub(crate) async fn after_the_gap(&self) -> Vec<Value> {
        self.history.until("a gap", |seen| seen.ops("gap") > 0).await;
        self.equal("behind the gap").await;
        self.history.see(|seen| {
            assert_eq!(seen.ops("gap"), 1, "one gap, told once");
            let at = seen.frames.iter().position(|frame| frame["op"] == "gap").expect("a gap");
            assert_eq!(seen.frames[at]["reason"], "source", "{}", seen.frames[at]);
            seen.frames[at + 1..].to_vec()
        })
    }

    /// Starts the server again with another config.
    pub(crate) fn restart_with(&mut self, url: &str) {
        block_in_place(|| gateway::reconfigure(&mut self.server, &config(url, &[], &[PEOPLE])));
    }
}
