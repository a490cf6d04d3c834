//! What a watch yields: the same JSON object on every transport.
//!
//! The types here are the source of the JSON Schemas in `protocol/schemas`. Bytes are made by
//! [`Frame::write_json`] alone, so a frame has one spelling everywhere.

use std::io::Write;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::address::Address;
use crate::code::ErrorCode;
use crate::cursor::{CursorPrefix, Offset};
use crate::json::write_string;
use crate::record::{Key, Op, Record, Tx};
use crate::time::Millis;

/// One frame of a watch, before it has bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// First frame of a stream, made for one watcher.
    Begin(Begin),
    /// Drop what you hold of this watch.
    Reset(ResetReason),
    /// One row of a snapshot.
    Row(Row),
    /// The end of a snapshot: the replica now equals the state at `at`.
    Last {
        /// Rows sent since the `reset`.
        count: u64,
        /// Position of the whole snapshot.
        at: Offset,
    },
    /// A change, or a notice of the source.
    Change {
        /// What happened.
        record: std::sync::Arc<Record>,
        /// What the view shows of it.
        shown: Shown,
        /// In a tick: how many changes of the same key, or events of the same address, it stands for. It is the newest.
        conflated: Option<u32>,
        /// The cursor that stands here: that of the record, and at the end of a tick that of the last change in it, shown
        /// or not. None stands within an unfinished snapshot, or amid a tick.
        cursor: Option<Offset>,
    },
    /// You are current up to here.
    Bookmark(Offset),
    /// Records between two positions cannot be had any more.
    Gap {
        /// The cursor that was presented, as text.
        from: String,
        /// Where what follows begins, on plain and history watches.
        to: Option<Offset>,
        /// Why.
        reason: GapReason,
    },
    /// The source lost changes before the record at this offset; on plain and history watches. A bookmark there follows.
    SourceGap(Offset),
    /// Something the client may want to know; the stream goes on.
    Notice {
        /// What kind.
        code: NoticeCode,
        /// For people.
        message: String,
    },
    /// The stream ends in order.
    Close {
        /// Why.
        code: ErrorCode,
        /// For people.
        message: String,
        /// When to come back, in milliseconds; `None`: do not come back.
        retry_ms: Option<u64>,
    },
}

/// What a view shows of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// All of it.
    Whole,
    /// This JSON in place of its data.
    Data(Bytes),
    /// A JSON Merge Patch (RFC 7396) to what the view showed of the key before.
    Patch(Bytes),
    /// A JSON Patch (RFC 6902), to the same.
    Patches(Bytes),
    /// That the key is gone, or no longer in the view: the two look the same.
    Gone,
}

/// The fields of `begin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// Names this watch in the admin listing.
    pub watch: String,
    /// The options in force, as the client wrote them.
    pub options: Vec<(String, String)>,
    /// What the watch is looked up by when there is something to tell, as text; `None`: it looks at each event.
    pub index: Option<String>,
    /// A bookmark comes at least this often, in milliseconds.
    pub heartbeat_ms: u64,
    /// Where the stream starts; not on watches that start with a snapshot.
    pub cursor: Option<Offset>,
}

/// One row of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where.
    pub address: Address,
    /// Its key.
    pub key: Key,
    /// Event time of its last change; `None` where only the value is known, as of a past time.
    pub time: Option<Millis>,
    /// Validated JSON.
    pub data: Bytes,
}

/// Why a client has to drop its replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResetReason {
    /// The watch begins.
    Start,
    /// The cursor belongs to another view.
    View,
    /// A `gap` came before.
    Gap,
    /// The channel was cleared.
    Clear,
    /// Changes were trimmed while the snapshot was being sent; it starts again.
    Overtaken,
    /// What its caller may see is another thing.
    Rights,
}

/// Why records cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// Trimmed by age or size.
    Retention,
    /// The cursor is of another life of the log, or beyond its head.
    Epoch,
    /// The source lost them.
    Source,
    /// The channel keeps nothing on disk.
    Ephemeral,
}

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeCode {
    /// The token ends soon.
    TokenExpiring,
    /// The first snapshot of the source is still being read.
    Loading,
    /// The watch is slowed by a quota.
    Throttled,
    /// The watch is slowed by load.
    Degraded,
    /// It is slowed no more.
    Restored,
    /// The schema of the source changed.
    Schema,
    /// What you may see changed.
    RightsChanged,
    /// The server is about to close.
    Draining,
}

