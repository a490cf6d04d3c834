//! Batches that come in parts: what they own, what of them is seen when, and every place where one can fail.

mod common;

use std::sync::Arc;

use common::{ALL, address, append, batch, clear, delete, idempotency, scope, upsert};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidegate_core::ChannelId;
use tidegate_log::disk::{Disk, SimDisk};
use tidegate_log::{
    AppendError, Appended, Batch, ChannelSpec, Entry, Health, LargeBatch, LargeCommit, Log, Options, SteppedLog,
};

fn options() -> Options {
    Options { journal_bytes: 256 * 1024, segment_bytes_max: 64 * 1024, view_cache_bytes: 1 << 20, ..Options::new("") }
}

fn specs() -> Vec<ChannelSpec> {
    let mut specs = vec![
        ChannelSpec::plain("plain"),
        ChannelSpec::keyed("keyed"),
        ChannelSpec::keyed("other"),
        ChannelSpec::plain("ring"),
    ];
    specs[3].retain.ephemeral = true;
    specs
}

fn open(disk: &SimDisk) -> SteppedLog {
    SteppedLog::open(Arc::new(disk.clone()), options(), &specs()).expect("open")
}

fn checkpoint(value: &str) -> LargeCommit {
    LargeCommit { checkpoints: vec![("source".into(), value.to_owned().into())], ..LargeCommit::default() }
}

/// Everything that the log shows, as text.
fn content(log: &SteppedLog) -> Vec<String> {
    let mut out = Vec::new();
    for name in ["plain", "keyed", "other"] {
        let channel = log.channel(name).expect("a channel");
        let mut appended = 0;
        for record in channel.read(0, u64::MAX, &scope("*/*"), ALL).expect("read").records {
            assert!(record.appended.0 >= appended, "the time of append never goes back");
            appended = record.appended.0;
            let tx = record.tx.as_ref().map(|tx| (&tx.id, tx.last));
            let key = (record.op, record.address.as_str(), &record.key);
            let (data, before) = (short(&record.data), record.before.as_deref().map(short));
            out.push(format!("{name} {} {key:?} {data} before {before:?} {tx:?}", record.offset));
        }
        if channel.keyed() {
            for row in channel.rows(&scope("*/*"), None, ALL).expect("rows").rows {
                let touched = channel.touched(&row.address).expect("touched");
                let key = (row.address.as_str(), row.key, row.offset);
                out.push(format!("{name} row {key:?} {} {touched:?}", short(&row.data)));
            }
        }
    }
    out.push(format!("{:?}", log.checkpoint("source")));
    out
}

/// A value and how long it is.
fn short(data: &[u8]) -> String {
    format!("{} {}", data.len(), String::from_utf8_lossy(&data[..data.len().min(8)]))
}

fn no_leftovers(disk: &SimDisk, log: &SteppedLog) {
    assert_eq!(disk.list("segments").expect("listed").len() as u64, log.stats().segments);
    assert_eq!(disk.list("scratch").expect("listed").len(), 0);
}

/// A log with some history, part of it in the journal only.
fn begun() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk);
    let rows = (0..50).map(|n| upsert("keyed", "k/1", &n.to_string(), "\"old\""));
    log.append(batch(rows.chain([append("plain", "p/1", "1")]))).expect("appended");
    log.drain().expect("drained");
    let checkpoints = vec![("source".into(), "1".into())];
    let batch = batch([upsert("keyed", "k/2", "7", "\"old\""), upsert("other", "o/1", "1", "\"old\"")]);
    log.append(Batch { checkpoints, ..batch }).expect("appended");
    drop(log);
    disk.process_killed()
}

/// How many rows of how many bytes its first part has.
type Size = (usize, usize);

const SMALL: Size = (50, 3000);
/// So large that the view store has to grow.
const BIG: Size = (200, 8000);

fn parts((rows, bytes): Size) -> Vec<Vec<Entry>> {
    let mut first: Vec<Entry> =
        (25..25 + rows).map(|n| upsert("keyed", "k/1", &n.to_string(), format!("\"{}\"", "n".repeat(bytes)))).collect();
    first.extend([delete("keyed", "k/2", "7"), delete("keyed", "k/2", "8"), append("plain", "p/2", "2")]);
    let mut second = vec![upsert("keyed", "k/1", "30", "30"), delete("keyed", "k/1", "31")];
    second.extend((0..40).map(|n| append("plain", "p/2", vec![b'1' + (n % 9); 2000])));
    second.extend([upsert("keyed", "k/3", "1", "1"), upsert("keyed", "k/2", "7", "\"again\"")]);
    vec![first, second]
}

