//! What is kept is what would be read, whatever happens to the log meanwhile; and what many ask for at
//! once is read once, but never for one who could tell that it is old.

mod collapsed;
mod exact;
mod limits;
mod owned;
mod polled;

use std::sync::Arc;

use http::HeaderMap;
use tempfile::TempDir;
use tidegate_core::{Address, ChannelId, KeySpec, Millis, Op, Target, Template};
use tidegate_gate::{Gate, GateConfig};
use tidegate_hub::{Access, Caller, ChannelConfig, Hub, HubOptions, Policy, Right, Vocabulary};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options as LogOptions, Retain};
use tidegate_wire::{StreamOptions, Tails};

use super::made::Made;
use super::{Asked, HISTORY, Reading};
use crate::options::Options;
use crate::{Answers, Assets, Audit, Budget, Gateway, Hooked, Multiplexed};

/// Name, template, key; each durable and `retain: none`.
const CHANNELS: [(&str, &str, &[&str], bool); 7] = [
    ("own", "own/{part}", &["id"], false),
    ("masked", "masked/{part}", &["id"], false),
    ("own-events", "own-events/{part}", &[], false),
    ("rows", "rows/{part}", &["id"], false),
    ("events", "events/{room}", &[], false),
    ("ring", "ring/{part}", &["id"], true),
    ("ring-events", "ring-events/{room}", &[], true),
];
const MIB: usize = 1024 * 1024;

/// All that a request needs, over a real log.
struct Rig {
    gateway: Gateway,
    log: Log,
    _folder: TempDir,
}

impl Rig {
    fn new(memory_max: usize) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = |(name, _, key, ephemeral): &(&str, &str, &[&str], bool)| ChannelSpec {
            retain: Retain { ephemeral: *ephemeral, ..Retain::default() },
            ..if key.is_empty() { ChannelSpec::plain(*name) } else { ChannelSpec::keyed(*name) }
        };
        let log = Log::open(LogOptions::new(folder.path()), CHANNELS.iter().map(spec).collect()).expect("a log");
        let config = |(name, template, key, _): &(&str, &str, &[&str], bool)| {
            let template = Template::parse(template).expect("a template");
            let words = Vocabulary::of(&template, !key.is_empty());
            let rows = if name.starts_with("own") { "data.owner == claims.sub" } else { "true" };
            let rows = Policy::parse(Right::Rows, rows, &words).expect("a row rule");
            let mask = (*name == "masked").then(|| Arc::new("ssn".parse().expect("a mask")));
            let access = Access { rows, mask, ..Access::open() };
            ChannelConfig { access, ..ChannelConfig::new(name, template, KeySpec::new(key.iter().copied())) }
        };
        let hub = Hub::new(log.clone(), CHANNELS.iter().map(config).collect(), HubOptions::default());
        let options = StreamOptions { memory_max, lanes: 1, ..StreamOptions::default() };
        let tails = Tails::start(hub.clone(), options).expect("lanes");
        let memory = tails.memory().clone();
        let gateway = Gateway {
            hub,
            tails,
            audit: Audit::default(),
            hooks: Hooked::none(),
            gate: Arc::new(Gate::new(&GateConfig::default(), Arc::default()).expect("a gate")),
            limits: Default::default(),
            proxies: crate::Proxies::default(),
            resource: crate::Resource::default(),
            allowed: Default::default(),
            assets: Assets::default(),
            actions: Vec::new(),
            budget: Budget::of(memory.clone()),
            answers: Answers::of(memory),
            multiplexed: Multiplexed::default(),
        };
        Rig { gateway, log, _folder: folder }
    }

    /// What a GET of `/v1/…` asks for.
    fn reading(&self, url: &str) -> Reading<'_> {
        self.reading_by(&Caller::anonymous(), url)
    }

    fn reading_by(&self, caller: &Caller, url: &str) -> Reading<'_> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let options = Options::read(Some(query), &HeaderMap::new()).expect("options");
        let request = options.request(Target::parse(path).expect("a target"));
        let plan = self.gateway.hub.plan(&request, caller).expect("a plan");
        Reading::new(&self.gateway, plan, &options).expect("something to read")
    }

    async fn get(&self, url: &str) -> Arc<Made> {
        self.get_by(&Caller::anonymous(), url).await
    }

    async fn get_by(&self, caller: &Caller, url: &str) -> Arc<Made> {
        let reading = self.reading_by(caller, url);
        self.gateway.answers.get(&reading.channel, &reading.asked, reading.read()).await.expect("an answer")
    }

    fn append(&self, channel: &str, op: Op, at: &str, key: Option<&str>, data: String) {
        self.log.append(batch(channel, op, at, key, data)).expect("appended");
    }

    /// One row, as a source appends it.
    fn upsert(&self, at: &str, key: &str, data: String) {
        let channel = at.split('/').next().expect("a first segment");
        self.append(channel, Op::Upsert, at, Some(key), data);
    }
}

fn batch(channel: &str, op: Op, at: &str, key: Option<&str>, data: String) -> Batch {
    let entry = Entry {
        channel: ChannelId::of(channel),
        op,
        address: Address::parse(at).expect("an address"),
        key: key.map(Into::into),
        time: Millis(7),
        data: data.into(),
    };
    Batch { entries: vec![entry], ..Batch::default() }
}
