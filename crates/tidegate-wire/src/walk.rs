//! A watcher on its way to the live tail: begin, gap or reset, snapshot, catch up.
//!
//! ```text
//!   begin ─► (loading) ─► catch up: blocks or pieces of the log up to the tail's boundary ─► a place in the tail
//! ```
//!
//! One code for all streams; where the bytes go is the [`Sink`]'s.

use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use tidegate_core::frame::{Begin, Cursors};
use tidegate_core::{Cursor, ErrorCode, Frame, Kind, NoticeCode, Offset, Problem};
use tidegate_hub::{Hub, Plan, Reader, Start, View};
use tokio::time::Instant;

use crate::blocks::Packed;
use crate::encoding::Encoding;
use crate::memory::{Held, Step, Use};
use crate::meter::Meter;
use crate::tail::{Boundary, ENVELOPE_BYTES, Place, TailKey};
use crate::tails::{Hold, Tails};

/// How often a watcher of a loading channel looks whether it has loaded.
const LOADING_POLL: Duration = Duration::from_millis(200);

/// How often a watcher that waits for memory looks whether it has to end.
const ROOM_LOOK: Duration = Duration::from_secs(1);

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
    /// When its client's right to it ends.
    pub until: Option<std::time::Instant>,
    /// Where what it is told is counted, if it is.
    pub meter: Option<std::sync::Arc<dyn Meter>>,
    /// Its place among the watches that its caller may have at once, until it is on the list.
    pub place: Option<tidegate_gate::Place>,
}

impl Watcher {
    /// One that goes on with another view, and has been told how it began.
    pub(crate) fn over(plan: Plan, encoding: Encoding, chain: bool) -> Watcher {
        let (id, options) = (String::new(), Vec::new());
        Watcher { plan, encoding, chain, id, options, until: None, meter: None, place: None }
    }
}

/// Something that takes bytes: a socket after its handshake.
pub trait Sink: Send {
    /// Writes all of the chunks, in order; each is whole frames. `stands` is where a client stands that has taken them and
    /// is cut; without one it has to begin anew, or where it did.
    fn write(&mut self, chunks: &[Bytes], stands: Option<Cursor>) -> impl Future<Output = io::Result<()>> + Send;
}

/// One watcher that is not live.
pub(crate) struct Walk<S> {
    tails: Tails,
    hold: Hold,
    /// Of what is written for this watcher alone.
    cursors: Cursors,
    /// Where its client stands that has taken all of it; `None`: where it began.
    stands: Option<Cursor>,
    /// A loss was announced, and no cursor has come since: cut now, the client would present the
    /// old one and be told again.
    owes_cursor: bool,
    /// When it fell behind; it has so long to be live again.
    behind_since: Option<Instant>,
    /// What its reader holds of the past is in the account.
    past: Option<Held>,
    sink: S,
}

/// What came of sharing.
enum Shared {
    /// Something was taken.
    Taken,
    /// The watcher is to read by itself, up to here.
    Nothing { until: Offset },
}

impl<S: Sink> Walk<S> {
    /// Ready for [`Walk::begin`].
    pub(crate) fn new(tails: &Tails, watcher: &Watcher, sink: S) -> Walk<S> {
        let plan = &watcher.plan;
        let key = TailKey { view: plan.view.clone(), encoding: watcher.encoding, chain: watcher.chain };
        let hold = tails.hold(&plan.channel, key);
        let held = match plan.start {
            // Nothing of the view is between the tail's last cursor and now, and a chain that begins
            // there needs no link.
            Start::At(_) if plan.now && watcher.chain => Some(hold.boundary().last),
            Start::At(offset) => Some(offset),
            _ => None,
        };
        Walk::of(tails.clone(), hold, held, None, sink)
    }

    /// Ready for [`Walk::again`]: a watcher that was live and is behind its tail.
    pub(crate) fn behind(tails: Tails, hold: Hold, sink: S) -> Walk<S> {
        Walk::of(tails, hold, None, Some(Instant::now()), sink)
    }

