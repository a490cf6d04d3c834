//! `tidegate policy test`: whether the policies of a config decide as a file says.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use tidegate_server::config::{Config, Environment};
use tidegate_server::decisions::judge;

use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(clap::Subcommand)]
enum PolicyCommand {
    /// Make the decisions of a file, and say which are not as it expects.
    Test {
        /// A YAML list of {address, claims, data, key, there, action: read|publish|sees, expect: allow|deny}.
        #[arg(value_name = "FILE")]
        decisions: PathBuf,
        /// The config.
        #[arg(long, short, value_name = "FILE", default_value = "tidegate.yaml")]
        config: PathBuf,
    },
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let PolicyCommand::Test { decisions, config } = arguments.command;
    let config = Config::load(&config, &Environment::of_process())?;
    let text = std::fs::read_to_string(&decisions).with_context(|| decisions.display().to_string())?;
    let made = judge(&config, &text).map_err(|error| anyhow!("{}: {error}", decisions.display()))?;
    for line in &made.differing {
        say(line);
    }
    if !made.differing.is_empty() {
        bail!("{} of {} decisions are not as expected", made.differing.len(), made.differing.len() + made.good);
    }
    say(format!("{}: {} decisions as expected", decisions.display(), made.good));
    Ok(())
}
