//! A disk that fails: a sync that fails poisons, a full disk refuses and recovers.

mod common;

use std::sync::Arc;

use common::{ALL, append, batch, no_leftovers, scope, upsert};
use tidegate_log::disk::SimDisk;
use tidegate_log::{AppendError, ChannelSpec, DrainError, Health, Options, SteppedLog};

fn options() -> Options {
    Options { journal_bytes: 256 * 1024, view_cache_bytes: 1 << 20, ..Options::new("") }
}

fn open(disk: &SimDisk) -> SteppedLog {
    let specs = [ChannelSpec::plain("plain"), ChannelSpec::keyed("keyed")];
    SteppedLog::open(Arc::new(disk.clone()), options(), &specs).expect("open")
}

fn offsets(log: &SteppedLog) -> Vec<u64> {
    let page = log.channel("plain").expect("plain").read(0, u64::MAX, &scope("a/*"), ALL).expect("read");
    page.records.iter().map(|record| record.offset).collect()
}

#[test]
fn a_failed_sync_poisons_and_reads_go_on() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.append(batch([append("plain", "a/1", "1")])).expect("appended");
    disk.fail_sync_after(0);
    assert_eq!(log.append(batch([append("plain", "a/2", "2")])), Err(AppendError::Poisoned));
    assert_eq!(log.health(), Health::Poisoned);
    // The disk is well again; the log does not believe it.
    assert_eq!(log.append(batch([append("plain", "a/3", "3")])), Err(AppendError::Poisoned));
    assert!(matches!(log.drain(), Err(DrainError::Poisoned)));
    assert_eq!(offsets(&log), [1]);
    drop(log);
    let log = open(&disk.process_killed());
    assert_eq!(log.health(), Health::Good);
    // What the failed sync left is whole or absent; here the page cache still had it.
    assert_eq!(log.append(batch([append("plain", "a/4", "4")])).expect("appended").last[0].1, 3);
}

#[test]
fn a_sync_that_fails_in_a_drain_poisons_and_loses_nothing() {
    for syncs in 0..12 {
        let disk = SimDisk::new();
        let log = open(&disk);
        log.append(batch([append("plain", "a/1", "1"), upsert("keyed", "k", "1", "1")])).expect("appended");
        disk.fail_sync_after(syncs);
        let drained = log.drain();
        assert_eq!(drained.is_err(), log.health() == Health::Poisoned, "after {syncs}: {drained:?}");
        assert_eq!(offsets(&log), [1]);
        drop(log);
        let mut rng: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(syncs);
        let log = open(&disk.power_loss(&mut rng));
        assert_eq!(offsets(&log), [1], "after {syncs}");
        assert!(log.channel("keyed").expect("keyed").row(&common::address("k"), "1").expect("row").0.is_some());
        if drained.is_ok() {
            return;
        }
    }
    panic!("a drain has fewer syncs than this");
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let disk = SimDisk::new();
    let log = open(&disk);
    let big = || batch([append("plain", "a/1", vec![b'1'; 3000])]);
    log.append(big()).expect("appended");
    disk.set_capacity(Some(disk.used() + 200_000));
    let mut taken = 1;
    loop {
        match log.append(big()) {
            Ok(_) => taken += 1,
            Err(AppendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(log.health(), Health::Full);
    // A drain needs space too. It fails without harm, as often as it is tried.
    for _ in 0..3 {
        assert!(log.drain().is_err());
        assert_eq!(offsets(&log), (1..=taken).collect::<Vec<u64>>());
    }
    assert!(taken > 40, "{taken}");

    // A process that starts on the full disk has all of it.
    let full = disk.copy();
    full.set_capacity(Some(full.used()));
    let other = open(&full);
    assert_eq!(offsets(&other), (1..=taken).collect::<Vec<u64>>(), "what was refused is not there");
    assert!(other.drain().is_err());
    assert_eq!(other.append(big()), Err(AppendError::Full));
    assert_eq!(other.health(), Health::Full);
    full.set_capacity(None);
    other.append(big()).expect("appended");
    other.drain().expect("drained");
    assert_eq!(offsets(&other).len() as u64, taken + 1);
    drop(other);

    disk.set_capacity(None);
    log.append(big()).expect("appended");
    assert_eq!(log.health(), Health::Good);
    log.drain().expect("drained");
    assert_eq!(offsets(&log), (1..=taken + 1).collect::<Vec<u64>>());
    drop(log);
    assert_eq!(offsets(&open(&disk.process_killed())), (1..=taken + 1).collect::<Vec<u64>>());
}

/// The disk fills at every possible place of a drain; whatever fails, nothing is lost and the next one succeeds.
#[test]
fn a_drain_that_runs_out_of_space_anywhere_is_tried_again() {
    let disk = SimDisk::new();
    let log = open(&disk);
    for n in 0..300 {
        let key = n.to_string();
        log.append(batch([append("plain", "a/1", vec![b'1'; 600]), upsert("keyed", "k", &key, vec![b'2'; 3000])]))
            .expect("appended");
    }
    drop(log);
    let disk = disk.process_killed();
    let mut failed = 0;
    for spare in (0..4_000_000).step_by(37_000) {
        let copy = disk.copy();
        let log = open(&copy);
        copy.set_capacity(Some(copy.used() + spare));
        let drained = log.drain();
        failed += u64::from(drained.is_err());
        assert_ne!(log.health(), Health::Poisoned);
        assert_eq!(offsets(&log).len(), 300);
        copy.set_capacity(None);
        log.drain().expect("with space it succeeds");
        no_leftovers(&copy, &log);
        log.append(batch([upsert("keyed", "k", "7", "7")])).expect("the view is there for before-images");
        whole(&log);
        drop(log);
        whole(&open(&copy.process_killed()));
    }
    assert!(failed > 10, "{failed}");
}

fn whole(log: &SteppedLog) {
    assert_eq!(offsets(log).len(), 300);
    let rows = log.channel("keyed").expect("keyed").rows(&scope("k"), None, ALL).expect("rows");
    assert_eq!(rows.rows.len(), 300);
}
