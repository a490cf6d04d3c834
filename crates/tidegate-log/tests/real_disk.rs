//! End to end on the disk of this machine.

mod common;

use common::{ALL, address, append, batch, clear, delete, idempotency, scope, upsert};
use tidegate_core::Op;
use tidegate_log::{AppendError, Batch, ChannelSpec, LargeCommit, Log, OpenError, Options, ReadError};

fn specs() -> Vec<ChannelSpec> {
    vec![ChannelSpec::plain("chat"), ChannelSpec::keyed("orders")]
}

fn open(folder: &tempfile::TempDir) -> Log {
    Log::open(Options::new(folder.path()), specs()).expect("the log opens")
}

#[test]
fn records_rows_and_checkpoints_survive_closing() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    for round in 0..3 {
        let entries = (0..10).flat_map(|i| {
            [
                append("chat", &format!("rooms/{}", i % 2), format!("{{\"n\":{}}}", round * 10 + i)),
                upsert("orders", "orders/eu", &format!("{i}"), format!("{round}")),
            ]
        });
        let checkpoints = vec![("shop".to_owned(), format!("lsn {round}").into())];
        log.append(Batch { checkpoints, ..batch(entries) }).expect("appended");
        if round == 1 {
            log.drain_now().expect("drained");
        }
    }
    log.append(batch([delete("orders", "orders/eu", "3"), delete("orders", "orders/eu", "nothing")])).expect("deleted");
    check(&log);
    log.close();
    let log = open(&folder);
    check(&log);
    log.close();
    let report = tidegate_log::verify(folder.path()).expect("it is whole");
    assert_eq!((report.segment_records, report.rows, report.checkpoints), (61, 9, 1));
}

fn check(log: &Log) {
    let chat = log.channel("chat").expect("chat");
    assert_eq!(chat.head(), 30);
    let page = chat.read(0, u64::MAX, &scope("rooms/1"), ALL).expect("read");
    assert_eq!(page.upto, 30);
    let expected: Vec<u64> = (1..=15).map(|n| n * 2).collect();
    assert_eq!(page.records.iter().map(|r| r.offset).collect::<Vec<_>>(), expected);
    let all = chat.read(4, u64::MAX, &scope("rooms/*"), ALL).expect("read");
    assert_eq!(all.records.len(), 26);
    assert_eq!(&all.records[0].data[..], b"{\"n\":4}");
    let newest = chat.newest(&scope("rooms/0"), 3).expect("newest");
    assert_eq!(newest.iter().map(|r| r.offset).collect::<Vec<_>>(), [25, 27, 29]);

    let orders = log.channel("orders").expect("orders");
    let rows = orders.rows(&scope("orders/*"), None, ALL).expect("rows");
    assert_eq!((rows.at, rows.rows.len(), rows.next), (31, 9, None));
    assert!(rows.rows.iter().all(|row| &row.data[..] == b"2" && &*row.key != "3"));
    assert_eq!(orders.row(&address("orders/eu"), "3").expect("row"), (None, 31));
    assert_eq!(orders.touched(&address("orders/eu")).expect("touched"), Some(31));
    assert_eq!(orders.touched(&address("orders/us")).expect("touched"), None);
    let last = orders.newest(&scope("orders/eu"), 1).expect("newest").remove(0);
    assert_eq!((last.op, last.before.as_deref()), (Op::Delete, Some(&b"2"[..])));
    assert_eq!(log.checkpoint("shop").as_deref(), Some(&b"lsn 2"[..]));
}

#[test]
fn a_clear_empties_the_view_and_is_seen_at_every_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    log.append(batch([upsert("orders", "orders/eu", "1", "1"), upsert("orders", "orders/us", "2", "2")]))
        .expect("rows");
    log.drain_now().expect("drained");
    log.append(batch([clear("orders"), upsert("orders", "orders/us", "3", "3")])).expect("cleared");
    for _ in 0..2 {
        let orders = log.channel("orders").expect("orders");
        let rows = orders.rows(&scope("orders/*"), None, ALL).expect("rows");
        assert_eq!(rows.rows.iter().map(|row| &*row.key).collect::<Vec<_>>(), ["3"]);
        let seen = orders.read(0, u64::MAX, &scope("orders/eu"), ALL).expect("read");
        assert_eq!(seen.records.iter().map(|r| r.op).collect::<Vec<_>>(), [Op::Upsert, Op::Clear]);
        assert_eq!(orders.touched(&address("orders/eu")).expect("touched"), Some(3));
        log.drain_now().expect("drained");
    }
}

