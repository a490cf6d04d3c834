//! What the measures run on: channels, events, a log in a folder of its own, a clock that stands.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_core::{KeySpec, Millis, Template};
use tidegate_hub::{Access, ChannelConfig, Hub, HubOptions, Policy, Right, Vocabulary};
use tidegate_log::{ChannelSpec, Clock, Log, Options, Retain};

/// A time with as many digits as those of the next two centuries.
pub(super) const NOW: Millis = Millis(1_800_000_000_000);
/// Keeps nothing.
pub(super) const LIVE: &str = "live";
/// Keeps what comes on disk.
pub(super) const KEPT: &str = "kept";
/// Has rows.
pub(super) const ROWS: &str = "rows";
/// Nothing that goes by a timer falls into a measure.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// JSON of this length, as applications have it: members, digits, an escape.
pub(super) fn event(bytes: usize) -> Vec<u8> {
    let head = br#"{"id":"k1","price":1234.5,"text":"a \"word\" "#;
    let mut event = head.to_vec();
    event.resize(bytes - 2, b'x');
    event.extend_from_slice(b"\"}");
    event
}

/// A folder, and the options of a log in it.
pub(super) fn place() -> (TempDir, Options) {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::Manual(Arc::new(AtomicU64::new(NOW.0)));
    // Drains belong to no measure.
    let options = Options { clock, journal_bytes: 1 << 30, ..Options::new(folder.path()) };
    (folder, options)
}

/// The channels as the log knows them.
pub(super) fn specs() -> Vec<ChannelSpec> {
    let live = Retain { ephemeral: true, ..Retain::default() };
    vec![ChannelSpec { retain: live, ..ChannelSpec::plain(LIVE) }, ChannelSpec::plain(KEPT), ChannelSpec::keyed(ROWS)]
}

/// A hub over them.
pub(super) fn hub() -> (TempDir, Hub) {
    hub_of([LIVE, KEPT, ROWS].map(config))
}

/// The same; publishes are judged by this policy.
pub(super) fn hub_that_asks(publish: &str) -> (TempDir, Hub) {
    hub_of([LIVE, KEPT, ROWS].map(|name| {
        let mut config = config(name);
        let vocabulary = Vocabulary::of(&config.template, config.key.is_some());
        config.access.publish = Policy::parse(Right::Publish, publish, &vocabulary).expect("a policy");
        config
    }))
}

fn hub_of(configs: [ChannelConfig; 3]) -> (TempDir, Hub) {
    let (folder, options) = place();
    let log = Log::open(options, specs()).expect("a log");
    (folder, Hub::new(log, configs.into(), HubOptions { heartbeat: NEVER }))
}

/// One of the channels: anybody may watch it and publish to it.
pub(super) fn config(name: &str) -> ChannelConfig {
    let template = Template::parse(&format!("{name}/{{part}}")).expect("a template");
    let key = (name == ROWS).then(|| KeySpec::new(["id"])).flatten();
    ChannelConfig { access: Access::open(), ..ChannelConfig::new(name, template, key) }
}

/// One thread.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
