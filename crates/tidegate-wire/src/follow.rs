//! One watcher's life: begin, gap or reset, snapshot, catch up, live.
//!
//! ```text
//!   begin ─► (loading) ─► catch up: read pieces of the log up to the tail's boundary
//!                            ▲                          │ caught up
//!                            │ behind the ring          ▼
//!                            └─────────────────────── live: take chunks of the tail
//!                                                       │ drain
//!                                                       ▼
//!                                                     close
//! ```

use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use tidegate_core::frame::{Begin, Cursors};
use tidegate_core::{ErrorCode, Frame, NoticeCode, Offset, Problem};
use tidegate_hub::{Hub, Piece, Plan, Reader, Start};

use crate::encoding::Encoding;
use crate::tail::{TailKey, Take};
use crate::tails::{Boundary, Subscription, Tails};

/// How often a watcher of a loading channel looks whether it has loaded.
const LOADING_POLL: Duration = Duration::from_millis(200);

/// A watch that is about to begin.
pub struct Watcher {
    /// What it sees and where it begins.
    pub plan: Plan,
    /// Its kind of wire.
    pub encoding: Encoding,
    /// Whether frames carry `prev`.
    pub chain: bool,
    /// Its name in listings.
    pub id: String,
    /// The options as the client wrote them.
    pub options: Vec<(String, String)>,
}

/// Something that takes bytes: a socket after its handshake.
pub trait Sink: Send {
    /// Writes all of the chunks, in order; each is whole frames.
    fn write(&mut self, chunks: &[Bytes]) -> impl Future<Output = io::Result<()>> + Send;
}

/// How a watch ended.
#[derive(Debug)]
pub enum End {
    /// A `close` frame with this code was written.
    Closed(ErrorCode),
    /// The client went away.
    Gone(io::Error),
}

/// Writes the whole watch to `sink`, until it ends.
pub async fn follow(tails: &Tails, watcher: &Watcher, sink: &mut impl Sink) -> End {
    let key = TailKey { view: watcher.plan.view.clone(), encoding: watcher.encoding, chain: watcher.chain };
    let subscription = tails.subscribe(&watcher.plan.channel, key);
    let prefix = watcher.plan.channel.cursor(&watcher.plan.view, 0).prefix();
    let held = match watcher.plan.start {
        // Nothing of the view is between the tail's last cursor and now, and a chain that begins
        // there needs no link.
        Start::At(_) if watcher.plan.now && watcher.chain => Some(subscription.boundary().last),
        Start::At(offset) => Some(offset),
        _ => None,
    };
    let cursors = Cursors::new(prefix, watcher.chain, held);
    let mut follower = Follower { tails, subscription, watcher, cursors, owes_cursor: false, sink };
    match follower.run().await {
        Ok(code) => End::Closed(code),
        Err(error) => End::Gone(error),
    }
}

struct Follower<'f, S> {
    tails: &'f Tails,
    subscription: Subscription,
    watcher: &'f Watcher,
    /// Of what is written for this watcher alone.
    cursors: Cursors,
    /// A loss was announced, and no cursor has come since: cut now, the client would present the
    /// old one and be told again.
    owes_cursor: bool,
    sink: &'f mut S,
}

/// Why a live watcher stops to be one.
enum Left {
    Behind { at: Offset },
    Draining,
}

