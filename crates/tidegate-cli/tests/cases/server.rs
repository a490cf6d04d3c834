//! The real binary as a child process, on a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::case::{Case, Head, Restart};

/// A running server.
pub struct Server {
    folder: TempDir,
    process: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Writes the config of a case and starts the server on it.
    pub fn start(head: &Head, case: &Case) -> anyhow::Result<Server> {
        let folder = tempfile::tempdir()?;
        // JSON is YAML.
        std::fs::write(config_path(folder.path()), config(head, case).to_string())?;
        let (process, address) = spawn(folder.path())?;
        Ok(Server { folder, process, address })
    }

    /// Kills the server and starts it again, on another port.
    pub fn restart(&mut self, restart: Restart) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        if restart == Restart::Fresh {
            std::fs::remove_dir_all(self.folder.path().join("data"))?;
        }
        (self.process, self.address) = spawn(self.folder.path())?;
        Ok(())
    }

    /// What the server wrote for its operator.
    pub fn operator_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(head: &Head, case: &Case) -> Value {
    let mut config = Map::new();
    config.extend(head.config.clone());
    config.extend(case.config.clone());
    config.insert("listen".to_owned(), json!("127.0.0.1:0"));
    config.insert("admin".to_owned(), json!({ "listen": "127.0.0.1:0" }));
    config.entry("log").or_insert_with(|| json!({}))["path"] = json!("./data");
    config.insert("channels".to_owned(), head.channels.clone());
    Value::Object(config)
}

fn spawn(folder: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    let stderr = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("stderr"))?;
    let mut process = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["serve", "--config"])
        .arg(config_path(folder))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()?;
    let stdout = process.stdout.take().context("stdout was asked for")?;
    let mut lines = BufReader::new(stdout).lines();
    let address = loop {
        let Some(line) = lines.next() else {
            let said = std::fs::read_to_string(folder.join("stderr")).unwrap_or_default();
            anyhow::bail!("the server ended at once: {}\n{said}", process.wait()?);
        };
        if let Some((_, address)) = line?.split_once("listening on http://") {
            break address.trim().trim_end_matches('/').parse().context("the address it listens on")?;
        }
    };
    // Goes on reading, so that the server never blocks on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((process, address))
}

fn config_path(folder: &Path) -> PathBuf {
    folder.join("tidegate.yaml")
}
