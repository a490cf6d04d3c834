//! A hub over a real log in a folder of its own.

use std::ops::Deref;

use tidegate_core::{Cursor, KeySpec, Target, Template};
use tidegate_log::{ChannelSpec, Log, Options, Retain};

use crate::{
    Access, Action, Caller, ChannelConfig, Format, Hub, HubOptions, Precondition, Problem, Publish, Published,
};

/// The channels `kv/{region}` with the key `id`, `seats/{hall}` with `row` and `seat`, and the plain
/// `chat/{room}`.
pub(crate) struct TestHub {
    hub: Hub,
    _folder: tempfile::TempDir,
}

impl TestHub {
    pub(crate) fn new() -> TestHub {
        TestHub::made(Retain::default(), |_| {})
    }

    /// The same, where `kv` keeps so much.
    pub(crate) fn retaining(retain: Retain) -> TestHub {
        TestHub::made(retain, |_| {})
    }

    /// With channels that are changed first.
    pub(crate) fn with(change: impl FnMut(&mut ChannelConfig)) -> TestHub {
        TestHub::made(Retain::default(), change)
    }

    fn made(retain: Retain, change: impl FnMut(&mut ChannelConfig)) -> TestHub {
        let folder = tempfile::tempdir().expect("temp folder");
        let kv = ChannelSpec { retain, ..ChannelSpec::keyed("kv") };
        let specs = vec![kv, ChannelSpec::keyed("seats"), ChannelSpec::plain("chat")];
        let log = Log::open(Options::new(folder.path()), specs).expect("open");
        let mut configs = vec![
            config("kv", "kv/{region}", &["id"]),
            config("seats", "seats/{hall}", &["row", "seat"]),
            config("chat", "chat/{room}", &[]),
        ];
        configs.iter_mut().for_each(change);
        TestHub { hub: Hub::new(log, configs, HubOptions::default()), _folder: folder }
    }

    pub(crate) async fn post(&self, address: &str, format: Format, body: &str) -> Result<Published, Problem> {
        self.post_by(&Caller::anonymous(), address, format, body).await
    }

    pub(crate) async fn post_by(
        &self,
        caller: &Caller,
        address: &str,
        format: Format,
        body: &str,
    ) -> Result<Published, Problem> {
        self.act(caller, address, Action::Post { format, body: body.to_owned().into() }, None).await
    }

    pub(crate) async fn put_by(
        &self,
        caller: &Caller,
        address: &str,
        key: &str,
        body: &str,
        condition: Option<Precondition>,
    ) -> Result<Published, Problem> {
        self.act(caller, address, Action::Put { key: key.to_owned(), body: body.to_owned().into() }, condition).await
    }

    pub(crate) async fn delete(&self, address: &str, key: &str) -> Result<Published, Problem> {
        self.delete_by(&Caller::anonymous(), address, key).await
    }

    pub(crate) async fn delete_by(&self, caller: &Caller, address: &str, key: &str) -> Result<Published, Problem> {
        self.act(caller, address, Action::Delete { key: key.to_owned() }, None).await
    }

    async fn act(
        &self,
        caller: &Caller,
        address: &str,
        action: Action,
        condition: Option<Precondition>,
    ) -> Result<Published, Problem> {
        let publish = Publish { target: target(address), action, idempotency: None, condition };
        self.hub.publish(publish, caller).await
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
        access: Access::open(),
        ..ChannelConfig::new(name, Template::parse(template).expect("a template"), KeySpec::new(key.iter().copied()))
    }
}
