//! The model against itself: a random writer, a watch, and a cut at every byte of what it sent.

mod renewing;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::{Address, Cursor, Kind, Offset, Op, Scope, Target};

use super::view::RowId;
use super::{Befores, Begin, Change, Channel, Eye, Image, Mode, Record, Rule, Shown, Watch};
use crate::client::{ndjson, sse};
use crate::replica::{Item, Replica};

const ADDRESSES: [&str; 3] = ["m/a/x", "m/b/x", "m/b/y"];
const KEYS: [&str; 4] = ["1", "2", "3", "4"];

/// One thing that happens while a watch is on.
#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Change>),
    Trim(Offset),
    Watch(usize),
    Bookmark,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Sse,
    Ndjson,
}

#[test]
fn a_cut_at_any_byte_resumes_to_the_same_state() {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let histories: u64 =
        std::env::var("TIDEGATE_MODEL_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let mut cuts = 0;
    for history in 0..histories {
        cuts += cut_everywhere(seed, history);
    }
    println!("model: seed {seed}, {histories} histories, {cuts} cuts");
    assert!(cuts > histories * 500, "streams long enough to mean something");
}

/// Runs one history once whole, then again for every byte at which its stream may end.
fn cut_everywhere(seed: u64, history: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(history));
    let keyed = rng.random_bool(0.8);
    let mut channel = Channel::new("m", keyed);
    for _ in 0..rng.random_range(0..6) {
        channel.append(&batch(keyed, &mut rng));
    }
    channel.trim(rng.random_range(0..=channel.head));
    let eye = eye(keyed, &mut rng);
    let encoding = *[Encoding::Sse, Encoding::Ndjson].choose(&mut rng).expect("two");
    let first = schedule(keyed, 14, &mut rng);
    let begin = match (eye.kind, rng.random_range(0..4)) {
        (Kind::History, 0) => Begin::From(rng.random_range(0..=channel.head)),
        (Kind::State, 0) => Begin::AsOf(rng.random_range(channel.start..=channel.head)),
        (_, 1) => Begin::After(cursor_at(&channel, &eye, rng.random_range(0..=channel.head))),
        (Kind::State, 2) => {
            let cursor = cursor_at(&channel, &eye, rng.random_range(0..=channel.head));
            Begin::After(Cursor { view: eye.fuzzy_fingerprint(), ..cursor })
        }
        _ => Begin::Fresh,
    };
    let held = before_the_watch(&channel, &eye, &begin);
    let mut watch = manner(Watch::new(eye.clone(), begin, true), keyed, &mut rng);
    let mut frames = Vec::new();
    run(&first, &mut channel, &mut watch, &mut frames);
    let bytes = encode(encoding, &frames);
    let oracle = Oracle::new(&channel, &eye);
    let mut replicas = vec![held];
    for (at, frame) in frames.iter().enumerate() {
        let mut next = replicas[at].clone();
        oracle.feed(&mut next, std::slice::from_ref(frame), (history, at));
        oracle.compare(&next, (history, at));
        replicas.push(next);
    }
    for cut in 0..=bytes.len() {
        let mut rng = StdRng::seed_from_u64(seed ^ (history << 32) ^ cut as u64);
        let whole = decode(encoding, &bytes[..cut]);
        assert_eq!(whole, frames[..whole.len()], "a cut shows frames that were sent, and nothing else");
        let mut replica = replicas[whole.len()].clone();
        replica.cut();
        resume(channel.clone(), &eye, replica, &mut rng, (history, cut));
    }
    assert_eq!(decode(encoding, &bytes).len(), frames.len());
    bytes.len() as u64 + 1
}

/// Goes on from the replica's cursor, at times with other options, until everything has arrived. How changes are told
/// is another way each time.
fn resume(mut channel: Channel, eye: &Eye, mut replica: Replica, rng: &mut StdRng, place: (u64, usize)) {
    let mut eye = eye.clone();
    for _ in 0..rng.random_range(0..3) {
        let steps = schedule(channel.keyed, 4, rng);
        if eye.kind == Kind::State && rng.random_bool(0.2) {
            eye = self::eye(true, rng);
            eye.kind = Kind::State;
        }
        let mut watch = go_on(&channel, &eye, &replica, rng);
        let mut frames = Vec::new();
        run(&steps, &mut channel, &mut watch, &mut frames);
        let keep = rng.random_range(0..=frames.len());
        Oracle::new(&channel, &eye).feed(&mut replica, &frames[..keep], place);
        Oracle::new(&channel, &eye).compare(&replica, place);
        replica.cut();
    }
    let limit = rng.random_range(1..5);
    let mut watch = go_on(&channel, &eye, &replica, rng);
    let mut frames = Vec::new();
    while !watch.current(&channel) {
        frames.extend(watch.step(&channel, limit));
    }
    frames.extend(watch.bookmark(&channel));
    let oracle = Oracle::new(&channel, &eye);
    oracle.feed(&mut replica, &frames, place);
    let cursor: Cursor = replica.cursor.as_deref().expect("a cursor").parse().expect("of ours");
    assert_eq!(cursor.offset, channel.head, "{place:?}");
    assert!(replica.settled(), "{place:?}");
    assert_eq!((replica.lost, replica.doubled), (0, 0), "{place:?}");
    oracle.compare(&replica, place);
}

