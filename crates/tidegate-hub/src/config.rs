//! What the hub needs to know of each channel; made from the config file by the server.

use std::time::Duration;

use tidegate_core::{KeySpec, Template};

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Its name, as in the config and in the log.
    pub name: String,
    /// One line for people.
    pub title: Option<String>,
    /// Where its events are.
    pub template: Template,
    /// Keyed channels have one.
    pub key: Option<KeySpec>,
    /// The source that writes it; without one, applications publish to it.
    pub source: Option<String>,
    /// Who may do what.
    pub access: Access,
    /// A publish may have this many bytes; it is all or nothing.
    pub batch_bytes_max: usize,
}

/// Literal access rules; what is not allowed is denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Watch and read.
    pub read: bool,
    /// Publish.
    pub publish: bool,
}

/// Limits and intervals of the hub.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// A stream that has nothing to say says so this often.
    pub heartbeat: Duration,
}

impl Default for HubOptions {
    fn default() -> HubOptions {
        HubOptions { heartbeat: Duration::from_secs(15) }
    }
}
