//! `check` and `serve URL` as a person runs them: what they say to run works as it stands.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use tidegate_testkit::client::Transport;
use tidegate_testkit::follower::{Follower, Habits};
use tidegate_testkit::postgres::{Cluster, Version};
use tidegate_testkit::process::Server;
use tokio::task::block_in_place;

use crate::gateway::{self, binary, config};
use crate::rig::{CHANGES, PEOPLE, SCHEMA};
use crate::tables::{self, Table};

const KEYLESS: Table = Table { channel: "keyless", address: "keyless", table: "public.keyless", key: &["id"] };
/// One remedy may show the way to the next.
const ROUNDS_MAX: usize = 3;

pub(crate) fn check(folder: &Path) -> Output {
    let mut command = Command::new(binary());
    command.args(["check", "--config", "tidegate.yaml"]).current_dir(folder).env("TIDEGATE_LOG", "warn");
    command.output().expect("the binary runs")
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The statements among what is to be copied.
pub(crate) fn remedies(said: &str) -> String {
    let copied = said.lines().filter_map(|line| line.strip_prefix("      "));
    copied.filter(|line| !line.starts_with("--")).map(|line| format!("{line}\n")).collect()
}

/// What upstream has that a check might have left there.
fn traces(cluster: &Cluster) -> String {
    cluster.sql(
        "postgres",
        "SELECT (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_class),
                (SELECT count(*) FROM pg_roles), (SELECT string_agg(relreplident::text, '' ORDER BY oid) FROM pg_class WHERE relkind = 'r')",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_check_says_to_run_makes_it_good() {
    for version in Version::ALL {
        let mut cluster = block_in_place(|| Cluster::setup(version).set("wal_level", "replica").start());
        cluster.sql("postgres", SCHEMA);
        cluster.sql(
            "postgres",
            "CREATE TABLE keyless (id int NOT NULL, v int); INSERT INTO keyless VALUES (1, 1); CREATE ROLE app LOGIN",
        );
        let folder = tempfile::tempdir().expect("a folder");
        let text = config(&cluster.url_as("app", "postgres"), &[], &[PEOPLE, KEYLESS]);
        std::fs::write(folder.path().join("tidegate.yaml"), &text).expect("written");
        let (before, mut rounds) = (traces(&cluster), 0);
        let mut found = check(folder.path());
        assert_eq!(traces(&cluster), before, "it only looks");
        for word in ["wal_level", "REPLICATION", "keyless"] {
            assert!(said(&found).contains(word), "{word} is missing in:\n{}", said(&found));
        }
        while !found.status.success() {
            assert!(rounds < ROUNDS_MAX, "still not good:\n{}", said(&found));
            rounds += 1;
            let remedies = remedies(&said(&found));
            println!("PostgreSQL {version}, round {rounds}:\n{}\nruns:\n{remedies}", said(&found));
            assert!(!remedies.trim().is_empty(), "nothing to run:\n{}", said(&found));
            cluster.sql("postgres", &remedies);
            block_in_place(|| {
                cluster.stop();
                cluster.start_again();
            });
            found = check(folder.path());
        }
        assert!(std::fs::read_dir(folder.path()).expect("the folder").count() == 1, "it leaves nothing behind");
        // And what is good serves.
        let server = block_in_place(|| Server::start(binary(), &text));
        let follower = Follower::state(server.address(), "people/*", Habits::steady(Transport::Sse));
        follower.until_rows("the table", &gateway::rows(&cluster, &PEOPLE)).await;
        cluster.sql("postgres", CHANGES);
        cluster.sql("postgres", "UPDATE keyless SET v = 2");
        follower.until_rows("live", &gateway::rows(&cluster, &PEOPLE)).await;
        let keyless = Follower::state(server.address(), "keyless", Habits::steady(Transport::Sse));
        keyless.until_rows("live, too", &gateway::rows(&cluster, &KEYLESS)).await;
    }
}

#[test]
fn check_says_what_is_wrong_with_the_way_there() {
    let cluster = Cluster::setup(Version::V15).hba("host all app 127.0.0.1/32 scram-sha-256").start();
    cluster.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'right'");
    let folder = tempfile::tempdir().expect("a folder");
    for (url, word) in [
        (cluster.url_as("app:wrong", "postgres"), "password authentication failed"),
        (cluster.url("absent"), "\"absent\" does not exist"),
        ("postgres://postgres@127.0.0.1:1/postgres".to_owned(), "refused"),
    ] {
        std::fs::write(folder.path().join("tidegate.yaml"), config(&url, &[], &[PEOPLE])).expect("written");
        let found = check(folder.path());
        assert_eq!(found.status.code(), Some(1), "{}", said(&found));
        assert!(said(&found).contains(word), "{word} is missing in:\n{}", said(&found));
        assert!(!said(&found).contains("wrong"), "a password is told:\n{}", said(&found));
    }
}

/// `tidegate serve URL`, killed when dropped.
pub(crate) struct Quick {
    process: Child,
    said: BufReader<ChildStdout>,
    pub(crate) address: std::net::SocketAddr,
}

impl Quick {
    pub(crate) fn start(url: &str, folder: &Path) -> Quick {
        let mut process = Command::new(binary())
            .args(["serve", url, "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut said = BufReader::new(process.stdout.take().expect("piped"));
        let address = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).expect("read") > 0, "it ended");
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                break address.parse().expect("an address");
            }
        };
        Quick { process, said, address }
    }

    /// Stops it in order, and returns the rest of what it said.
    pub(crate) fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_raw(self.process.id() as i32).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("read");
        assert!(self.process.wait().expect("ended").success());
        rest
    }
}

