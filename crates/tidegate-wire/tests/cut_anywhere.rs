//! A watch cut at every byte and resumed, on any encoding, ends in the state of never having been
//! cut: the real log, hub and streams in one process, so that every byte can be the cut. Of some
//! views there is a second watch, so that what is read of the log is read as blocks that are shared.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::{Address, Cursor, Kind, Millis, Op, Target, Template};
use tidegate_hub::{Access, ChannelConfig, From, Hub, HubOptions, WatchRequest};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options, Retain};
use tidegate_testkit::client::coding::Unpacker;
use tidegate_testkit::client::deflate::inflate;
use tidegate_testkit::replica::{Item, Replica, Rows, offset};
use tidegate_wire::{Coding, Encoding, Sink, StreamOptions, Tails, Watcher, follow};

const ENCODINGS: [Encoding; 8] = [
    Encoding::Sse(Coding::Identity),
    Encoding::Sse(Coding::Gzip),
    Encoding::Sse(Coding::Zstd),
    Encoding::Ndjson(Coding::Identity),
    Encoding::Ndjson(Coding::Gzip),
    Encoding::Ndjson(Coding::Zstd),
    Encoding::WebSocket,
    Encoding::WebSocketDeflated,
];

/// An encoding, and whether frames chain.
type Wire = (Encoding, bool);

/// The real thing, and what it should hold.
struct World {
    log: Log,
    tails: Tails,
    random: StdRng,
    rows: Rows,
    /// The rows after each record, and the record itself, by offset.
    states: BTreeMap<u64, Rows>,
    records: BTreeMap<u64, (String, String, String, Value)>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(seed: u64) -> World {
        let folder = tempfile::tempdir().expect("temp folder");
        let spec = ChannelSpec {
            // So small that every drain trims what was drained before.
            retain: Retain { bytes: Some(1), ..Retain::default() },
            ..ChannelSpec::keyed("rows")
        };
        let log = Log::open(Options::new(folder.path()), vec![spec]).expect("open");
        let config = ChannelConfig {
            name: "rows".to_owned(),
            title: None,
            template: Template::parse("rows/{part}").expect("template"),
            key: tidegate_core::KeySpec::new(["id"]),
            source: None,
            access: Access { read: true, publish: true },
            batch_bytes_max: 1024 * 1024,
        };
        // What a watch of the state does not see, such as a gap of the source at the head, is reached
        // by a bookmark.
        let options = HubOptions { heartbeat: Duration::from_millis(40) };
        let hub = Hub::new(log.clone(), vec![config], options);
        World {
            log,
            tails: Tails::start(hub, StreamOptions::default()).expect("lanes"),
            random: StdRng::seed_from_u64(seed),
            rows: Rows::new(),
            states: BTreeMap::from([(0, Rows::new())]),
            records: BTreeMap::new(),
            _folder: folder,
        }
    }

    /// One batch of one to four changes.
    fn write(&mut self) {
        let mut batch = Vec::new();
        let mut after = Vec::new();
        for _ in 0..self.random.random_range(1..=4) {
            let change = self.change();
            batch.push(self.entry(&change));
            after.push((change, self.rows.clone()));
        }
        let batch = Batch { entries: batch, ..Batch::default() };
        let appended = self.log.append(batch).expect("append");
        let channel = self.log.channel("rows").expect("channel");
        let last = appended.offset(channel.id()).expect("offset");
        let count = after.len() as u64;
        for (index, (record, rows)) in after.into_iter().enumerate() {
            let offset = last - (count - 1 - index as u64);
            self.states.insert(offset, rows);
            self.records.insert(offset, record);
        }
    }

    /// A change that is one: it writes a record.
    fn change(&mut self) -> (String, String, String, Value) {
        let dice = self.random.random_range(0..40);
        let wide = |op: &str| (op.into(), String::new(), String::new(), Value::Null);
        match dice {
            0 => {
                self.rows.clear();
                return wide("clear");
            }
            1 => return wide("gap"),
            2 => return wide("notice"),
            _ => {}
        }
        let held: Vec<(String, String)> = self.rows.keys().cloned().collect();
        if dice < 10 && !held.is_empty() {
            let (address, key) = held[self.random.random_range(0..held.len())].clone();
            self.rows.remove(&(address.clone(), key.clone()));
            return ("delete".into(), address, key, Value::Null);
        }
        let address = format!("rows/{}", self.random.random_range(0..3));
        let key = format!("k\"{}", self.random.random_range(0..6));
        let data = json!({ "n": self.random.random_range(0..1000), "text": "é\u{2028}" });
        self.rows.insert((address.clone(), key.clone()), data.clone());
        ("upsert".into(), address, key, data)
    }