fn go_on(channel: &Channel, eye: &Eye, replica: &Replica, rng: &mut StdRng) -> Watch {
    let begin = match &replica.cursor {
        Some(cursor) => Begin::After(cursor.parse().expect("a cursor of ours")),
        // A list that was cut before its first cursor holds nothing, so any beginning is right.
        None => Begin::Fresh,
    };
    manner(Watch::new(eye.clone(), begin, true), channel.keyed, rng)
}

/// How changes are told: by patches or not, conflated or not. The cursor says nothing of it.
fn manner(watch: Watch, keyed: bool, rng: &mut StdRng) -> Watch {
    let mode = *[Mode::Full, Mode::Full, Mode::Patch, Mode::JsonPatch].choose(rng).expect("some");
    let conflated = rng.random_bool(0.4) && (!keyed || watch.kind() == Kind::State);
    watch.with_mode(mode).conflated(conflated)
}

fn run(steps: &[Step], channel: &mut Channel, watch: &mut Watch, frames: &mut Vec<Value>) {
    for step in steps {
        match step {
            Step::Write(batch) => drop(channel.append(batch)),
            Step::Trim(keep) => channel.trim(channel.head.saturating_sub(*keep)),
            Step::Watch(limit) => frames.extend(watch.step(channel, *limit)),
            Step::Bookmark => frames.extend(watch.bookmark(channel)),
        }
    }
}

/// What the truth is for one eye.
struct Oracle<'c> {
    channel: &'c Channel,
    eye: &'c Eye,
    /// What the eye could be shown of each row, or event, at some time.
    visible: BTreeMap<RowId, Vec<Value>>,
}

