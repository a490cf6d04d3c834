//! Power losses and kills at random operations, against a model in memory that is obviously right.
//!
//! The model is a list of batches: acknowledged ones must be there, once, in order; of those that were under way when the power
//! went, each is there whole or not at all, in the order they were sent. What the log holds after each crash is compared with the
//! model in full: records, before-images, rows, checkpoints, answers to repeats.
//!
//! `TIDEGATE_CRASHES` says how many crashes, `TIDEGATE_SEED` which history to repeat.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{ALL, address, append, batch, clear, delete, gap, idempotency, names, notice, scope, upsert};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tidegate_core::{ChannelId, Op};
use tidegate_log::disk::{Disk, SimDisk};
use tidegate_log::{
    AppendError, Appended, Batch, ChannelSpec, Clock, Entry, Health, LargeBatch, LargeCommit, Options, ReadError,
    SteppedLog, loaded_mark,
};

const CHANNELS: [&str; 4] = ["plain", "bounded", "keyed", "keyed2"];
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

/// A record as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    op: Op,
    address: String,
    key: Option<String>,
    data: Bytes,
    before: Option<Bytes>,
    /// Whether it is the last of its transaction.
    tx: Option<(String, bool)>,
}

type Rows = BTreeMap<(String, String), (Bytes, u64)>;

/// What the log must hold.
#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<&'static str, Vec<Known>>,
    rows: BTreeMap<&'static str, Rows>,
    checkpoint: Option<Bytes>,
    answers: BTreeMap<String, (Batch, Appended)>,
}

impl Model {
    /// The whole of what the log must do with a batch.
    fn apply(&mut self, batch: &Batch) -> Appended {
        let mut last: Vec<(ChannelId, u64)> = Vec::new();
        let before = self.heads();
        for entry in &batch.entries {
            let name = *CHANNELS.iter().find(|name| ChannelId::of(name) == entry.channel).expect("a channel");
            let records = self.records.entry(name).or_default();
            let rows = self.rows.entry(name).or_default();
            let row = (entry.address.as_str().to_owned(), entry.key.clone().unwrap_or_default().into_string());
            let before = rows.get(&row).map(|(data, _)| data.clone());
            let offset = records.len() as u64 + 1;
            let keep = match entry.op {
                Op::Append | Op::Gap | Op::Notice => true,
                Op::Upsert => {
                    rows.insert(row, (entry.data.clone(), offset));
                    true
                }
                Op::Delete => rows.remove(&row).is_some(),
                Op::Clear => {
                    rows.clear();
                    true
                }
            };
            if keep {
                records.push(Known {
                    op: entry.op,
                    address: entry.address.as_str().to_owned(),
                    key: entry.key.as_deref().map(str::to_owned),
                    data: entry.data.clone(),
                    before: before.filter(|_| !entry.op.is_channel_wide()),
                    tx: batch.tx.as_ref().map(|id| (id.to_string(), false)),
                });
            }
            let head = records.len() as u64;
            match last.iter_mut().find(|(id, _)| *id == entry.channel) {
                Some((_, offset)) => *offset = head,
                None => last.push((entry.channel, head)),
            }
        }
        for (name, before) in CHANNELS.iter().zip(before) {
            let records = self.records.get_mut(name).map(|records| &mut records[before as usize..]);
            if let Some((_, last)) = records.and_then(<[Known]>::last_mut).and_then(|record| record.tx.as_mut()) {
                *last = true;
            }
        }
        for (_, bytes) in &batch.checkpoints {
            self.checkpoint = Some(bytes.clone());
        }
        let answer = Appended { last, count: batch.entries.len() as u64, replayed: false };
        if let Some(key) = &batch.idempotency {
            self.answers.insert(key.key.clone(), (batch.clone(), answer.clone()));
        }
        answer
    }

    fn addresses_of(&self, name: &str, key: &str) -> Vec<String> {
        let rows = self.rows.get(name).into_iter().flat_map(BTreeMap::keys);
        rows.filter(|(_, own)| own == key).map(|(address, _)| address.clone()).collect()
    }