/// The batch with an ordinary one of another channel in its midst.
fn prepare(log: &SteppedLog, size: Size) -> Result<LargeBatch, AppendError> {
    let mut large = log.begin(Some("tx".into()))?;
    for part in parts(size) {
        large.part(part)?;
    }
    Ok(large)
}

/// What a log shows before and after the batch.
fn before_and_after(size: Size) -> (Vec<String>, Vec<String>) {
    let log = open(&begun());
    let before = content(&log);
    let answer = prepare(&log, size).expect("prepared").commit(checkpoint("2")).expect("committed");
    assert_eq!((answer.count, answer.offset(ChannelId::of("plain"))), (size.0 as u64 + 47, Some(42)));
    let after = content(&log);
    assert!(after.iter().any(|line| line.ends_with("before Some(\"5 \\\"old\\\"\") Some((\"tx\", false))")));
    assert_eq!(after.iter().filter(|line| line.contains("(\"tx\", true)")).count(), 2, "one of each channel");
    (before, after)
}

#[test]
fn it_is_seen_whole_at_its_commit_and_is_what_an_ordinary_batch_would_be() {
    let disk = begun();
    let log = open(&disk);
    let entries = parts(SMALL).into_iter().flatten().collect();
    let checkpoints = checkpoint("2").checkpoints;
    log.append(Batch { entries, tx: Some("tx".into()), checkpoints, ..Batch::default() }).expect("appended");
    assert_eq!(content(&log), before_and_after(SMALL).1);
}

#[test]
fn a_disk_that_fills_anywhere_refuses_it_and_it_can_be_tried_again() {
    let (before, after) = before_and_after(BIG);
    let (mut refused_parts, mut refused_commits, mut taken) = (0, 0, 0);
    let while_parts_come = (0..3_900_000).step_by(97_000).map(|spare| (spare, 0));
    let at_the_commit = (0..4_000_000).step_by(47_000).map(|spare| (1 << 30, spare));
    for (at_parts, spare) in while_parts_come.chain(at_the_commit) {
        let disk = begun();
        let log = open(&disk);
        disk.set_capacity(Some(disk.used() + at_parts));
        let mut large = match prepare(&log, BIG) {
            Ok(large) => large,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                refused_parts += 1;
                assert_eq!(content(&log), before);
                disk.set_capacity(None);
                prepare(&log, BIG).expect("with space it succeeds")
            }
        };
        if spare > 0 {
            disk.set_capacity(Some(disk.used() + spare));
        }
        match large.commit(checkpoint("2")) {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!((error, log.health()), (AppendError::Full, Health::Full), "with {spare} bytes");
                refused_commits += 1;
                assert_eq!(content(&log), before);
                assert_eq!(large.commit(checkpoint("2")), Err(AppendError::Full));
                // A process that starts on the full disk has nothing of it.
                let copy = disk.copy();
                copy.set_capacity(Some(copy.used()));
                let other = open(&copy);
                assert_eq!(content(&other), before);
                disk.set_capacity(None);
                large.commit(checkpoint("2")).expect("with space it succeeds");
            }
        }
        drop(large);
        assert_eq!(content(&log), after, "with {spare} bytes");
        no_leftovers(&disk, &log);
        log.append(batch([upsert("keyed", "k/1", "30", "31")])).expect("the channel is free");
        assert_eq!(log.health(), Health::Good);
        drop(log);
        let log = open(&disk.process_killed());
        assert_eq!(log.channel("keyed").expect("keyed").head(), 257);
    }
    assert!(refused_parts > 20 && refused_commits > 20 && taken > 20, "{refused_parts} {refused_commits} {taken}");
}

#[test]
fn one_that_is_given_up_on_a_full_disk_gives_its_space_back() {
    let disk = begun();
    let log = open(&disk);
    let before = content(&log);
    log.drain().expect("drained");
    let used = disk.used();
    disk.set_capacity(Some(used + 4_200_000));
    for _ in 0..5 {
        let mut large = prepare(&log, BIG).expect("there is space for the parts");
        disk.set_capacity(Some(disk.used()));
        assert_eq!(large.commit(checkpoint("2")), Err(AppendError::Full));
        drop(large);
        assert!(disk.used() <= used + 70_000, "{} {used}", disk.used());
        disk.set_capacity(Some(used + 4_200_000));
    }
    assert_eq!(content(&log), before);
    no_leftovers(&disk, &log);
}