impl GapReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::Retention => "retention",
            GapReason::Epoch => "epoch",
            GapReason::Source => "source",
            GapReason::Ephemeral => "ephemeral",
        }
    }
}

impl ResetReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ResetReason::Start => "start",
            ResetReason::View => "view",
            ResetReason::Gap => "gap",
            ResetReason::Clear => "clear",
            ResetReason::Overtaken => "overtaken",
            ResetReason::Rights => "rights",
        }
    }
}

impl NoticeCode {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeCode::TokenExpiring => "token-expiring",
            NoticeCode::Loading => "loading",
            NoticeCode::Throttled => "throttled",
            NoticeCode::Degraded => "degraded",
            NoticeCode::Restored => "restored",
            NoticeCode::Schema => "schema",
            NoticeCode::RightsChanged => "rights-changed",
            NoticeCode::Draining => "draining",
        }
    }
}

/// Writes offsets of one view as cursors, and knows the last one for `prev`.
#[derive(Clone)]
pub struct Cursors {
    prefix: CursorPrefix,
    /// The cursor before, where the view chains.
    prev: Option<Offset>,
    chain: bool,
}

impl Cursors {
    /// `chain`: whether frames carry `prev`; `prev` is the cursor that the client already holds.
    pub fn new(prefix: CursorPrefix, chain: bool, prev: Option<Offset>) -> Cursors {
        Cursors { prefix, prev, chain }
    }

    /// The last cursor written.
    pub fn last(&self) -> Option<Offset> {
        self.prev
    }

    /// Goes on as if `offset` had been the last cursor written.
    pub fn continue_from(&mut self, offset: Offset) {
        self.prev = Some(offset);
    }

    /// The next cursor begins a chain.
    pub fn begin_anew(&mut self) {
        self.prev = None;
    }

    fn member(&mut self, offset: Offset, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"cursor\":\"");
        self.prefix.write(offset, out);
        out.push(b'"');
        if let (true, Some(prev)) = (self.chain, self.prev) {
            out.extend_from_slice(b",\"prev\":\"");
            self.prefix.write(prev, out);
            out.push(b'"');
        }
        self.prev = Some(offset);
    }

    /// The text of the cursor at `offset`.
    pub fn text(&self, offset: Offset) -> String {
        let mut out = Vec::new();
        self.prefix.write(offset, &mut out);
        String::from_utf8(out).expect("a cursor is ASCII")
    }
}

impl Frame {
    /// The `op` of the frame.
    pub fn op(&self) -> &'static str {
        match self {
            Frame::Begin(_) => "begin",
            Frame::Reset(_) => "reset",
            Frame::Row(_) | Frame::Last { .. } => "snapshot",
            Frame::Change { shown: Shown::Gone, .. } => Op::Delete.as_str(),
            Frame::Change { record, .. } => record.op.as_str(),
            Frame::Bookmark(_) => "bookmark",
            Frame::Gap { .. } | Frame::SourceGap(_) => "gap",
            Frame::Notice { .. } => "notice",
            Frame::Close { .. } => "close",
        }
    }

    /// Data frames reach `EventSource.onmessage`; the others are control frames.
    pub fn is_data(&self) -> bool {
        match self {
            Frame::Row(_) | Frame::Last { .. } => true,
            Frame::Change { record, .. } => record.op != Op::Notice,
            _ => false,
        }
    }

    /// The offset whose cursor the frame carries.
    pub fn cursor(&self) -> Option<Offset> {
        match self {
            Frame::Begin(begin) => begin.cursor,
            Frame::Last { at, .. } => Some(*at),
            Frame::Change { cursor, .. } => *cursor,
            Frame::Bookmark(at) => Some(*at),
            _ => None,
        }
    }

    /// Appends the frame as one JSON object on one line, without a line end.
    pub fn write_json(&self, cursors: &mut Cursors, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"op\":\"");
        out.extend_from_slice(self.op().as_bytes());
        out.push(b'"');
        match self {
            Frame::Begin(begin) => begin.write(cursors, out),
            Frame::Reset(reason) => {
                // What the client holds is void, and with it the chain.
                cursors.prev = None;
                member(out, "reason", reason.as_str());
            }
            Frame::Row(row) => {
                place(out, &row.address, Some(&row.key), row.time);
                raw(out, "data", &row.data);
            }
            Frame::Last { count, at } => {
                write!(out, ",\"last\":true,\"count\":{count}").expect("writing to memory");
                cursors.member(*at, out);
            }
            Frame::Change { record, shown, conflated, cursor } => {
                if let Some(at) = cursor {
                    cursors.member(*at, out);
                }
                write_change(record, shown, *conflated, out);
            }
            Frame::Bookmark(at) => cursors.member(*at, out),
            Frame::Gap { from, to, reason } => {
                member(out, "from", from);
                if let Some(to) = to {
                    member(out, "to", &cursors.text(*to));
                }
                member(out, "reason", reason.as_str());
                cursors.prev = *to;
            }
            Frame::SourceGap(at) => {
                member(out, "from", &cursors.text(at.saturating_sub(1)));
                member(out, "to", &cursors.text(*at));
                member(out, "reason", GapReason::Source.as_str());
                cursors.prev = Some(*at);
            }
            Frame::Notice { code, message } => {
                member(out, "code", code.as_str());
                member(out, "message", message);
            }
            Frame::Close { code, message, retry_ms } => {
                member(out, "code", code.as_str());
                member(out, "message", message);
                match retry_ms {
                    Some(ms) => write!(out, ",\"retry_ms\":{ms}").expect("writing to memory"),
                    None => out.extend_from_slice(b",\"retry_ms\":null"),
                }
            }
        }
        out.push(b'}');
    }
}