#[test]
fn a_repeat_gets_the_first_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    let keyed = |body| Batch { idempotency: Some(idempotency("chat", "k", body)), ..batch([append("chat", "a", "1")]) };
    let first = log.append(keyed(1)).expect("appended");
    assert!(!first.replayed);
    for reopened in [false, false, true] {
        let log = if reopened {
            log.clone().close();
            open(&folder)
        } else {
            log.clone()
        };
        let again = log.append(keyed(1)).expect("replayed");
        assert!(again.replayed);
        assert_eq!((&again.last, again.count), (&first.last, first.count));
        assert_eq!(log.append(keyed(2)), Err(AppendError::IdempotencyMismatch));
        assert_eq!(log.channel("chat").expect("chat").head(), 1);
        if !reopened {
            log.drain_now().expect("drained");
        }
    }
}

#[test]
fn a_second_opening_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    let second = Log::open(Options::new(folder.path()), specs());
    match second.map(|_| ()) {
        Err(OpenError::Locked { folder: named }) => assert_eq!(named, folder.path().display().to_string()),
        other => panic!("{other:?}"),
    }
    log.close();
    open(&folder).close();
}

#[test]
fn a_large_batch_is_seen_at_its_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = open(&folder);
    let mut large = log.begin(None).expect("begun");
    large.part((0..100).map(|i| upsert("orders", "orders/eu", &i.to_string(), "1")).collect()).expect("part");
    log.append(batch([append("chat", "a", "1")])).expect("others go on");
    log.drain_now().expect("a drain does not lose it");
    large.part(vec![delete("orders", "orders/eu", "5"), append("chat", "a", "2")]).expect("part");
    let orders = log.channel("orders").expect("orders");
    assert_eq!(orders.head(), 0);
    let commit = LargeCommit { checkpoints: vec![("shop".into(), "x".into())], ..LargeCommit::default() };
    assert_eq!(large.commit(commit).expect("committed").count, 102);
    drop(large);
    log.begin(None).expect("begun").abort();
    assert_eq!(orders.head(), 101);
    assert_eq!(orders.rows(&scope("orders/eu"), None, ALL).expect("rows").rows.len(), 99);
    log.close();
    let log = open(&folder);
    assert_eq!(log.channel("orders").expect("orders").head(), 101);
    assert_eq!(log.channel("chat").expect("chat").head(), 2);
    assert_eq!(log.checkpoint("shop").as_deref(), Some(&b"x"[..]));
}

#[test]
fn an_ephemeral_channel_keeps_a_ring_and_changes_its_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut specs = specs();
    specs[0].retain.ephemeral = true;
    specs[1].retain.ephemeral = true;
    let log = Log::open(Options::new(folder.path()), specs.clone()).expect("open");
    let chat = log.channel("chat").expect("chat");
    for i in 0..64 {
        log.append(batch([append("chat", "a", vec![b'1'; 32 * 1024]), upsert("orders", "o", &i.to_string(), "1")]))
            .expect("appended");
    }
    assert_eq!(log.stats().syncs, 0);
    assert_eq!(chat.head(), 64);
    assert!(chat.start() > 30 && chat.start() < 40, "{}", chat.start());
    assert!(matches!(chat.read(0, 64, &scope("a"), ALL), Err(ReadError::Trimmed { start }) if start == chat.start()));
    assert_eq!(chat.read(chat.start(), 64, &scope("a"), ALL).expect("read").records.len() as u64, 64 - chat.start());
    assert_eq!(log.channel("orders").expect("orders").rows(&scope("o"), None, ALL).expect("rows").rows.len(), 64);
    let epoch = chat.epoch();
    drop((chat, log));
    let log = Log::open(Options::new(folder.path()), specs).expect("open");
    let chat = log.channel("chat").expect("chat");
    assert_eq!(chat.head(), 0);
    assert_ne!(chat.epoch(), epoch);
}
