//! Power losses and kills at random operations, against a model in memory that is obviously right.
//!
//! The model is a list of batches: acknowledged ones must be there, once, in order; of those that were under way when the power
//! went, each is there whole or not at all, in the order they were sent. What the log holds after each crash is compared with the
//! model in full: records, before-images, rows, checkpoints, answers to repeats.
//!
//! `TIDEGATE_CRASHES` says how many crashes, `TIDEGATE_SEED` which history to repeat.

mod check;
#[path = "../common/mod.rs"]
mod common;
mod large;
mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{append, batch, clear, delete, gap, idempotency, notice, upsert};
use large::Open;
use model::{CHANNELS, Model};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tidegate_core::Op;
use tidegate_log::disk::{Disk, SimDisk};
use tidegate_log::{AppendError, Appended, Batch, ChannelSpec, Clock, Entry, Health, Options, SteppedLog, loaded_mark};

/// Crashes of one folder before a new one is begun.
const CRASHES_PER_FOLDER: u64 = 40;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_invented() {
    let crashes: u64 = env("TIDEGATE_CRASHES").unwrap_or(3_000);
    let seed: u64 = env("TIDEGATE_SEED").unwrap_or_else(rand::random);
    let began = std::time::Instant::now();
    println!("TIDEGATE_SEED={seed} TIDEGATE_CRASHES={crashes}");
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    let folders = crashes.div_ceil(CRASHES_PER_FOLDER);
    let next = AtomicU64::new(0);
    let totals = [const { AtomicU64::new(0) }; 5];
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let folder = next.fetch_add(1, Ordering::Relaxed);
                    if folder >= folders {
                        return;
                    }
                    let _named = Named(seed.wrapping_add(folder));
                    let mut history = History::new(seed.wrapping_add(folder));
                    history.run(CRASHES_PER_FOLDER);
                    for (total, own) in totals.iter().zip(history.counts) {
                        total.fetch_add(own, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let [crashed, batches, drains, merges, large] = totals.map(AtomicU64::into_inner);
    println!(
        "{crashed} crashes, {batches} batches, {large} large ones, {drains} drains, {merges} merges in {:?}",
        began.elapsed()
    );
    assert!(crashed >= crashes && batches > 0 && drains > 0 && (merges > 0 && large > 0 || crashes < 500));
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Says which history failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this history: TIDEGATE_SEED={} TIDEGATE_CRASHES=1", self.0);
        }
    }
}

/// A batch that was sent.
#[derive(Clone, Debug)]
struct Sent {
    batch: Batch,
    answer: Option<Appended>,
}

/// One folder and what is done to it.
struct History {
    rng: StdRng,
    disk: SimDisk,
    clock: Arc<AtomicU64>,
    model: Model,
    /// Sent since the last crash and not answered: they may be there, in this order.
    uncertain: Vec<Batch>,
    open: Vec<Open>,
    serial: u64,
    /// Whether the channel `keyed` is to have an index of keys in this life; `keyed2` always has one.
    by_key: bool,
    /// Crashes, batches, drains, merges, large batches.
    counts: [u64; 5],
}

impl History {
    fn new(seed: u64) -> History {
        History {
            rng: StdRng::seed_from_u64(seed),
            disk: SimDisk::new(),
            clock: Arc::new(AtomicU64::new(1_000_000)),
            model: Model::default(),
            uncertain: Vec::new(),
            open: Vec::new(),
            serial: 0,
            by_key: false,
            counts: [0; 5],
        }
    }

    fn options(&self) -> Options {
        Options {
            journal_bytes: 64 * 1024,
            segment_bytes_max: 256 * 1024,
            view_cache_bytes: 1024 * 1024,
            scan_bytes_max: 32 * 1024,
            clock: Clock::Manual(self.clock.clone()),
            ..Options::new("")
        }
    }

    fn specs(&self) -> Vec<ChannelSpec> {
        let mut specs = vec![
            ChannelSpec::plain(CHANNELS[0]),
            ChannelSpec::plain(CHANNELS[1]),
            ChannelSpec::keyed(CHANNELS[2]),
            ChannelSpec::keyed(CHANNELS[3]),
        ];
        specs[1].retain.age = Some(Duration::from_secs(60));
        specs[2].retain.bytes = Some(8 * 1024);
        specs[2].by_key = self.by_key;
        specs[3].by_key = true;
        specs
    }

