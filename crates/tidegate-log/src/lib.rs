//! The embedded log: one fsynced journal, per-channel segments, the view store.
//!
//! A batch goes through the [`journal`] (one write and one sync for all that waits), becomes [`hot`] records in
//! memory, and is visible. A [`drain`] moves it into [segments](segment) and the [view store](state); the journal
//! files go then. A [`large`] batch goes to segments and store without either. Opening ([`recovery`]) reads the journal that no
//! drain took. [`engine`] is all of that without threads, [`group`] what the journal's does at once, [`thread`] puts two around it,
//! [`log`] and [`channel`] are what users hold.
//!
//! **Invariant:** nothing is visible before it is durable (channels that keep nothing on disk excepted), and a batch is whole or
//! absent after any crash. This crate never sees HTTP, watches or sources.

mod batch;
mod channel;
mod codec;
mod condition;
mod counters;
pub mod disk;
mod drain;
mod engine;
mod error;
mod group;
mod health;
mod hot;
mod journal;
mod kept;
mod large;
mod ledger;
mod log;
mod options;
mod page;
mod recovery;
mod ring;
mod segment;
mod stage;
mod state;
#[cfg(feature = "sim")]
mod stepped;
mod thread;
mod verify;

pub use batch::{AppendError, Appended, Batch, Entry, Idempotency, loaded_mark};
pub use channel::{Channel, Keeping};
pub use condition::{Condition, Expect, Standing};
pub use error::{DrainError, OpenError};
pub use health::{Health, SYNC_BUCKETS_US, Stats};
pub use large::{LargeBatch, LargeCommit};
pub use log::Log;
pub use options::{ChannelSpec, Clock, Options, Retain, Window};
pub use page::{Page, ReadError, ReadLimit, RowPage, ViewRow};
#[cfg(feature = "sim")]
pub use stepped::SteppedLog;
pub use verify::{Report, VerifyError, verify};
