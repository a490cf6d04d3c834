//! Answers that are kept for whoever asks the same, and reads that many wait for together.
//!
//! ```text
//!   asked ─► kept, and nothing came since? ──────────────────────────────► answer
//!              │ no                                        ▲        ▲
//!              ▼                                           │        │
//!            flight: one reads ─► it is kept, if it may be ─        │
//!                    others wait ─► nothing came since, or ─────────┘
//!                                   it was begun after they asked
//! ```
//!
//! An answer is one that a read would have given at some moment between question and answer: what is
//! kept is compared with the log each time, and who waits for another's read takes it only if that
//! cannot have missed what the waiter itself wrote before.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tidegate_core::{ChannelId, Millis, Offset, Problem};
use tidegate_hub::{Channel, View};
use tidegate_wire::{Memory, Step, Use};
use tokio::sync::Semaphore;

use super::made::Made;

/// Kept answers may take this part of the server's memory.
const MEMORY_PART: usize = 16;
/// A larger one is not kept: writing it out costs more than reading it.
const BYTES_MAX: usize = 1024 * 1024;
/// So many are kept at the most.
const KEPT_MAX: usize = 65_536;
/// What an answer takes beside its body, about: its tags, its names, its entries in the maps.
const ENTRY_BYTES: usize = 512;

/// All that makes an answer, but for the state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Asked {
    pub(super) channel: ChannelId,
    pub(super) view: View,
    pub(super) limit: usize,
    pub(super) chain: bool,
    /// Of what came since a position.
    pub(super) after: Option<Position>,
    /// What was appended before is not shown.
    pub(super) oldest: Option<Millis>,
}

/// Where a page of frames begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Position {
    pub(super) after: Offset,
    /// What the client holds is the state there.
    pub(super) exact: bool,
    /// What the first frame is linked to, where frames are.
    pub(super) prev: Option<Offset>,
}

/// The kept answers of a server. Cheap to clone.
#[derive(Clone)]
pub struct Answers {
    shared: Arc<Shared>,
}

/// How answers were come by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerFigures {
    /// They were kept.
    pub kept: u64,
    /// Another client's read came just in time.
    pub shared: u64,
    /// The log was read.
    pub read: u64,
    /// How many are kept now.
    pub entries: u64,
    /// Long-polls that were answered by frames.
    pub polls: u64,
    /// Long-polls whose wait was over before anything came.
    pub polls_empty: u64,
}

struct Shared {
    state: Mutex<State>,
    memory: Arc<Memory>,
    kept: AtomicU64,
    shared: AtomicU64,
    read: AtomicU64,
    polls: AtomicU64,
    polls_empty: AtomicU64,
}

#[derive(Default)]
struct State {
    kept: HashMap<Arc<Asked>, Entry>,
    /// In the order in which they are looked at when there is too little room.
    order: BTreeMap<u64, Arc<Asked>>,
    next_place: u64,
    flights: HashMap<Asked, Arc<Flight>>,
}

struct Entry {
    made: Arc<Made>,
    /// In the order.
    place: u64,
    /// Since it was looked at last: then it is dropped only when it is looked at again.
    used: bool,
}

/// A read that somebody makes and others wait for. It is there for as long as one of them is.
struct Flight {
    /// Changed under the lock of the state.
    visitors: AtomicU64,
    /// Of the one who reads.
    turn: Semaphore,
    /// Reads begun.
    begun: AtomicU64,
    landed: Mutex<Option<Landed>>,
}

/// What a read came to.
#[derive(Clone)]
struct Landed {
    /// The number of the read.
    number: u64,
    result: Result<Arc<Made>, Problem>,
}

/// One who reads, or waits for it.
struct Visit<'a> {
    answers: &'a Answers,
    asked: &'a Asked,
    flight: Arc<Flight>,
}

impl Answers {
    /// In this memory, which tells when there is too little of it.
    pub fn of(memory: Arc<Memory>) -> Answers {
        let counter = AtomicU64::default;
        let shared = Shared {
            state: Mutex::default(),
            memory,
            kept: counter(),
            shared: counter(),
            read: counter(),
            polls: counter(),
            polls_empty: counter(),
        };
        let answers = Answers { shared: Arc::new(shared) };
        let weak = Arc::downgrade(&answers.shared);
        answers.shared.memory.give_up_answers_by(move || weak.upgrade().map_or(0, |shared| shared.give_up()));
        answers
    }

    /// How answers were come by.
    pub fn figures(&self) -> AnswerFigures {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let Shared { kept, shared, read, polls, polls_empty, .. } = &*self.shared;
        AnswerFigures {
            kept: load(kept),
            shared: load(shared),
            read: load(read),
            entries: self.lock().kept.len() as u64,
            polls: load(polls),
            polls_empty: load(polls_empty),
        }
    }

