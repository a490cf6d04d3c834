//! Frames as clients see them, for the JSON Schemas; the server never builds these.
#![allow(dead_code, reason = "the derive reads the shapes; nothing constructs them")]

use schemars::JsonSchema;
use serde::Serialize;

use super::{GapReason, NoticeCode, ResetReason};
use crate::code::ErrorCode;

/// One frame of a watch.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
#[schemars(title = "Frame")]
pub enum WireFrame {
    /// First frame of each stream.
    Begin {
        /// Names this watch.
        watch: String,
        /// The options in force.
        options: std::collections::BTreeMap<String, String>,
        /// What the watch is looked up by when there is something to tell: `key`, or what its filter compares. Without
        /// it, each event of what is watched is looked at.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<String>,
        /// A bookmark comes at least this often.
        heartbeat_ms: u64,
        /// The protocol spoken.
        protocol: String,
        /// Where the stream starts, unless a snapshot does.
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Drop what you hold of this watch.
    Reset {
        /// Why.
        reason: ResetReason,
    },
    /// A row, or the row-less last frame.
    Snapshot(SnapshotFrame),
    /// A key has a new value.
    Upsert(ChangeFrame),
    /// A key is gone, or no longer yours to see.
    Delete(ChangeFrame),
    /// An event of a plain channel.
    Append(ChangeFrame),
    /// All keys of the channel are gone; on history watches.
    Clear(ChangeFrame),
    /// You are current up to here.
    Bookmark {
        /// Present it to resume.
        cursor: String,
        /// With `chain`: the cursor before.
        #[serde(skip_serializing_if = "Option::is_none")]
        prev: Option<String>,
    },
    /// Loss, announced.
    Gap {
        /// The cursor that was presented; of a loss at the source the one before it.
        from: String,
        /// Where what follows begins.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Why.
        reason: GapReason,
    },
    /// For your information.
    Notice {
        /// What kind.
        code: NoticeCode,
        /// For people.
        message: String,
        /// Of a notice of the source: when.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<String>,
        /// Of a notice of the source; absent while a snapshot is unfinished.
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        /// With `chain`: the cursor before.
        #[serde(skip_serializing_if = "Option::is_none")]
        prev: Option<String>,
        /// The transaction of the source.
        #[serde(skip_serializing_if = "Option::is_none")]
        tx: Option<String>,
        /// The last of its transaction.
        #[serde(skip_serializing_if = "Option::is_none")]
        tx_last: Option<bool>,
        /// What else the source says of it.
        #[serde(flatten)]
        more: std::collections::BTreeMap<String, serde_json::Value>,
    },
    /// The stream ends in order.
    Close {
        /// Why.
        code: ErrorCode,
        /// For people.
        message: String,
        /// When to come back; null: do not.
        retry_ms: Option<u64>,
    },
    /// WebSocket of many watches: the frames that follow are of this watch.
    On {
        /// Its name on this socket.
        watch: String,
    },
    /// WebSocket: a request of yours was done.
    Done {
        /// The request.
        r#ref: Option<u64>,
        /// `watch`: the name that the watch has on this socket.
        #[serde(skip_serializing_if = "Option::is_none")]
        watch: Option<String>,
        /// `publish`: where the last of its events is.
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        /// `publish`: how many events were accepted.
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// `publish`: the answer to an earlier one with the same key.
        #[serde(skip_serializing_if = "Option::is_none")]
        replayed: Option<bool>,
        /// `publish`: of the address or key that was written, for the `if_match` of the next.
        #[serde(skip_serializing_if = "Option::is_none")]
        etag: Option<String>,
    },
    /// WebSocket: a request of yours was refused.
    Problem {
        /// The request.
        r#ref: Option<u64>,
        /// Stable.
        code: ErrorCode,
        /// What happened.
        detail: String,
        /// What to do.
        hint: String,
        /// Where in the filter, in characters from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<usize>,
        /// `publish`: what the condition would have to name.
        #[serde(skip_serializing_if = "Option::is_none")]
        etag: Option<String>,
    },
}

/// A row, or the end of a snapshot.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SnapshotFrame {
    /// The end.
    Last {
        /// Always true.
        last: bool,
        /// Rows since the reset.
        count: u64,
        /// Position of the whole.
        cursor: String,
        /// With `chain`: the cursor before.
        #[serde(skip_serializing_if = "Option::is_none")]
        prev: Option<String>,
    },
    /// A row.
    Row {
        /// Where.
        address: String,
        /// Its key.
        key: String,
        /// Event time; not of a row that has changed since `at`.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<String>,
        /// The value.
        data: serde_json::Value,
    },
}

/// A change.
#[derive(Serialize, JsonSchema)]
pub struct ChangeFrame {
    /// Where; not on `clear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Its key, on keyed channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Event time.
    time: String,
    /// Absent while a snapshot is unfinished.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// With `chain`: the cursor before.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    /// The transaction of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    tx: Option<String>,
    /// The last of its transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_last: Option<bool>,
    /// With `rate`: how many changes since the last tick it stands for; it is the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflated: Option<u32>,
    /// The value, or those of its members that `fields` names; not on `delete` and `clear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
    /// With `mode=patch`, on `upsert`, in place of `data`: a JSON Merge Patch (RFC 7396) to the row as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<serde_json::Value>,
    /// With `mode=json-patch`, on `upsert`, in place of `data`: a JSON Patch (RFC 6902) to the row as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    patches: Option<serde_json::Value>,
}
