//! A journal cut off or flipped at every byte: what opens holds a prefix of whole batches, and never anything that was not written.

mod common;

use std::sync::Arc;

use common::{ALL, append, batch, idempotency, scope, upsert};
use tidegate_core::{Offset, Op};
use tidegate_log::disk::SimDisk;
use tidegate_log::{Batch, ChannelSpec, OpenError, Options, SteppedLog};

const JOURNAL: &str = "journal/00000001.journal";

fn specs() -> Vec<ChannelSpec> {
    vec![ChannelSpec::plain("plain"), ChannelSpec::keyed("keyed")]
}

fn options() -> Options {
    Options { journal_bytes: 64 * 1024, view_cache_bytes: 1 << 20, ..Options::new("") }
}

fn open(disk: &SimDisk) -> Result<SteppedLog, OpenError> {
    SteppedLog::open(Arc::new(disk.clone()), options(), &specs())
}

/// What a reader sees, in full.
type Content = (Vec<(Offset, Op, String, Vec<u8>)>, Vec<(Offset, Op, String, Vec<u8>)>, Vec<String>, Option<Vec<u8>>);

fn content(log: &SteppedLog) -> Content {
    let records = |name: &str| {
        let page = log.channel(name).expect("a channel").read(0, u64::MAX, &scope("*/*"), ALL).expect("read");
        let shown = page.records.iter().map(|r| (r.offset, r.op, r.address.as_str().to_owned(), r.data.to_vec()));
        shown.collect::<Vec<_>>()
    };
    let rows = log.channel("keyed").expect("keyed").rows(&scope("*/*"), None, ALL).expect("rows");
    let rows = rows.rows.iter().map(|row| format!("{} {} {:?}", row.address.as_str(), row.key, row.data)).collect();
    (records("plain"), records("keyed"), rows, log.checkpoint("source").map(|bytes| bytes.to_vec()))
}

/// A folder with some batches in its journal, and what it shows after each of them.
fn written() -> (SimDisk, Vec<Content>) {
    let disk = SimDisk::new();
    let log = open(&disk).expect("open");
    let mut states = vec![content(&log)];
    for n in 0..6 {
        let entries = [
            append("plain", &format!("a/{n}"), format!("\"{n}\"")),
            upsert("keyed", "k/1", &(n % 2).to_string(), format!("{n}")),
            append("plain", "a/b", "2"),
        ];
        let checkpoints = vec![("source".into(), n.to_string().into())];
        let idempotency = (n % 2 == 0).then(|| idempotency("plain", &n.to_string(), 1));
        log.append(Batch { checkpoints, idempotency, ..batch(entries) }).expect("appended");
        states.push(content(&log));
    }
    drop(log);
    (disk.process_killed(), states)
}

/// Bytes of the journal that are in use.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}

#[test]
fn cut_off_at_every_byte_it_is_a_prefix() {
    let (disk, states) = written();
    let bytes = disk.bytes(JOURNAL).expect("the journal");
    let mut seen = 0;
    for len in 0..=used(&bytes) {
        let copy = disk.copy();
        copy.replace(JOURNAL, bytes[..len].to_vec());
        let log = open(&copy).expect("a torn tail is no damage");
        let now = states.iter().position(|state| *state == content(&log));
        let now = now.unwrap_or_else(|| panic!("cut at {len}: {:?} was never the state", content(&log)));
        assert!(now >= seen, "more bytes show less at {len}");
        seen = now;
        // It goes on from there, and opens again.
        log.append(batch([append("plain", "z/z", "9")])).expect("appended");
        let after = content(&log);
        drop(log);
        assert_eq!(content(&open(&copy.process_killed()).expect("again")), after);
    }
    assert_eq!(seen, states.len() - 1);
}

#[test]
fn a_flipped_byte_invents_nothing() {
    let (disk, states) = written();
    let bytes = disk.bytes(JOURNAL).expect("the journal");
    for at in 0..used(&bytes) {
        for bit in [0x01, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            let copy = disk.copy();
            copy.replace(JOURNAL, flipped);
            let log = match open(&copy) {
                Ok(log) => log,
                Err(OpenError::Format { .. }) => continue,
                Err(error) => panic!("flipped at {at}: {error}"),
            };
            assert!(states.contains(&content(&log)), "flipped at {at}: {:?}", content(&log));
        }
    }
}

#[test]
fn a_hole_before_later_files_refuses_to_open() {
    let (disk, _) = written();
    drop(open(&disk).expect("a second file").append(batch([append("plain", "a/a", "1")])).expect("appended"));
    let disk = disk.process_killed();
    let mut bytes = disk.bytes(JOURNAL).expect("the journal");
    bytes[200] ^= 1;
    disk.replace(JOURNAL, bytes);
    match open(&disk).map(|_| ()) {
        Err(OpenError::Corrupt { file, at, .. }) => assert!(file == JOURNAL && at <= 200, "{file} {at}"),
        other => panic!("{other:?}"),
    }
    let error = SteppedLog::verify(Arc::new(disk.process_killed())).expect_err("verify finds it too");
    assert!(error.to_string().contains(JOURNAL), "{error}");
}

#[test]
fn damage_in_a_segment_is_found_and_never_shown() {
    let (disk, _) = written();
    let log = open(&disk).expect("open");
    log.drain().expect("drained");
    log.close();
    let disk = disk.process_killed();
    let name = "segments/0000000001.segment";
    let bytes = disk.bytes(name).expect("a segment");
    for at in 0..bytes.len() {
        let copy = disk.copy();
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        copy.replace(name, flipped);
        let error = SteppedLog::verify(Arc::new(copy)).expect_err("damage is found");
        assert!(error.to_string().contains(name), "flipped at {at}: {error}");
    }
    assert_eq!(SteppedLog::verify(Arc::new(disk)).expect("whole").segment_records, 18);
}