    /// A long-poll is answered, by frames or by nothing.
    pub(crate) fn count_poll(&self, frames: bool) {
        let figure = if frames { &self.shared.polls } else { &self.shared.polls_empty };
        figure.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer to what is asked: one that is kept, or another's, or else what `read` comes to, which
    /// is polled only then.
    pub(super) async fn get(
        &self,
        channel: &Channel,
        asked: &Asked,
        read: impl Future<Output = Result<Made, Problem>>,
    ) -> Result<Arc<Made>, Problem> {
        if let Some(made) = self.kept(channel, asked) {
            return Ok(made);
        }
        let visit = self.visit(asked);
        let arrived = visit.flight.begun.load(Ordering::SeqCst);
        let _turn = visit.flight.turn.acquire().await;
        let landed = visit.flight.landed.lock().expect("no holder of this lock panics").clone();
        let theirs = match landed {
            // The read was begun after this was asked.
            Some(landed) if landed.number > arrived => Some(landed.result),
            Some(Landed { result: Ok(made), .. }) => self.still(channel, asked, &made).map(Ok),
            _ => None,
        };
        if let Some(result) = theirs {
            self.shared.shared.fetch_add(1, Ordering::Relaxed);
            return result;
        }
        let number = visit.flight.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = read.await.map(Arc::new);
        self.shared.read.fetch_add(1, Ordering::Relaxed);
        match &result {
            Ok(made) if made.keeps => self.keep(asked, made),
            _ => self.lock().forget(asked),
        }
        let landed = Landed { number, result: result.clone() };
        *visit.flight.landed.lock().expect("no holder of this lock panics") = Some(landed);
        result
    }

    /// Whether a body of so many bytes may be kept; makes room for it.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        let Shared { memory, .. } = &*self.shared;
        let (bytes, max) = (bytes + ENTRY_BYTES, memory.max() / MEMORY_PART);
        if bytes > BYTES_MAX.min(max) || memory.over(Step::Blocks) {
            return false;
        }
        // What is dropped and still being written counts, too.
        let full = || memory.used(Use::Answers) + bytes > max;
        while full() && self.lock().drop_one() {}
        !full()
    }

    /// Counts the body of an answer that is kept until the last of its bytes is written.
    pub(super) fn count(&self, mut body: Vec<u8>) -> Bytes {
        body.shrink_to_fit();
        self.shared.memory.share(Use::Answers, body, ENTRY_BYTES)
    }

    /// What is kept, if it is what would be read now.
    pub(super) fn kept(&self, channel: &Channel, asked: &Asked) -> Option<Arc<Made>> {
        let made = {
            let mut state = self.lock();
            let entry = state.kept.get_mut(asked)?;
            entry.used = true;
            entry.made.clone()
        };
        let now = self.still(channel, asked, &made)?;
        if !Arc::ptr_eq(&now, &made) {
            self.keep(asked, &now);
        }
        self.shared.kept.fetch_add(1, Ordering::Relaxed);
        Some(now)
    }

    /// An answer as it is now, with the cursor of now; `None` if something came since it was read.
    fn still(&self, channel: &Channel, asked: &Asked, made: &Arc<Made>) -> Option<Arc<Made>> {
        // Of records some may have been trimmed.
        if asked.after.is_some_and(|position| position.after < channel.log.start()) {
            return None;
        }
        // What comes later is not on this page.
        if made.what.is_fixed() {
            return Some(made.clone());
        }
        let head = channel.unchanged(made.since, &asked.view.scope)?;
        if made.oldest.is_some_and(|oldest| oldest <= channel.log.start()) {
            return None;
        }
        if head == made.since && head == made.at {
            return Some(made.clone());
        }
        if made.what.stays() {
            return None;
        }
        let counted = |body: Vec<u8>| (made.keeps && self.takes(body.len())).then(|| self.count(body));
        let cursor = channel.rows_cursor(&asked.view, head, made.exact);
        made.at(&cursor, counted).map(Arc::new)
    }

    fn keep(&self, asked: &Asked, made: &Arc<Made>) {
        let mut state = self.lock();
        if let Some(entry) = state.kept.get_mut(asked) {
            // Of two that were made at once the later is the better.
            if made.since >= entry.made.since {
                entry.made = made.clone();
            }
            return;
        }
        while state.kept.len() >= KEPT_MAX && state.drop_one() {}
        let (asked, place) = (Arc::new(asked.clone()), state.place());
        state.order.insert(place, asked.clone());
        state.kept.insert(asked, Entry { made: made.clone(), place, used: false });
    }

    fn visit<'a>(&'a self, asked: &'a Asked) -> Visit<'a> {
        let mut state = self.lock();
        let flight = match state.flights.get(asked) {
            Some(flight) => flight.clone(),
            None => state.flights.entry(asked.clone()).or_insert_with(|| Arc::new(Flight::new())).clone(),
        };
        flight.visitors.fetch_add(1, Ordering::Relaxed);
        Visit { answers: self, asked, flight }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Flight {
    fn new() -> Flight {
        let counter = AtomicU64::default;
        Flight { visitors: counter(), turn: Semaphore::new(1), begun: counter(), landed: Mutex::default() }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut state = self.answers.lock();
        if self.flight.visitors.fetch_sub(1, Ordering::Relaxed) == 1 {
            state.flights.remove(self.asked);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn give_up(&self) -> u64 {
        let mut dropped = 0;
        while self.memory.over(Step::Blocks) && self.lock().drop_one() {
            dropped += 1;
        }
        dropped
    }
}

impl State {
    fn place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place
    }

    fn forget(&mut self, asked: &Asked) {
        if let Some(entry) = self.kept.remove(asked) {
            self.order.remove(&entry.place);
        }
    }

    /// Drops the one that has not been used for the longest time, about: those that were used since they
    /// were looked at last get another round.
    fn drop_one(&mut self) -> bool {
        while let Some((_, asked)) = self.order.pop_first() {
            let place = self.place();
            let Some(entry) = self.kept.get_mut(&asked) else { continue };
            if !std::mem::take(&mut entry.used) {
                self.kept.remove(&asked);
                return true;
            }
            entry.place = place;
            self.order.insert(place, asked);
        }
        false
    }
}