    fn entry(&self, (op, address, key, data): &(String, String, String, Value)) -> Entry {
        let op = match op.as_str() {
            "upsert" => Op::Upsert,
            "delete" => Op::Delete,
            "gap" => Op::Gap,
            "notice" => Op::Notice,
            _ => Op::Clear,
        };
        let address = if op.is_channel_wide() { "rows/0" } else { address };
        Entry {
            channel: self.log.channel("rows").expect("channel").id(),
            op,
            address: Address::parse(address).expect("address"),
            key: (!op.is_channel_wide()).then(|| key.as_str().into()),
            time: Millis(1),
            data: match op {
                Op::Upsert => Bytes::from(data.to_string()),
                Op::Notice => Bytes::from_static(br#"{"code":"schema","message":"a column came"}"#),
                _ => Bytes::new(),
            },
        }
    }

    /// Everything but the newest is trimmed, once in a while.
    fn trim(&mut self) {
        self.log.drain_now().expect("drain");
        self.log.retain_now().expect("retain");
    }

    fn head(&self) -> u64 {
        self.log.channel("rows").expect("channel").head()
    }

    /// Watches into `replica` until `cut` bytes were written, or everything was.
    async fn watch(&self, replica: &mut Replica, kind: Kind, (encoding, chain): Wire, cut: usize) {
        let after = replica.cursor.as_deref().map(|cursor| cursor.parse().expect("cursor"));
        let watcher = self.watcher(kind, (encoding, chain), after);
        let mut sink = Memory { bytes: Vec::new(), cut, encoding, head: self.head() };
        let _ = follow(&self.tails, &watcher, &mut sink).await;
        for frame in frames(encoding, &sink.bytes) {
            replica.apply(&frame).unwrap_or_else(|violation| panic!("{violation}"));
        }
        replica.cut();
    }

    /// Keeps a watch of each of these views for as long as the world is, so that no other is alone.
    fn accompany(&self, kind: Kind, wires: &[Wire]) {
        for wire in wires {
            let (tails, watcher) = (self.tails.clone(), self.watcher(kind, *wire, None));
            tokio::spawn(async move { follow(&tails, &watcher, &mut Void).await });
        }
    }

    fn watcher(&self, kind: Kind, (encoding, chain): Wire, after: Option<Cursor>) -> Watcher {
        let request = WatchRequest {
            target: Target::parse("rows/*").expect("pattern"),
            key: None,
            from: (kind == Kind::History && after.is_none()).then_some(From::Start),
            after,
            snapshot: (kind == Kind::History).then_some(false),
        };
        let plan = self.tails.hub().plan(&request).expect("plan");
        Watcher { plan, encoding, chain, id: "w".into(), options: Vec::new() }
    }
}

/// Takes all.
struct Void;

impl Sink for Void {
    async fn write(&mut self, _chunks: &[Bytes]) -> io::Result<()> {
        Ok(())
    }
}

/// Takes bytes until the cut, or until the frame at the head has come.
struct Memory {
    bytes: Vec<u8>,
    cut: usize,
    encoding: Encoding,
    head: u64,
}

impl Sink for Memory {
    async fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            let room = self.cut - self.bytes.len();
            self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        let last = frames(self.encoding, &self.bytes).pop();
        let reached = last.as_ref().and_then(|frame| offset(frame.get("cursor")?.as_str()?));
        if reached >= Some(self.head) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// The whole frames in what was written.
fn frames(encoding: Encoding, bytes: &[u8]) -> Vec<Value> {
    let parse = |text: &[u8]| serde_json::from_slice(text).expect("a frame is JSON");
    let mut unpacker = Unpacker::of(encoding.coding().token()).expect("a coding");
    unpacker.push(encoding.coding().head()).expect("the head of a body");
    let bytes = unpacker.push(bytes).expect("compressed as it is said to be");
    let bytes = bytes.as_slice();
    match encoding {
        Encoding::Ndjson(_) => {
            bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).map(parse).collect()
        }
        Encoding::Sse(_) => {
            let text = String::from_utf8_lossy(bytes);
            let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
            whole.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| parse(data.as_bytes())).collect()
        }
        Encoding::WebSocket | Encoding::WebSocketDeflated => {
            let mut found = Vec::new();
            let mut rest = bytes;
            while rest.len() >= 2 {
                let (header, length) = match rest[1] {
                    126 if rest.len() >= 4 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                    126 => break,
                    length => (2, usize::from(length)),
                };
                let Some(text) = rest.get(header..header + length) else { break };
                found.push(match rest[0] {
                    0xc1 => parse(&inflate(text).expect("a deflated frame")),
                    _ => parse(text),
                });
                rest = &rest[header + length..];
            }
            found
        }
    }
}

