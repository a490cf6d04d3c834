//! `tidegate log`: looks into the folder of a log.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

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
        LogCommand::Verify { folder } => {
            let _ = folder;
            anyhow::bail!("not wired yet")
        }
    }
}
