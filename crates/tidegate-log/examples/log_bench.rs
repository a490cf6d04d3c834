//! Figures of the log on this machine's disk: `cargo run --release -p tidegate-log --example log_bench -- [DIR]`.
//!
//! (a) durable appends a second with 64 in flight on 1, 10 and 100 channels; (b) a million addresses in one channel: time to
//! open, memory of the index, a cold read of 100 records of one address; (c) MB/s of reads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::Rng;
use tidegate_core::{Address, ChannelId, Millis, Op, Scope, Target};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options, ReadLimit};

const IN_FLIGHT: u64 = 64;
const EVENT_BYTES: usize = 256;

fn main() {
    if let (Some("open"), Some(folder)) = (std::env::args().nth(1).as_deref(), std::env::args().nth(2)) {
        return reopen(Path::new(&folder));
    }
    let folder = std::env::args().nth(1).unwrap_or_else(|| "./bench-data".into());
    let folder = Path::new(&folder);
    let seconds = env("SECONDS_PER_RUN", 5);
    appends(folder, seconds, blocked_producers, "64 blocked producers");
    appends(folder, seconds, callbacks, "64 in flight by callbacks");
    million(folder, env("ADDRESSES", 1_000_000));
    let _ = std::fs::remove_dir_all(folder);
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn open(folder: &Path, channels: u64) -> Log {
    let specs = (0..channels).map(|n| ChannelSpec::plain(format!("channel-{n}"))).collect();
    Log::open(Options::new(folder), specs).expect("the log opens")
}

fn fresh(folder: &Path, channels: u64) -> Log {
    let _ = std::fs::remove_dir_all(folder);
    open(folder, channels)
}

fn event(channel: ChannelId, address: Address) -> Batch {
    let data = vec![b'7'; EVENT_BYTES].into();
    let entry = Entry { channel, op: Op::Append, address, key: None, time: Millis::now(), data };
    Batch { entries: vec![entry], ..Batch::default() }
}

/// Appends for a while; returns how many and their latencies in microseconds.
type Run = fn(&Log, &[ChannelId], Duration) -> (u64, Vec<u64>);

fn appends(folder: &Path, seconds: u64, run: Run, how: &str) {
    let mut one = None;
    for channels in [1, 10, 100] {
        let log = fresh(folder, channels);
        let ids: Vec<ChannelId> = (0..channels).map(|n| ChannelId::of(&format!("channel-{n}"))).collect();
        let began = Instant::now();
        let (count, mut latencies) = run(&log, &ids, Duration::from_secs(seconds));
        let rate = count as f64 / began.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(0);
        let stats = log.stats();
        println!(
            "appends, {how}, {channels} channels: {rate:.0}/s ({:.2} of one channel), p50 {} us, p99 {} us, \
             {:.1} a sync, {:.0} us a sync, {} drains",
            rate / *one.get_or_insert(rate),
            at(0.5),
            at(0.99),
            stats.batches as f64 / stats.syncs as f64,
            stats.sync_us as f64 / stats.syncs as f64,
            stats.drains
        );
        log.close();
    }
}

fn blocked_producers(log: &Log, ids: &[ChannelId], time: Duration) -> (u64, Vec<u64>) {
    let (count, all) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT {
            scope.spawn(|| {
                let (mut own, mut rng, began) = (Vec::new(), rand::rng(), Instant::now());
                let address = Address::parse("bench/one").expect("an address");
                while began.elapsed() < time {
                    let sent = Instant::now();
                    let id = ids[rng.random_range(0..ids.len())];
                    log.append(event(id, address.clone())).expect("appended");
                    own.push(sent.elapsed().as_micros() as u64);
                }
                count.fetch_add(own.len() as u64, Ordering::Relaxed);
                all.lock().expect("latencies").extend(own);
            });
        }
    });
    (count.into_inner(), all.into_inner().expect("latencies"))
}

fn callbacks(log: &Log, ids: &[ChannelId], time: Duration) -> (u64, Vec<u64>) {
    let (free, slots) = sync_channel::<Option<u64>>(IN_FLIGHT as usize);
    (0..IN_FLIGHT).for_each(|_| free.send(None).expect("a slot"));
    let (mut latencies, mut rng, began) = (Vec::new(), rand::rng(), Instant::now());
    let address = Address::parse("bench/one").expect("an address");
    while began.elapsed() < time {
        latencies.extend(slots.recv().expect("a slot"));
        let (free, sent) = (free.clone(), Instant::now());
        let id = ids[rng.random_range(0..ids.len())];
        log.submit(event(id, address.clone()), move |answer| {
            answer.expect("appended");
            let _ = free.send(Some(sent.elapsed().as_micros() as u64));
        });
    }
    (latencies.len() as u64, latencies)
}

