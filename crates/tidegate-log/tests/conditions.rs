//! Conditions of batches: judged in order, within a group too, and by what is durable after drains, retention and crashes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{address, append, batch, clear, delete, gap, idempotency, upsert};
use tidegate_core::ChannelId;
use tidegate_log::disk::SimDisk;
use tidegate_log::{
    AppendError, Appended, Batch, ChannelSpec, Clock, Condition, Entry, Expect, Options, Standing, SteppedLog,
};

const CHANNELS: [&str; 4] = ["plain", "keyed", "volatile", "volatile-keyed"];

struct World {
    disk: SimDisk,
    clock: Arc<AtomicU64>,
}

impl World {
    fn new() -> World {
        World { disk: SimDisk::new(), clock: Arc::new(AtomicU64::new(1_000_000)) }
    }

    fn open(&self) -> SteppedLog {
        let clock = Clock::Manual(self.clock.clone());
        let options = Options { view_cache_bytes: 1 << 20, clock, ..Options::new("") };
        let mut specs = CHANNELS.map(|name| match name.ends_with("keyed") {
            true => ChannelSpec::keyed(name),
            false => ChannelSpec::plain(name),
        });
        specs[0].retain.age = Some(Duration::from_secs(60));
        specs[2].retain.ephemeral = true;
        specs[3].retain.ephemeral = true;
        SteppedLog::open(Arc::new(self.disk.clone()), options, &specs).expect("open")
    }
}

/// A batch that expects something of the place of its first entry; of its key, if it has one.
fn when(condition: Condition, entry: Entry) -> Batch {
    let expect = Expect { channel: entry.channel, address: entry.address.clone(), key: entry.key.clone(), condition };
    Batch { expect: Some(expect), ..batch([entry]) }
}

/// The same of the whole address.
fn when_address(condition: Condition, entry: Entry) -> Batch {
    let mut batch = when(condition, entry);
    batch.expect.iter_mut().for_each(|expect| expect.key = None);
    batch
}

fn last_is(offset: u64) -> Condition {
    Condition::LastIs(vec![offset])
}

fn offset(answer: Result<Appended, AppendError>) -> u64 {
    answer.expect("taken").last[0].1
}

