//! Several tables of one cluster, read by one server, each followed by a state and a history.

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::Cluster;
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;

use crate::gateway::{self, binary, config};
use crate::tables::Table;
use crate::truth::replayed;

pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) server: Server,
    followed: Vec<Followed>,
}

struct Followed {
    table: Table,
    state: Follower,
    history: Follower,
}

impl Site {
    /// Starts a server, and waits until the followers have what is in the tables.
    pub(crate) async fn start(cluster: Cluster, settings: &[&str], tables: &[Table]) -> Site {
        let text = config(&cluster.url("postgres"), settings, tables);
        let server = block_in_place(|| Server::start(binary(), &text));
        let mut site = Site { cluster, server, followed: Vec::new() };
        site.follow(tables);
        site.equal("at the beginning").await;
        site
    }

    /// Starts the server again with another config, and followers anew.
    pub(crate) async fn reconfigure(&mut self, tables: &[Table]) {
        self.followed.clear();
        let text = config(&self.cluster.url("postgres"), &[], tables);
        block_in_place(|| gateway::reconfigure(&mut self.server, &text));
        self.follow(tables);
        self.equal("with another config").await;
    }

    fn follow(&mut self, tables: &[Table]) {
        let at = self.server.address();
        let follow = |table: &Table| Followed {
            table: *table,
            state: Follower::state(at, &table.pattern(), Habits::steady(Transport::Sse)),
            history: Follower::history(at, &table.pattern(), Habits::steady(Transport::Ndjson)),
        };
        self.followed = tables.iter().map(follow).collect();
    }

    pub(crate) fn sql(&self, statements: &str) -> String {
        block_in_place(|| self.cluster.sql("postgres", statements))
    }

    /// Waits until every state and history shows its table as it is now.
    pub(crate) async fn equal(&self, when: &str) {
        for Followed { table, state, history } in &self.followed {
            let wanted = block_in_place(|| gateway::rows(&self.cluster, table));
            state.until_rows(&format!("{} {when}", table.channel), &wanted).await;
            history.until(when, |seen| replayed(&seen.frames) == wanted).await;
        }
    }

    /// Runs statements, and waits until all show what they did.
    pub(crate) async fn run(&self, statements: &str) {
        self.sql(statements);
        self.equal(&format!("after {statements}")).await;
    }

    /// How many gaps the history of a channel has.
    pub(crate) fn gaps(&self, channel: &str) -> usize {
        let followed = self.followed.iter().find(|followed| followed.table.channel == channel).expect("a channel");
        followed.history.see(|seen| seen.ops("gap"))
    }
}
