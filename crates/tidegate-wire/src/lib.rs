//! Frames to bytes, shared by all watchers of one view.
//!
//! A tail holds the encoded bytes of one view on one kind of wire; all its watchers share
//! them. A watcher is a position in a tail and something that takes bytes. It walks to the live tail
//! by reading the log, and from then on gets everything from its position to the end of the ring:
//! from a lane, a thread that owns its socket, or on the general path from [`follow()`]. No queue
//! belongs to a watcher, so a slow one costs nobody anything. Those who fell behind read the log in
//! encoded blocks, which they share too.
//!
//! This room never decides who may see what, and never talks to a source.

mod blocks;
mod encoding;
mod follow;
mod lane;
mod load;
mod memory;
mod meter;
mod options;
mod pump;
mod reins;
mod tail;
mod tails;
mod until;
mod walk;

pub use blocks::BlockFigures;
pub use encoding::{Coding, Compressed, DEFLATE_WINDOW_BITS, Encoding, deflated, websocket_text};
pub use follow::{End, follow};
pub use lane::{Connection, Ear, Hearing, Lanes, Left, Line, Over, Terms, WatchName};
pub use load::{Level, LoadFigures, LoadOptions};
pub use memory::{Held, Memory, Step, Use};
pub use meter::{Balance, Meter};
pub use options::StreamOptions;
pub use reins::Reins;
pub use tails::{Listener, Stats, Tails};
pub use walk::{Sink, Watcher, close_frame};
