//! The real log, hub and tails, with a model beside them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::{Address, Cursor, Kind, Millis, Op, Template};
use tidegate_hub::{Caller, ChannelConfig, From, Hub, HubOptions, Start, Vocabulary, WatchRequest};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options, Retain};
use tidegate_testkit::model::{Change, Record, Shown, View};
use tidegate_testkit::replica::Replica;
use tidegate_wire::{Reins, StreamOptions, Tails, Watcher, follow};

use crate::Wire;
use crate::look::Look;
use crate::sink::{Memory, Void, frames};

/// The real thing, and what it should hold.
pub(crate) struct World {
    log: Log,
    pub(crate) tails: Tails,
    random: StdRng,
    pub(crate) look: Look,
    view: View,
    /// The rows after each record, and the record itself, by offset.
    pub(crate) states: BTreeMap<u64, View>,
    pub(crate) records: BTreeMap<u64, Record>,
    /// Where watches without a cursor begin, if in the past.
    at: Option<u64>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(seed: u64, look: Look) -> World {
        let folder = tempfile::tempdir().expect("temp folder");
        let spec = ChannelSpec {
            // So small that every drain trims what was drained before.
            retain: Retain { bytes: Some(1), ..Retain::default() },
            ..ChannelSpec::keyed("rows")
        };
        let log = Log::open(Options::new(folder.path()), vec![spec]).expect("open");
        let template = Template::parse("rows/{part}").expect("template");
        let config = ChannelConfig {
            access: look.access(&Vocabulary::of(&template, true)),
            ..ChannelConfig::new("rows", template, tidegate_core::KeySpec::new(["id"]))
        };
        // What a watch of the state does not see, such as a gap of the source at the head, is reached
        // by a bookmark.
        let options = HubOptions { heartbeat: Duration::from_millis(40) };
        let hub = Hub::new(log.clone(), vec![config], options);
        World {
            log,
            tails: Tails::start(hub, StreamOptions::default()).expect("lanes"),
            random: StdRng::seed_from_u64(seed),
            look,
            view: View::default(),
            states: BTreeMap::from([(0, View::default())]),
            records: BTreeMap::new(),
            at: None,
            _folder: folder,
        }
    }

    /// One batch of one to four changes.
    pub(crate) fn write(&mut self) {
        let count = self.random.random_range(1..=4);
        self.batch(count, World::change);
    }

    /// One batch of one change.
    pub(crate) fn put(&mut self, change: &Change) {
        self.batch(1, |_| change.clone());
    }

    fn batch(&mut self, count: usize, change: impl Fn(&mut World) -> Change) {
        let mut batch = Vec::new();
        let mut after = Vec::new();
        for _ in 0..count {
            let change = change(self);
            batch.push(self.entry(&change));
            let key = change.key.as_deref();
            let before = key.and_then(|key| self.view.get(&change.address, key)).cloned();
            self.view.apply(change.op, &change.address, key, &change.data);
            after.push((Record { offset: 0, change, before }, self.view.clone()));
        }
        let batch = Batch { entries: batch, ..Batch::default() };
        let appended = self.log.append(batch).expect("append");
        let channel = self.log.channel("rows").expect("channel");
        let last = appended.offset(channel.id()).expect("offset");
        let count = after.len() as u64;
        for (index, (record, view)) in after.into_iter().enumerate() {
            let offset = last - (count - 1 - index as u64);
            self.states.insert(offset, view);
            self.records.insert(offset, Record { offset, ..record });
        }
    }

    /// A change that is one: it writes a record.
    fn change(&mut self) -> Change {
        let dice = self.random.random_range(0..40);
        match dice {
            0 => return Change::clear(),
            1 => return Change::gap(),
            2 => return Change::notice("schema"),
            _ => {}
        }
        let held: Vec<(String, String)> = self.view.rows.keys().cloned().collect();
        if dice < 10 && !held.is_empty() {
            let (address, key) = &held[self.random.random_range(0..held.len())];
            return Change::delete(address, key);
        }
        let address = format!("rows/{}", self.random.random_range(0..3));
        let key = format!("k\"{}", self.random.random_range(0..6));
        let new = json!({ "n": 0, "color": "red", "pos": {"x": 1, "y": 1}, "list": [], "text": "é\u{2028}" });
        let mut data = self.view.get(&address, &key).cloned().unwrap_or(new);
        let some = self.random.random_range(0..1000);
        match some % 5 {
            0 => data["color"] = ["red", "green", "blue"][some / 5 % 3].into(),
            1 => data["pos"]["x"] = some.into(),
            2 => data["list"] = (0..some % 4).map(|at| some / 4 % 7 + at).collect(),
            3 if some % 2 == 0 => data["text"] = Value::Null,
            _ => data["n"] = some.into(),
        }
        Change::upsert(&address, &key, data)
    }

