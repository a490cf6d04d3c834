//! An event at its place in a log.

use bytes::Bytes;

use crate::address::Address;
use crate::cursor::Offset;
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
    /// Where. On [`Op::Clear`] the address means nothing: the whole channel is meant.
    pub address: Address,
    /// Of keyed channels, but for [`Op::Clear`].
    pub key: Option<Key>,
    /// The value as validated JSON on one line; empty for [`Op::Delete`] and [`Op::Clear`].
    pub data: Bytes,
    /// The value that the key had before; `None` if it had none, and on plain channels.
    pub before: Option<Bytes>,
    /// The transaction of the source.
    pub tx: Option<Tx>,
}