    fn of(tails: Tails, hold: Hold, held: Option<Offset>, behind_since: Option<Instant>, sink: S) -> Walk<S> {
        let key = &hold.tail.key;
        let cursors = Cursors::new(hold.cursor(0).prefix(), key.chain, held);
        Walk { tails, hold, cursors, stands: None, owes_cursor: false, behind_since, past: None, sink }
    }

    /// From the first frame to the live tail; a problem ends the watch.
    pub(crate) async fn begin(&mut self, watcher: &Watcher) -> io::Result<Result<Place, Problem>> {
        let begin = Begin {
            watch: watcher.id.clone(),
            options: watcher.options.clone(),
            index: watcher.plan.view.index(),
            heartbeat_ms: self.hub().options().heartbeat.as_millis() as u64,
            cursor: self.cursors.last(),
        };
        self.write(vec![Frame::Begin(begin)]).await?;
        // What happens before a watcher is live is in boxes that are gone by then: thousands of idle
        // watchers keep the memory of their longest state.
        if !Box::pin(self.loaded()).await? {
            return Ok(Err(self.hub().draining_problem()));
        }
        match self.cursors.last() {
            Some(held) => self.again(held).await,
            None => Box::pin(self.catch_up(Reader::new(&watcher.plan))).await,
        }
    }

    /// The same for one that has begun and sees something else from now on: a state has all its rows anew, a history goes on
    /// where it stood, in a chain that begins there.
    pub(crate) async fn go_over(&mut self, watcher: &Watcher) -> io::Result<Result<Place, Problem>> {
        if !Box::pin(self.loaded()).await? {
            return Ok(Err(self.hub().draining_problem()));
        }
        let goes_on = match watcher.plan.start {
            Start::At(offset) => Some(offset),
            _ => None,
        };
        if watcher.plan.view.kind == Kind::History {
            let message = "what you may see of this has changed; it goes on from here".to_owned();
            let notice = Frame::Notice { code: NoticeCode::RightsChanged, message };
            self.cursors.begin_anew();
            self.write([notice].into_iter().chain(goes_on.map(Frame::Bookmark)).collect()).await?;
        }
        match goes_on {
            Some(held) => self.again(held).await,
            None => Box::pin(self.catch_up(Reader::new(&watcher.plan))).await,
        }
    }

    /// Where its client stands that has taken all that was written.
    pub(crate) fn stands(&self) -> Option<Cursor> {
        self.stands
    }

    /// From a position in the log to the live tail.
    pub(crate) async fn again(&mut self, at: Offset) -> io::Result<Result<Place, Problem>> {
        self.cursors.continue_from(at);
        let reader = Reader::resume(self.hold.channel().clone(), self.hold.tail.key.view.clone(), at);
        Box::pin(self.catch_up(reader)).await
    }

    /// What is watched, as all watchers of the view share it.
    pub(crate) fn view(&self) -> &View {
        &self.hold.tail.key.view
    }

    pub(crate) fn into_parts(self) -> (Tails, Hold, S) {
        (self.tails, self.hold, self.sink)
    }

    /// Waits until the channel has loaded; `false` if a drain came first.
    async fn loaded(&mut self) -> io::Result<bool> {
        let hub = self.hub().clone();
        let mut leaving = std::pin::pin!(leave(&hub));
        let mut silent = Duration::MAX;
        while self.hold.channel().loading() {
            if silent >= hub.options().heartbeat {
                let message = "the source is still reading its first snapshot; it follows here".to_owned();
                self.write(vec![Frame::Notice { code: NoticeCode::Loading, message }]).await?;
                silent = Duration::ZERO;
            }
            tokio::select! {
                () = &mut leaving => return Ok(false),
                () = tokio::time::sleep(LOADING_POLL) => silent += LOADING_POLL,
            }
        }
        Ok(true)
    }

