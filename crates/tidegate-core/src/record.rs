//! An event at its place in a log.

use bytes::Bytes;

use crate::address::Address;
use crate::cursor::Offset;
use crate::json::{member, members};
use crate::time::Millis;

/// Text of a key: a string as it is, a number literally, a composite key as a JSON array.
pub type Key = Box<str>;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Op {
    /// A key has a new value.
    Upsert,
    /// A key is gone.
    Delete,
    /// A plain event.
    Append,
    /// All keys of the channel are gone at once (TRUNCATE).
    Clear,
    /// The source lost changes of the channel before here. Those that are found again follow as changes of their own. It
    /// belongs in a batch without a transaction: its frame has no place for one.
    Gap,
    /// The source tells the channel's watchers something, see [`is_notice`].
    Notice,
}

impl Op {
    /// Whether it concerns the whole channel, and so every scope: it has no key, and its address means nothing.
    pub fn is_channel_wide(self) -> bool {
        matches!(self, Op::Clear | Op::Gap | Op::Notice)
    }
}

/// Whether validated JSON can be the data of an [`Op::Notice`]: an object with the texts `code` and `message`, and no member
/// that the frame has by itself.
pub fn is_notice(data: &[u8]) -> bool {
    const OWN: [&str; 6] = ["op", "cursor", "prev", "time", "tx", "tx_last"];
    let text = |name| member(data, name).is_some_and(|value| value.starts_with(b"\""));
    data.starts_with(b"{")
        && data.ends_with(b"}")
        && text("code")
        && text("message")
        && members(data).all(|(name, _)| !OWN.contains(&&*name))
}

/// The rows of one source transaction carry the same id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tx {
    /// As the source names it.
    pub id: Box<str>,
    /// The last record of the transaction in this channel.
    pub last: bool,
}

/// One record of a channel.
///
/// A keyed record holds its before-image, so that a resumed watch can tell enter from leave
/// without any other state, even when the record that wrote the old value was trimmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Place in the channel's log.
    pub offset: Offset,
    /// Time of append, never earlier than that of the record before.
    pub appended: Millis,
    /// Time of the event itself.
    pub time: Millis,
    /// What happened.
    pub op: Op,
    /// Where. It means nothing if the op [concerns the whole channel](Op::is_channel_wide).
    pub address: Address,
    /// Of keyed channels, but for ops that concern the whole channel.
    pub key: Option<Key>,
    /// The value as validated JSON on one line; empty for [`Op::Delete`], [`Op::Clear`] and [`Op::Gap`].
    pub data: Bytes,
    /// The value that the key had before; `None` if it had none, and on plain channels.
    pub before: Option<Bytes>,
    /// The transaction of the source.
    pub tx: Option<Tx>,
}
