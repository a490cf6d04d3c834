//! `tidegate check`: whether a config, or what stands behind a URL, is good.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, bail};
use tidegate_hub::Policy;
use tidegate_server::config::{ChannelConfig, Config, Environment};
use tidegate_server::tls::{Pair, authorities};
use tidegate_sources::Finding;

use crate::findings::{Tally, findings};
use crate::terminal::say;
use crate::url::Behind;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Look behind a URL instead, as `tidegate serve URL` would: postgres://user@host/database.
    #[arg(value_name = "URL", conflicts_with = "config")]
    url: Option<String>,
    /// The config.
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.yaml")]
    config: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    match &arguments.url {
        Some(url) => behind(url),
        None => config(&arguments.config),
    }
}

fn config(path: &Path) -> Result<()> {
    let config = Config::load(path, &Environment::of_process())?;
    let mut lacking = 0;
    for source in &config.sources {
        let found = source.source.check(&source.name, &config.targets(&source.name));
        let tally = Tally::of(&found);
        lacking += usize::from(tally.missing > 0);
        say(format!("source  {} ({}): {}", source.name, source.kind, tally.verdict()));
        say(findings(&found).trim_end());
    }
    for channel in &config.channels {
        say(line(channel));
        let warnings: Vec<Finding> = channel.access_warnings.iter().map(Finding::warning).collect();
        if !warnings.is_empty() {
            say(findings(&warnings).trim_end());
        }
    }
    if let Some(files) = &config.tls {
        let pair = Pair::load(files)?;
        files.clients.as_ref().map_or(Ok(()), |clients| authorities(&clients.ca).map(drop))?;
        say(format!("tls     {}", pair.title()));
        if let Some(warning) = pair.warning(SystemTime::now()) {
            say(findings(&[Finding::warning(warning)]).trim_end());
        }
    }
    for issuer in &config.gate.issuers {
        say(format!("issuer  {}", issuer.issuer));
    }
    if !config.listen.ip().is_loopback() && !config.guarded() {
        say(format!(
            "listen  {}: beyond loopback without `tls` and a `gate` with issuers, so `tidegate serve` wants --insecure",
            config.listen
        ));
    }
    if lacking > 0 {
        bail!("{lacking} of {} sources lack something upstream", config.sources.len());
    }
    say(format!("{}: good", path.display()));
    Ok(())
}

fn line(channel: &ChannelConfig) -> String {
    let kind = if channel.key.is_some() { "keyed" } else { "plain" };
    let part = match (&channel.table, channel.dead_letters) {
        (Some(table), _) => format!(" from {table}"),
        (None, true) => " with its dead letters".to_owned(),
        (None, false) => String::new(),
    };
    let written = channel.source.as_ref().map_or_else(String::new, |source| format!(", written by {source}{part}"));
    let opens = |policy: &Policy| *policy != Policy::Never;
    let access = match (opens(&channel.access.read), opens(&channel.access.publish)) {
        (true, true) => "read and publish",
        (true, false) => "read",
        (false, true) => "publish",
        (false, false) => "nobody may do anything: `access` opens it",
    };
    format!("channel {} at {} ({kind}{written}): {access}", channel.name, channel.address.as_str())
}

fn behind(url: &str) -> Result<()> {
    let behind = Behind::look(url, ([127, 0, 0, 1], 8080).into(), Path::new("./tidegate-data"))?;
    let tally = Tally::of(&behind.findings);
    say(format!("source  {}: {}", behind.shown, tally.verdict()));
    say(findings(&behind.findings).trim_end());
    let part = |title: &str, lines: String| {
        if !lines.is_empty() {
            say(title);
            say(lines.trim_end());
        }
    };
    part("left out", behind.left_out());
    part("would serve", behind.served());
    match behind.config() {
        Ok(_) => {
            say(format!("{}: good", behind.shown));
            Ok(())
        }
        Err(_) if tally.missing > 0 => bail!("{} lacks something", behind.shown),
        Err(_) => bail!("{} has no table that can be served", behind.shown),
    }
}
