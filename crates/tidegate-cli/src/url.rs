//! A URL instead of a config: what stands behind it, and `tidegate serve URL`.
//!
//! The URL may hold a password. It is handed to the source and to nobody else: everything that is
//! printed has [`shown`].

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use tidegate_core::suggest::nearest;
use tidegate_server::config::{Config, Draft, SourceConfig, URL_VARIABLE};
use tidegate_sources::{Finding, KINDS, Kind, Level, Made};

use crate::findings::{Tally, findings, item, left_out};

/// What stands behind a URL.
pub(crate) struct Behind {
    /// The URL as it may be printed.
    pub(crate) shown: String,
    /// What was found, without its tables.
    pub(crate) findings: Vec<Finding>,
    makes: Vec<Made>,
    draft: Draft,
    /// The draft, read; `None`: nothing can be served.
    config: Option<Config>,
}

impl Behind {
    /// Looks; changes nothing. Blocks. `listen` and `data` are for the config that is made.
    pub(crate) fn look(url: &str, listen: SocketAddr, data: &Path) -> Result<Behind> {
        let kind = kind_of(url)?;
        let shown = shown(url);
        let discovery = (kind.discover)(url).map_err(|error| {
            let help = error.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
            anyhow!("{shown}: {error}{help}")
        })?;
        let draft = Draft::new(kind, url, &discovery, listen, data);
        let mut behind = Behind { shown, findings: discovery.findings, makes: discovery.makes, draft, config: None };
        if Tally::of(&behind.findings).missing == 0 && !discovery.channels.is_empty() {
            // A mistake in it would be ours; the report shows the text and its place.
            let config = Config::parse(&behind.shown, &behind.draft.text, Path::new("."), &behind.draft.environment)
                .map_err(|report| anyhow!("{report}"))?;
            // It is asked again, now that it knows what it will be called and what it serves.
            let check = |source: &SourceConfig| source.source.check(&source.name, &config.targets(&source.name));
            behind.findings = config.sources.iter().flat_map(check).collect();
            behind.config = Some(config);
        }
        Ok(behind)
    }

    /// What can be served, if nothing is missing.
    pub(crate) fn config(&self) -> Result<&Config> {
        match &self.config {
            Some(config) if Tally::of(&self.findings).missing == 0 => Ok(config),
            Some(_) => bail!("{} cannot be served yet:\n\n{}", self.shown, findings(&self.findings).trim_end()),
            None => {
                let tables = left_out(&self.draft.left_out);
                let tables = if tables.is_empty() { "  there is no table" } else { tables.trim_end() };
                let found = findings(&self.findings);
                bail!("{} cannot be served:\n\n{}\n\nTables:\n\n{tables}", self.shown, found.trim_end())
            }
        }
    }

    /// What is served, what is not, and the config to keep; `address` is where clients connect.
    pub(crate) fn introduction(&self, address: SocketAddr) -> String {
        let mut text = format!("\nOpen http://{address}/ in a browser, or try:\n\n");
        // Writing to memory.
        if let Some(first) = self.config.iter().flat_map(|config| &config.channels).next() {
            let url = format!("http://{address}/v1/{}", first.address.as_str());
            let _ = writeln!(text, "  curl '{url}'\n  curl -N -H 'Accept: text/event-stream' '{url}'");
        }
        let _ = write!(text, "\nServing {}:\n\n{}", self.shown, self.served());
        text.push_str(&self.rest());
        let _ = write!(
            text,
            "\nWhoever reaches {address} may read all of it. To change that, or anything else, keep this as tidegate.yaml\n\
             and run `{URL_VARIABLE}=… tidegate serve`:\n\n{}",
            indented(&self.draft.text)
        );
        text
    }

