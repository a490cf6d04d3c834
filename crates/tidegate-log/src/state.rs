//! The view store and everything else that is not history: one redb file, on our disk.
//!
//! A commit replaces the whole state at once, so the file is always the state as of one place in the journal.
//! Readers share one snapshot until the next commit.

mod backend;
mod store;
mod tables;
mod view;

pub(crate) use backend::Backend;
pub(crate) use store::{FILE, Snapshot, State, StateError};
pub(crate) use tables::{
    CHANNELS, CHECKPOINTS, ChannelRow, KEY_TIMES, KEYS, META, META_JOURNAL_FROM, META_MERGED, META_TRIMMED, SEGMENTS,
    StoredRow, by_key, key_time, row_key, touched_key,
};
pub(crate) use view::{ViewTables, addresses_of, settle_index};