    fn heads(&self) -> [u64; 4] {
        CHANNELS.map(|name| self.records.get(name).map_or(0, |records| records.len() as u64))
    }
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

/// A large batch that has not ended, and what it will be.
struct Open {
    large: LargeBatch,
    whole: Batch,
    /// Channels that it owns.
    owned: BTreeSet<u64>,
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

    /// Whether a large batch owns what a batch needs; a repeat needs nothing.
    fn is_busy(&self, batch: &Batch) -> bool {
        let owned = |open: &Open| batch.entries.iter().any(|entry| open.owned.contains(&entry.channel.to_bits()));
        let there = batch.idempotency.as_ref().is_some_and(|key| self.model.answers.contains_key(&key.key));
        !there && self.open.iter().any(owned)
    }

    /// One step of some large batch.
    fn large(&mut self, log: &SteppedLog) {
        let at = self.rng.random_range(0..3);
        if at >= self.open.len() {
            let tx = self.rng.random_bool(0.5).then(|| format!("large {}", self.serial).into());
            match log.begin(tx.clone()) {
                Ok(large) => {
                    let whole = Batch { tx, ..Batch::default() };
                    self.open.push(Open { large, whole, owned: BTreeSet::new() });
                }
                Err(error) => assert!(self.disk.is_off(), "{error}"),
            }
            return;
        }
        match self.rng.random_range(0..10) {
            0..6 => self.part(at),
            6..9 => self.commit(log, at),
            _ => self.open.swap_remove(at).large.abort(),
        }
    }

    fn part(&mut self, at: usize) {
        let count = *[0, 1, 5, 30, 30, 200].choose(&mut self.rng).expect("not empty");
        let entries: Vec<Entry> = (0..count).map(|_| self.entry()).collect();
        let touched: BTreeSet<u64> = entries.iter().map(|entry| entry.channel.to_bits()).collect();
        let others = self.open.iter().enumerate().filter(|(other, _)| *other != at);
        let busy = others.flat_map(|(_, open)| &open.owned).any(|id| touched.contains(id));
        match self.open[at].large.part(entries.clone()) {
            Ok(()) => {
                assert!(!busy, "the channel is another's");
                self.open[at].owned.extend(touched);
                self.open[at].whole.entries.extend(entries);
                self.check_unfinished(at);
            }
            Err(AppendError::Busy) => assert!(busy),
            Err(error) => {
                assert!(self.disk.is_off(), "{error}");
                self.open.swap_remove(at);
            }
        }
    }

    /// An open batch shows the rows that it would make.
    fn check_unfinished(&mut self, at: usize) {
        if self.disk.is_off() {
            return;
        }
        let mut model = self.model.clone();
        model.apply(&self.open[at].whole);
        for name in ["keyed", "keyed2"] {
            for n in 0..6 {
                let (address, key) = (address(&format!("a/{n}")), format!("k{}", self.rng.random_range(0..5)));
                let row = self.open[at].large.row(ChannelId::of(name), &address, &key).expect("a row");
                let rows = model.rows.get(name);
                let known = rows.and_then(|rows| rows.get(&(address.as_str().to_owned(), key)));
                assert_eq!(row.as_ref(), known.map(|(data, _)| data));
            }
        }
    }

