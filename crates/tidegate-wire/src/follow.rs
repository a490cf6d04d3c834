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
use tidegate_hub::{Drain, Hub, Piece, Plan, Reader, Start};

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
pub async fn follow(tails: &Tails, watcher: Watcher, sink: &mut impl Sink) -> End {
    let key = TailKey { view: watcher.plan.view.clone(), encoding: watcher.encoding, chain: watcher.chain };
    let subscription = tails.subscribe(&watcher.plan.channel, key);
    let prefix = watcher.plan.channel.cursor(&watcher.plan.view, 0).prefix();
    let held = match watcher.plan.start {
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
    watcher: Watcher,
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
    Draining(Drain),
}

impl<S: Sink> Follower<'_, S> {
    async fn run(&mut self) -> io::Result<ErrorCode> {
        self.begin().await?;
        if self.watcher.plan.channel.loading() {
            self.wait_until_loaded().await?;
        }
        let mut reader = Reader::new(&self.watcher.plan);
        loop {
            let boundary = match self.catch_up(reader).await? {
                Ok(boundary) => boundary,
                Err(problem) => return self.close_with(problem).await,
            };
            match self.live(boundary).await? {
                Left::Behind { at } => {
                    self.tails.stats().behind.fetch_add(1, Ordering::Relaxed);
                    let plan = &self.watcher.plan;
                    reader = Reader::resume(plan.channel.clone(), plan.view.clone(), at);
                }
                Left::Draining(drain) => return self.close_for(drain).await,
            }
        }
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

    async fn wait_until_loaded(&mut self) -> io::Result<()> {
        let message = "the source is still reading its first snapshot; it follows here".to_owned();
        let notice = [Frame::Notice { code: NoticeCode::Loading, message }];
        let mut silent = Duration::MAX;
        while self.watcher.plan.channel.loading() {
            if silent >= self.hub().options().heartbeat {
                self.write_frames(&notice).await?;
                silent = Duration::ZERO;
            }
            tokio::time::sleep(LOADING_POLL).await;
            silent += LOADING_POLL;
        }
        Ok(())
    }

    /// Reads until the tail's boundary, which it returns.
    async fn catch_up(&mut self, mut reader: Reader) -> io::Result<Result<Boundary, Problem>> {
        let mut boundary = self.subscription.boundary();
        loop {
            if reader.position() == Some(boundary.upto) {
                return self.join(boundary).await.map(Ok);
            }
            let upto = boundary.upto;
            let piece;
            (reader, piece) = read(reader, upto).await;
            let piece = match piece {
                Ok(piece) => piece,
                Err(problem) => return Ok(Err(problem)),
            };
            self.count(&piece);
            self.write_frames(&piece.frames).await?;
            if piece.caught_up {
                return self.join(boundary).await.map(Ok);
            }
            if self.hub().drain().draining() {
                return Ok(Err(Problem::new(ErrorCode::Draining, "the server is about to stop")));
            }
            if let Some(needs) = piece.needs.filter(|needs| *needs > upto) {
                boundary = self.subscription.boundary_past(needs).await;
            }
        }
    }

    /// With `chain`, links the watcher's last cursor to that of the tail.
    async fn join(&mut self, boundary: Boundary) -> io::Result<Boundary> {
        if self.watcher.chain && self.cursors.last() != Some(boundary.last) {
            self.write_frames(&[Frame::Bookmark(boundary.last)]).await?;
        } else if self.owes_cursor {
            self.write_frames(&[Frame::Bookmark(boundary.upto)]).await?;
        }
        Ok(boundary)
    }

    async fn live(&mut self, boundary: Boundary) -> io::Result<Left> {
        let Boundary { upto: mut at, chunk: mut next, .. } = boundary;
        let mut chunks = Vec::new();
        let hub = self.tails.hub().clone();
        let mut draining = std::pin::pin!(leave(&hub));
        loop {
            chunks.clear();
            let take = tokio::select! {
                biased;
                drain = &mut draining => return Ok(Left::Draining(drain)),
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

    async fn close_for(&mut self, drain: Drain) -> io::Result<ErrorCode> {
        let retry_ms = rand::rng().random_range(0..=drain.retry_ms_max);
        let problem = Problem::new(ErrorCode::Draining, "the server is about to stop");
        self.close_with(Problem { retry_ms: Some(retry_ms), ..problem }).await
    }

    async fn write_frames(&mut self, frames: &[Frame]) -> io::Result<()> {
        if frames.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for frame in frames {
            self.watcher.encoding.write(frame, &mut self.cursors, &mut bytes);
            self.owes_cursor = match frame {
                Frame::Gap { .. } => true,
                _ => self.owes_cursor && frame.cursor().is_none(),
            };
        }
        let chunk = [Bytes::from(bytes)];
        self.sink.write(&chunk).await?;
        self.tails.count_sent(frames.len() as u64, &chunk);
        Ok(())
    }

    fn count(&self, piece: &Piece) {
        let counters = self.hub().counters();
        for frame in &piece.frames {
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
async fn leave(hub: &Hub) -> Drain {
    let drain = hub.drain().begun().await;
    let turn = drain.pace.mul_f64(rand::rng().random_range(0.0..1.0));
    tokio::time::sleep(turn).await;
    drain
}

/// Reads one piece where blocking is allowed.
async fn read(mut reader: Reader, boundary: Offset) -> (Reader, Result<Piece, Problem>) {
    let work = tokio::task::spawn_blocking(move || {
        let piece = reader.next(boundary);
        (reader, piece)
    });
    work.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
