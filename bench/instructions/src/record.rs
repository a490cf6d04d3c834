//! The counts by name, and the file that has them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Counts repeat to a few thousandths; what is more has a cause in the code.
const RISE_MAX: f64 = 1.05;

/// So many more are none: what is inlined into what changes more than that in the shortest of them.
const RISE_MIN: u64 = 30;

/// Instructions for one unit of each measure.
#[derive(Default)]
pub(crate) struct Record(BTreeMap<String, u64>);

impl Record {
    /// What is recorded.
    pub(crate) fn read() -> Result<Record> {
        let path = path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let value: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let counts = value["instructions"].as_object().into_iter().flatten();
        let counts = counts.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)));
        Ok(Record(counts.collect()))
    }

    /// Records.
    pub(crate) fn write(&self) -> Result<()> {
        let about = "instructions for one unit of each measure of bench/instructions, on x86_64; written by \
                     `cargo xtask soak instructions`, compared by `cargo xtask test`";
        let text = format!("{:#}\n", json!({ "about": about, "instructions": self.0 }));
        std::fs::write(path(), text).with_context(|| path().display().to_string())
    }

    pub(crate) fn set(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }

    /// A line for each measure that takes too much more than is recorded, or is not recorded.
    pub(crate) fn rises_over(&self, recorded: &Record) -> Vec<String> {
        let line = |(name, count): (&String, &u64)| {
            let Some(was) = recorded.0.get(name) else { return Some(format!("{name} is not recorded")) };
            let ratio = *count as f64 / *was as f64;
            (ratio > RISE_MAX && count - was > RISE_MIN)
                .then(|| format!("{name} takes {count} instructions, {was} are recorded: ×{ratio:.3}"))
        };
        self.0.iter().filter_map(line).collect()
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../instructions.json")
}