    fn run(&mut self, crashes: u64) {
        while self.counts[0] < crashes {
            let reach = *[3u64, 20, 60, 200, 600].choose(&mut self.rng).expect("not empty");
            self.disk.cut_after(self.rng.random_range(0..reach));
            self.by_key = self.rng.random_bool(0.5);
            match SteppedLog::open(Arc::new(self.disk.clone()), self.options(), &self.specs()) {
                Ok(log) => {
                    self.settle(&log);
                    self.check(&log);
                    self.work(&log);
                }
                Err(error) => assert!(self.disk.is_off(), "only a power loss keeps the log from opening: {error}"),
            }
            self.counts[0] += 1;
            self.disk = match self.rng.random_bool(0.8) {
                true => self.disk.power_loss(&mut self.rng),
                false => self.disk.process_killed(),
            };
            self.open.clear(); // they end with the process, and the disk no longer listens to it
        }
        let log = SteppedLog::open(Arc::new(self.disk.clone()), self.options(), &self.specs()).expect("it opens");
        self.settle(&log);
        self.check(&log);
        log.close();
        let report = SteppedLog::verify(Arc::new(self.disk.clone())).expect("it is whole");
        assert_eq!(report.journal_torn_bytes, 0);
        let files = |dir| self.disk.list(dir).expect("listed").len() as u64;
        assert_eq!((files("segments"), files("scratch")), (report.segments, 0), "nothing is left behind");
    }

    /// After a crash: which of the uncertain batches are there? The heads tell, and must fit a prefix of them.
    fn settle(&mut self, log: &SteppedLog) {
        let heads = CHANNELS.map(|name| log.channel(name).expect("a channel").head());
        let checkpoint = log.checkpoint("source");
        let mut model = self.model.clone();
        let mut found = None;
        for upto in 0..=self.uncertain.len() {
            if upto > 0 {
                model.apply(&self.uncertain[upto - 1]);
            }
            if model.heads() == heads && model.checkpoint == checkpoint {
                found = Some(model.clone()); // the longest prefix that looks like it; the check compares all of it
            }
        }
        self.model = found.unwrap_or_else(|| {
            let known = self.model.heads();
            panic!("heads {heads:?} are those of no prefix: {known:?} and then {:?}", self.uncertain)
        });
        self.uncertain.clear();
    }

    /// Works until the power goes or enough was done.
    fn work(&mut self, log: &SteppedLog) {
        for _ in 0..self.rng.random_range(1..60) {
            if self.disk.is_off() {
                return;
            }
            self.clock.fetch_add(self.rng.random_range(0..5_000), Ordering::Relaxed);
            match self.rng.random_range(0..100) {
                0..55 => self.append_group(log),
                55..78 => self.large(log),
                78..90 => match log.drain() {
                    Ok(drained) => self.counts[2] += u64::from(drained),
                    Err(error) => assert!(self.disk.is_off(), "{error}"),
                },
                90..94 => match log.merge() {
                    Ok(merged) => self.counts[3] += u64::from(merged),
                    Err(error) => assert!(self.disk.is_off(), "{error}"),
                },
                94..97 => drop(log.retain()),
                _ if !self.disk.is_off() => self.check(log),
                _ => {}
            }
        }
    }

