//! Batches that come in parts: what they own, and what of them is seen when.

mod common;

use std::sync::Arc;

use common::{address, append, batch, clear, content, delete, idempotency, no_leftovers, upsert};
use tidegate_core::ChannelId;
use tidegate_log::disk::SimDisk;
use tidegate_log::{AppendError, Appended, Batch, ChannelSpec, LargeBatch, LargeCommit, Log, Options, SteppedLog};

/// A source may hand it from thread to thread.
const _: fn() = || {
    fn sent<T: Send + Sync>() {}
    sent::<LargeBatch>();
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
