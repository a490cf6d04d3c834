//! What is appended: entries that become records together, or not at all.

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Key, Millis, Offset, Op};

use crate::condition::{Expect, Standing};

/// Entries of any number of channels that become durable and visible together, with what must be
/// durable at the same instant.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Become records in this order; a delete of a key that is not there becomes none.
    pub entries: Vec<Entry>,
    /// By name what is durable with the batch and replaces what the name had: where a source resumes, what it has
    /// [loaded](loaded_mark).
    pub checkpoints: Vec<(String, Bytes)>,
    /// Makes a repeat of the batch harmless.
    pub idempotency: Option<Idempotency>,
    /// What must hold for the batch to be taken. A repeat of a batch that was taken gets its answer all the same.
    pub expect: Option<Expect>,
    /// Transaction id for all records; the last of each channel is marked.
    pub tx: Option<Box<str>>,
}

/// One event on its way into the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which channel.
    pub channel: ChannelId,
    /// `Append` on plain channels; `Upsert`, `Delete`, `Clear` on keyed ones; `Gap` and `Notice` on both.
    pub op: Op,
    /// Where.
    pub address: Address,
    /// On keyed channels, but for ops that [concern the whole channel](Op::is_channel_wide).
    pub key: Option<Key>,
    /// Time of the event.
    pub time: Millis,
    /// Validated JSON; empty for `Delete`, `Clear` and `Gap`.
    pub data: Bytes,
}

/// A key under which a repeat gets the first answer, within the channel's window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Its scope is this channel and …
    pub channel: ChannelId,
    /// … this principal.
    pub principal: String,
    /// As the client chose it.
    pub key: String,
    /// The same key with another body is refused.
    pub body_hash: [u8; 32],
}

/// Name of the checkpoint that says that a source has loaded a channel; it may be empty. No source has such a name.
pub fn loaded_mark(source: &str, channel: &str) -> String {
    format!("{source}/loaded/{channel}")
}

impl Idempotency {
    /// Whether one is a repeat of the other, or misuse.
    pub(crate) fn names_the_same(&self, other: &Idempotency) -> bool {
        (self.channel, &self.principal, &self.key) == (other.channel, &other.principal, &other.key)
    }
}

/// The answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Per channel of the entries, in order of first use: offset of the batch's last record there, or the
    /// channel's head if the batch wrote none.
    pub last: Vec<(ChannelId, Offset)>,
    /// Entries of the batch (deletes that changed nothing count too).
    pub count: u64,
    /// The batch was there already; this is the first answer.
    pub replayed: bool,
}

impl Appended {
    /// The offset in this channel.
    pub fn offset(&self, channel: ChannelId) -> Option<Offset> {
        self.last.iter().find(|(id, _)| *id == channel).map(|(_, offset)| *offset)
    }
}

/// Why a batch is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written; try again later.
    #[error("the disk of the log is full")]
    Full,
    /// The disk failed to keep what it was given. Whether this batch survives a restart is not known;
    /// nothing is accepted until then.
    #[error("the log is poisoned: its disk failed a sync; restart after repairing it")]
    Poisoned,
    /// The idempotency key was used for another body.
    #[error("the idempotency key was used for another body")]
    IdempotencyMismatch,
    /// What the batch expects does not hold; the place has come so far. Nothing was written.
    #[error("the condition of the batch does not hold")]
    Unexpected(Standing),
    /// No such channel.
    #[error("the log has no such channel")]
    UnknownChannel,
    /// The entry's op or key does not fit its channel.
    #[error("an entry does not fit its channel: {0}")]
    Unfit(&'static str),
    /// The view store or a segment could not be read, so the before-image or the condition is not known. Nothing was written; try
    /// again later.
    #[error("the log cannot be read")]
    State,
    /// An open large batch owns a channel, a checkpoint or the idempotency key of this batch, or as many large batches are open as may
    /// be. Nothing was written; try again when it ended.
    #[error("an open large batch has the channel")]
    Busy,
    /// The log was closed, or the large batch is over.
    #[error("the log is closed")]
    Closed,
    /// Over `batch_bytes_max`, or over 64 MiB with those it is appended with.
    #[error("the batch is too large")]
    TooLarge,
}
