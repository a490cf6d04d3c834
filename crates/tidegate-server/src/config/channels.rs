//! The `channels:` of the config.

use std::time::Duration;

use tidegate_core::{ChannelId, ItemKeys, KeySpec, Template};
use tidegate_hub::{Access, Priority};
use tidegate_sources::Numbers;

use super::channel::{self, Found};
use super::feed;
use super::fields::{Field, Reader};
use super::lookups;
use super::report::Problem;
use super::sources::Declared;

/// A named series of events.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Its name, the identity of its log.
    pub name: String,
    /// One line for people.
    pub title: Option<String>,
    /// Where its events are.
    pub address: Template,
    /// The source that writes it; `None`: applications publish.
    pub source: Option<String>,
    /// The table of the source.
    pub table: Option<String>,
    /// It takes what the source can neither place nor read, instead of rows.
    pub dead_letters: bool,
    /// How the source writes numbers.
    pub numbers: Numbers,
    /// Of keyed channels.
    pub key: Option<KeySpec>,
    /// By which member the items of arrays are known.
    pub items: ItemKeys,
    /// How much history is kept.
    pub retain: Retain,
    /// Who may do what.
    pub access: Access,
    /// What its policies say that is surely not meant.
    pub access_warnings: Vec<String>,
    /// Whether its watches give way under load.
    pub priority: Priority,
    /// For how long a repeated `Idempotency-Key` is recognised.
    pub idempotency_age: Duration,
    /// How many are remembered.
    pub idempotency_keys: u64,
    /// The largest body of one publish.
    pub batch_bytes_max: u64,
}

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retain {
    /// Nothing on disk.
    None,
    /// Within these bounds; at least one is there.
    Within {
        /// Records older than this are dropped.
        age: Option<Duration>,
        /// The oldest records are dropped beyond this size.
        bytes: Option<u64>,
    },
}

/// Reads all channels, and what they must not have in common.
pub(super) fn read(reader: Reader, field: Option<Field>, sources: &[Declared]) -> Vec<ChannelConfig> {
    let Some(field) = field else { return Vec::new() };
    let entries = reader.members(field.node(), field.name_span(), "channels").unwrap_or_default();
    let found: Vec<Found> = entries.iter().map(|entry| channel::read(reader, entry, sources)).collect();
    for (at, later) in found.iter().enumerate() {
        for first in &found[..at] {
            overlap(reader, first, later);
            collision(reader, first, later);
            feed::once(reader, first, later);
        }
    }
    lookups::check(reader, &found);
    found.into_iter().filter_map(|found| found.config).collect()
}

/// One address must never be a matter of luck.
fn overlap(reader: Reader, first: &Found, later: &Found) {
    let (Some(a), Some(b)) = (&first.address, &later.address) else { return };
    if !a.template.overlaps(&b.template) {
        return;
    }
    let title = format!("`{}` and `{}` can match one address", a.template.as_str(), b.template.as_str());
    let problem = Problem::new(b.span.clone(), title, format!("the address of `{}`", later.entry.name))
        .also(a.span.clone(), format!("the address of `{}`", first.entry.name))
        .help("make a literal segment differ, or use another number of segments");
    reader.problems.add(problem);
}

/// Cursors carry 40 bits of a hash of the name; two channels with the same would take each other's.
fn collision(reader: Reader, first: &Found, later: &Found) {
    let (a, b) = (&first.entry.name, &later.entry.name);
    if a != b && ChannelId::of(a) == ChannelId::of(b) {
        let title = format!("the names `{a}` and `{b}` have the same hash");
        let problem = Problem::new(later.entry.name_span.clone(), title, "rename this one")
            .also(first.entry.name_span.clone(), "the other")
            .help("cursors name their channel by a hash of its name; this is bad luck, one in 10^12");
        reader.problems.add(problem);
    }
}