#[test]
fn a_sync_that_fails_anywhere_poisons_and_leaves_all_or_nothing() {
    let (before, after) = before_and_after(SMALL);
    // Several times: what a power loss leaves of what was not synced is chance.
    for seed in 0..8 {
        let done = (0..100).find(|syncs| {
            let disk = begun();
            let log = open(&disk);
            disk.fail_sync_after(*syncs);
            let done = prepare(&log, SMALL).and_then(|mut large| {
                let done = large.commit(checkpoint("2"));
                assert!(done.is_ok() || large.commit(checkpoint("2")) == Err(AppendError::Poisoned), "after {syncs}");
                done
            });
            assert_eq!(content(&log), if done.is_ok() { after.clone() } else { before.clone() });
            assert!(done.is_ok() || (done == Err(AppendError::Poisoned) && log.health() == Health::Poisoned));
            drop(log);
            let log = open(&disk.power_loss(&mut StdRng::seed_from_u64(seed)));
            let now = content(&log);
            assert!(now == after || (now == before && done.is_err()), "after {syncs}");
            done.is_ok()
        });
        assert!(done.is_some_and(|syncs| syncs > 8), "{done:?}");
    }
}

#[test]
fn a_crash_at_any_operation_leaves_all_or_nothing() {
    let (before, after) = before_and_after(SMALL);
    let mut rng = StdRng::seed_from_u64(1);
    let (mut nothing, mut all) = (0, 0);
    for operations in 0.. {
        let disk = begun();
        let log = open(&disk);
        disk.cut_after(operations);
        let large = prepare(&log, SMALL);
        let done = match large {
            Ok(mut large) => {
                let done = large.commit(checkpoint("2"));
                drop(log);
                let crashed = if operations % 3 == 0 { disk.process_killed() } else { disk.power_loss(&mut rng) };
                drop(large); // too late for it to clean up
                (done, crashed)
            }
            Err(error) => (Err(error), disk.power_loss(&mut rng)),
        };
        let (done, disk) = done;
        let log = open(&disk);
        let now = content(&log);
        assert!(now == after || (now == before && done.is_err()), "after {operations} operations");
        if now == after {
            all += 1
        } else {
            nothing += 1
        }
        no_leftovers(&disk, &log);
        // It goes on from there.
        log.append(batch([upsert("keyed", "k/1", "1", "9"), append("plain", "p/9", "9")])).expect("appended");
        let again = content(&log);
        drop(log);
        assert_eq!(content(&open(&disk.process_killed())), again);
        if done.is_ok() {
            break;
        }
    }
    assert!(nothing > 50 && all > 0, "{nothing} {all}");
}

#[test]
fn a_channel_of_an_open_batch_takes_nothing_from_others() {
    let log = open(&SimDisk::new());
    let keyed = Batch { idempotency: Some(idempotency("plain", "k", 1)), ..batch([append("plain", "p/1", "1")]) };
    log.append(keyed.clone()).expect("appended");
    let mut large = log.begin(None).expect("begun");
    log.append(batch([append("plain", "p/1", "2")])).expect("it owns nothing yet");
    large.part(vec![append("plain", "p/1", "3")]).expect("part");
    assert_eq!(log.append(batch([append("plain", "p/1", "x")])), Err(AppendError::Busy));
    assert_eq!(
        log.append(batch([upsert("keyed", "k/1", "1", "1"), append("plain", "p/1", "x")])),
        Err(AppendError::Busy)
    );
    assert!(log.append(keyed).expect("a repeat writes nothing").replayed);
    log.append(batch([upsert("keyed", "k/1", "1", "1"), upsert("other", "o/1", "1", "1")])).expect("others go on");
    let mut second = log.begin(None).expect("begun");
    assert_eq!(
        second.part(vec![upsert("keyed", "k/1", "2", "2"), append("plain", "p/1", "x")]),
        Err(AppendError::Busy)
    );
    log.append(batch([upsert("keyed", "k/1", "3", "3")])).expect("what was refused owns nothing");
    second.part(vec![upsert("keyed", "k/1", "2", "2")]).expect("it can go on");
    second.commit(LargeCommit::default()).expect("committed");
    large.abort();
    let answer = log.append(batch([append("plain", "p/1", "3")])).expect("the channel is free");
    assert_eq!(answer.last, [(ChannelId::of("plain"), 3)]);
    assert_eq!(log.channel("keyed").expect("keyed").head(), 3);
}