/// Each address once in a random place, and some that have 100 records spread over all of it.
fn million(folder: &Path, addresses: u64) {
    const SPREAD: u64 = 20;
    let log = fresh(folder, 1);
    let id = ChannelId::of("channel-0");
    let window = Arc::new((Mutex::new(0u64), std::sync::Condvar::new()));
    let total = addresses + SPREAD * 100;
    let every = total / (SPREAD * 100);
    let began = Instant::now();
    for n in 0..total {
        let address = match n % every {
            0 => format!("sensors/spread-{}/value", (n / every) % SPREAD),
            _ => format!("sensors/device-{n:07}/value"),
        };
        let (waiting, woken) = &*window;
        let mut in_flight = waiting.lock().expect("window");
        while *in_flight >= IN_FLIGHT {
            in_flight = woken.wait(in_flight).expect("window");
        }
        *in_flight += 1;
        drop(in_flight);
        let window = window.clone();
        log.submit(event(id, Address::parse(&address).expect("an address")), move |answer| {
            answer.expect("appended");
            *window.0.lock().expect("window") -= 1;
            window.1.notify_one();
        });
    }
    println!("{total} events on {addresses} addresses: {:.0}/s", total as f64 / began.elapsed().as_secs_f64());
    // As a kill leaves it: nothing is drained that was not, the journal is read again.
    let killed = folder.with_extension("killed");
    let _ = std::fs::remove_dir_all(&killed);
    copy(folder, &killed);
    let stats = log.stats();
    println!(
        "segments: {} of {} MiB, {} drains, {} merges",
        stats.segments,
        stats.segment_bytes >> 20,
        stats.drains,
        stats.merges
    );
    log.close();

    // A process of its own, whose memory is nothing but what opening and reading take.
    for (folder, how) in [(killed.as_path(), "after a kill"), (folder, "after closing")] {
        drop_caches(folder);
        println!("{how}:");
        let program = std::env::current_exe().expect("the program");
        let status = std::process::Command::new(program).arg("open").arg(folder).status().expect("it runs");
        assert!(status.success());
    }
    let _ = std::fs::remove_dir_all(&killed);
}

fn reopen(folder: &Path) {
    let before = pss();
    let began = Instant::now();
    let log = open(folder, 1);
    let (opened, hot) = (began.elapsed(), log.stats().hot_records);
    println!(
        "  open {opened:?}, {hot} records of the journal read again, Pss {before} KiB before, {} KiB after",
        pss()
    );
    let channel = log.channel("channel-0").expect("the channel");
    let limit = ReadLimit { records: 100, bytes: 1 << 20 };
    for which in 0..8 {
        drop_caches(folder);
        let scope = scope(&format!("sensors/spread-{which}/value"));
        let began = Instant::now();
        let page = channel.read(0, u64::MAX, &scope, limit).expect("read");
        println!("  cold read of {} records of one address: {:?}", page.records.len(), began.elapsed());
    }
    println!("  Pss {} KiB with all indexes in use", pss());
    reads(&channel, folder);
    log.close();
}

fn reads(channel: &tidegate_log::Channel, folder: &Path) {
    for cold in [true, false] {
        if cold {
            drop_caches(folder);
        }
        let (mut after, mut bytes, mut records, began) = (0, 0, 0, Instant::now());
        let limit = ReadLimit { records: 4096, bytes: 1 << 20 };
        while after < channel.head() {
            let page = channel.read(after, u64::MAX, &scope("sensors/*/value"), limit).expect("read");
            bytes += page.records.iter().map(|record| record.data.len()).sum::<usize>();
            records += page.records.len();
            after = page.upto;
        }
        let seconds = began.elapsed().as_secs_f64();
        let mib = bytes as f64 / 1048576.0 / seconds;
        println!(
            "scan, {}: {mib:.0} MiB/s of payload, {:.0} records/s",
            if cold { "cold" } else { "warm" },
            records as f64 / seconds
        );
    }
}

fn scope(text: &str) -> Scope {
    Scope { target: Target::parse(text).expect("a target"), key: None }
}

fn pss() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("smaps_rollup");
    let line = text.lines().find(|line| line.starts_with("Pss:")).expect("Pss");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("KiB")
}

/// Tells the kernel to forget the pages of all files below.
fn drop_caches(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            drop_caches(&path);
        } else if let Ok(file) = std::fs::File::open(&path) {
            file.sync_all().expect("synced");
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copied");
        }
    }
}
