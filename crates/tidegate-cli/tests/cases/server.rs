//! The server of a case: the real binary on a folder of its own.

use std::path::Path;

use serde_json::Value;
use tidegate_testkit::process;

use crate::case::{Case, Head, Restart};

/// Starts the server of a case.
pub fn start(head: &Head, case: &Case) -> process::Server {
    process::Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &config(head, case))
}

/// Kills the server and starts it again.
pub fn restart(server: &mut process::Server, restart: Restart) -> anyhow::Result<()> {
    server.kill9();
    if restart == Restart::Fresh {
        std::fs::remove_dir_all(server.folder().join("data"))?;
    }
    Ok(server.restart()?)
}

/// A line for each member, since JSON is YAML; what every server needs is added by the process.
fn config(head: &Head, case: &Case) -> String {
    let mut members = head.config.clone();
    members.extend(case.config.clone());
    if let Some(Value::Object(log)) = members.get_mut("log") {
        log.insert("path".to_owned(), "./data".into());
    }
    members.insert("channels".to_owned(), head.channels.clone());
    members.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}
