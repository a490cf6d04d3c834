//! The server under test, its config, and the cluster that it reads.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tidegate_testkit::client::get_json;
use tidegate_testkit::postgres::Cluster;
use tidegate_testkit::process::Server;
use tidegate_testkit::replica::Rows;

use crate::tables::Table;

/// The slot and publication of the source that [`config`] names.
pub(crate) const SLOT: &str = "tidegate_shop";
/// Nothing here takes longer, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The address of what cannot be placed.
pub(crate) const DEAD: &str = "dead/shop";

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("TIDEGATE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_tidegate").into(), PathBuf::from)
    });
    &BINARY
}

/// A number from the environment, for the soak.
pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// A config that reads `tables` at `url`, with more settings of the source as `name: value`.
pub(crate) fn config(url: &str, settings: &[&str], tables: &[Table]) -> String {
    let mut text = format!("heartbeat: 5s\nsources:\n  shop:\n    kind: postgres\n    url: {url}\n");
    if !settings.iter().any(|line| line.starts_with("heartbeat:")) {
        text.push_str("    heartbeat: 500ms\n");
    }
    for line in settings {
        writeln!(text, "    {line}").expect("a String takes all");
    }
    text.push_str("channels:\n");
    let rest = "    source: shop\n    retain: { age: 1d }\n    access: { read: \"true\" }\n";
    for Table { channel, address, table, key } in tables {
        let key = key.join(", ");
        write!(text, "  {channel}:\n    address: {address}\n    table: {table}\n    key: [{key}]\n{rest}")
            .expect("taken");
    }
    write!(text, "  dead:\n    address: {DEAD}\n    dead_letters: true\n{rest}").expect("taken");
    text
}

/// A server that reads `tables` of the database `postgres`.
pub(crate) fn serve(cluster: &Cluster, tables: &[Table]) -> Server {
    Server::start(binary(), &config(&cluster.url("postgres"), &[], tables))
}

/// The address and key of each row, and what it holds, as the table has it.
pub(crate) fn rows(cluster: &Cluster, table: &Table) -> Rows {
    rows_after(cluster, table, "")
}

/// The same after other statements of the session.
pub(crate) fn rows_after(cluster: &Cluster, table: &Table, statements: &str) -> Rows {
    let select = format!("SET timezone = 'UTC'; SELECT to_jsonb(t) FROM {} t", table.table);
    let text = cluster.sql("postgres", &format!("{statements} {select}"));
    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).map(|row| table.row(row)).collect()
}

/// Drops the slot even while somebody reads it, as a careless operator does.
pub(crate) fn drop_slot(cluster: &Cluster) {
    cluster.sql(
        "postgres",
        &format!(
            "DO $$ DECLARE pid int; BEGIN
               LOOP
                 SELECT active_pid INTO pid FROM pg_replication_slots WHERE slot_name = '{SLOT}';
                 EXIT WHEN NOT FOUND;
                 PERFORM pg_terminate_backend(pid);
                 BEGIN
                   PERFORM pg_drop_replication_slot('{SLOT}');
                 EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.005);
                 END;
               END LOOP;
             END $$"
        ),
    );
}

/// Kills the server and starts it again.
pub(crate) fn bounce(server: &mut Server) {
    server.kill9();
    server.restart().unwrap_or_else(|error| panic!("{error}"));
}

/// Kills the server and starts it with another config, on the same ports and log.
pub(crate) fn reconfigure(server: &mut Server, text: &str) {
    let file = server.folder().join("tidegate.yaml");
    let old = std::fs::read_to_string(&file).expect("the config");
    let stays = |line: &&str| ["listen:", "admin:", "log:"].iter().any(|name| line.starts_with(name));
    let head: Vec<&str> = old.lines().filter(stays).collect();
    std::fs::write(&file, format!("{}\n{text}", head.join("\n"))).expect("written");
    bounce(server);
}

/// A figure of the source from the server's metrics, by the beginning of its line.
pub(crate) async fn metric(server: &Server, line_begins: &str) -> Option<f64> {
    let answer = get_json(server.admin(), "/metrics").await.expect("an answer");
    let line = answer.text.lines().find_map(|line| line.strip_prefix(line_begins))?;
    line.split_whitespace().last()?.parse().ok()
}
