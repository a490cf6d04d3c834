//! What upstream refuses is told in words that help, and works as soon as it is mended.

use std::time::Duration;

use tidegate_testkit::client::{Transport, get_json};
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::gateway::{self, PATIENCE, SLOT, config};
use crate::rig::{CHANGES, PEOPLE, Rig, SCHEMA};

/// Waits until the server has said all of `words` in one line.
pub(crate) async fn says(server: &Server, words: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = server.output();
        if let Some(line) = output.lines().find(|line| words.iter().all(|word| line.contains(word))) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "it does not say {words:?}:\n{output}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn reads(url: &str) -> Server {
    block_in_place(|| Server::start(gateway::binary(), &config(url, &[], &[PEOPLE])))
}

async fn is_loading(server: &Server) {
    let answer = get_json(server.address(), "/v1/people/c1").await.expect("an answer");
    assert_eq!((answer.head.status, answer.code()), (503, Some("loading")), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_slot() {
    let mut rig = Rig::start(Cluster::setup(Version::V18)).await;
    let second = reads(&rig.cluster.url("postgres"));
    says(&second, &[SLOT, "read by process"]).await;
    is_loading(&second).await;
    rig.sql(CHANGES);
    rig.equal("still, for the first").await;
    // The first one is not disturbed, and its place is free once it is gone.
    rig.history.see(|seen| assert_eq!(seen.ops("gap"), 0));
    block_in_place(|| rig.server.kill9());
    let follower = Follower::state(second.address(), "people/*", Habits::steady(Transport::Sse));
    follower.until_rows("the table, for the second", &rig.table()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_and_databases() {
    let hba = "host all app 127.0.0.1/32 scram-sha-256";
    let cluster = block_in_place(|| Cluster::setup(Version::V15).hba(hba).start());
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "CREATE ROLE app LOGIN REPLICATION PASSWORD 'right'; ALTER TABLE people OWNER TO app; GRANT CREATE ON DATABASE postgres TO app");
    let wrong = reads(&cluster.url_as("app:wrong", "postgres"));
    let absent = reads(&cluster.url("absent"));
    let nobody = reads("postgres://postgres@127.0.0.1:1/postgres");
    says(&wrong, &["password authentication failed", "app"]).await;
    says(&absent, &["\"absent\" does not exist"]).await;
    says(&nobody, &["127.0.0.1", "refused"]).await;
    for server in [&wrong, &absent, &nobody] {
        assert!(!server.output().contains("wrong@") && !server.output().contains(":wrong"), "a password is told");
        is_loading(server).await;
    }
    cluster.sql("postgres", "ALTER ROLE app PASSWORD 'wrong'");
    let follower = Follower::state(wrong.address(), "people/*", Habits::steady(Transport::Sse));
    follower.until_rows("the table, once the password is right", &gateway::rows(&cluster, &PEOPLE)).await;
    cluster.sql("postgres", CHANGES);
    follower.until_rows("live, as a user who owns no more than the table", &gateway::rows(&cluster, &PEOPLE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_logical_decoding() {
    let mut cluster = block_in_place(|| Cluster::setup(Version::V18).set("wal_level", "replica").start());
    cluster.sql("postgres", SCHEMA);
    let server = reads(&cluster.url("postgres"));
    says(&server, &["wal_level", "logical"]).await;
    is_loading(&server).await;
    block_in_place(|| {
        cluster.stop();
        cluster.set("wal_level", "logical");
        cluster.start_again();
    });
    let follower = Follower::state(server.address(), "people/*", Habits::steady(Transport::Sse));
    follower.until_rows("the table", &gateway::rows(&cluster, &PEOPLE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_replicate() {
    let cluster = block_in_place(|| Cluster::start(Version::V15));
    cluster.sql("postgres", SCHEMA);
    cluster.sql("postgres", "CREATE ROLE app LOGIN; GRANT SELECT ON people TO app");
    let server = reads(&cluster.url_as("app", "postgres"));
    says(&server, &["ALTER ROLE app REPLICATION;"]).await;
    is_loading(&server).await;
    cluster.sql("postgres", "ALTER ROLE app REPLICATION");
    // Next, it may not make the publication.
    says(&server, &["CREATE PUBLICATION", "people"]).await;
    is_loading(&server).await;
}