#[test]
fn four_may_be_open() {
    let log = open(&SimDisk::new());
    let mut open: Vec<LargeBatch> = (0..4).map(|_| log.begin(None).expect("begun")).collect();
    assert_eq!(log.begin(None).err(), Some(AppendError::Busy));
    open.pop();
    open.push(log.begin(None).expect("there is a place"));
    open[0].commit(LargeCommit::default()).expect("committed");
    log.begin(None).expect("there is a place");
}

#[test]
fn two_on_different_channels_end_in_any_order() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let (mut one, mut two) = (log.begin(None).expect("begun"), log.begin(None).expect("begun"));
    for n in 0..100 {
        one.part(vec![upsert("keyed", "k/1", &n.to_string(), vec![b'1'; 900])]).expect("part");
        two.part(vec![upsert("other", "o/1", &n.to_string(), vec![b'2'; 900]), append("plain", "p/1", "2")])
            .expect("part");
        log.drain().expect("drained");
    }
    two.commit(checkpoint("two")).expect("committed");
    assert_eq!(log.channel("keyed").expect("keyed").head(), 0);
    one.part(vec![clear("keyed"), upsert("keyed", "k/1", "5", "5")]).expect("part");
    one.commit(checkpoint("one")).expect("committed");
    let now = content(&log);
    assert_eq!(now.iter().filter(|line| line.contains(" row ")).count(), 101);
    while log.merge().expect("merged") {}
    no_leftovers(&disk, &log);
    drop(log);
    let disk = disk.process_killed();
    assert_eq!(content(&open(&disk)), now);
    SteppedLog::verify(Arc::new(disk.process_killed())).expect("it is whole");
}

#[test]
fn an_older_checkpoint_in_the_journal_does_not_come_back() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let mut large = log.begin(None).expect("begun");
    large.part(vec![upsert("keyed", "k/1", "1", "1")]).expect("part");
    let checkpoints = checkpoint("1").checkpoints;
    log.append(Batch { checkpoints, ..batch([append("plain", "p/1", "1")]) }).expect("appended");
    large.commit(checkpoint("2")).expect("committed");
    assert_eq!(log.checkpoint("source").as_deref(), Some(&b"2"[..]));
    log.append(batch([append("plain", "p/1", "2")])).expect("appended");
    drop(log);
    let log = open(&disk.process_killed());
    assert_eq!(log.checkpoint("source").as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_repeated_commit_gets_the_first_answer() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let commit = || LargeCommit { idempotency: Some(idempotency("keyed", "k", 1)), ..checkpoint("1") };
    let run = |log: &SteppedLog| {
        let mut large = log.begin(None).expect("begun");
        large.part(vec![upsert("keyed", "k/1", "1", "1"), delete("keyed", "k/1", "2")]).expect("part");
        large.commit(commit()).expect("committed")
    };
    let first = run(&log);
    assert_eq!(first, Appended { last: vec![(ChannelId::of("keyed"), 1)], count: 2, replayed: false });
    assert_eq!(run(&log), Appended { replayed: true, ..first.clone() });
    drop(log);
    let log = open(&disk.process_killed());
    assert_eq!(run(&log), Appended { replayed: true, ..first });
    let other = LargeCommit { idempotency: Some(idempotency("keyed", "k", 2)), ..LargeCommit::default() };
    let mut large = log.begin(None).expect("begun");
    assert_eq!(large.commit(other), Err(AppendError::IdempotencyMismatch));
}

#[test]
fn what_does_not_fit_leaves_the_batch_as_it_was() {
    let log = open(&SimDisk::new());
    let mut large = log.begin(None).expect("begun");
    large.part(vec![append("plain", "p/1", "1")]).expect("part");
    assert!(matches!(large.part(vec![append("ring", "r/1", "1")]), Err(AppendError::Unfit(_))));
    assert!(matches!(large.part(vec![upsert("plain", "p/1", "1", "1")]), Err(AppendError::Unfit(_))));
    assert_eq!(large.part(vec![append("nowhere", "n/1", "1")]), Err(AppendError::UnknownChannel));
    assert_eq!(large.part(vec![append("plain", "p/1", vec![b'1'; 17 << 20])]), Err(AppendError::TooLarge));
    assert_eq!(large.commit(LargeCommit::default()).expect("committed").count, 1);
    assert_eq!(large.part(vec![append("plain", "p/1", "1")]), Err(AppendError::Closed));
    assert_eq!(large.commit(LargeCommit::default()), Err(AppendError::Closed));
}

