//! Batches that stand together: in order, and none of them if one is refused.

mod common;

use std::sync::Arc;

use common::{append, batch, clear, idempotency, upsert};
use tidegate_core::ChannelId;
use tidegate_log::disk::SimDisk;
use tidegate_log::{AppendError, Batch, ChannelSpec, Options, SteppedLog};

fn open(disk: &SimDisk) -> SteppedLog {
    let options = Options { batch_bytes_max: 64 * 1024, view_cache_bytes: 1 << 20, ..Options::new("") };
    let specs = [ChannelSpec::plain("plain"), ChannelSpec::keyed("keyed")];
    SteppedLog::open(Arc::new(disk.clone()), options, &specs).expect("open")
}

fn heads(log: &SteppedLog) -> [u64; 2] {
    ["plain", "keyed"].map(|name| log.channel(name).expect("a channel").head())
}

fn keyed(entries: impl IntoIterator<Item = tidegate_log::Entry>, key: &str, body: u8) -> Batch {
    Batch { idempotency: Some(idempotency("plain", key, body)), ..batch(entries) }
}

#[test]
fn they_stand_in_order_and_each_sees_those_before_it() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let batches = vec![
        batch([upsert("keyed", "k", "1", "1")]),
        Batch { checkpoints: vec![("source".into(), "1".into())], ..batch([]) },
        batch([upsert("keyed", "k", "1", "2"), append("plain", "a", "1")]),
        Batch { checkpoints: vec![("source".into(), "2".into())], ..batch([]) },
    ];
    let answers = log.append_all(batches).expect("appended");
    let last: Vec<_> = answers.iter().map(|answer| answer.offset(ChannelId::of("keyed"))).collect();
    assert_eq!(last, [Some(1), None, Some(2), None]);
    let (row, _) = log.channel("keyed").expect("keyed").row(&common::address("k"), "1").expect("read");
    assert_eq!(row.expect("a row").data, "2");
    assert_eq!(log.checkpoint("source").as_deref(), Some(&b"2"[..]));
    assert_eq!(log.append_all(Vec::new()), Ok(Vec::new()));
}

#[test]
fn what_refuses_one_refuses_all_before_anything_is_written() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.append(keyed([append("plain", "a", "1")], "used", 1)).expect("appended");
    let before = log.stats().journal_bytes_written;
    let good = || batch([append("plain", "a", "2"), upsert("keyed", "k", "1", "1")]);
    let refused: [(Batch, AppendError); 5] = [
        (batch([append("plain", "a", vec![b'1'; 65 * 1024])]), AppendError::TooLarge),
        (batch([append("keyed", "a", "1")]), AppendError::Unfit("a keyed channel takes no appends")),
        (batch([append("nowhere", "a", "1")]), AppendError::UnknownChannel),
        (keyed([append("plain", "a", "3")], "used", 2), AppendError::IdempotencyMismatch),
        (keyed([clear("keyed")], "mine", 2), AppendError::IdempotencyMismatch),
    ];
    for (bad, error) in refused {
        let mine = keyed([append("plain", "a", "3")], "mine", 1);
        assert_eq!(log.append_all(vec![good(), mine, bad, good()]), Err(error));
        assert_eq!((heads(&log), log.stats().journal_bytes_written), ([1, 0], before));
    }
    let many = std::iter::repeat_with(|| batch([append("plain", "a", vec![b'1'; 60 * 1024])])).take(1_200);
    assert_eq!(log.append_all(many.collect()), Err(AppendError::TooLarge), "over 64 MiB together");
    assert_eq!(heads(&log), [1, 0]);
}

#[test]
fn a_repeat_gets_the_first_answer_also_among_themselves() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let first = keyed([append("plain", "a", "1")], "one", 1);
    let second = keyed([append("plain", "a", "2")], "two", 1);
    let old = log.append(first.clone()).expect("appended");
    let answers = log.append_all(vec![second.clone(), first, second]).expect("appended");
    assert_eq!(answers.iter().map(|answer| answer.replayed).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!((&answers[1].last, &answers[2].last), (&old.last, &answers[0].last));
    assert_eq!(heads(&log), [2, 0]);
}
