//! The server of a case: the real binary on a folder of its own.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_testkit::process;

use crate::case::{Case, Head, Restart};

/// Starts the server of a case, with TLS if there are the files of a certificate and its key.
pub fn start(head: &Head, case: &Case, certificate: Option<(PathBuf, PathBuf)>) -> process::Server {
    let tls = certificate.map(|(cert, key)| format!("tls: {}\n", json!({ "cert": cert, "key": key })));
    let config = config(head, case) + &tls.unwrap_or_default();
    process::Server::start(Path::new(env!("CARGO_BIN_EXE_tidegate")), &config)
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