impl Oracle<'_> {
    fn new<'c>(channel: &'c Channel, eye: &'c Eye) -> Oracle<'c> {
        let mut visible: BTreeMap<RowId, Vec<Value>> = BTreeMap::new();
        for Record { change, .. } in channel.ever.iter().filter(|record| record.change.op != Op::Delete) {
            if eye.sees(&image(change)) {
                let id = (change.address.clone(), change.key.clone().unwrap_or_default());
                visible.entry(id).or_default().push(eye.project(&change.data));
            }
        }
        Oracle { channel, eye, visible }
    }

    fn feed(&self, replica: &mut Replica, frames: &[Value], place: (u64, usize)) {
        for frame in frames {
            self.may_be_sent(frame, place);
            replica.apply(frame).unwrap_or_else(|violation| panic!("{place:?}: {violation}"));
        }
    }

    fn may_be_sent(&self, frame: &Value, place: (u64, usize)) {
        let Some(address) = frame["address"].as_str() else { return };
        let id = (address.to_owned(), frame["key"].as_str().unwrap_or_default().to_owned());
        let allowed = self.visible.get(&id).is_some_and(|shown| {
            // What a patch says is seen when it is applied.
            frame.get("data").is_none_or(|data| shown.contains(data))
        });
        assert!(allowed, "{place:?}: sent what may not be seen: {frame}");
    }

    fn compare(&self, replica: &Replica, place: (u64, usize)) {
        if !replica.settled() {
            return;
        }
        let cursor: Cursor = replica.cursor.as_deref().expect("settled").parse().expect("a cursor of ours");
        if let Some(rows) = replica.rows()
            && cursor.view == self.eye.fingerprint()
        {
            let truth = self.channel.state_at(cursor.offset).through(self.eye);
            assert_eq!(*rows, truth.rows, "{place:?} at {}", cursor.offset);
        }
        if let Some(items) = replica.items() {
            self.compare_list(items, cursor.offset, place);
        }
    }

    /// Each stretch of the list must be the records of the channel, once and in order; where they are conflated, the
    /// newest of each address, in the place of those before it.
    fn compare_list(&self, items: &[Item], upto: Offset, place: (u64, usize)) {
        let mut at = None;
        let mut tick = Vec::new();
        for item in items {
            let after = at.unwrap_or(Offset::MAX);
            match item {
                Item::Begin { offset } => at = at.or(*offset),
                Item::Gap { to: Some(to), reason } if reason == "source" => {
                    assert_eq!(self.listed(after, *to), [], "{place:?} before {item:?}");
                    at = Some(*to);
                }
                // What is before it may be lost.
                Item::Gap { to, .. } => at = *to,
                Item::Notice { offset: Some(offset), .. } => {
                    assert_eq!(self.listed(after, *offset), [(*offset, Value::Null)], "{place:?}");
                    at = Some(*offset);
                }
                Item::Event { offset: Some(offset), data, conflated: None, .. } => {
                    assert_eq!(self.listed(after, *offset), [(*offset, data.clone())], "{place:?}");
                    at = Some(*offset);
                }
                Item::Event { offset, address, data, conflated: Some(count), .. } => {
                    tick.push((address.clone(), data.clone(), *count));
                    if let Some(offset) = offset {
                        assert_eq!(std::mem::take(&mut tick), self.conflated(after, *offset), "{place:?}");
                        at = Some(*offset);
                    }
                }
                _ => panic!("{place:?}: no cursor on {item:?}"),
            }
        }
        assert_eq!(tick, [], "{place:?}: a tick without an end");
        assert_eq!(self.listed(at.unwrap_or(Offset::MAX), upto), [], "{place:?}: the end is missing");
    }

    fn range(&self, after: Offset, upto: Offset) -> impl Iterator<Item = &Record> {
        self.channel.ever.iter().filter(move |record| record.offset > after && record.offset <= upto)
    }

    fn listed(&self, after: Offset, upto: Offset) -> Vec<(Offset, Value)> {
        let told = self.range(after, upto).filter_map(|record| {
            let value = match record.change.op {
                Op::Clear | Op::Notice => Value::Null,
                _ => match self.eye.shown(record, record.before.as_ref())? {
                    Shown::Value(is) | Shown::Changed { is, .. } => is,
                    Shown::Gone => Value::Null,
                },
            };
            Some((record.offset, value))
        });
        told.collect()
    }

    /// The newest event of each address, and how many there were.
    fn conflated(&self, after: Offset, upto: Offset) -> Vec<(String, Value, u64)> {
        let mut newest: Vec<(String, Value, u64)> = Vec::new();
        let visible = self.range(after, upto).filter(|record| record.change.op == Op::Append);
        for Record { change, .. } in visible.filter(|record| self.eye.sees(&image(&record.change))) {
            let before = newest.iter().position(|(address, ..)| *address == change.address);
            let count = before.map_or(0, |at| newest.remove(at).2);
            newest.push((change.address.clone(), self.eye.project(&change.data), count + 1));
        }
        newest
    }
}

fn image(change: &Change) -> Image<'_> {
    Image { address: &change.address, key: change.key.as_deref(), op: change.op, data: &change.data }
}

/// What a client holds that presents this beginning.
fn before_the_watch(channel: &Channel, eye: &Eye, begin: &Begin) -> Replica {
    if eye.kind == Kind::History {
        let mut replica = Replica::history();
        if let Begin::After(cursor) = begin {
            replica.apply(&json!({"op": "begin", "cursor": cursor.to_string()})).expect("begin");
        }
        return replica;
    }
    let mut replica = Replica::state();
    if let Begin::After(cursor) = begin {
        let state = channel.state_at(cursor.offset).through(eye);
        replica.apply(&json!({"op": "reset", "reason": "start"})).expect("reset");
        for ((address, key), data) in &state.rows {
            replica.apply(&json!({"op": "snapshot", "address": address, "key": key, "data": data})).expect("a row");
        }
        let last = json!({"op": "snapshot", "last": true, "count": state.rows.len(), "cursor": cursor.to_string()});
        replica.apply(&last).expect("last");
    }
    replica
}

fn cursor_at(channel: &Channel, eye: &Eye, offset: Offset) -> Cursor {
    Cursor { channel: channel.id(), epoch: channel.epoch, view: eye.fingerprint(), offset }
}

