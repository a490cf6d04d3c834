//! Short forms that the tests share.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Millis, Op, Pattern, Scope, Target};
use tidegate_log::disk::{Disk, SimDisk};
use tidegate_log::{Batch, Entry, Idempotency, ReadLimit, SteppedLog};

pub const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

pub fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

pub fn scope(text: &str) -> Scope {
    Scope { target: Target::parse(text).expect("a target"), key: None }
}

pub fn names(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(|address| address.as_str().to_owned()).collect()
}

pub fn pattern(text: &str) -> Pattern {
    match Target::parse(text) {
        Ok(Target::Pattern(pattern)) => pattern,
        other => panic!("{other:?}"),
    }
}

pub fn append(channel: &str, at: &str, data: impl Into<Bytes>) -> Entry {
    entry(channel, Op::Append, at, None, data)
}

pub fn upsert(channel: &str, at: &str, key: &str, data: impl Into<Bytes>) -> Entry {
    entry(channel, Op::Upsert, at, Some(key), data)
}

pub fn delete(channel: &str, at: &str, key: &str) -> Entry {
    entry(channel, Op::Delete, at, Some(key), "")
}

pub fn clear(channel: &str) -> Entry {
    entry(channel, Op::Clear, "cleared", None, "")
}

pub fn gap(channel: &str) -> Entry {
    entry(channel, Op::Gap, "lost", None, "")
}

pub fn notice(channel: &str, serial: u64) -> Entry {
    entry(channel, Op::Notice, "told", None, format!("{{\"code\":\"schema\",\"message\":\"{serial}\"}}"))
}

pub fn entry(channel: &str, op: Op, at: &str, key: Option<&str>, data: impl Into<Bytes>) -> Entry {
    let (channel, time) = (ChannelId::of(channel), Millis(7));
    Entry { channel, op, address: address(at), key: key.map(Into::into), time, data: data.into() }
}

pub fn batch(entries: impl IntoIterator<Item = Entry>) -> Batch {
    Batch { entries: entries.into_iter().collect(), ..Batch::default() }
}

pub fn idempotency(channel: &str, key: &str, body: u8) -> Idempotency {
    Idempotency { channel: ChannelId::of(channel), principal: "me".into(), key: key.into(), body_hash: [body; 32] }
}

/// Everything that the log shows, as text.
pub fn content(log: &SteppedLog) -> Vec<String> {
    let mut out = Vec::new();
    for name in ["plain", "keyed", "other"] {
        let channel = log.channel(name).expect("a channel");
        let mut appended = 0;
        for record in channel.read(0, u64::MAX, &scope("*/*"), ALL).expect("read").records {
            assert!(record.appended.0 >= appended, "the time of append never goes back");
            appended = record.appended.0;
            let tx = record.tx.as_ref().map(|tx| (&tx.id, tx.last));
            let key = (record.op, record.address.as_str(), &record.key);
            let (data, before) = (short(&record.data), record.before.as_deref().map(short));
            out.push(format!("{name} {} {key:?} {data} before {before:?} {tx:?}", record.offset));
        }
        if channel.keyed() {
            for row in channel.rows(&scope("*/*"), None, ALL).expect("rows").rows {
                let touched = channel.touched(&row.address).expect("touched");
                let key = (row.address.as_str(), row.key, row.offset);
                out.push(format!("{name} row {key:?} {} {touched:?}", short(&row.data)));
            }
        }
    }
    out.push(format!("{:?}", log.checkpoint("source")));
    out
}

/// A value and how long it is.
fn short(data: &[u8]) -> String {
    format!("{} {}", data.len(), String::from_utf8_lossy(&data[..data.len().min(8)]))
}

pub fn no_leftovers(disk: &SimDisk, log: &SteppedLog) {
    assert_eq!(disk.list("segments").expect("listed").len() as u64, log.stats().segments);
    assert_eq!(disk.list("scratch").expect("listed").len(), 0);
}
