//! What a batch in parts takes of memory does not depend on its size. A process of its own: its peak is what is measured.

mod common;

use common::{address, upsert};
use tidegate_core::{ChannelId, Op, Scope, Target};
use tidegate_log::{ChannelSpec, LargeCommit, Log, Options, ReadLimit};

const ROWS: u64 = 300_000;
const ROW_BYTES: usize = 400;
/// Scratch 16 MiB, view store 8 MiB, the index of a segment about 25 MiB, buffers, a part; the rows are 115 MiB.
const PEAK_KIB_MAX: u64 = 72 * 1024;

#[test]
#[cfg(target_os = "linux")]
fn three_hundred_thousand_rows_take_no_more_than_the_caches() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { view_cache_bytes: 8 << 20, journal_bytes: 4 << 20, ..Options::new(folder.path()) };
    let log = Log::open(options, vec![ChannelSpec::keyed("keyed")]).expect("the log opens");
    let before = peak_kib();
    // The second time in no order of keys, and each row has a value before.
    for (round, step) in [(0, 1), (1, 7919)] {
        let mut large = log.begin(Some("tx".into())).expect("begun");
        for part in 0..ROWS / 1000 {
            // Each row has an address of its own.
            let row = |n: u64| {
                let n = (part * 1000 + n) * step % ROWS;
                upsert("keyed", &format!("rows/{n}"), &n.to_string(), vec![b'1' + round; ROW_BYTES])
            };
            large.part((0..1000).map(row).collect()).expect("part");
        }
        large.commit(LargeCommit::default()).expect("committed");
        let grown = peak_kib() - before;
        println!("round {round}: the peak rose by {grown} KiB");
        assert!(grown < PEAK_KIB_MAX, "{grown} KiB");
    }
    let keyed = log.channel("keyed").expect("keyed");
    assert_eq!(keyed.head(), 2 * ROWS);
    let (row, _) = keyed.row(&address("rows/4711"), "4711").expect("read");
    assert_eq!(row.expect("a row").data, vec![b'2'; ROW_BYTES]);
    let scope = Scope { target: Target::parse("rows/*").expect("a target"), key: None };
    let limit = ReadLimit { records: 1, bytes: 1 };
    let page = keyed.read(2 * ROWS - 1, u64::MAX, &scope, limit).expect("read");
    let last = &page.records[0];
    assert_eq!((last.op, last.before.as_ref().map(|before| before[0])), (Op::Upsert, Some(b'1')));
    assert!(last.tx.as_ref().is_some_and(|tx| tx.last));
    assert_eq!(keyed.id(), ChannelId::of("keyed"));
}

/// The most that the process ever had in memory.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("KiB")
}