fn eye(keyed: bool, rng: &mut StdRng) -> Eye {
    let target = *["m/a/x", "m/b/*", "m/*/x", "m/*/*"].choose(rng).expect("some");
    let key = (keyed && rng.random_bool(0.3)).then(|| (*KEYS.choose(rng).expect("some")).into());
    let scope = Scope { target: Target::parse(target).expect("a target"), key };
    let kind = if keyed && rng.random_bool(0.7) { Kind::State } else { Kind::History };
    let (least, least_ruled) = (rng.random_range(0..4), rng.random_range(0..3));
    let at_least = |name: &'static str, least: i64| -> Rule {
        Arc::new(move |image: &Image<'_>| image.data[name].as_i64().unwrap_or(0) >= least)
    };
    let rules = format!("v>={least} rights>={least_ruled}");
    let eye = Eye {
        filter: at_least("v", least),
        row_rule: at_least("rights", least_ruled),
        rules,
        ..Eye::open(scope, kind)
    };
    let fields: &[&str] = [&["w"][..], &["v", "p.x"], &["p.y", "w"]].choose(rng).expect("some");
    if rng.random_bool(0.5) { eye.with_fields(fields) } else { eye }
}

fn schedule(keyed: bool, steps: usize, rng: &mut StdRng) -> Vec<Step> {
    (0..steps)
        .map(|_| match rng.random_range(0..20) {
            0..8 => Step::Write(batch(keyed, rng)),
            8 => Step::Trim(rng.random_range(0..6)),
            9..11 => Step::Bookmark,
            _ => Step::Watch(rng.random_range(1..4)),
        })
        .collect()
}

fn batch(keyed: bool, rng: &mut StdRng) -> Vec<Change> {
    (0..rng.random_range(1..4)).flat_map(|_| changes(keyed, rng)).collect()
}

fn changes(keyed: bool, rng: &mut StdRng) -> Vec<Change> {
    let address = *ADDRESSES.choose(rng).expect("some");
    let key = *KEYS.choose(rng).expect("some");
    match rng.random_range(0..40) {
        0 => return vec![Change::gap()],
        1 => return vec![Change::notice("schema")],
        _ => {}
    }
    let small = |rng: &mut StdRng| json!([1, 2, null]).get(rng.random_range(0..3)).cloned();
    let data = json!({
        "v": rng.random_range(0..5), "rights": rng.random_range(0..4), "n": rng.random::<u16>(),
        "w": small(rng), "p": {"x": small(rng), "y": small(rng)},
    });
    if !keyed {
        return vec![Change::append(address, data)];
    }
    match rng.random_range(0..20) {
        0..4 => vec![Change::delete(address, key)],
        4..8 => {
            let to = *ADDRESSES.choose(rng).expect("some");
            vec![Change::delete(address, key), Change::upsert(to, key, data)]
        }
        8 => vec![Change::clear()],
        _ => vec![Change::upsert(address, key, data)],
    }
}

fn encode(encoding: Encoding, frames: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        match encoding {
            Encoding::Ndjson => bytes.extend_from_slice(format!("{frame}\n").as_bytes()),
            Encoding::Sse => {
                let op = frame["op"].as_str().expect("op");
                if matches!(op, "begin" | "reset" | "bookmark" | "gap" | "notice") {
                    bytes.extend_from_slice(format!("event: {op}\n").as_bytes());
                }
                if let Some(cursor) = frame["cursor"].as_str() {
                    bytes.extend_from_slice(format!("id: {cursor}\n").as_bytes());
                }
                bytes.extend_from_slice(format!("data: {frame}\n\n").as_bytes());
            }
        }
    }
    bytes
}

fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<Value> {
    match encoding {
        Encoding::Ndjson => {
            let mut frames = Vec::new();
            ndjson::Lines::default().push(bytes, &mut frames).expect("lines of JSON");
            frames
        }
        Encoding::Sse => {
            let mut events = Vec::new();
            sse::Parser::default().push(bytes, &mut events);
            events.iter().map(|event| sse::frame(event).expect("a frame")).collect()
        }
    }
}

/// Undone from what is held, or made of it after a clear, the past is what it was.
#[test]
fn the_past_is_what_it_was() {
    let (mut told, mut before_clear) = (0, 0);
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut channel = Channel::new("m", true);
        for _ in 0..30 {
            channel.append(&batch(true, &mut rng));
        }
        if rng.random() {
            channel.trim(rng.random_range(0..=channel.head));
        }
        let last_clear = channel.held.iter().rev().find(|record| record.change.op == Op::Clear);
        let last_clear = last_clear.map_or(0, |record| record.offset);
        for offset in 0..=channel.head {
            let past = channel.as_of(offset);
            assert!(past.is_some() || offset < channel.start.max(last_clear), "seed {seed}, offset {offset}");
            let Some(past) = past else { continue };
            assert_eq!(past, channel.state_at(offset), "seed {seed}, offset {offset}");
            (told, before_clear) = (told + 1, before_clear + u64::from(offset < last_clear));
        }
    }
    assert!(told > 2_000 && before_clear > 500, "{told} {before_clear}");
}

