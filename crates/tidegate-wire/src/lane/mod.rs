//! Lanes: a few threads that own the sockets of streams.
//!
//! A watch in a lane is a tail, a place in it, and a socket. When its tail has something new the lane
//! makes one pass over the tail's watchers and writes to each all that is there, with one system
//! call; what comes during a pass joins the next. Nothing is queued for a watcher and no task is
//! woken for it: one that cannot take its bytes keeps its place, and goes on from there, or from
//! the log, when it can.
//!
//! ```text
//!                    ┌──────────── the log, read by a task ◄──────────┐
//!                    ▼                                                │ the ring has gone on
//!  open ─► walking ─► live ──── a write takes less than all ───► late ┘
//!                    ▲ in step with the tail                       │ writable: takes the rest
//!                    └─────────────────────────────────────────────┘
//! ```
//!
//! A lane never blocks: what reads the disk or waits for others is a task's, which says its bytes
//! through the lane ([`handle`]).

mod ages;
mod batch;
mod ear;
mod endings;
mod giving_way;
mod handle;
mod inbox;
mod letterbox;
mod line;
mod message;
mod output;
mod pass;
mod passes;
mod renewal;
mod socket;
mod sockets;
mod thread;

/// What the hand-over is made of; its test has other ones.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard};
}

pub(crate) use ages::old;
pub use ear::{Ear, Hearing};
pub use handle::{Connection, Lanes, Over};
pub(crate) use inbox::Inbox;
pub use line::Line;
pub use message::{Left, Terms, WatchName};
pub(crate) use renewal::plan;