impl<S: Sink> Follower<'_, S> {
    async fn run(&mut self) -> io::Result<ErrorCode> {
        self.begin().await?;
        // What happens before a watcher is live is in boxes that are gone by then: thousands of idle
        // watchers keep the memory of their longest state.
        if !Box::pin(self.loaded()).await? {
            return self.close_with(self.hub().draining_problem()).await;
        }
        let mut reader = match self.cursors.last() {
            Some(held) => self.resume(held),
            None => Reader::new(&self.watcher.plan),
        };
        loop {
            let boundary = match Box::pin(self.catch_up(reader)).await? {
                Ok(boundary) => boundary,
                Err(problem) => return self.close_with(problem).await,
            };
            match self.live(boundary).await? {
                Left::Behind { at } => {
                    self.tails.stats().behind.fetch_add(1, Ordering::Relaxed);
                    reader = self.resume(at);
                }
                Left::Draining => return self.close_with(self.hub().draining_problem()).await,
            }
        }
    }

    fn resume(&self, at: Offset) -> Reader {
        let plan = &self.watcher.plan;
        Reader::resume(plan.channel.clone(), plan.view.clone(), at)
    }

    async fn begin(&mut self) -> io::Result<()> {
        let heartbeat_ms = self.hub().options().heartbeat.as_millis() as u64;
        let begin = Begin {
            watch: self.watcher.id.clone(),
            options: self.watcher.options.clone(),
            heartbeat_ms,
            cursor: self.cursors.last(),
        };
        self.write_frames(&[Frame::Begin(begin)]).await
    }

    /// Waits until the channel has loaded; `false` if a drain came first.
    async fn loaded(&mut self) -> io::Result<bool> {
        let message = "the source is still reading its first snapshot; it follows here".to_owned();
        let notice = [Frame::Notice { code: NoticeCode::Loading, message }];
        let hub = self.hub().clone();
        let mut leaving = std::pin::pin!(leave(&hub));
        let mut silent = Duration::MAX;
        while self.watcher.plan.channel.loading() {
            if silent >= hub.options().heartbeat {
                self.write_frames(&notice).await?;
                silent = Duration::ZERO;
            }
            tokio::select! {
                () = &mut leaving => return Ok(false),
                () = tokio::time::sleep(LOADING_POLL) => silent += LOADING_POLL,
            }
        }
        Ok(true)
    }

    /// Reads until the tail's boundary, which it returns.
    async fn catch_up(&mut self, mut reader: Reader) -> io::Result<Result<Boundary, Problem>> {
        let mut boundary = self.subscription.boundary();
        loop {
            let goal = self.goal(&boundary);
            if reader.position() == Some(goal) {
                return self.join(boundary).await.map(Ok);
            }
            let piece;
            (reader, piece) = read(reader, goal, boundary.upto).await;
            let Piece { frames, needs, caught_up } = match piece {
                Ok(piece) => piece,
                Err(problem) => return Ok(Err(problem)),
            };
            self.count(&frames);
            self.write(frames).await?;
            if caught_up {
                return self.join(boundary).await.map(Ok);
            }
            if self.hub().drain().draining() {
                return Ok(Err(self.hub().draining_problem()));
            }
            match needs {
                Some(needs) if self.watcher.chain && reader.position().is_some() => {
                    boundary = self.subscription.boundary_standing_past(needs).await;
                }
                Some(needs) => boundary = self.subscription.boundary_past(needs).await,
                None => {}
            }
        }
    }

    /// Where this watcher joins the tail: a chain joins at a cursor of the tail.
    fn goal(&self, boundary: &Boundary) -> Offset {
        if self.watcher.chain { boundary.last } else { boundary.upto }
    }

    /// With `chain`, links the watcher's last cursor to that of the tail.
    async fn join(&mut self, boundary: Boundary) -> io::Result<Boundary> {
        let unlinked = self.watcher.chain && self.cursors.last() != Some(boundary.last);
        if unlinked || self.owes_cursor {
            self.write_frames(&[Frame::Bookmark(self.goal(&boundary))]).await?;
        }
        Ok(boundary)
    }

    async fn live(&mut self, boundary: Boundary) -> io::Result<Left> {
        let (mut at, mut next) = (self.goal(&boundary), boundary.chunk);
        let mut chunks = Vec::new();
        let hub = self.tails.hub().clone();
        let mut draining = std::pin::pin!(leave(&hub));
        loop {
            chunks.clear();
            let take = tokio::select! {
                biased;
                () = &mut draining => return Ok(Left::Draining),
                take = self.subscription.take(next, &mut chunks) => take,
            };
            match take {
                Take::Behind => return Ok(Left::Behind { at }),
                Take::Chunks { next: after, upto, frames } => {
                    self.sink.write(&chunks).await?;
                    self.tails.count_sent(frames, &chunks);
                    (next, at) = (after, upto);
                    self.cursors.continue_from(at);
                }
            }
        }
    }

    async fn close_with(&mut self, problem: Problem) -> io::Result<ErrorCode> {
        let Problem { code, detail, retry_ms, .. } = problem;
        self.write_frames(&[Frame::Close { code, message: detail, retry_ms }]).await?;
        Ok(code)
    }

    async fn write_frames(&mut self, frames: &[Frame]) -> io::Result<()> {
        let bytes = self.encode(frames);
        self.write_bytes(bytes, frames.len()).await
    }

    /// The same for frames that are not needed again: a client that does not read holds their
    /// bytes, not their records too.
    async fn write(&mut self, frames: Vec<Frame>) -> io::Result<()> {
        let (bytes, count) = (self.encode(&frames), frames.len());
        drop(frames);
        self.write_bytes(bytes, count).await
    }

    fn encode(&mut self, frames: &[Frame]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            self.watcher.encoding.write(frame, &mut self.cursors, &mut bytes);
            self.owes_cursor = match frame {
                Frame::Gap { .. } => true,
                _ => self.owes_cursor && frame.cursor().is_none(),
            };
        }
        bytes
    }

    async fn write_bytes(&mut self, bytes: Vec<u8>, frames: usize) -> io::Result<()> {
        if frames == 0 {
            return Ok(());
        }
        let chunk = [Bytes::from(bytes)];
        self.sink.write(&chunk).await?;
        self.tails.count_sent(frames as u64, &chunk);
        Ok(())
    }

    fn count(&self, frames: &[Frame]) {
        let counters = self.hub().counters();
        for frame in frames {
            match frame {
                Frame::Reset(_) => counters.resets.fetch_add(1, Ordering::Relaxed),
                Frame::Gap { .. } => counters.gaps.fetch_add(1, Ordering::Relaxed),
                _ => continue,
            };
        }
    }

    fn hub(&self) -> &Hub {
        self.tails.hub()
    }
}

/// Returns when a drain has begun and this watcher's turn has come.
async fn leave(hub: &Hub) {
    let drain = hub.drain().begun().await;
    let turn = drain.pace.mul_f64(rand::rng().random_range(0.0..1.0));
    tokio::time::sleep(turn).await;
}

/// Reads one piece where blocking is allowed.
async fn read(mut reader: Reader, goal: Offset, reached: Offset) -> (Reader, Result<Piece, Problem>) {
    let work = tokio::task::spawn_blocking(move || {
        let piece = reader.next(goal, reached);
        (reader, piece)
    });
    work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
