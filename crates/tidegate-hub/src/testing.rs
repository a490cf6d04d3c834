//! A hub over a real log in a folder of its own.

use std::ops::Deref;

use tidegate_core::{Cursor, KeySpec, Target, Template};
use tidegate_log::{ChannelSpec, Log, Options, Retain};

use crate::{Access, Action, ChannelConfig, Format, Hub, HubOptions, Problem, Publish, Published};

/// The channels `kv/{region}` with the key `id`, `seats/{hall}` with `row` and `seat`, and the plain
/// `chat/{room}`.
pub(crate) struct TestHub {
    hub: Hub,
    _folder: tempfile::TempDir,
}

impl TestHub {
    pub(crate) fn new() -> TestHub {
        TestHub::retaining(Retain::default())
    }

    /// The same, where `kv` keeps so much.
    pub(crate) fn retaining(retain: Retain) -> TestHub {
        let folder = tempfile::tempdir().expect("temp folder");
        let kv = ChannelSpec { retain, ..ChannelSpec::keyed("kv") };
        let specs = vec![kv, ChannelSpec::keyed("seats"), ChannelSpec::plain("chat")];
        let log = Log::open(Options::new(folder.path()), specs).expect("open");
        let configs = vec![
            config("kv", "kv/{region}", &["id"]),
            config("seats", "seats/{hall}", &["row", "seat"]),
            config("chat", "chat/{room}", &[]),
        ];
        TestHub { hub: Hub::new(log, configs, HubOptions::default()), _folder: folder }
    }

    pub(crate) async fn post(&self, address: &str, format: Format, body: &str) -> Result<Published, Problem> {
        let action = Action::Post { format, body: body.to_owned().into() };
        self.hub.publish(Publish { target: target(address), action, idempotency: None, condition: None }).await
    }

    /// Where a cursor of this hub stands.
    pub(crate) fn head(&self, channel: &str) -> u64 {
        self.hub.log().channel(channel).expect("channel").head()
    }
}

impl Deref for TestHub {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

pub(crate) fn target(text: &str) -> Target {
    Target::parse(text).expect("a target")
}

pub(crate) fn cursor(published: &Published) -> Cursor {
    published.cursor.parse().expect("a cursor")
}

fn config(name: &str, template: &str, key: &[&str]) -> ChannelConfig {
    ChannelConfig {
        access: Access { read: true, publish: true },
        ..ChannelConfig::new(name, Template::parse(template).expect("a template"), KeySpec::new(key.iter().copied()))
    }
}