/// A row that a filter let through, whose value was written by a record that is trimmed when the
/// row changes: does the watch still say that it left?
fn leaves_after_its_record_was_trimmed(befores: Befores) -> Replica {
    let scope = Scope::address(Address::parse("orders/eu").expect("an address"));
    let open: Rule = Arc::new(|image| image.data["status"] == "open");
    let eye = Eye { filter: open, rules: "open".into(), ..Eye::open(scope, Kind::State) };
    let mut channel = Channel::new("orders", true);
    let seen = channel.append(&[Change::upsert("orders/eu", "1", json!({"status": "open"}))]);
    let mut replica = before_the_watch(&channel, &eye, &Begin::After(cursor_at(&channel, &eye, seen)));
    channel.trim(seen);
    channel.append(&[Change::upsert("orders/eu", "1", json!({"status": "paid"}))]);
    let begin = Begin::After(cursor_at(&channel, &eye, seen));
    let mut watch = Watch::new(eye, begin, true).with_befores(befores);
    while !watch.current(&channel) {
        for frame in watch.step(&channel, 10) {
            replica.apply(&frame).expect("a frame");
        }
    }
    replica
}

#[test]
fn before_images_in_the_record_survive_retention() {
    assert_eq!(leaves_after_its_record_was_trimmed(Befores::InRecord).rows().map(|rows| rows.len()), Some(0));
    // Older records do not do: the row stays for ever in a replica that may not hold it.
    assert_eq!(leaves_after_its_record_was_trimmed(Befores::FromOlderRecords).rows().map(|rows| rows.len()), Some(1));
}

#[test]
fn a_lost_log_is_announced() {
    let eye = Eye::open(Scope::address(Address::parse("m/a/x").expect("an address")), Kind::State);
    let mut channel = Channel::new("m", true);
    channel.append(&[Change::upsert("m/a/x", "1", json!(1))]);
    let begin = Begin::After(cursor_at(&channel, &eye, 1));
    channel.lose();
    let mut watch = Watch::new(eye, begin, false);
    let ops: Vec<Value> = [watch.step(&channel, 9), watch.step(&channel, 9)].concat();
    let ops: Vec<_> = ops.iter().map(|frame| frame["op"].as_str().expect("op")).collect();
    assert_eq!(ops, ["begin", "gap", "reset", "snapshot"]);
}

#[test]
fn rows_that_may_be_newer_are_told_of_in_full() {
    let eye = Eye::open(Scope::address(Address::parse("m/a/x").expect("an address")), Kind::State);
    let mut channel = Channel::new("m", true);
    let list = |list: &[u64]| Change::upsert("m/a/x", "1", json!({"list": list}));
    let begun = channel.append(&[list(&[1])]);
    channel.append(&[list(&[1, 2])]);
    // A page that was read now, under the cursor of the page before.
    let mut replica = Replica::state();
    let row = json!({"op": "snapshot", "address": "m/a/x", "key": "1", "data": {"list": [1, 2]}});
    for frame in [json!({"op": "reset", "reason": "start"}), row] {
        replica.apply(&frame).expect("rows");
    }
    let cursor = Cursor { view: eye.fuzzy_fingerprint(), ..cursor_at(&channel, &eye, begun) };
    let mut watch = Watch::new(eye, Begin::After(cursor), false).with_mode(Mode::JsonPatch);
    let mut frames = [watch.step(&channel, 9), watch.step(&channel, 9)].concat();
    let end = frames.pop().expect("a bookmark");
    assert_eq!(end["op"], "bookmark");
    let last = json!({"op": "snapshot", "last": true, "count": 1, "cursor": end["cursor"]});
    for frame in frames.iter().chain([&last]) {
        replica.apply(frame).expect("what changed");
    }
    channel.append(&[list(&[1, 2, 3])]);
    let patched = watch.step(&channel, 9);
    assert!(patched.iter().all(|frame| frame.get("patches").is_some()), "{patched:?}");
    patched.iter().for_each(|frame| replica.apply(frame).expect("a patch"));
    assert_eq!(replica.rows(), Some(&channel.view.rows));
}