    fn entry(&self, Change { op, address, key, data }: &Change) -> Entry {
        let address = if op.is_channel_wide() { "rows/0" } else { address };
        Entry {
            channel: self.log.channel("rows").expect("channel").id(),
            op: *op,
            address: Address::parse(address).expect("address"),
            key: key.as_deref().map(Into::into),
            time: Millis(1),
            data: match op {
                Op::Upsert | Op::Notice => Bytes::from(data.to_string()),
                _ => Bytes::new(),
            },
        }
    }

    /// What a watch is told of a record: the op and the data of its frame.
    pub(crate) fn told(&self, record: &Record) -> Option<(&'static str, Value)> {
        let op = record.change.op;
        match op {
            Op::Gap if self.look.eye.kind == Kind::State => None,
            _ if op.is_channel_wide() => Some((op.as_str(), Value::Null)),
            _ => Some(match self.look.eye.shown(record, record.before.as_ref())? {
                Shown::Value(is) | Shown::Changed { is, .. } => (op.as_str(), is),
                Shown::Gone => (Op::Delete.as_str(), Value::Null),
            }),
        }
    }

    /// From here on watches begin as of a position that history tells, not before the last clear; gives it.
    pub(crate) fn past(&mut self) -> u64 {
        let cleared =
            self.records.values().rfind(|record| record.change.op == Op::Clear).map_or(0, |clear| clear.offset);
        let channel = self.log.channel("rows").expect("channel");
        let at = self.random.random_range(channel.start().max(cleared)..=channel.head());
        self.at = Some(at);
        at
    }

    /// Where the last record is that a watch is told of.
    pub(crate) fn last_told(&self) -> u64 {
        self.records.values().rfind(|record| self.told(record).is_some()).map_or(0, |record| record.offset)
    }

    /// Everything but the newest is trimmed, once in a while.
    pub(crate) fn trim(&mut self) {
        self.log.drain_now().expect("drain");
        self.log.retain_now().expect("retain");
    }

    /// Watches into `replica` until `cut` bytes were written, or everything was; says whether it was.
    pub(crate) async fn watch(&self, replica: &mut Replica, (encoding, chain): Wire, cut: usize) -> bool {
        let after = replica.cursor.as_deref().map(|cursor| cursor.parse().expect("cursor"));
        let watcher = self.watcher((encoding, chain), after);
        let mut sink = Memory { bytes: Vec::new(), cut, encoding, goal: self.last_told() };
        let _ = follow(&self.tails, &watcher, &Reins::new(), None, &mut sink).await;
        for frame in frames(encoding, &sink.bytes) {
            replica.apply(&frame).unwrap_or_else(|violation| panic!("{violation}"));
        }
        replica.cut();
        sink.bytes.len() < cut
    }

    /// Keeps watches of each of these views, of this caller and of another who sees other rows, for as long as the world is, so that no other is alone.
    pub(crate) fn accompany(&self, wires: &[Wire]) {
        for wire in wires {
            for caller in [self.look.caller(), other()] {
                let (tails, watcher) = (self.tails.clone(), self.watcher_of(&caller, *wire, None));
                tokio::spawn(async move { follow(&tails, &watcher, &Reins::new(), None, &mut Void).await });
            }
        }
    }

    pub(crate) fn watcher(&self, wire: Wire, after: Option<Cursor>) -> Watcher {
        self.watcher_of(&self.look.caller(), wire, after)
    }

    fn watcher_of(&self, caller: &Caller, (encoding, chain): Wire, after: Option<Cursor>) -> Watcher {
        let Look { eye, filter, fields, mode, rate, .. } = &self.look;
        let history = eye.kind == Kind::History;
        let request = WatchRequest {
            from: (history && after.is_none()).then_some(From::Start),
            after,
            snapshot: history.then_some(false),
            filter: filter.map(Into::into),
            fields: fields.map(|list| list.parse().expect("fields")),
            mode: *mode,
            rate: rate.map(|rate| rate.parse().expect("a rate")),
            ..WatchRequest::new(eye.scope.target.clone())
        };
        let mut plan = self.tails.hub().plan(&request, caller).expect("plan");
        if let Some(at) = self.at.filter(|_| after.is_none()) {
            plan.start = Start::AsOf(at);
        }
        Watcher { plan, encoding, chain, id: "w".into(), options: Vec::new(), until: None, meter: None, place: None }
    }
}

/// Somebody of whom something else is known.
fn other() -> Caller {
    Caller::with_claims(r#"{"colors":["green","blue"],"more":0}"#).expect("claims")
}
