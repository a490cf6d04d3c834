//! Frames to bytes, shared by all watchers of one view.
//!
//! A tail holds the encoded bytes of one view on one kind of wire; all its watchers share
//! them. A watcher is a position in a tail and something that takes bytes: [`follow()`] writes to it
//! everything from its position to the end of the ring, and reads from the log whenever it is
//! behind the ring. No queue belongs to a watcher, so a slow one costs nobody anything.
//!
//! This room never decides who may see what, and never talks to a source.

mod encoding;
mod follow;
mod pump;
mod tail;
mod tails;

pub use encoding::{DEFLATE_WINDOW_BITS, Deflated, Encoding, deflated, websocket_text};
pub use follow::{End, Sink, Watcher, follow};
pub use tails::{Listener, Stats, Tails};