    async fn catch_up(&mut self, mut reader: Reader) -> io::Result<Result<Place, Problem>> {
        let mut boundary = self.hold.boundary();
        loop {
            let goal = self.goal(&boundary);
            if reader.position() == Some(goal) {
                return self.join(&boundary).await.map(Ok);
            }
            // What waits must hold nothing that others wait for.
            let (holding, growing) = reader.holds();
            if growing && holding > 0 && self.tails.memory().over(Step::Laggards) {
                let detail = "the server holds as much in memory as it may; rows as of a past time have to wait";
                return Ok(Err(Problem::new(ErrorCode::RateLimited, detail)));
            }
            if holding == 0
                && tokio::time::timeout(ROOM_LOOK, self.tails.memory().room(Step::Laggards, 0)).await.is_err()
            {
                match self.given_up() {
                    Some(problem) => return Ok(Err(problem)),
                    None => continue,
                }
            }
            let mut needs = None;
            let until = match self.share(&mut reader, goal).await? {
                Shared::Taken => None,
                Shared::Nothing { until } => Some(until),
            };
            if let Some(until) = until {
                let piece;
                let reached = boundary.upto;
                let next = move || {
                    let piece = reader.next(until, reached);
                    (reader, piece)
                };
                (reader, piece) = self.tails.blocks().read(next).await;
                self.past = match reader.holds() {
                    (0, _) => None,
                    (bytes, _) => Some(self.tails.memory().take(Use::Outputs, bytes)),
                };
                let piece = match piece {
                    Ok(piece) => piece,
                    Err(problem) => return Ok(Err(problem)),
                };
                self.count(&piece.frames);
                self.write(piece.frames).await?;
                needs = piece.needs;
            }
            if reader.position() == Some(goal) {
                return self.join(&boundary).await.map(Ok);
            }
            if let Some(problem) = self.given_up() {
                return Ok(Err(problem));
            }
            // Between the last cursor of a tail and where it is nothing was told. But rows may have been read amid a tick
            // that came to nothing, so a snapshot of a conflated view cannot end at a cursor before them.
            let behind = reader.position().is_some() || self.hold.tail.key.view.rate().is_some();
            match needs {
                Some(needs) if self.hold.tail.key.chain && behind => {
                    boundary = self.hold.boundary_standing_past(needs).await;
                }
                Some(needs) => boundary = self.hold.boundary_past(needs).await,
                None => {}
            }
        }
    }

    /// Why the watch ends before it is live.
    fn given_up(&self) -> Option<Problem> {
        if self.hub().drain().draining() {
            return Some(self.hub().draining_problem());
        }
        let late = self.behind_since.is_some_and(|since| since.elapsed() > self.tails.options().lag_max);
        late.then(|| self.tails.too_far_behind("the watch stayed behind the live events for too long"))
    }

    /// Takes what others who are behind have read of the log, or reads it for them.
    async fn share(&mut self, reader: &mut Reader, goal: Offset) -> io::Result<Shared> {
        let alone = Shared::Nothing { until: goal };
        let Some(at) = reader.position().filter(|at| *at < goal) else { return Ok(alone) };
        if self.hold.tail.key.view.rate().is_some() {
            // What one tick tells begins where the one before ended, which is another place for each watcher.
            return Ok(alone);
        }
        let Some(block) = self.tails.blocks().from(&self.hold, at).await else { return Ok(alone) };
        let part = block.part(at, goal);
        drop(block);
        let part = match part {
            Ok(part) => part,
            Err(Packed { upto }) => return Ok(Shared::Nothing { until: upto }),
        };
        if let Some((first, last)) = part.cursors {
            if self.hold.tail.key.chain && self.cursors.last() != Some(part.link) {
                if self.cursors.last() > Some(part.link) {
                    // From its next record on it links.
                    return Ok(Shared::Nothing { until: first });
                }
                self.write(vec![Frame::Bookmark(part.link)]).await?;
            }
            self.hub().counters().resets.fetch_add(part.resets, Ordering::Relaxed);
            self.cursors.continue_from(last);
            self.owes_cursor = false;
            self.send(part.bytes, part.frames).await?;
        }
        reader.skip_to(part.upto);
        Ok(Shared::Taken)
    }

    /// Where this watcher joins the tail: a chain joins at a cursor of the tail.
    fn goal(&self, boundary: &Boundary) -> Offset {
        if self.hold.tail.key.chain { boundary.last } else { boundary.upto }
    }

