//! Short forms that the tests share.
#![allow(dead_code, unreachable_pub)]

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Millis, Op, Pattern, Scope, Target};
use tidegate_log::{Batch, Entry, Idempotency, ReadLimit};

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