impl Begin {
    fn write(&self, cursors: &mut Cursors, out: &mut Vec<u8>) {
        member(out, "watch", &self.watch);
        out.extend_from_slice(b",\"options\":{");
        for (index, (name, value)) in self.options.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(name, out);
            out.push(b':');
            write_string(value, out);
        }
        out.push(b'}');
        if let Some(index) = &self.index {
            member(out, "index", index);
        }
        write!(out, ",\"heartbeat_ms\":{}", self.heartbeat_ms).expect("writing to memory");
        member(out, "protocol", PROTOCOL);
        if let Some(offset) = self.cursor {
            cursors.prev = None;
            cursors.member(offset, out);
        }
    }
}

/// The protocol that this release speaks; also the WebSocket subprotocol.
pub const PROTOCOL: &str = "tidegate.v1";

impl Op {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Upsert => "upsert",
            Op::Delete => "delete",
            Op::Append => "append",
            Op::Clear => "clear",
            Op::Gap => "gap",
            Op::Notice => "notice",
        }
    }
}

fn write_change(record: &Record, shown: &Shown, conflated: Option<u32>, out: &mut Vec<u8>) {
    if record.op.is_channel_wide() {
        member(out, "time", &record.time.to_string());
    } else {
        place(out, &record.address, record.key.as_deref(), Some(record.time));
    }
    match (conflated, &record.tx) {
        // A tick is no transaction, and may have half of one.
        (Some(count), _) => write!(out, ",\"conflated\":{count}").expect("writing to memory"),
        (None, Some(Tx { id, last })) => {
            member(out, "tx", id);
            if *last {
                out.extend_from_slice(b",\"tx_last\":true");
            }
        }
        (None, None) => {}
    }
    match (record.op, shown) {
        (_, Shown::Gone) => {}
        (_, Shown::Data(data)) => raw(out, "data", data),
        (_, Shown::Patch(patch)) => raw(out, "patch", patch),
        (_, Shown::Patches(patches)) => raw(out, "patches", patches),
        (Op::Upsert | Op::Append, Shown::Whole) => raw(out, "data", &record.data),
        (Op::Notice, Shown::Whole) => {
            // Its members are the frame's.
            let members = record.data.strip_prefix(b"{").and_then(|data| data.strip_suffix(b"}"));
            out.push(b',');
            out.extend_from_slice(members.unwrap_or_default());
        }
        (Op::Delete | Op::Clear | Op::Gap, Shown::Whole) => {}
    }
}

fn place(out: &mut Vec<u8>, address: &Address, key: Option<&str>, time: Option<Millis>) {
    member(out, "address", address.as_str());
    if let Some(key) = key {
        member(out, "key", key);
    }
    if let Some(time) = time {
        write!(out, ",\"time\":\"{time}\"").expect("writing to memory");
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    raw_name(out, name);
    write_string(value, out);
}

fn raw(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    raw_name(out, name);
    out.extend_from_slice(value);
}

fn raw_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// The JSON Schema types: what a frame looks like to a client.
pub mod schema;

#[cfg(test)]
mod tests;