/// Where the place stands that a batch was refused for.
fn refused(answer: Result<Appended, AppendError>) -> (Option<u64>, bool) {
    match answer {
        Err(AppendError::Unexpected(Standing { last, exists })) => (last, exists),
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_a_group_that_expects_the_same_the_first_is_taken() {
    let world = World::new();
    let log = world.open();
    for (channel, keyed) in CHANNELS.into_iter().zip([false, true, false, true]) {
        let entry = |data: usize| match keyed {
            true => upsert(channel, "a/b", "k", data.to_string()),
            false => append(channel, "a/b", data.to_string()),
        };
        let mut last = offset(log.append(when(Condition::Absent, entry(0))));
        for round in 1..4 {
            let answers = log.append_group((0..100).map(|at| when(last_is(last), entry(round * 100 + at))).collect());
            let mut answers = answers.into_iter();
            last = offset(answers.next().expect("a first"));
            for answer in answers {
                assert_eq!(refused(answer), (Some(last), true), "{channel}");
            }
        }
        // Each builds on the one before it, which is no more durable than it is.
        let chain = (0..5).map(|step| when(last_is(last + step), entry(0))).collect();
        let answers: Vec<u64> = log.append_group(chain).into_iter().map(offset).collect();
        assert_eq!(answers, (last + 1..last + 6).collect::<Vec<_>>(), "{channel}");
        assert_eq!(log.channel(channel).expect("a channel").head(), last + 5);
    }
}

#[test]
fn keys_and_addresses_are_judged_after_what_stands_before_in_the_group() {
    let world = World::new();
    let log = world.open();
    let put = |at: &str, key: &str| upsert("keyed", at, key, "1");
    log.append(batch([put("a/b", "1"), put("a/b", "2"), put("a/c", "1")])).expect("appended");
    let answers = log.append_group(vec![
        when(last_is(1), delete("keyed", "a/b", "1")),                // 4
        when(last_is(1), put("a/b", "1")),                            // gone
        when(last_is(4), put("a/b", "1")),                            // a delete is no version to build on
        when(Condition::Exists, put("a/b", "1")),                     // gone
        when(Condition::Absent, put("a/b", "1")),                     // 5
        when(Condition::Absent, put("a/b", "1")),                     // there
        when(last_is(2), put("a/b", "2")),                            // 6: another key changed, this one did not
        when_address(last_is(3), put("a/c", "9")),                    // 7
        when_address(last_is(2), put("a/b", "9")),                    // 6 came
        when_address(last_is(6), put("a/b", "9")),                    // 8
        when_address(Condition::Absent, put("a/d", "1")),             // 9
        when_address(Condition::Absent, put("a/d", "2")),             // there
        when_address(Condition::LastIs(vec![1, 9]), put("a/d", "2")), // 10: one of several
    ]);
    let shown: Vec<Result<u64, (Option<u64>, bool)>> = answers
        .into_iter()
        .map(|answer| answer.map(|own| own.last[0].1).map_err(|error| refused(Err(error))))
        .collect();
    let gone = Err((None, false));
    let expected = vec![
        Ok(4),
        gone,
        gone,
        gone,
        Ok(5),
        Err((Some(5), true)),
        Ok(6),
        Ok(7),
        Err((Some(6), true)),
        Ok(8),
        Ok(9),
        Err((Some(9), true)),
        Ok(10),
    ];
    assert_eq!(shown, expected);

    let answers = log.append_group(vec![
        batch([clear("keyed")]), // 11
        when(last_is(6), put("a/b", "2")),
        when_address(last_is(8), put("a/b", "2")),
        when_address(Condition::Absent, put("a/new", "2")), // 12
        when(Condition::Absent, put("a/b", "2")),           // 13
    ]);
    let mut answers = answers.into_iter().skip(1);
    let mut next = || answers.next().expect("one more");
    assert_eq!((refused(next()), refused(next())), ((None, false), (Some(11), true)));
    assert_eq!((offset(next()), offset(next())), (12, 13));
}

#[test]
fn what_is_durable_is_judged_the_same_after_drains_kills_and_power_losses() {
    let mut world = World::new();
    let mut last = [0, 0];
    let entry = |which: usize| match which {
        0 => append("plain", "a/b", "1"),
        _ => upsert("keyed", "a/b", "k", "1"),
    };
    for round in 0..12 {
        let log = world.open();
        for (which, last) in last.iter_mut().enumerate() {
            if round == 0 {
                assert!(!refused(log.append(when(Condition::Exists, entry(which)))).1);
                *last = offset(log.append(when(Condition::Absent, entry(which))));
            }
            assert_eq!(refused(log.append(when(last_is(*last + 1), entry(which)))), (Some(*last), true));
            assert_eq!(refused(log.append(when(Condition::Absent, entry(which)))), (Some(*last), true));
            *last = offset(log.append(when(last_is(*last), entry(which))));
            // Others come and go.
            log.append(batch([append("plain", "a/c", "1"), upsert("keyed", "a/b", "other", "1")])).expect("appended");
        }
        match round % 3 {
            0 => drop(log.drain().expect("drained")),
            1 => drop((log.drain().expect("drained"), log.merge().expect("merged"))),
            _ => {}
        }
        drop(log);
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(round);
        world.disk = if round % 2 == 0 { world.disk.process_killed() } else { world.disk.power_loss(&mut rng) };
    }
}

#[test]
fn a_plain_address_of_which_retention_took_everything_does_not_look_unchanged() {
    let world = World::new();
    let log = world.open();
    let post = |at: &str| append("plain", at, "1");
    assert_eq!(refused(log.append(when(last_is(7), post("a/b")))), (Some(0), false));
    let trim = |log: &SteppedLog| {
        world.clock.fetch_add(120_000, Ordering::Relaxed);
        assert!(log.drain().expect("drained") && log.retain().expect("trimmed"));
        log.channel("plain").expect("a channel").start()
    };
    // Whoever saw nothing at position 0 must not go on after an event came and went.
    let first = offset(log.append(when(last_is(0), post("a/b"))));
    log.append(batch([post("a/c")])).expect("appended");
    let start = trim(&log);
    assert!(start >= first);
    assert_eq!(refused(log.append(when(last_is(0), post("a/b")))), (Some(start), false));
    assert_eq!(refused(log.append(when(last_is(first), post("a/b")))), (Some(start), false));
    let second = offset(log.append(when(last_is(start), post("a/b"))));
    trim(&log);
    // As far as retention reaches nothing is there.
    assert!(offset(log.append(when(Condition::Absent, post("a/b")))) > second);
}

#[test]
fn what_concerns_the_whole_channel_changes_each_plain_address_and_makes_none() {
    let world = World::new();
    let log = world.open();
    let post = |at: &str| append("plain", at, "1");
    log.append(batch([post("a/b")])).expect("appended");
    let answers = log.append_group(vec![batch([gap("plain")]), when(last_is(1), post("a/b"))]);
    assert_eq!(refused(answers.into_iter().nth(1).expect("two")), (Some(2), true));
    for drained in [false, true] {
        assert!(!drained || log.drain().expect("drained"));
        assert_eq!(refused(log.append(when(last_is(1), post("a/b")))), (Some(2), true));
        assert_eq!(refused(log.append(when(Condition::Exists, post("a/c")))), (Some(2), false));
    }
    assert_eq!(offset(log.append(when(last_is(2), post("a/b")))), 3);
}

#[test]
fn a_repeat_gets_its_answer_whatever_holds_now_and_a_refusal_is_not_remembered() {
    let world = World::new();
    for channel in ["plain", "volatile"] {
        let log = world.open();
        let once = |condition, data: &'static str| {
            let batch = when(condition, append(channel, "a/b", data));
            Batch { idempotency: Some(idempotency(channel, "key", data.as_bytes()[0])), ..batch }
        };
        assert_eq!(refused(log.append(once(Condition::Exists, "1"))), (Some(0), false));
        // Another body under the same key: nothing of the refused one was kept.
        let group =
            vec![once(Condition::Absent, "2"), once(Condition::Absent, "2"), batch([append(channel, "a/b", "3")])];
        let answers: Vec<Appended> = log.append_group(group).into_iter().map(|answer| answer.expect("taken")).collect();
        assert_eq!(answers.iter().map(|answer| answer.replayed).collect::<Vec<_>>(), [false, true, false]);
        let again = log.append(once(Condition::Absent, "2")).expect("the first answer");
        assert_eq!((again.replayed, again.offset(ChannelId::of(channel))), (true, Some(1)), "{channel}");
        assert_eq!(log.channel(channel).expect("a channel").head(), 2);
    }
}

#[test]
fn the_whole_batch_is_under_its_condition_and_of_several_all_are() {
    let world = World::new();
    let log = world.open();
    let expect = Expect { channel: ChannelId::of("plain"), address: address("a/b"), key: None, condition: last_is(5) };
    let whole = Batch {
        checkpoints: vec![("source".into(), "1".into())],
        expect: Some(expect),
        ..batch([append("plain", "a/b", "1"), upsert("keyed", "a/b", "k", "1")])
    };
    let written = log.stats().journal_bytes_written;
    refused(log.append(whole.clone()));
    let all = log.append_all(vec![batch([append("plain", "a/b", "1")]), whole]);
    assert_eq!(all, Err(AppendError::Unexpected(Standing { last: Some(0), exists: false })));
    assert_eq!((log.stats().journal_bytes_written, log.checkpoint("source")), (written, None));
    let key = Some("k".into());
    let misfit = Expect { channel: ChannelId::of("plain"), address: address("a/b"), key, condition: Condition::Exists };
    let misfit = Batch { expect: Some(misfit), ..batch([append("plain", "a/b", "1")]) };
    assert_eq!(log.append(misfit), Err(AppendError::Unfit("a plain channel has no keys")));
}
