//! `tidegate check`: whether a config and what it needs upstream are good.

use std::path::PathBuf;

use anyhow::{Result, bail};
use tidegate_server::config::{Config, Environment};

use crate::terminal::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The config.
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.yaml")]
    config: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let config = Config::load(&arguments.config, &Environment::of_process())?;
    let missing = 0;
    for source in &config.sources {
        for finding in source.source.check(&source.name, &[]) {
            say(finding.what);
        }
    }
    for channel in &config.channels {
        let kind = if channel.key.is_some() { "keyed" } else { "plain" };
        let written = channel.source.as_ref().map_or_else(String::new, |source| format!(", written by {source}"));
        let access = match (channel.access.read, channel.access.publish) {
            (true, true) => "read and publish",
            (true, false) => "read",
            (false, true) => "publish",
            (false, false) => "nobody may do anything: `access` opens it",
        };
        say(format!("channel {} at {} ({kind}{written}): {access}", channel.name, channel.address.as_str()));
    }
    if !config.listen.ip().is_loopback() {
        say(format!(
            "listen  {}: beyond loopback, so `tidegate serve` wants --insecure until there is a gate",
            config.listen
        ));
    }
    if missing > 0 {
        bail!("{missing} of {} sources lack something upstream", config.sources.len());
    }
    say(format!("{}: good", arguments.config.display()));
    Ok(())
}
