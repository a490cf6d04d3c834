//! A million rows in one batch: `cargo run --release -p tidegate-log --example large_bench -- [DIR]`.
//!
//! Rows a second through parts and commit, and the peak of the process's memory: into an empty channel in order of keys, then all
//! of them again in no order, so that each row has a value before; then once more beside a publisher of another channel, whose
//! latencies say what the batch costs others. Each size is a process of its own. `ROWS` says how many rows.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tidegate_core::{Address, ChannelId, Millis, Op};
use tidegate_log::{Batch, ChannelSpec, Entry, LargeCommit, Log, Options};

const ROW_BYTES: usize = 256;
const PART_ROWS: u64 = 1000;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "./bench-data".into());
    if let Some(rows) = std::env::args().nth(2) {
        return run(Path::new(&folder), rows.parse().expect("a number"));
    }
    let rows = std::env::var("ROWS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000u64);
    for rows in [rows / 10, rows] {
        let program = std::env::current_exe().expect("the program");
        let status = std::process::Command::new(program).arg(&folder).arg(rows.to_string()).status();
        assert!(status.expect("it runs").success());
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn run(folder: &Path, rows: u64) {
    let _ = std::fs::remove_dir_all(folder);
    let specs = vec![ChannelSpec { by_key: true, ..ChannelSpec::keyed("rows") }, ChannelSpec::plain("others")];
    let log = Log::open(Options::new(folder), specs).expect("the log opens");
    println!("{rows} rows of {ROW_BYTES} bytes:");
    write(&log, rows, 1, "in order, all new");
    write(&log, rows, 7_919, "in no order, all replaced");
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let publisher = threads.spawn(|| publish(&log, &stop));
        write(&log, rows, 1, "in order, all replaced, beside a publisher");
        stop.store(true, Ordering::Relaxed);
        let mut latencies = publisher.join().expect("published");
        latencies.sort_unstable();
        let at = |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(0);
        let (count, longest) = (latencies.len(), latencies.last().copied().unwrap_or(0));
        println!("  the publisher: {count} appends, p50 {} us, p99 {} us, longest {longest} us", at(0.5), at(0.99));
    });
    log.close();
}

fn write(log: &Log, rows: u64, step: u64, how: &str) {
    let began = Instant::now();
    let mut large = log.begin(Some("tx".into())).expect("begun");
    for part in 0..rows / PART_ROWS {
        large.part((0..PART_ROWS).map(|n| row((part * PART_ROWS + n) * step % rows)).collect()).expect("part");
    }
    let parts = began.elapsed();
    large.commit(LargeCommit::default()).expect("committed");
    let all = began.elapsed();
    let rate = rows as f64 / all.as_secs_f64();
    let (commit, peak) = (all - parts, peak_kib() / 1024);
    println!("  {how}: {rate:.0} rows/s ({parts:.1?} for the parts, {commit:.1?} for the commit), peak {peak} MiB");
}

fn row(n: u64) -> Entry {
    let address = Address::parse(&format!("rows/{}", n % 100)).expect("an address");
    let data = vec![b'7'; ROW_BYTES].into();
    let (channel, key) = (ChannelId::of("rows"), Some(format!("{n:09}").into()));
    Entry { channel, op: Op::Upsert, address, key, time: Millis::now(), data }
}

/// One event at a time; returns what each took in microseconds.
fn publish(log: &Log, stop: &AtomicBool) -> Vec<u64> {
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let address = Address::parse("others/one").expect("an address");
        let (channel, time, data) = (ChannelId::of("others"), Millis::now(), vec![b'1'; ROW_BYTES].into());
        let entry = Entry { channel, op: Op::Append, address, key: None, time, data };
        let sent = Instant::now();
        log.append(Batch { entries: vec![entry], ..Batch::default() }).expect("appended");
        latencies.push(sent.elapsed().as_micros() as u64);
    }
    latencies
}

/// The most that the process ever had in memory.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("KiB")
}