fn check_state(world: &World, replica: &Replica) {
    assert!(replica.settled());
    let at = replica.cursor.as_deref().and_then(offset).expect("a settled replica has a cursor");
    let (_, wanted) = world.states.range(..=at).next_back().expect("state at 0");
    assert_eq!(replica.rows().expect("state"), wanted, "at offset {at}");
    assert_eq!((replica.lost, replica.doubled), (0, 0));
}

/// Each record once, in order, from where the history began, with holes only where a gap says so.
fn check_history(world: &World, replica: &Replica) {
    let items = replica.items().expect("history");
    let start = items.iter().find_map(|item| match item {
        Item::Begin { offset } => *offset,
        Item::Gap { to, .. } => *to,
        Item::Event { .. } | Item::Notice { .. } => None,
    });
    let mut skipped_to = start.expect("a history begins somewhere");
    let mut wanted = world.records.range(skipped_to + 1..);
    for item in items {
        match item {
            Item::Begin { .. } => {}
            Item::Gap { to: Some(offset), reason } if reason == "source" => {
                let (at, (op, ..)) = wanted.find(|(at, _)| **at > skipped_to).expect("a record that was written");
                assert_eq!((at, op.as_str()), (offset, "gap"), "lost or doubled");
            }
            Item::Notice { offset, .. } => {
                let (at, (op, ..)) = wanted.find(|(at, _)| **at > skipped_to).expect("a record that was written");
                assert_eq!((Some(*at), op.as_str()), (*offset, "notice"), "lost or doubled");
            }
            Item::Gap { to, .. } => skipped_to = to.expect("a gap of a history says where it ends"),
            Item::Event { op, address, key, data, offset } => {
                let offset = offset.expect("a record has a cursor");
                let (at, record) = wanted.find(|(at, _)| **at > skipped_to).expect("a record that was written");
                assert_eq!(*at, offset, "lost or doubled");
                let (own_op, own_address, own_key, own_data) = record;
                assert_eq!((op, address, data), (own_op, own_address, own_data));
                assert_eq!(key.as_deref().unwrap_or_default(), own_key);
            }
        }
    }
    assert_eq!(wanted.filter(|(at, _)| **at > skipped_to).count(), 0, "records at the end are missing");
    assert_eq!((replica.lost, replica.doubled), (0, 0));
}

async fn cut_everywhere(kind: Kind) {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("seed"));
    println!("seed {seed}");
    let mut world = World::new(seed);
    let fresh = || if kind == Kind::State { Replica::state() } else { Replica::history() };
    for _ in 0..12 {
        world.write();
    }
    // Every other encoding is watched by others too, with a chain and without.
    let wire = |round: usize| (ENCODINGS[round % 8], !(round / 64).is_multiple_of(3));
    world.accompany(kind, &[0, 2, 4, 6, 64, 66, 68, 70].map(wire));
    // Every byte of a stream of this length; the soak takes longer ones.
    let bytes = std::env::var("TIDEGATE_CUTS").map_or(6_000, |text| text.parse().expect("a number"));
    for cut in 1..=bytes {
        let round = cut;
        let (first, second) = (wire(round), (ENCODINGS[round / 8 % 8], !(round / 192).is_multiple_of(3)));
        let mut replica = fresh();
        world.watch(&mut replica, kind, first, cut).await;
        if replica.cursor.is_some() && kind == Kind::State {
            check_state(&world, &replica);
        }
        if round % 5 == 0 {
            world.write();
        }
        if round % 61 == 0 {
            world.trim();
        }
        if round % 127 == 0 {
            world.write();
        }
        if replica.cursor.as_deref().and_then(offset) != Some(world.head()) {
            world.watch(&mut replica, kind, second, usize::MAX).await;
        }
        match kind {
            Kind::State => check_state(&world, &replica),
            Kind::History => check_history(&world, &replica),
        }
    }
    let figures = world.tails.block_figures();
    // Watches of the state begin with a snapshot of their own.
    let shared = kind == Kind::State || figures.shared > 0;
    assert!(figures.read > 0 && shared, "nothing was shared: {figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_watch_cut_at_any_byte_resumes_exactly() {
    cut_everywhere(Kind::State).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_watch_cut_at_any_byte_resumes_exactly() {
    cut_everywhere(Kind::History).await;
}