#[test]
fn rows_are_read_with_the_parts_so_far() {
    let log = open(&SimDisk::new());
    log.append(batch([upsert("keyed", "k/1", "1", "1"), upsert("other", "o/1", "1", "1")])).expect("appended");
    let mut large = log.begin(None).expect("begun");
    let row = |large: &LargeBatch, channel: &str, at: &str, key: &str| {
        let row = large.row(ChannelId::of(channel), &address(at), key).expect("a row");
        row.map(|data| String::from_utf8(data.to_vec()).expect("text"))
    };
    assert_eq!(row(&large, "keyed", "k/1", "1").as_deref(), Some("1"));
    large.part(vec![upsert("keyed", "k/1", "2", "2")]).expect("part");
    assert_eq!(row(&large, "keyed", "k/1", "1").as_deref(), Some("1"));
    assert_eq!(row(&large, "keyed", "k/1", "2").as_deref(), Some("2"));
    assert_eq!(row(&large, "other", "o/1", "1").as_deref(), Some("1"));
    large.part(vec![delete("keyed", "k/1", "1")]).expect("part");
    assert_eq!(row(&large, "keyed", "k/1", "1"), None);
    large.part(vec![clear("keyed")]).expect("part");
    assert_eq!(row(&large, "keyed", "k/1", "2"), None);
    large.part(vec![upsert("keyed", "k/1", "1", "3")]).expect("part");
    assert_eq!(row(&large, "keyed", "k/1", "1").as_deref(), Some("3"));
    assert!(large.row(ChannelId::of("plain"), &address("p/1"), "1").is_err());
}

#[test]
fn after_the_log_was_closed_it_is_over_and_leaves_what_is_anothers() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Log::open(Options::new(folder.path()), specs()).expect("the log opens");
    let log = open();
    let mut large = log.begin(None).expect("begun");
    large.part(vec![upsert("keyed", "k/1", "1", "1")]).expect("part");
    log.close();
    assert_eq!(large.part(vec![upsert("keyed", "k/1", "2", "2")]), Err(AppendError::Closed));
    assert_eq!(large.commit(LargeCommit::default()), Err(AppendError::Closed));
    let log = open();
    log.append(batch([upsert("keyed", "k/1", "1", "1")])).expect("appended");
    log.drain_now().expect("drained");
    drop(large);
    assert_eq!(std::fs::read_dir(folder.path().join("segments")).expect("listed").count(), 1);
    assert_eq!(std::fs::read_dir(folder.path().join("scratch")).expect("listed").count(), 0);
}

/// Publishers of other channels go on through parts and commit; what is seen of the batch is nothing or all.
#[test]
fn others_publish_while_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options { journal_bytes: 1 << 20, ..Options::new(folder.path()) };
    let log = Log::open(options(), specs()).expect("the log opens");
    let (told, heard) = std::sync::mpsc::sync_channel(16);
    let id = ChannelId::of("keyed");
    log.on_advance(move |channel| {
        if channel == id {
            let _ = told.send(());
        }
    });
    let keyed = log.channel("keyed").expect("keyed");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let published: u64 = std::thread::scope(|threads| {
        let (log, stop) = (&log, &stop);
        let publishers: Vec<_> = ["plain", "other"]
            .into_iter()
            .map(|name| {
                threads.spawn(move || {
                    let mut n = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        log.append(batch([publish(name, n)])).expect("others are not held up");
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        for round in 1..4u64 {
            let mut large = log.begin(None).expect("begun");
            for part in 0..20 {
                let rows = (0..500).map(|n| upsert("keyed", "k/1", &(part * 500 + n).to_string(), round.to_string()));
                large.part(rows.collect()).expect("part");
                assert_eq!(keyed.head(), (round - 1) * 10_000);
            }
            large.commit(checkpoint(&round.to_string())).expect("committed");
            heard.recv().expect("told");
            let rows = keyed.rows(&scope("k/1"), None, ALL).expect("rows");
            assert_eq!((rows.at, rows.rows.len()), (round * 10_000, 10_000));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        publishers.into_iter().map(|publisher| publisher.join().expect("published")).sum()
    });
    log.close();
    let log = Log::open(options(), specs()).expect("the log opens");
    let heads = ["plain", "other"].map(|name| log.channel(name).expect("a channel").head());
    assert_eq!(heads.iter().sum::<u64>(), published);
    assert_eq!(log.checkpoint("source").as_deref(), Some(&b"3"[..]));
    log.close();
    tidegate_log::verify(folder.path()).expect("it is whole");
}

fn publish(name: &str, n: u64) -> Entry {
    match name {
        "plain" => append("plain", "p/1", n.to_string()),
        name => upsert(name, "o/1", &(n % 100).to_string(), vec![b'1'; 500]),
    }
}
