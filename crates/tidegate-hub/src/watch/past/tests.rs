use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, random};
use tidegate_core::Target;
use tidegate_log::{Batch, Entry, Retain};

use super::*;
use crate::testing::{TestHub, target};

type State = BTreeMap<Name, Bytes>;

/// A channel whose every state is remembered.
struct World {
    hub: TestHub,
    random: StdRng,
    rows: State,
    /// By the offset of the record after which it was so.
    states: BTreeMap<Offset, State>,
    clears: Vec<Offset>,
}

impl World {
    fn new() -> World {
        let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| random(), |seed| seed.parse().expect("seed"));
        println!("seed {seed}");
        World {
            hub: TestHub::retaining(Retain { bytes: Some(64 * 1024), ..Retain::default() }),
            random: StdRng::seed_from_u64(seed),
            rows: State::new(),
            states: BTreeMap::from([(0, State::new())]),
            clears: Vec::new(),
        }
    }

    fn channel(&self) -> Arc<Channel> {
        self.hub.catalog().readable(&target("kv/a"), &crate::Caller::anonymous()).expect("channel").0.clone()
    }

    fn entry(&self, op: Op, (address, key): (&Address, Option<&Key>), data: Bytes) -> Entry {
        Entry {
            channel: self.channel().log.id(),
            op,
            address: address.clone(),
            key: key.cloned(),
            time: Millis(1),
            data,
        }
    }

    /// One batch of changes, each of which makes a record.
    fn write(&mut self) {
        let mut entries = Vec::new();
        let mut offset = self.hub.head("kv");
        for _ in 0..self.random.random_range(1..4) {
            let address = Address::parse(["kv/a", "kv/b", "kv/c"][self.random.random_range(0..3)]).expect("address");
            let name = (address.clone(), Key::from(format!("k{}", self.random.random_range(0..4))));
            let entry = match self.random.random_range(0..30) {
                0 => {
                    self.rows.clear();
                    self.clears.push(offset + 1);
                    self.entry(Op::Clear, (&address, None), Bytes::new())
                }
                1..9 if self.rows.remove(&name).is_some() => {
                    self.entry(Op::Delete, (&name.0, Some(&name.1)), Bytes::new())
                }
                _ => {
                    let pad = "x".repeat(self.random.random_range(0..2_000));
                    let data = Bytes::from(format!(r#"{{"n":{offset},"pad":"{pad}"}}"#));
                    let entry = self.entry(Op::Upsert, (&name.0, Some(&name.1)), data.clone());
                    self.rows.insert(name, data);
                    entry
                }
            };
            entries.push(entry);
            offset += 1;
            self.states.insert(offset, self.rows.clone());
        }
        self.hub.log().append(Batch { entries, ..Batch::default() }).expect("appended");
        assert_eq!(self.hub.head("kv"), offset);
    }

    fn scope(&mut self) -> Scope {
        let target = Target::parse(["kv/*", "kv/a", "kv/b"][self.random.random_range(0..3)]).expect("target");
        let key = self.random.random_bool(0.3).then(|| Key::from("k1"));
        Scope { target, key }
    }

    /// All pages as of a position, with writes between them.
    fn read(&mut self, at: Offset, scope: &Scope) -> Result<State, Problem> {
        let channel = self.channel();
        let mut past = Past::new(&channel, scope, at, None);
        let (mut all, mut last) = (State::new(), None);
        loop {
            while !past.prepare()? {}
            let limit = ReadLimit { records: self.random.random_range(1..5), bytes: 2_000 };
            let page = past.page(limit)?;
            assert!(page.rows.len() <= limit.records);
            for row in page.rows {
                let name = (row.address, row.key);
                assert!(last.replace(name.clone()) < Some(name.clone()), "rows come in order, each once");
                all.insert(name, row.data);
            }
            match page.next {
                None => return Ok(all),
                // Each page of an answer begins anew, a stream goes on.
                next if self.random.random_bool(0.5) => past = Past::new(&channel, scope, at, next),
                _ => {}
            }
            if self.random.random_bool(0.6) {
                self.write();
            }
        }
    }

    /// Whether history tells the state at a position.
    fn reaches(&self, at: Offset) -> bool {
        let start = self.channel().log.start();
        let cleared_since = self.clears.iter().any(|clear| *clear > at);
        let empty_moment = start == 0 || self.clears.iter().any(|clear| *clear > start && *clear <= at);
        at >= start && (!cleared_since || empty_moment)
    }
}

/// Held, trimmed, before and after clears, in memory and in segments, while writes go on.
#[tokio::test]
async fn every_position_is_told_exactly_or_refused() {
    let mut world = World::new();
    let (mut told, mut refused, mut cleared) = (0, 0, 0);
    for round in 0..1_500 {
        world.write();
        if round % 40 == 39 {
            world.hub.log().drain_now().expect("drained");
        }
        if round % 160 == 159 {
            world.hub.log().retain_now().expect("trimmed");
        }
        let (head, scope) = (world.hub.head("kv"), world.scope());
        let at = world.random.random_range(head.saturating_sub(150)..=head);
        let since_clear = world.clears.iter().any(|clear| *clear > at);
        let (before, read) = (world.reaches(at), world.read(at, &scope));
        match read {
            Ok(rows) => {
                let mut wanted = world.states[&at].clone();
                wanted.retain(|(address, key), _| scope.matches(address.as_str(), Some(key)));
                assert_eq!(rows, wanted, "as of {at} of {head}, {scope:?}");
                told += 1;
                cleared += u32::from(since_clear);
            }
            Err(problem) => {
                assert_eq!(problem.code, ErrorCode::OutOfReach);
                assert!(!before || !world.reaches(at), "{problem:?} as of {at} of {head}");
                refused += 1;
            }
        }
    }
    println!("{told} told, {cleared} of them before a clear, {refused} refused");
    assert!(told > 300 && cleared > 50 && refused > 20, "{told} {cleared} {refused}");
}

#[tokio::test]
async fn what_trims_amid_the_pages_ends_them() {
    let mut world = World::new();
    (0..30).for_each(|_| world.write());
    let scope = Scope { target: target("kv/*"), key: None };
    let (channel, at) = (world.channel(), world.hub.head("kv"));
    let mut past = Past::new(&channel, &scope, at, None);
    while !past.prepare().expect("prepared") {}
    past.page(ReadLimit { records: 1, bytes: 1 }).expect("a page");
    for _ in 0..8 {
        (0..60).for_each(|_| world.write());
        world.hub.log().drain_now().expect("drained");
    }
    world.hub.log().retain_now().expect("trimmed");
    assert!(channel.log.start() > at);
    let problem = past.page(ReadLimit { records: 1, bytes: 1 }).map(|_| ()).expect_err("trimmed");
    let oldest = channel.log.oldest_time().expect("a time");
    assert_eq!((problem.code, problem.retry_ms), (ErrorCode::OutOfReach, None));
    assert!(problem.hint.contains(&format!("at={oldest}")), "{problem:?}");
}

/// What a clear sends back to the beginning finds another beginning, if it was trimmed meanwhile.
#[tokio::test]
async fn what_trims_amid_rebuilding_does_not_reach_the_position() {
    assert!((0..20).any(|_| rebuilt_amid_a_trim()), "the beginning never moved to before the position");
}

/// `false` if segments were merged so that the position was trimmed with what is before it.
fn rebuilt_amid_a_trim() -> bool {
    let mut world = World::new();
    let age = |world: &mut World| {
        (0..8).for_each(|_| world.write());
        world.hub.log().drain_now().expect("drained");
        world.hub.log().retain_now().expect("trimmed");
    };
    (0..12).for_each(|_| age(&mut world));
    let (channel, a) = (world.channel(), Address::parse("kv/a").expect("address"));
    let clear = |world: &mut World| {
        world.rows.clear();
        let entries = vec![world.entry(Op::Clear, (&a, None), Bytes::new())];
        world.hub.log().append(Batch { entries, ..Batch::default() }).expect("appended");
        world.states.insert(world.hub.head("kv"), State::new());
    };
    clear(&mut world);
    (0..4).for_each(|_| world.write());
    let at = world.hub.head("kv");
    clear(&mut world);
    let mut past = Past::new(&channel, &Scope { target: target("kv/*"), key: None }, at, None);
    while !matches!(past.rows, Rows::Rebuilt { .. }) {
        assert!(!past.prepare().expect("read"));
    }
    let before = channel.log.start();
    while channel.log.start() == before {
        age(&mut world);
    }
    if channel.log.start() > at {
        return false;
    }
    while !past.prepare().expect("still held") {}
    let page = past.page(ReadLimit { records: 100, bytes: 1024 * 1024 }).expect("a page");
    let rows: State = page.rows.into_iter().map(|row| ((row.address, row.key), row.data)).collect();
    assert_eq!(rows, world.states[&at]);
    true
}

#[tokio::test]
async fn too_much_that_has_changed_is_refused() {
    const ROWS: usize = PAST_BYTES_MAX / (1024 * 1024) + 1;
    let world = World::new();
    let (channel, address) = (world.channel(), Address::parse("kv/a").expect("address"));
    let key = |at: usize| Key::from(format!("k{at:02}"));
    let data = Bytes::from(format!("\"{}\"", "x".repeat(1024 * 1024)));
    for at in 0..ROWS {
        let entries = vec![world.entry(Op::Upsert, (&address, Some(&key(at))), data.clone())];
        world.hub.log().append(Batch { entries, ..Batch::default() }).expect("appended");
    }
    let at = world.hub.head("kv");
    let entries = (0..ROWS).map(|at| world.entry(Op::Delete, (&address, Some(&key(at))), Bytes::new())).collect();
    world.hub.log().append(Batch { entries, ..Batch::default() }).expect("appended");
    let read = |key: Option<Key>| {
        let mut past = Past::new(&channel, &Scope { target: target("kv/a"), key }, at, None);
        while !past.prepare()? {}
        past.page(ReadLimit { records: 9, bytes: 1 }).map(|page| page.rows.len())
    };
    let problem = read(None).expect_err("too much");
    assert_eq!(problem.code, ErrorCode::OutOfReach);
    assert!(problem.detail.contains("16 MiB") && problem.hint.contains("one key"), "{problem:?}");
    assert_eq!(read(Some(key(3))), Ok(1));
}
