//! The lanes and their sockets, as other threads see them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tidegate_core::{Cursor, Problem};
use tidegate_hub::{Drain, WatchEntry, WatchHandle};
use tokio::sync::{Notify, oneshot};

use super::inbox::{ConnectionId, Inbox};
use super::line::Line;
use super::message::{Arrival, Left, Message, Opening, Said, Terms, Voice, WatchName, Watched};
use super::thread::Lane;
use crate::load::Level;
use crate::options::StreamOptions;
use crate::tail::Place;
use crate::tails::{Hold, Tails};
use crate::walk::{Sink, Walk, Watcher};

/// Bytes that a walk may have said and that are not written yet: a piece of the log.
const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;

/// The threads that own sockets.
pub struct Lanes {
    inboxes: Vec<Arc<Inbox>>,
    next: AtomicUsize,
    came: Notify,
}

impl Lanes {
    pub(crate) fn new(options: &StreamOptions) -> io::Result<Lanes> {
        let inboxes = (0..options.lanes.max(1)).map(|_| Inbox::new().map(Arc::new)).collect::<io::Result<_>>()?;
        Ok(Lanes { inboxes, next: AtomicUsize::new(0), came: Notify::new() })
    }

    /// Starts the threads. They hold no handle of the tails, so that these can be dropped.
    pub(crate) fn start(&self, tails: &Tails) -> io::Result<()> {
        for (number, inbox) in self.inboxes.iter().enumerate() {
            Lane::spawn(number, inbox.clone(), tails)?;
        }
        let hub = tails.hub().clone();
        let inboxes = self.inboxes.clone();
        tokio::spawn(async move {
            let Drain { pace, .. } = hub.drain().begun().await;
            inboxes.iter().for_each(|inbox| inbox.post(Message::Drain(pace)));
        });
        Ok(())
    }

    /// Tells them who gives way under load now.
    pub(crate) fn load_changed(&self, level: Level) {
        self.inboxes.iter().for_each(|inbox| inbox.post(Message::Load(level)));
    }

    /// How many sockets they own now.
    pub fn sockets(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.connections()).sum()
    }

    /// How many tails they follow; one that two lanes follow counts twice.
    pub fn tails(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.counts.tails.load(Ordering::Relaxed)).sum()
    }

    /// How many of their sockets take nothing at the moment.
    pub fn full(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.counts.full.load(Ordering::Relaxed)).sum()
    }

    /// How many sockets they have been given since the start.
    pub fn opened(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Returns when one was given since the last call, to one who asks.
    pub async fn came(&self) {
        self.came.notified().await;
    }

    /// Gives a socket, after its handshake, to the lane whose turn it is.
    ///
    /// # Errors
    /// When the socket cannot be set up.
    pub fn open(&self, line: Line, terms: Terms) -> io::Result<Connection> {
        line.tcp().set_nonblocking(true)?;
        let inbox = &self.inboxes[self.next.fetch_add(1, Ordering::Relaxed) % self.inboxes.len()];
        let connection = Connection { id: inbox.reserve(), inbox: inbox.clone() };
        connection.post(|id| Message::Open(id, Opening { line, terms }));
        self.came.notify_one();
        Ok(connection)
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.inboxes.iter().for_each(|inbox| inbox.post(Message::Stop));
    }
}

/// A watch, or its socket, has ended.
#[derive(Debug)]
pub struct Over;

/// A socket in a lane. What is said on it after its end is lost.
#[derive(Clone)]
pub struct Connection {
    pub(super) inbox: Arc<Inbox>,
    pub(super) id: ConnectionId,
}

impl Connection {
    fn post(&self, message: impl FnOnce(ConnectionId) -> Message) {
        self.inbox.post(message(self.id));
    }

    /// Begins a watch, which is on the list until its end. Names are the caller's, each used once.
    pub fn watch(&self, tails: &Tails, name: WatchName, mut watcher: Watcher, mut entry: WatchEntry) {
        let standing = watcher.plan.standing.clone();
        let (stands, until, meter) = (watcher.plan.stands().map(Box::new), watcher.until, watcher.meter.clone());
        let place = watcher.place.take();
        let voice = Voice { name, life: 0 };
        let (mut walk, chain) = (Walk::new(tails, &watcher, self.sink(voice)), watcher.chain);
        // The same text, once for all watchers of a view.
        entry.view = walk.view().clone();
        self.post(|id| {
            Message::Watch(id, name, Box::new(Watched { entry, place, stands, until, chain, standing, meter }))
        });
        let walk = tokio::spawn(async move {
            let arrived = walk.begin(&watcher).await;
            drop(watcher);
            arrive(walk, arrived);
        });
        self.post(|id| Message::Walking(id, voice, walk.abort_handle()));
    }

