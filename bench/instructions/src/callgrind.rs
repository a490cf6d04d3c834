//! One measure under callgrind: it collects within one function, and writes a file at each return
//! from it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::COUNTS;
use crate::measures::Measure;

/// As callgrind names it; what ends a count takes no pattern.
const COUNTED: &str = "instructions::counted_here";

/// Instructions for one unit of a measure: the median of its counts.
pub(crate) fn count(measure: &Measure) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--fair-sched=yes"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
        .arg(std::env::current_exe()?)
        .args(["run", measure.name])
        .output()
        .context("valgrind does not start; `cargo xtask setup` brings it")?;
    if !output.status.success() {
        bail!("{} ended with {}:\n{}", measure.name, output.status, String::from_utf8_lossy(&output.stderr));
    }
    let mut counts = counts(folder.path())?;
    if counts.len() != COUNTS {
        bail!("{} was counted {} times instead of {COUNTS}", measure.name, counts.len());
    }
    counts.sort_unstable();
    Ok(counts[COUNTS / 2] / measure.units)
}

/// The totals of all files that count something: there is one more, of what came after the last
/// return.
fn counts(folder: &Path) -> Result<Vec<u64>> {
    let mut counts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let text = std::fs::read_to_string(entry?.path())?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).context("a file without its totals")?;
        counts.extend(Some(total.trim().parse::<u64>()?).filter(|total| *total > 0));
    }
    Ok(counts)
}
