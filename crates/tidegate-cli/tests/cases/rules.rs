//! What holds of every watch, whatever its case expects.

use anyhow::{Context, ensure};
use serde_json::Value;

/// Follows the frames of one watch.
pub struct Rules {
    begun: bool,
    /// Between `reset` and `last`.
    scanning: bool,
    /// A cursor came: behind rows that were read as pages the first one stands where they are exact.
    stood: bool,
    /// Amid a tick of a conflated watch.
    ticking: bool,
    rows: u64,
    chain: bool,
    /// The cursor that the client holds.
    held: Option<String>,
}

impl Rules {
    /// `begins`: whether the transport sends `begin`. `after`: the cursor that was presented.
    pub fn new(begins: bool, chain: bool, after: Option<String>) -> Rules {
        Rules { begun: !begins, scanning: false, stood: false, ticking: false, rows: 0, chain, held: after }
    }

    /// Takes the next frame.
    pub fn check(&mut self, frame: &Value) -> anyhow::Result<()> {
        self.follow(frame).with_context(|| format!("against the rules of every watch: {frame}"))
    }

    fn follow(&mut self, frame: &Value) -> anyhow::Result<()> {
        let op = frame["op"].as_str().context("a frame has an op")?;
        ensure!((op == "begin") != self.begun, "`begin` is the first frame, and only the first");
        self.begun = true;
        let cursor = frame["cursor"].as_str();
        ensure!(!self.ticking || frame["conflated"].is_u64(), "nothing comes between the frames of a tick");
        match op {
            "begin" | "gap" | "close" => {}
            "notice" => ensure!(!self.scanning || cursor.is_none(), "no cursor within a snapshot"),
            "reset" => (self.scanning, self.rows, self.held) = (true, 0, None),
            "snapshot" if frame["last"] == true => {
                ensure!(self.scanning && cursor.is_some(), "`last` ends a snapshot and has a cursor");
                ensure!(frame["count"] == self.rows, "`count` is not the {} rows that came", self.rows);
                self.scanning = false;
            }
            "snapshot" => {
                ensure!(self.scanning && cursor.is_none(), "rows stand between `reset` and `last`, without a cursor");
                self.rows += 1;
            }
            "upsert" | "delete" | "append" if frame["conflated"].is_u64() && !self.scanning => {
                self.ticking = cursor.is_none();
            }
            "upsert" | "delete" | "append" | "clear" => {
                let unfinished = self.scanning || !self.stood;
                ensure!(cursor.is_some() || unfinished, "a change has a cursor, but for one within a snapshot");
                ensure!(cursor.is_none() || !self.scanning, "no cursor within a snapshot");
                if cursor.is_none() {
                    self.held = None;
                }
            }
            "bookmark" => ensure!(!self.scanning && cursor.is_some(), "a bookmark has a cursor, outside of snapshots"),
            _ => anyhow::bail!("an op that is not of the protocol"),
        }
        self.chained(op, frame, cursor)
    }

    fn chained(&mut self, op: &str, frame: &Value, cursor: Option<&str>) -> anyhow::Result<()> {
        let prev = frame["prev"].as_str();
        ensure!(self.chain || prev.is_none(), "`prev` without `chain`");
        if op == "gap" {
            self.held = frame["to"].as_str().map(str::to_owned);
        }
        let Some(cursor) = cursor else { return Ok(()) };
        self.stood = true;
        if self.chain && op != "begin" {
            let held = self.held.as_deref();
            ensure!(prev == held, "`prev` is {prev:?}, and the client holds {held:?}");
        }
        self.held = Some(cursor.to_owned());
        Ok(())
    }
}