    /// The channels, a line each.
    pub(crate) fn served(&self) -> String {
        let channels = self.config.iter().flat_map(|config| &config.channels);
        let tables: Vec<_> = channels.filter_map(|channel| Some((channel, channel.table.as_ref()?))).collect();
        let width = tables.iter().map(|(_, table)| table.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (channel, table) in tables {
            let key: Vec<&str> = channel.key.as_ref().map(|key| key.fields().collect()).unwrap_or_default();
            let _ = writeln!(text, "  {table:width$}  at {}, key {}", channel.address.as_str(), key.join(", "));
        }
        text
    }

    /// The tables that are not served, a line each with what to run.
    pub(crate) fn left_out(&self) -> String {
        left_out(&self.draft.left_out)
    }

    /// What is not served, what had better be otherwise, and what is made upstream.
    fn rest(&self) -> String {
        let mut text = String::new();
        let warnings: Vec<Finding> =
            self.findings.iter().filter(|finding| finding.level == Level::Warning).cloned().collect();
        let mut part = |title: &str, lines: &str| {
            if !lines.is_empty() {
                let _ = write!(text, "\n{title}:\n\n{}\n", lines.trim_end());
            }
        };
        part("Left out", &self.left_out());
        part("Worth a look", &findings(&warnings));
        let mut made = String::new();
        for thing in &self.makes {
            item(&mut made, &thing.what, thing.removal.as_deref());
        }
        part("Made in the database", &made);
        text
    }
}

fn kind_of(url: &str) -> Result<&'static Kind> {
    if let Some(kind) = Kind::of_url(url) {
        return Ok(kind);
    }
    let schemes = || KINDS.iter().flat_map(|kind| kind.schemes.iter().copied());
    let known: Vec<String> = schemes().map(|scheme| format!("{scheme}://")).collect();
    let known = if known.is_empty() { "no URLs".to_owned() } else { known.join(", ") };
    match url.split_once("://") {
        Some((scheme, _)) => {
            let near = nearest(scheme, schemes()).map_or_else(String::new, |near| format!("; did you mean {near}://?"));
            bail!("nothing here reads {scheme}:// URLs{near}\nThis release knows {known}")
        }
        None => bail!("this is no URL; this release knows {known}\nFor a config, write --config FILE"),
    }
}

/// The URL without its password and its options. Where it is not clear which part is a password,
/// nothing is shown.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let base = rest.split(['?', '#']).next().unwrap_or_default();
    match base.rsplit_once('@') {
        Some((user, place)) => format!("{scheme}://{}@{place}", user.split(':').next().unwrap_or_default()),
        None if rest.contains('@') || !port_is_one(base) => format!("{scheme}://…"),
        None => format!("{scheme}://{base}"),
    }
}

/// Where no `@` says what is what, a password would stand where the port does.
fn port_is_one(base: &str) -> bool {
    let authority = base.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// What `serve URL` has beside the URL.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// With a URL: where clients connect; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", requires = "url")]
    pub(crate) listen: SocketAddr,
    /// With a URL: where the data is kept.
    #[arg(long, value_name = "DIR", default_value = "./tidegate-data", requires = "url")]
    pub(crate) data: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        assert_eq!(shown("postgres://app:secret@db/shop?sslmode=require"), "postgres://app@db/shop");
        assert_eq!(shown("postgres://app@db:5432/shop"), "postgres://app@db:5432/shop");
        assert_eq!(shown("postgres://[::1]:5432/shop"), "postgres://[::1]:5432/shop");
        assert_eq!(shown("postgres://db/shop?user=app&password=secret"), "postgres://db/shop");
        for odd in [
            "a:sec/ret@db/shop",
            "a:sec@ret@db/shop",
            "a:sec?ret@db/shop",
            "db/shop?password=sec@ret",
            "a:sec#ret@db",
            "app:secret/shop",
        ] {
            let url = format!("postgres://{odd}");
            assert!(!shown(&url).contains("sec") && !shown(&url).contains("ret"), "{}", shown(&url));
        }
    }

    #[test]
    fn other_urls_are_refused_without_repeating_them() {
        let told = |url: &str| kind_of(url).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            told("oracle://app:secret@db").contains("oracle://") && !told("oracle://app:secret@db").contains("secret")
        );
        assert!(told("tidegate.yaml").contains("--config"));
    }
}
