//! Every place where a batch in parts can fail: nothing of it is there, or all, and what was refused can be tried again.

mod common;

use std::sync::Arc;

use common::{append, batch, content, delete, no_leftovers, upsert};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidegate_core::ChannelId;
use tidegate_log::disk::SimDisk;
use tidegate_log::{AppendError, Batch, ChannelSpec, Entry, Health, LargeBatch, LargeCommit, Options, SteppedLog};

fn options() -> Options {
    Options { journal_bytes: 256 * 1024, segment_bytes_max: 64 * 1024, view_cache_bytes: 1 << 20, ..Options::new("") }
}

fn specs() -> Vec<ChannelSpec> {
    vec![ChannelSpec::plain("plain"), ChannelSpec::keyed("keyed"), ChannelSpec::keyed("other")]
}

fn open(disk: &SimDisk) -> SteppedLog {
    SteppedLog::open(Arc::new(disk.clone()), options(), &specs()).expect("open")
}

fn checkpoint(value: &str) -> LargeCommit {
    LargeCommit { checkpoints: vec![("source".into(), value.to_owned().into())], ..LargeCommit::default() }
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
                assert_eq!(large.part(parts(SMALL).remove(0)), Err(AppendError::Closed), "the last records are marked");
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