    /// Ends a watch without a word; `answer` follows its last frame.
    pub fn unwatch(&self, name: WatchName, answer: Bytes) {
        self.post(|id| Message::Unwatch(id, name, answer));
    }

    /// A watch as it is on the list.
    ///
    /// # Errors
    /// It is over.
    pub async fn watched(&self, name: WatchName) -> Result<WatchEntry, Over> {
        let (told, wait) = oneshot::channel();
        self.post(|id| Message::Ask(id, name, told));
        wait.await.map_err(|_| Over)
    }

    /// Ends a watch without a word; nothing of it comes any more.
    ///
    /// # Errors
    /// It is over already.
    pub async fn leave(&self, name: WatchName) -> Result<Left, Over> {
        let (told, wait) = oneshot::channel();
        self.post(|id| Message::Leave(id, name, told));
        wait.await.map_err(|_| Over)
    }

    /// Writes bytes that belong to no watch.
    pub fn say(&self, bytes: Bytes) {
        self.post(|id| Message::Say(id, Said { watch: None, bytes, stands: None, written: None }));
    }

    /// Goes on to hear the client.
    pub fn listen(&self) {
        self.post(Message::Listen);
    }

    /// Whether a watch on the list is one of this socket.
    pub fn has(&self, handle: &WatchHandle) -> bool {
        handle.is_on(&self.inbox, self.id.bits())
    }

    /// Ends the socket in order, after these bytes.
    pub fn close(&self, last: Bytes) {
        self.post(|id| Message::Close(id, last));
    }

    pub(super) fn sink(&self, voice: Voice) -> LaneSink {
        LaneSink { connection: self.clone(), voice, unwritten: 0 }
    }
}

/// Hands a walk's result to the lane; a client that has gone is the lane's to see.
pub(super) fn arrive(walk: Walk<LaneSink>, arrived: io::Result<Result<Place, Problem>>) {
    let (_, hold, sink) = walk.into_parts();
    match arrived {
        Ok(Ok(place)) => {
            let LaneSink { connection, voice, .. } = sink;
            connection.post(|id| Message::Live(id, voice, Box::new(Arrival { hold, place })));
        }
        Ok(Err(problem)) => sink.end(problem),
        Err(_) => {}
    }
}

/// Sends a watcher that is behind its tail to read the log.
pub(super) async fn catch_up(tails: Tails, hold: Hold, place: Place, sink: LaneSink) {
    let mut walk = Walk::behind(tails, hold, sink);
    let arrived = walk.again(place.upto).await;
    arrive(walk, arrived);
}

/// Where a walk writes: its turn on the lane's socket.
pub(super) struct LaneSink {
    connection: Connection,
    voice: Voice,
    unwritten: usize,
}

impl LaneSink {
    /// The watch ends before it is live.
    pub(super) fn end(self, problem: Problem) {
        let LaneSink { connection, voice, .. } = self;
        connection.post(|id| Message::End(id, voice, problem));
    }
}

impl Sink for LaneSink {
    /// Little is written without waiting; then all before it has to be on the socket.
    async fn write(&mut self, chunks: &[Bytes], stands: Option<Cursor>) -> io::Result<()> {
        for (at, bytes) in chunks.iter().enumerate() {
            self.unwritten += bytes.len();
            let stands = stands.filter(|_| at + 1 == chunks.len());
            let said = |written| Said { watch: Some(self.voice), bytes: bytes.clone(), stands, written };
            if self.unwritten < UNWRITTEN_BYTES_MAX {
                self.connection.post(|id| Message::Say(id, said(None)));
                continue;
            }
            let (written, wait) = oneshot::channel();
            self.connection.post(|id| Message::Say(id, said(Some(written))));
            wait.await.map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.unwritten = 0;
        }
        Ok(())
    }
}
