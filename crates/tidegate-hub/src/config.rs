//! What the hub needs to know of each channel; made from the config file by the server.

use std::time::Duration;

use tidegate_core::{ItemKeys, KeySpec, Template};

use crate::policy::Access;

/// The largest body of one publish, where the config says nothing.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

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
    /// By which member the items of arrays in its rows are known, for JSON patches.
    pub items: ItemKeys,
    /// The source that writes it; without one, applications publish to it.
    pub source: Option<String>,
    /// Who may do what.
    pub access: Access,
    /// Whether its watches give way under load.
    pub priority: Priority,
    /// A publish may have this many bytes; it is all or nothing.
    pub batch_bytes_max: usize,
}

/// When the watches of a channel give way under load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Never.
    #[default]
    High,
    /// When it was not enough that the low ones did.
    Normal,
    /// First.
    Low,
}

impl ChannelConfig {
    /// With nothing allowed, and limits as they are by default.
    pub fn new(name: &str, template: Template, key: Option<KeySpec>) -> ChannelConfig {
        ChannelConfig {
            name: name.to_owned(),
            title: None,
            template,
            key,
            items: ItemKeys::default(),
            source: None,
            access: Access::default(),
            priority: Priority::default(),
            batch_bytes_max: BATCH_BYTES_MAX,
        }
    }
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
