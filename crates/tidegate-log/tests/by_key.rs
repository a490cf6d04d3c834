//! Where a key has rows: random changes, large batches, drains and openings against a model.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{append, batch, clear, delete, names, upsert};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidegate_log::disk::SimDisk;
use tidegate_log::{ChannelSpec, Entry, LargeCommit, Options, ReadError, SteppedLog};

/// Some that begin alike, and some that only look as if one of them ended in an address.
const KEYS: [&str; 6] = ["a", "aa", "aaa/b", "a\0", "a\0b/1", "\u{10ffff}"];

fn specs(by_key: bool, ephemeral: bool) -> [ChannelSpec; 2] {
    let mut keyed = ChannelSpec { by_key, ..ChannelSpec::keyed("keyed") };
    keyed.retain.ephemeral = ephemeral;
    [keyed, ChannelSpec { by_key: true, ..ChannelSpec::plain("plain") }]
}

fn open(disk: &SimDisk, specs: &[ChannelSpec]) -> SteppedLog {
    let options = Options { journal_bytes: 64 * 1024, view_cache_bytes: 1 << 20, ..Options::new("") };
    SteppedLog::open(Arc::new(disk.clone()), options, specs).expect("open")
}

fn check(log: &SteppedLog, model: &BTreeSet<(String, String)>) {
    let channel = log.channel("keyed").expect("keyed");
    for key in KEYS {
        assert_eq!(names(&channel.addresses_of(key).expect("read")), wanted(model, key), "{key:?}");
    }
}

fn wanted(model: &BTreeSet<(String, String)>, key: &str) -> Vec<String> {
    model.iter().filter(|(_, own)| own == key).map(|(at, _)| at.clone()).collect()
}

/// One to five changes, moves among them.
fn change(rng: &mut StdRng, model: &mut BTreeSet<(String, String)>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for _ in 0..rng.random_range(1..=5) {
        let (at, key) = (format!("b/{}", rng.random_range(0..4)), KEYS[rng.random_range(0..KEYS.len())]);
        match rng.random_range(0..60) {
            0 => {
                model.clear();
                entries.push(clear("keyed"));
            }
            1..20 => {
                model.remove(&(at.clone(), key.to_owned()));
                entries.push(delete("keyed", &at, key));
            }
            20..35 => {
                let from: Vec<_> = model.iter().filter(|(_, own)| own == key).cloned().collect();
                for (at, key) in from {
                    entries.push(delete("keyed", &at, &key));
                    model.remove(&(at, key));
                }
                model.insert((at.clone(), key.to_owned()));
                entries.push(upsert("keyed", &at, key, "1"));
            }
            _ => {
                model.insert((at.clone(), key.to_owned()));
                entries.push(upsert("keyed", &at, key, "2"));
            }
        }
    }
    entries
}

/// A large batch, looked at after each part, and given up now and then.
fn large(log: &SteppedLog, rng: &mut StdRng, model: &mut BTreeSet<(String, String)>) {
    let mut batch = log.begin(None).expect("begun");
    let (before, channel) = (model.clone(), log.channel("keyed").expect("keyed").id());
    for _ in 0..rng.random_range(1..8) {
        batch.part(change(rng, model)).expect("a part");
        for key in KEYS {
            assert_eq!(names(&batch.addresses_of(channel, key).expect("read")), wanted(model, key), "{key:?}");
        }
        check(log, &before);
    }
    match rng.random_bool(0.7) {
        true => drop(batch.commit(LargeCommit::default()).expect("committed")),
        false => *model = before,
    }
}

fn history(seed: u64, ephemeral: bool) {
    println!("TIDEGATE_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (disk, mut model) = (SimDisk::new(), BTreeSet::new());
    let mut log = open(&disk, &specs(true, ephemeral));
    for _ in 0..600 {
        log.append(batch(change(&mut rng, &mut model))).expect("appended");
        match rng.random_range(0..30) {
            0 => drop(log.drain().expect("drained")),
            // Without its index for a while, so that it is dropped, and built of rows that changed meanwhile.
            1 if !ephemeral => {
                log.close();
                log = open(&disk, &specs(false, ephemeral));
                let channel = log.channel("keyed").expect("keyed");
                assert!(matches!(channel.addresses_of("a"), Err(ReadError::NotByKey)));
                log.append(batch(change(&mut rng, &mut model))).expect("appended");
                if rng.random_bool(0.5) {
                    log.drain().expect("drained");
                }
                log.close();
                log = open(&disk, &specs(true, ephemeral));
            }
            2 if !ephemeral => {
                log.close();
                log = open(&disk, &specs(true, ephemeral));
            }
            3 if !ephemeral => large(&log, &mut rng, &mut model),
            _ => {}
        }
        check(&log, &model);
    }
    log.drain().expect("drained");
    log.close();
    SteppedLog::verify(Arc::new(disk)).expect("whole: the index has each row");
}

fn seed() -> u64 {
    std::env::var("TIDEGATE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"))
}

#[test]
fn it_is_what_the_rows_say() {
    history(seed(), false);
}

#[test]
fn it_is_there_without_a_disk_too() {
    history(seed(), true);
}

#[test]
fn a_large_view_is_indexed_when_it_is_asked_for() {
    let disk = SimDisk::new();
    let log = open(&disk, &specs(false, false));
    for hundred in 0..250 {
        let row = |n: u32| upsert("keyed", &format!("b/{}", n % 7), &format!("k{n}"), "1");
        log.append(batch((hundred * 100..hundred * 100 + 100).map(row))).expect("appended");
    }
    log.drain().expect("drained");
    log.close();
    let log = open(&disk, &specs(true, false));
    let channel = log.channel("keyed").expect("keyed");
    for n in (0..25_000).step_by(999) {
        let found = channel.addresses_of(&format!("k{n}")).expect("read");
        assert_eq!(names(&found), [format!("b/{}", n % 7)]);
    }
    log.close();
    assert_eq!(SteppedLog::verify(Arc::new(disk)).expect("whole").rows, 25_000);
}

#[test]
fn only_a_keyed_channel_that_asks_has_it() {
    let disk = SimDisk::new();
    let log = open(&disk, &specs(true, false));
    log.append(batch([append("plain", "b/1", "1")])).expect("appended");
    assert!(matches!(log.channel("plain").expect("plain").addresses_of("a"), Err(ReadError::NotKeyed)));
}
