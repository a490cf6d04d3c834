//! Large batches beside everything else: nobody who does not need their channels waits for them.

mod common;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use common::{ALL, append, batch, idempotency, scope, upsert};
use tidegate_core::ChannelId;
use tidegate_log::disk::{Disk, DiskFile, SimDisk};
use tidegate_log::{AppendError, Batch, ChannelSpec, Entry, LargeCommit, Log, Options};

fn specs() -> Vec<ChannelSpec> {
    vec![ChannelSpec::plain("plain"), ChannelSpec::keyed("keyed"), ChannelSpec::keyed("other")]
}

fn checkpoint(value: &str) -> LargeCommit {
    LargeCommit { checkpoints: vec![("source".into(), value.to_owned().into())], ..LargeCommit::default() }
}

/// While the state commits, others append; only the names that the commit sets are its own.
#[test]
fn nobody_waits_for_its_commit() {
    let (gate, reached, go_on) = GatedDisk::new();
    let log = Log::open_on(gate.clone(), Options::new(""), specs()).expect("the log opens");
    let mut large = log.begin(None).expect("begun");
    large.part(vec![upsert("keyed", "k/1", "1", "1")]).expect("part");
    let commit = LargeCommit { idempotency: Some(idempotency("other", "k", 1)), ..checkpoint("2") };
    gate.arm();
    std::thread::scope(|threads| {
        let commit = threads.spawn(|| large.commit(commit));
        reached.recv().expect("the state is being synced");
        let other = || upsert("other", "o/1", "1", "1");
        for n in 1..=100 {
            assert_eq!(log.append(batch([other()])).expect("others go on").last, [(ChannelId::of("other"), n)]);
        }
        let older = Batch { checkpoints: checkpoint("1").checkpoints, ..batch([other()]) };
        assert_eq!(log.append(older), Err(AppendError::Busy), "it would come back at the next open");
        let same = Batch { idempotency: Some(idempotency("other", "k", 1)), ..batch([other()]) };
        assert_eq!(log.append(same.clone()), Err(AppendError::Busy));
        let checkpoints = vec![("another".into(), "1".into())];
        log.append(Batch { checkpoints, ..batch([other()]) }).expect("another source goes on");
        let mut second = log.begin(None).expect("begun");
        second.part(vec![append("plain", "p/1", "1")]).expect("another large batch goes on");
        assert_eq!(log.channel("keyed").expect("keyed").head(), 0);
        go_on.send(()).expect("it waits");
        assert_eq!(commit.join().expect("joined").expect("committed").count, 1);
        assert!(log.append(same).expect("a repeat of the commit").replayed);
        second.commit(checkpoint("3")).expect("the names are free again");
    });
    log.close();
    let log = Log::open_on(Arc::new(gate.disk.process_killed()), Options::new(""), specs()).expect("the log opens");
    let heads = ["plain", "keyed", "other"].map(|name| log.channel(name).expect("a channel").head());
    assert_eq!((heads, log.checkpoint("source").as_deref()), ([1, 1, 101], Some(&b"3"[..])));
    assert_eq!(log.checkpoint("another").as_deref(), Some(&b"1"[..]));
}

/// Publishers of other channels go on through parts and commit; what is seen of the batch is nothing or all.
#[test]
fn others_publish_while_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || Options { journal_bytes: 1 << 20, ..Options::new(folder.path()) };
    let log = Log::open(options(), specs()).expect("the log opens");
    let (told, heard) = sync_channel(16);
    let id = ChannelId::of("keyed");
    log.on_advance(move |channel| {
        if channel == id {
            let _ = told.send(());
        }
    });
    let keyed = log.channel("keyed").expect("keyed");
    let stop = AtomicBool::new(false);
    let published: u64 = std::thread::scope(|threads| {
        let (log, stop) = (&log, &stop);
        let publishers: Vec<_> = ["plain", "other"]
            .into_iter()
            .map(|name| {
                threads.spawn(move || {
                    let mut n = 0;
                    while !stop.load(Ordering::Relaxed) {
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
        stop.store(true, Ordering::Relaxed);
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

/// A disk whose next sync of the view store, once armed, says so and waits.
#[derive(Debug)]
struct GatedDisk {
    disk: SimDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    armed: AtomicBool,
    reached: SyncSender<()>,
    go_on: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct GatedFile(Arc<dyn DiskFile>, Arc<Gate>);

impl GatedDisk {
    fn new() -> (Arc<GatedDisk>, Receiver<()>, SyncSender<()>) {
        let (reached, told) = sync_channel(1);
        let (send, go_on) = sync_channel(1);
        let gate = Arc::new(Gate { armed: AtomicBool::new(false), reached, go_on: Mutex::new(go_on) });
        (Arc::new(GatedDisk { disk: SimDisk::new(), gate }), told, send)
    }

    fn arm(&self) {
        self.gate.armed.store(true, Ordering::Release);
    }
}

impl Disk for GatedDisk {
    fn describe(&self) -> String {
        self.disk.describe()
    }
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path)
    }
    fn open(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path)?;
        Ok(if path == "state.redb" { Arc::new(GatedFile(file, self.gate.clone())) } else { file })
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn try_lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.disk.try_lock()
    }
}

impl DiskFile for GatedFile {
    fn read_exact_at(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, at)
    }
    fn write_all_at(&self, buf: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(buf, at)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.1.armed.swap(false, Ordering::AcqRel) {
            self.1.reached.send(()).expect("the test waits");
            self.1.go_on.lock().expect("the gate").recv().expect("the test goes on");
        }
        self.0.sync_data()
    }
    fn will_need(&self, at: u64, len: u64) {
        self.0.will_need(at, len);
    }
}
