//! `tidegate log`: looks into the folder of a log.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;

use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Subcommand)]
enum LogCommand {
    /// Read everything in a folder and check every checksum; change nothing. Stop the server first.
    Verify {
        /// The folder, as `log.path` in the config.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        LogCommand::Verify { folder } => verify(&folder),
    }
}

fn verify(folder: &Path) -> Result<()> {
    let report = tidegate_log::verify(folder)?;
    say(format!(
        "segments   {}: {} records, {} bytes, every checksum good",
        report.segments, report.segment_records, report.segment_bytes
    ));
    say(format!(
        "journal    {} files not yet in segments: {} entries, {} records",
        report.journal_files, report.journal_entries, report.journal_records
    ));
    if report.journal_torn_bytes > 0 {
        say(format!("           {} bytes of a torn tail, which was never acknowledged", report.journal_torn_bytes));
    }
    say(format!("views      {} rows at {} addresses, as of the last drain", report.rows, report.addresses));
    say(format!(
        "state      {} channels, {} checkpoints of sources, {} idempotency keys",
        report.channels, report.checkpoints, report.idempotency_keys
    ));
    say(format!("{}: good", folder.display()));
    Ok(())
}
