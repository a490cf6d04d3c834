//! Retention, merging and the address index.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{ALL, address, append, batch, idempotency, scope, upsert};
use tidegate_core::Millis;
use tidegate_log::disk::SimDisk;
use tidegate_log::{AppendError, Batch, ChannelSpec, Clock, Options, ReadError, ReadLimit, Retain, SteppedLog, Window};

struct Bench {
    disk: SimDisk,
    clock: Arc<AtomicU64>,
    specs: Vec<ChannelSpec>,
}

impl Bench {
    fn new(specs: Vec<ChannelSpec>) -> Bench {
        Bench { disk: SimDisk::new(), clock: Arc::new(AtomicU64::new(1_000_000)), specs }
    }

    fn open(&self) -> SteppedLog {
        let options = Options {
            journal_bytes: 1 << 20,
            view_cache_bytes: 1 << 20,
            clock: Clock::Manual(self.clock.clone()),
            ..Options::new("")
        };
        SteppedLog::open(Arc::new(self.disk.clone()), options, &self.specs).expect("open")
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

/// Whoever still reads when a server stops is told so, and not that the disk is broken.
#[test]
fn rows_of_a_closed_log_are_refused_as_such() {
    let bench = Bench::new(vec![ChannelSpec::keyed("rows")]);
    let log = bench.open();
    // More than is held in memory.
    for n in 0..2_000 {
        log.append(batch([upsert("rows", "k", &n.to_string(), vec![b'1'; 4_000])])).expect("appended");
    }
    log.drain().expect("drained");
    let rows = log.channel("rows").expect("rows");
    assert_eq!(rows.rows(&scope("k"), None, ALL).expect("rows").rows.len(), 2_000);
    log.close();
    let read = rows.rows(&scope("k"), None, ALL).map(|page| page.rows.len());
    assert!(matches!(read, Err(ReadError::Closed)), "{read:?}");
}

#[test]
fn age_and_bytes_trim_history_and_never_state() {
    let mut specs = vec![ChannelSpec::plain("old"), ChannelSpec::keyed("large")];
    specs[0].retain.age = Some(Duration::from_secs(60));
    specs[1].retain.bytes = Some(256 * 1024);
    let bench = Bench::new(specs);
    let log = bench.open();
    for n in 0..200u64 {
        let checkpoints = vec![("source".into(), n.to_string().into())];
        let entries = [append("old", "a/b", n.to_string()), upsert("large", "k", &n.to_string(), vec![b'1'; 4000])];
        log.append(Batch { checkpoints, ..batch(entries) }).expect("appended");
        if n % 50 == 49 {
            log.drain().expect("drained");
            bench.pass(30);
        }
    }
    assert!(log.retain().expect("trimmed"));
    let check = |log: &SteppedLog| {
        let (old, large) = (log.channel("old").expect("old"), log.channel("large").expect("large"));
        assert_eq!((old.start(), old.head()), (100, 200));
        assert_eq!(old.oldest_time(), Some(Millis(1_060_000)));
        assert!(large.start() > 120 && large.start() < 180, "{}", large.start());
        for (channel, text) in [(&old, "a/b"), (&large, "k")] {
            let start = channel.start();
            let gone = channel.read(start - 1, u64::MAX, &scope(text), ALL);
            assert!(matches!(gone, Err(ReadError::Trimmed { start: said }) if said == start));
            let held = channel.read(start, u64::MAX, &scope(text), ALL).expect("held");
            assert_eq!(held.records.len() as u64, channel.head() - start);
        }
        assert_eq!(large.rows(&scope("k"), None, ALL).expect("rows").rows.len(), 200);
        assert_eq!(log.checkpoint("source").as_deref(), Some(&b"199"[..]));
    };
    check(&log);
    assert!(log.stats().segment_bytes < 300 * 1024);
    log.close();
    let log = bench.open();
    check(&log);
    // All of it can go; offsets go on.
    bench.pass(1000);
    assert!(log.retain().expect("trimmed"));
    assert_eq!(log.channel("old").expect("old").start(), 200);
    assert_eq!(log.append(batch([append("old", "a/b", "1")])).expect("appended").last[0].1, 201);
}

/// Whoever is told that a record stays until then can rely on it, wherever it is by then.
#[test]
fn what_is_kept_until_a_time_is_there_until_then() {
    let mut specs = ["aged", "bounded", "kept"].map(ChannelSpec::plain).to_vec();
    specs[0].retain.age = Some(Duration::from_secs(60));
    specs[1].retain.bytes = Some(4_000_000);
    specs.push(ChannelSpec { retain: Retain { ephemeral: true, ..Retain::default() }, ..ChannelSpec::plain("ring") });
    let bench = Bench::new(specs);
    let log = bench.open();
    let names = ["aged", "bounded", "kept", "ring"];
    for n in 0..120u64 {
        log.append(batch(names.map(|name| append(name, "a/b", "x".repeat(1_000))))).expect("appended");
        bench.pass(1);
        if n % 40 == 39 {
            log.drain().expect("drained");
            log.merge().expect("merged");
        }
        log.retain().expect("retained");
        let [aged, bounded, kept, ring] = names.map(|name| log.channel(name).expect("a channel"));
        for after in aged.start()..aged.head() {
            let appended = aged.read(after, after + 1, &scope("a/b"), ALL).expect("held").records[0].appended;
            let until = aged.keeping(after).and_then(|keeping| keeping.until).expect("a bound").0;
            assert!(until >= appended.0 + 60_000 && until >= bench.clock.load(Ordering::Relaxed), "{after} of {n}");
        }
        let keeping = kept.keeping(0).expect("a record");
        assert_eq!((keeping.until, keeping.room), (None, None));
        let room = |after| bounded.keeping(after).and_then(|keeping| keeping.room).expect("a bound");
        assert!(room(0) <= 2_000_000 - n * 1_000, "{}", room(0));
        assert!(room(n) >= room(0));
        assert_eq!((ring.keeping(0), kept.keeping(kept.head())), (None, None));
    }
    assert!(log.channel("aged").expect("a channel").start() > 0, "something was trimmed");
    assert_eq!(log.channel("aged").expect("a channel").keeping(0), None);
}

#[test]
fn merging_keeps_every_record_in_place() {
    let bench = Bench::new(vec![ChannelSpec::plain("c")]);
    let log = bench.open();
    let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut offset = 0;
    for round in 0..24u64 {
        for n in 0..50 {
            offset += 1;
            let at = format!("a/{}", (n * 7 + round) % 13);
            log.append(batch([append("c", &at, format!("{offset} {}", "x".repeat(200)))])).expect("appended");
            expected.entry(at).or_default().push(offset);
        }
        bench.pass(1);
        log.drain().expect("drained");
        log.merge().expect("merged");
    }
    let stats = log.stats();
    assert!(stats.merges > 5 && stats.segments <= 6, "{} merges, {} segments", stats.merges, stats.segments);
    let log = {
        log.close();
        bench.open()
    };
    let channel = log.channel("c").expect("c");
    for (at, offsets) in &expected {
        let page = channel.read(0, u64::MAX, &scope(at), ALL).expect("read");
        assert_eq!(&page.records.iter().map(|r| r.offset).collect::<Vec<_>>(), offsets);
        assert!(page.records.iter().all(|r| r.data.starts_with(format!("{} ", r.offset).as_bytes())));
    }
    let report = SteppedLog::verify(Arc::new(bench.disk.process_killed())).expect("whole");
    assert_eq!(report.segment_records, 1200);
}

#[test]
fn one_address_among_many_is_found_page_by_page() {
    let bench = Bench::new(vec![ChannelSpec::plain("c")]);
    let log = bench.open();
    let mut mine = Vec::new();
    for n in 0..12_000u64 {
        let at = if n % 11 == 0 { "s/mine".to_owned() } else { format!("s/{n}") };
        let offset = log.append(batch([append("c", &at, n.to_string())])).expect("appended").last[0].1;
        if n % 11 == 0 {
            mine.push(offset);
        }
        if n % 4000 == 3500 {
            log.drain().expect("drained");
            bench.pass(60);
        }
    }
    let channel = log.channel("c").expect("c");
    assert!(channel.read(0, u64::MAX, &scope("s/absent"), ALL).expect("read").records.is_empty());
    let mut found = Vec::new();
    let mut after = 0;
    while after < channel.head() {
        let page =
            channel.read(after, u64::MAX, &scope("s/mine"), ReadLimit { records: 70, bytes: 1 << 20 }).expect("read");
        found.extend(page.records.iter().map(|record| record.offset));
        after = page.upto;
    }
    assert_eq!(found, mine);
    let small = channel.read(mine[3], u64::MAX, &scope("s/mine"), ReadLimit { records: 1000, bytes: 1 }).expect("read");
    assert_eq!((small.records.len(), small.upto), (1, mine[4]));
    let part = channel.read(mine[3], mine[10], &scope("s/mine"), ALL).expect("read");
    assert_eq!((part.records.len(), part.upto), (7, mine[10]));
    let newest = channel.newest(&scope("s/mine"), 700).expect("newest");
    assert_eq!(newest.iter().map(|r| r.offset).collect::<Vec<_>>(), mine[mine.len() - 700..]);
    // Memory holds the tail, and says so.
    assert!(channel.read_hot(0, u64::MAX, &scope("s/mine"), ALL).is_none());
    let hot = channel.read_hot(11_600, u64::MAX, &scope("s/mine"), ALL).expect("hot");
    assert_eq!(hot.records.len(), mine.iter().filter(|offset| **offset > 11_600).count());
    // Positions by time fall on the borders of the minutes.
    assert_eq!(channel.position_at(Millis(0)).expect("position"), 0);
    assert_eq!(channel.position_at(Millis(1_060_000)).expect("position"), 3501);
    assert_eq!(channel.position_at(Millis(1_000_001)).expect("position"), 3501);
    assert_eq!(channel.position_at(Millis(9_000_000)).expect("position"), 12_000);
}

#[test]
fn rows_page_by_page_are_the_view() {
    let bench = Bench::new(vec![ChannelSpec::keyed("k")]);
    let log = bench.open();
    let mut expected = BTreeMap::new();
    for n in 0..3000u64 {
        let (at, key) = (format!("v/{}/x", n * 31 % 97), format!("{}", n * 17 % 53));
        log.append(batch([upsert("k", &at, &key, n.to_string())])).expect("appended");
        expected.insert((at, key), n.to_string());
        if n == 1000 || n == 2000 {
            log.drain().expect("drained");
        }
    }
    let channel = log.channel("k").expect("k");
    for target in ["v/*/x", "v/4/x", "*/4/x"] {
        let mut after = None;
        let mut found = BTreeMap::new();
        loop {
            let limit = ReadLimit { records: 37, bytes: 1 << 20 };
            let page = channel.rows(&scope(target), after.as_ref(), limit).expect("rows");
            for row in page.rows {
                let name = (row.address.as_str().to_owned(), row.key.to_string());
                assert!(found.insert(name, String::from_utf8(row.data.to_vec()).expect("text")).is_none());
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let matching = expected.iter().filter(|((at, _), _)| scope(target).target.matches(at));
        assert_eq!(found, matching.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
}

#[test]
fn idempotency_keys_are_forgotten_by_age_and_number() {
    let mut specs = vec![ChannelSpec::plain("c")];
    specs[0].idempotency = Window { age: Duration::from_secs(60), keys: 10 };
    let bench = Bench::new(specs);
    let log = bench.open();
    let send = |log: &SteppedLog, key: u64, body| {
        log.append(Batch {
            idempotency: Some(idempotency("c", &key.to_string(), body)),
            ..batch([append("c", "a", "1")])
        })
    };
    for key in 0..20 {
        assert!(!send(&log, key, 1).expect("appended").replayed);
        bench.pass(1);
    }
    log.drain().expect("drained");
    assert!(!send(&log, 0, 2).expect("forgotten by number").replayed);
    assert!(send(&log, 19, 1).expect("remembered").replayed);
    assert_eq!(send(&log, 19, 2), Err(AppendError::IdempotencyMismatch));
    bench.pass(61);
    assert!(!send(&log, 19, 2).expect("forgotten by age").replayed);
    log.drain().expect("drained");
    log.close();
    let log = bench.open();
    assert!(send(&log, 19, 2).expect("the new one is remembered").replayed);
    assert_eq!(log.channel("c").expect("c").newest(&scope("a"), 1).expect("newest")[0].address, address("a"));
}
