//! What a lane can be told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{Cursor, Problem};
use tidegate_hub::{Order, Standing, WatchEntry};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::ear::Ear;
use super::inbox::ConnectionId;
use super::line::Line;
use crate::encoding::Encoding;
use crate::load::Level;
use crate::meter::Meter;
use crate::tail::Place;
use crate::tails::Hold;

/// The name of a watch on its socket.
pub type WatchName = u32;

/// A watch as its walk speaks of it. One that goes on with another view has another life, so that nothing is taken for its
/// own that a walk of the one before had still to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Voice {
    pub(super) name: WatchName,
    pub(super) life: u32,
}

pub(super) enum Message {
    /// A socket is the lane's from now on. In no box: the lane's thread would free it, and be given its memory, which lies
    /// between what handshakes leave behind, for the next thing that lives for long.
    Open(ConnectionId, Opening),
    /// A watch of it begins, and is to be listed: by the lane, as what lives for long is better not
    /// between what its handshake leaves behind.
    Watch(ConnectionId, WatchName, Box<Watched>),
    /// What brings it to its tail, to be ended with the socket.
    Walking(ConnectionId, Voice, AbortHandle),
    /// Bytes of one watch, or of none, to be written in their turn.
    Say(ConnectionId, Said),
    /// A watch has arrived at its tail.
    Live(ConnectionId, Voice, Box<Arrival>),
    /// A watch ends on its way, and on a socket of one watch the socket too.
    End(ConnectionId, Voice, Problem),
    /// Something is to happen to a watch, for a reason from outside.
    Order(ConnectionId, WatchName, Order),
    /// The client wants no more of a watch; the answer comes after its last frame.
    Unwatch(ConnectionId, WatchName, Bytes),
    /// Somebody wants to know what a watch is on the list.
    Ask(ConnectionId, WatchName, oneshot::Sender<WatchEntry>),
    /// A watch ends without a word, and somebody goes on from where it stands.
    Leave(ConnectionId, WatchName, oneshot::Sender<Left>),
    /// The client's next message is wanted.
    Listen(ConnectionId),
    /// The socket ends in order, after these bytes.
    Close(ConnectionId, Bytes),
    /// A tail of this lane has new chunks.
    Dirty(u32),
    /// Others give way under load from now on.
    Load(Level),
    /// All sockets are to be closed within this time.
    Drain(Duration),
    /// The lane ends, and its sockets with it.
    Stop,
}

pub(super) struct Opening {
    pub(super) line: Line,
    pub(super) terms: Terms,
}

/// What a lane is told of a socket.
pub struct Terms {
    /// How its frames are spelled.
    pub encoding: Encoding,
    /// Whether it has many watches, each of whose runs of frames is named; else it has one.
    pub many: bool,
    /// Who listens to what the client says, from the first frame of a watch on or when the lane is
    /// told to; without one it is discarded, up to a limit.
    pub ear: Option<Box<dyn Ear>>,
    /// What is written first.
    pub head: Bytes,
    /// Dropped with the socket.
    pub place: tokio::sync::OwnedSemaphorePermit,
}

pub(super) struct Watched {
    pub(super) entry: WatchEntry,
    /// Its place among the watches that its caller may have at once.
    pub(super) place: Option<tidegate_gate::Place>,
    /// Where the client stands that has heard nothing of it yet.
    pub(super) stands: Option<Box<Cursor>>,
    /// When its client's right to it ends.
    pub(super) until: Option<Instant>,
    /// Whether its frames carry `prev`.
    pub(super) chain: bool,
    /// What was looked up to allow it.
    pub(super) standing: Standing,
    /// Where what it is told is counted.
    pub(super) meter: Option<Arc<dyn Meter>>,
}

/// What a watch leaves to the one that goes on from where it stood.
pub struct Left {
    /// Where that is; `None`: before the first cursor of its view.
    pub stands: Option<Cursor>,
    /// Its place among the watches that its caller may have at once.
    pub place: Option<tidegate_gate::Place>,
}

pub(super) struct Said {
    /// Whose frames they are.
    pub(super) watch: Option<Voice>,
    pub(super) bytes: Bytes,
    /// Where the watch stands after them.
    pub(super) stands: Option<Cursor>,
    /// Told when they are written.
    pub(super) written: Option<oneshot::Sender<()>>,
}

pub(super) struct Arrival {
    pub(super) hold: Hold,
    pub(super) place: Place,
}
