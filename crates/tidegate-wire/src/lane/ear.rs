//! Who listens to what a client says on a socket of a lane.

use bytes::Bytes;
use tidegate_core::ErrorCode;

use super::handle::Connection;
use super::message::WatchName;

/// Hears a client. Called on the lane's thread, so it never blocks and never takes long: what does
/// is done elsewhere, and the lane listens again when it is told to.
pub trait Ear: Send {
    /// The client said `bytes`, or what it had said is to be gone on with, if they are empty. What
    /// is pushed to `answer` is written at once.
    fn hear(&mut self, bytes: &[u8], connection: &Connection, answer: &mut Vec<u8>) -> Hearing;

    /// A watch of the socket has ended, whoever ended it, or will not begin.
    fn ended(&mut self, name: WatchName);

    /// The same in memory of the calling thread, which is the lane's: thousands live for long, and are
    /// better together than between the buffers of their handshakes.
    fn settle(self: Box<Self>) -> Box<dyn Ear>;

    /// The last bytes on the socket, when the server ends it for this reason.
    fn goodbye(&self, code: ErrorCode) -> Bytes;
}

/// What comes after something was heard.
pub enum Hearing {
    /// The next thing is heard.
    On,
    /// Nothing more is read until [`Connection::listen`].
    Wait,
    /// The socket ends in order.
    Leave,
}