    /// With `chain`, links the watcher's last cursor to that of the tail.
    async fn join(&mut self, boundary: &Boundary) -> io::Result<Place> {
        let goal = self.goal(boundary);
        let unlinked = self.hold.tail.key.chain && self.cursors.last() != Some(boundary.last);
        if unlinked || self.owes_cursor {
            self.write(vec![Frame::Bookmark(goal)]).await?;
        }
        self.behind_since = None;
        Ok(Place { chunk: boundary.chunk, bytes: 0, upto: goal })
    }

    /// Frames that are not needed again: a client that does not read holds their bytes, not their
    /// records too.
    async fn write(&mut self, frames: Vec<Frame>) -> io::Result<()> {
        let (bytes, count) = (self.encode(&frames), frames.len() as u64);
        drop(frames);
        if count == 0 {
            return Ok(());
        }
        let bytes = self.tails.memory().share(Use::Outputs, bytes, 0);
        self.send(bytes, count).await
    }

    async fn send(&mut self, bytes: Bytes, frames: u64) -> io::Result<()> {
        // Whoever has lost a right before this was written hears of it first, and is not told.
        self.hold.channel().keep_up();
        let length = bytes.len();
        if !self.owes_cursor {
            self.stands = self.cursors.last().map(|offset| self.hold.cursor(offset));
        }
        self.sink.write(&[bytes], self.stands).await?;
        self.tails.count_sent(frames, length);
        Ok(())
    }

    fn encode(&mut self, frames: &[Frame]) -> Vec<u8> {
        // In one piece from the beginning: what growing would leave behind is as much again.
        let data = |frame: &Frame| match frame {
            Frame::Change { record, .. } => record.data.len(),
            Frame::Row(row) => row.data.len(),
            _ => 0,
        };
        let mut bytes = Vec::with_capacity(frames.iter().map(|frame| data(frame) + ENVELOPE_BYTES).sum());
        for frame in frames {
            self.hold.tail.key.encoding.write(frame, &mut self.cursors, &mut bytes);
            self.owes_cursor = match frame {
                Frame::Gap { .. } => true,
                _ => self.owes_cursor && frame.cursor().is_none(),
            };
        }
        self.hold.tail.key.encoding.pack(bytes)
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

impl Tails {
    /// The end of a watcher that does not keep up; it is counted.
    pub(crate) fn too_far_behind(&self, why: &str) -> Problem {
        self.stats().too_far_behind.fetch_add(1, Ordering::Relaxed);
        Problem::new(ErrorCode::TooFarBehind, why)
    }
}

/// A `close` frame on its own, which carries no cursor. Nothing follows it.
pub fn close_frame(encoding: Encoding, problem: &Problem) -> Bytes {
    let Problem { code, detail, retry_ms, .. } = problem.clone();
    let close = Frame::Close { code, message: detail, retry_ms };
    Bytes::from(encoding.pack_last(alone(encoding, &close)))
}

/// A `notice` for one watcher, between frames that are shared.
pub(crate) fn notice_frame(encoding: Encoding, code: NoticeCode, message: String) -> Bytes {
    Bytes::from(encoding.pack(alone(encoding, &Frame::Notice { code, message })))
}

/// A frame without a cursor, not packed yet.
fn alone(encoding: Encoding, frame: &Frame) -> Vec<u8> {
    let unused = tidegate_core::Cursor {
        channel: tidegate_core::ChannelId::from_bits(0),
        epoch: tidegate_core::Epoch::from_bits(0),
        view: tidegate_core::Fingerprint::of(&[]),
        offset: 0,
    };
    let mut bytes = Vec::new();
    encoding.write(frame, &mut Cursors::new(unused.prefix(), false, None), &mut bytes);
    bytes
}

/// Returns when a drain has begun and this watcher's turn has come.
pub(crate) async fn leave(hub: &Hub) {
    let drain = hub.drain().begun().await;
    let turn = drain.pace.mul_f64(rand::rng().random_range(0.0..1.0));
    tokio::time::sleep(turn).await;
}