    fn commit(&mut self, log: &SteppedLog, at: usize) {
        let Open { mut large, mut whole, .. } = self.open.swap_remove(at);
        (whole.checkpoints, whole.idempotency) = {
            let made = self.batch();
            (made.checkpoints, made.idempotency)
        };
        let whole = self.showing(whole);
        let commit = LargeCommit { checkpoints: whole.checkpoints.clone(), idempotency: whole.idempotency.clone() };
        if self.disk.is_off() {
            return;
        }
        let answer = large.commit(commit);
        assert!(answer.is_ok() || self.disk.is_off(), "{answer:?}");
        self.counts[4] += u64::from(answer.is_ok());
        self.account(log, whole, answer.ok());
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

    /// Everything that the log shows is what the model says.
    fn check(&mut self, log: &SteppedLog) {
        if self.disk.is_off() {
            return;
        }
        for name in CHANNELS {
            if let Err(error) = self.check_channel(log, name) {
                panic!("{name}: {error}");
            }
        }
        assert_eq!(log.checkpoint("source"), self.model.checkpoint);
        assert_eq!(log.checkpoint(&loaded_mark("source", CHANNELS[0])), self.model.checkpoint);
    }

    fn check_channel(&mut self, log: &SteppedLog, name: &'static str) -> Result<(), ReadError> {
        let channel = log.channel(name).expect("a channel");
        let empty = Vec::new();
        let known = self.model.records.get(name).unwrap_or(&empty);
        assert_eq!(channel.head(), known.len() as u64, "{name}");
        let start = channel.start();
        assert!(start <= channel.head() && (start == 0 || name == "bounded" || name == "keyed"), "{name} {start}");
        let held = &known[start as usize..];

        let mut after = start;
        let mut seen = Vec::new();
        let mut appended = 0;
        while after < channel.head() {
            let page = channel.read(after, u64::MAX, &scope("a/*"), ALL)?;
            assert!(page.upto > after);
            for record in &page.records {
                assert!(record.offset > after && record.appended.0 >= appended);
                (after, appended) = (record.offset, record.appended.0);
                seen.push((record.offset, as_known(record)));
            }
            after = page.upto;
        }
        let expected: Vec<(u64, Known)> = (start + 1..).zip(held.iter().cloned()).collect();
        assert_eq!(seen, expected, "{name}");

        let at = format!("a/{}", self.rng.random_range(0..6));
        let mine = |(_, known): &&(u64, Known)| known.address == at || known.op.is_channel_wide();
        let expected: Vec<(u64, Known)> = expected.iter().filter(mine).cloned().collect();
        let page = channel.read(start, u64::MAX, &scope(&at), ALL)?;
        let seen: Vec<(u64, Known)> = page.records.iter().map(|record| (record.offset, as_known(record))).collect();
        assert_eq!(seen, expected, "{name} {at}");
        let newest = channel.newest(&scope(&at), 3)?;
        let newest: Vec<u64> = newest.iter().map(|record| record.offset).collect();
        let tail: Vec<u64> = expected[expected.len().saturating_sub(3)..].iter().map(|(offset, _)| *offset).collect();
        assert_eq!(newest, tail, "{name} {at}");

        if channel.keyed() {
            let page = channel.rows(&scope("a/*"), None, ALL)?;
            assert_eq!((page.at, page.next), (channel.head(), None));
            let rows = page.rows.iter().map(|row| {
                ((row.address.as_str().to_owned(), row.key.clone().into_string()), (row.data.clone(), row.offset))
            });
            assert_eq!(rows.collect::<Rows>(), self.model.rows.get(name).cloned().unwrap_or_default(), "{name}");
            for key in (0..5).map(|key| format!("k{key}")) {
                match channel.addresses_of(&key) {
                    Err(ReadError::NotByKey) => assert!(name == "keyed" && !self.by_key),
                    found => assert_eq!(names(&found?), self.model.addresses_of(name, &key), "{name} {key}"),
                }
            }
        }
        Ok(())
    }
}

/// What a source notes, and with it that it has loaded.
fn checkpoint(serial: u64) -> Vec<(String, Bytes)> {
    let mark = loaded_mark("source", CHANNELS[0]);
    vec![("source".into(), serial.to_string().into()), (mark, serial.to_string().into())]
}

fn as_known(record: &tidegate_core::Record) -> Known {
    Known {
        op: record.op,
        address: record.address.as_str().to_owned(),
        key: record.key.as_deref().map(str::to_owned),
        data: record.data.clone(),
        before: record.before.clone(),
        tx: record.tx.as_ref().map(|tx| (tx.id.to_string(), tx.last)),
    }
}
