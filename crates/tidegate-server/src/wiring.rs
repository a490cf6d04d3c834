//! What each room is told of the config.

use std::time::Duration;

use tidegate_core::Placement;
use tidegate_gate::GateConfig;
use tidegate_hub as hub;
use tidegate_log as log;
use tidegate_sources::{Takes, Target};
use tidegate_transports::{Allowed, Resource};
use tidegate_wire::StreamOptions;

use crate::config::{ChannelConfig, Config, Retain, StreamConfig};

/// A record is larger than its line in a body: names, times and the before-image come with it.
const BATCH_FACTOR: u64 = 2;

/// What an encrypted connection takes beside a plain one.
const TLS_BYTES: usize = 12 * 1024;

/// How the log is opened.
pub(crate) fn log_options(config: &Config) -> log::Options {
    let largest = config.channels.iter().map(|channel| channel.batch_bytes_max).max().unwrap_or_default();
    let defaults = log::Options::new(&config.log.path);
    log::Options {
        journal_bytes: config.log.journal_bytes,
        segment_bytes_max: config.log.segment_bytes,
        batch_bytes_max: defaults.batch_bytes_max.max((largest * BATCH_FACTOR) as usize),
        ..defaults
    }
}

/// What the log keeps of a channel.
pub(crate) fn log_channel(channel: &ChannelConfig) -> log::ChannelSpec {
    let retain = match channel.retain {
        Retain::None => log::Retain { age: None, bytes: None, ephemeral: true },
        Retain::Within { age, bytes } => log::Retain { age, bytes, ephemeral: false },
    };
    log::ChannelSpec {
        name: channel.name.clone(),
        keyed: channel.key.is_some(),
        retain,
        idempotency: log::Window { age: channel.idempotency_age, keys: channel.idempotency_keys },
        // What a source says of a change may name the key alone, and not where the row was.
        by_key: channel.table.is_some() && channel.address.parameters().next().is_some(),
    }
}

/// What the hub knows of a channel.
pub(crate) fn hub_channel(channel: &ChannelConfig) -> hub::ChannelConfig {
    hub::ChannelConfig {
        name: channel.name.clone(),
        title: channel.title.clone(),
        template: channel.address.clone(),
        key: channel.key.clone(),
        items: channel.items.clone(),
        source: channel.source.clone(),
        access: channel.access.clone(),
        priority: channel.priority,
        batch_bytes_max: channel.batch_bytes_max as usize,
    }
}

/// How streams are served.
pub(crate) fn stream_options(config: &Config) -> StreamOptions {
    let StreamConfig { batch_delay_ms, io_uring, compress, write_timeout_ms, lag_max, age_max } = config.stream;
    let defaults = StreamOptions::default();
    StreamOptions {
        batch_delay: Duration::from_millis(batch_delay_ms),
        io_uring,
        compress,
        write_timeout: Duration::from_millis(write_timeout_ms),
        lag_max,
        age_max,
        load: config.overload,
        memory_max: config.memory_max as usize,
        watch_bytes: defaults.watch_bytes + if config.tls.is_some() { TLS_BYTES } else { 0 },
        ..defaults
    }
}

/// How the hub works.
pub(crate) fn hub_options(heartbeat: Duration) -> hub::HubOptions {
    hub::HubOptions { heartbeat }
}

impl Config {
    /// The channels that a source writes, as the source is told of them.
    pub fn targets(&self, source: &str) -> Vec<Target> {
        let own = self.channels.iter().filter(|channel| channel.source.as_deref() == Some(source));
        own.map(target).collect()
    }
}

fn target(channel: &ChannelConfig) -> Target {
    let placement = || Placement { template: channel.address.clone(), key: channel.key.clone() };
    Target {
        channel: channel.name.clone(),
        table: channel.table.clone(),
        takes: if channel.dead_letters {
            Takes::DeadLetters(channel.address.clone())
        } else {
            Takes::Rows(placement())
        },
        numbers: channel.numbers,
    }
}

/// Where tokens come from.
pub(crate) fn resource(gate: &GateConfig) -> Resource {
    let urls = gate.issuers.iter().map(|issuer| &issuer.issuer).filter(|issuer| issuer.contains("://"));
    Resource { name: gate.resource.clone(), issuers: urls.cloned().collect() }
}

/// Which names and origins are ours.
pub(crate) fn allowed(config: &Config) -> Allowed {
    let mut hosts = config.hosts.clone();
    if !config.listen.ip().is_unspecified() {
        hosts.push(config.listen.ip().to_string());
    }
    Allowed {
        hosts,
        origins: config.origins.clone(),
        // Beyond loopback nobody but the operator knows the names; without a list, all are ours.
        any_host: !config.listen.ip().is_loopback() && config.hosts.is_empty(),
    }
}
