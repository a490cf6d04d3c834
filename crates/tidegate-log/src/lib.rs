//! The embedded log: one fsynced journal, per-channel segments, the view store.

mod batch;
mod channel;
pub mod disk;
mod error;
mod health;
mod log;
mod options;
mod page;

pub use batch::{AppendError, Appended, Batch, Entry, Idempotency};
pub use channel::Channel;
pub use error::{DrainError, OpenError};
pub use health::{Health, SYNC_BUCKETS_US, Stats};
pub use log::{LargeBatch, LargeCommit, Log};
pub use options::{ChannelSpec, Clock, Options, Retain, Window};
pub use page::{Page, ReadError, ReadLimit, RowPage, ViewRow};