impl Drop for Quick {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_is_all_it_takes() {
    for version in Version::ALL {
        let cluster = block_in_place(|| Cluster::start(version));
        cluster.sql("postgres", SCHEMA);
        cluster.sql(
            "postgres",
            "CREATE SCHEMA sales; CREATE TABLE sales.orders (id bigint PRIMARY KEY, total numeric); INSERT INTO sales.orders VALUES (1, 9.50);
             CREATE TABLE \"Odd Name\" (\"Id\" int PRIMARY KEY, \"a.b\" text); INSERT INTO \"Odd Name\" VALUES (1, 'x');
             CREATE TABLE keyless (id int); CREATE UNLOGGED TABLE cache (id int PRIMARY KEY)",
        );
        cluster.sql("postgres", tables::VISITS_SCHEMA);
        let folder = tempfile::tempdir().expect("a folder");
        let quick = block_in_place(|| Quick::start(&cluster.url("postgres"), folder.path()));
        let people = Table { address: "people", ..PEOPLE };
        let orders = Table { channel: "orders", address: "sales/orders", table: "sales.orders", key: &["id"] };
        let visits = Table { channel: "visits", address: "visits", table: "public.visits", key: &["id", "day"] };
        cluster.sql("postgres", CHANGES);
        for table in [people, orders, visits] {
            let follower = Follower::state(quick.address, table.address, Habits::steady(Transport::Sse));
            follower.until_rows(table.table, &block_in_place(|| gateway::rows(&cluster, &table))).await;
        }
        let follower = Follower::state(quick.address, "sales/orders", Habits::steady(Transport::Sse));
        cluster.sql("postgres", "INSERT INTO sales.orders VALUES (2, 1.25); UPDATE keyless SET id = 1");
        follower.until_rows("live", &gateway::rows(&cluster, &orders)).await;

        let introduction = block_in_place(|| quick.stop());
        for word in ["public.keyless", "public.cache", "public.people", "sales.orders", "Odd Name"] {
            assert!(introduction.contains(word), "{word} is missing in:\n{introduction}");
        }
        assert_eq!(
            cluster.sql("postgres", "SELECT count(*) FROM pg_replication_slots"),
            "0",
            "the slot goes by itself"
        );
        // What it made it says how to remove.
        let (made, printed) = introduction.split_once("keep this as tidegate.yaml").expect("a config to keep");
        let removal = made.split_once("Made in the database").expect("what it made").1;
        cluster.sql("postgres", &remedies(removal));
        assert_eq!(cluster.sql("postgres", "SELECT count(*) FROM pg_publication"), "0");

        // The config that it prints serves the same.
        let lines = printed.lines().skip_while(|line| !line.trim_end().ends_with(":") || line.contains("serve"));
        let kept: String = lines.map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
        let kept = kept
            .lines()
            .filter(|line| !line.starts_with("listen:"))
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        let url = cluster.url("postgres");
        let again = tempfile::tempdir().expect("a folder");
        let started =
            block_in_place(|| Server::start_in(binary(), again.path(), &kept, &[("TIDEGATE_SOURCE_URL", &url)]));
        let server = started.unwrap_or_else(|error| panic!("{error}\n{kept}"));
        let follower = Follower::state(server.address(), "people", Habits::steady(Transport::Sse));
        follower.until_rows("the table", &block_in_place(|| gateway::rows(&cluster, &people))).await;
    }
}
