//! A URL instead of a config: what stands behind it, and `tidegate serve URL`.
//!
//! The URL may hold a password. It is handed to the source and to nobody else: everything that is
//! printed has [`shown`].

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use tidegate_core::suggest::nearest;
use tidegate_server::config::{Config, Draft, URL_VARIABLE};
use tidegate_sources::{Discovery, KINDS, Kind};

use crate::findings::{Tally, findings, item, left_out};

/// A source that was found behind a URL, and what it offers.
pub(crate) struct Found {
    kind: &'static Kind,
    url: String,
    /// The URL as it may be printed.
    pub(crate) shown: String,
    pub(crate) discovery: Discovery,
}

/// A config that nobody wrote, read.
pub(crate) struct Made {
    pub(crate) config: Config,
    draft: Draft,
    found: Found,
}

/// Looks behind a URL; changes nothing. Blocks.
pub(crate) fn look(url: &str) -> Result<Found> {
    let kind = kind_of(url)?;
    let shown = shown(url);
    let discovery = (kind.discover)(url).map_err(|error| {
        let help = error.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
        anyhow!("{shown}: {error}{help}")
    })?;
    Ok(Found { kind, url: url.to_owned(), shown, discovery })
}

impl Found {
    /// Makes a config that serves all of it.
    pub(crate) fn serve(self, listen: SocketAddr, data: &Path) -> Result<Made> {
        let tally = Tally::of(&self.discovery.findings);
        let draft = Draft::new(self.kind, &self.url, &self.discovery, listen, data);
        if tally.missing > 0 || self.discovery.channels.is_empty() {
            let found = findings(&self.discovery.findings);
            let mut text = format!("{} cannot be served:\n\n{found}", self.shown);
            if self.discovery.channels.is_empty() {
                let tables = left_out(&draft.left_out);
                let why = if tables.is_empty() { "  There is no table.\n".to_owned() } else { tables };
                text.push_str(&format!("\nNo table can be served:\n\n{why}"));
            }
            bail!("{}", text.trim_end());
        }
        // A mistake in it is ours; the report shows the text and its place.
        let config =
            Config::parse(&format!("the config for {}", self.shown), &draft.text, Path::new("."), &draft.environment)
                .map_err(|report| anyhow!("{report}"))?;
        Ok(Made { config, draft, found: self })
    }
}

impl Made {
    /// What is served, what is not, and the config to keep; `address` is where clients connect.
    pub(crate) fn introduction(&self, address: SocketAddr) -> String {
        let mut text = format!("\nOpen http://{address}/ in a browser, or try:\n\n");
        // Writing to memory.
        if let Some(first) = self.config.channels.first() {
            let url = format!("http://{address}/v1/{}", first.address.as_str());
            let _ = writeln!(text, "  curl '{url}'\n  curl -N -H 'Accept: text/event-stream' '{url}'");
        }
        let _ = write!(text, "\nServing {}:\n\n{}", self.found.shown, self.served());
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
        let tables: Vec<_> =
            self.config.channels.iter().filter_map(|channel| Some((channel, channel.table.as_ref()?))).collect();
        let width = tables.iter().map(|(_, table)| table.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (channel, table) in tables {
            let key: Vec<&str> = channel.key.as_ref().map(|key| key.fields().collect()).unwrap_or_default();
            let _ = writeln!(text, "  {table:width$}  at {}, key {}", channel.address.as_str(), key.join(", "));
        }
        text
    }

    /// What is not served, what has been found not to be good, and what is made upstream.
    pub(crate) fn rest(&self) -> String {
        let mut text = String::new();
        let warnings: Vec<_> =
            self.found.discovery.findings.iter().filter(|finding| finding.remedy.is_some()).cloned().collect();
        let mut part = |title: &str, lines: &str| {
            if !lines.is_empty() {
                let _ = write!(text, "\n{title}:\n\n{}\n", lines.trim_end());
            }
        };
        part("Left out", &left_out(&self.draft.left_out));
        part("Worth a look", &findings(&warnings));
        let mut made = String::new();
        for thing in &self.found.discovery.makes {
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