    fn append_group(&mut self, log: &SteppedLog) {
        let mut group: Vec<Sent> = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let batch = match self.rng.random_range(0..10) {
                0 => group.first().map(|sent| sent.batch.clone()).unwrap_or_else(|| self.batch()),
                1 | 2 => self.repeat().unwrap_or_else(|| self.batch()),
                _ => self.batch(),
            };
            group.push(Sent { batch, answer: None });
        }
        let batches: Vec<Batch> = group.iter().map(|sent| sent.batch.clone()).collect();
        let together = self.rng.random_bool(0.5);
        let outcomes: Vec<_> = match together {
            false => log.append_group(batches),
            // All or nothing, but for what a crash leaves: that is a prefix of them.
            true => match log.append_all(batches) {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => group.iter().map(|_| Err(error.clone())).collect(),
            },
        };
        self.counts[1] += group.len() as u64;
        let busy: Vec<bool> = group.iter().map(|sent| self.is_busy(&sent.batch)).collect();
        let any = together && busy.contains(&true);
        for ((sent, outcome), busy) in group.iter_mut().zip(outcomes).zip(&busy) {
            match outcome {
                Ok(answer) => {
                    assert!(!busy && !any, "a large batch owns the channel");
                    sent.answer = Some(answer);
                }
                Err(AppendError::IdempotencyMismatch) => panic!("the same body"),
                Err(AppendError::Busy) => assert!(*busy || any),
                Err(error) => assert!(self.disk.is_off(), "{error}"),
            }
        }
        let mut busy = busy.into_iter();
        group.retain(|_| !(busy.next() == Some(true) || any));
        for Sent { batch, answer } in group {
            self.account(log, batch, answer);
        }
    }

    /// Puts a batch and its answer, if one came, into the model.
    fn account(&mut self, log: &SteppedLog, batch: Batch, answer: Option<Appended>) {
        let first = batch.idempotency.as_ref().and_then(|key| self.model.answers.get(&key.key));
        match (answer, first) {
            (Some(answer), Some((_, first))) => {
                assert_eq!(answer, Appended { replayed: true, ..first.clone() }, "a repeat gets the first answer");
            }
            (Some(answer), None) => assert_eq!(answer, self.model.apply(&batch)),
            // Refused since the power went; a repeat of one that is there changes nothing.
            (None, Some(_)) => {}
            (None, None) => {
                let twice = batch.idempotency.as_ref().is_some_and(|key| {
                    self.uncertain.iter().any(|other| other.idempotency.as_ref().is_some_and(|o| o.key == key.key))
                });
                if !twice {
                    self.uncertain.push(batch);
                }
                assert_ne!(log.health(), Health::Good);
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let count = *[0, 1, 1, 2, 5, 30].choose(&mut self.rng).expect("not empty");
        let entries: Vec<Entry> = (0..count).map(|_| self.entry()).collect();
        let mut made = batch(entries);
        self.serial += 1;
        if self.rng.random_bool(0.3) {
            made.checkpoints = checkpoint(self.serial);
        }
        if self.rng.random_bool(0.4) {
            made.idempotency = Some(idempotency("plain", &format!("k{}", self.serial), 1));
        }
        if self.rng.random_bool(0.3) {
            made.tx = Some(format!("tx {}", self.serial).into());
        }
        self.showing(made)
    }

    /// Whether a batch survived a crash must show: a key alone, or with deletes of nothing, does not.
    fn showing(&mut self, mut made: Batch) -> Batch {
        if !made.entries.iter().any(|entry| matches!(entry.op, Op::Append | Op::Upsert)) {
            made.checkpoints = checkpoint(self.serial);
        }
        made
    }

    fn entry(&mut self) -> Entry {
        self.serial += 1;
        let size = *[0, 10, 100, 700, 3000].choose(&mut self.rng).expect("not empty");
        let data = format!("{}{}", self.serial, "x".repeat(size));
        let at = format!("a/{}", self.rng.random_range(0..6));
        let key = format!("k{}", self.rng.random_range(0..5));
        match self.rng.random_range(0..22) {
            20 => gap(CHANNELS.choose(&mut self.rng).expect("not empty")),
            21 => notice(CHANNELS.choose(&mut self.rng).expect("not empty"), self.serial),
            0..5 => append("plain", &at, data),
            5..9 => append("bounded", &at, data),
            9..13 => upsert("keyed", &at, &key, data),
            13..15 => delete("keyed", &at, &key),
            15..18 => upsert("keyed2", &at, &key, data),
            18 => delete("keyed2", &at, &key),
            _ if self.rng.random_bool(0.2) => clear("keyed2"),
            _ => upsert("keyed2", &at, &key, data),
        }
    }

    /// A batch that was acknowledged long ago, again.
    fn repeat(&mut self) -> Option<Batch> {
        // Only keys that the window still holds; it is 600 s by the test's clock.
        let all: Vec<&(Batch, Appended)> = self.model.answers.values().collect();
        let (batch, _) = all.choose(&mut self.rng)?;
        let serial: u64 = batch.idempotency.as_ref()?.key[1..].parse().ok()?;
        (serial + 60 > self.serial).then(|| batch.clone())
    }
}

/// What a source notes, and with it that it has loaded.
fn checkpoint(serial: u64) -> Vec<(String, Bytes)> {
    let mark = loaded_mark("source", CHANNELS[0]);
    vec![("source".into(), serial.to_string().into()), (mark, serial.to_string().into())]
}
