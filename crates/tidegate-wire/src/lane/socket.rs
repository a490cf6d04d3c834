//! One socket of a lane, and its watches.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::time::Instant;

use bytes::Bytes;
use rustix::event::epoll::{self, EventFlags};
use smallvec::SmallVec;
use tidegate_core::Cursor;
use tidegate_hub::{Listening, Regard, WatchGuard};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;

use super::ear::Ear;
use super::inbox::ConnectionId;
use super::line::{Line, Taken};
use super::message::{Terms, Voice, WatchName};
use super::output::Output;
use crate::encoding::{Encoding, websocket_text};
use crate::load::Slowed;
use crate::meter::Metered;
use crate::tail::Place;
use crate::tails::Hold;
use crate::until::Until;

/// Answers that a client may leave unread before nothing more is heard from it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// See the module.
pub(super) struct Socket {
    pub(super) id: ConnectionId,
    pub(super) line: Line,
    pub(super) encoding: Encoding,
    pub(super) ear: Option<Box<dyn Ear>>,
    /// Most sockets have one.
    pub(super) watches: SmallVec<[Watch; 1]>,
    /// On a socket of many watches: whose run of frames is being written.
    pub(super) many: Option<Run>,
    /// What has to be written first.
    pub(super) output: Option<Box<Output>>,
    /// It is among those whose output is to be written when there is time.
    pub(super) queued: bool,
    /// What the client said is read.
    pub(super) listening: bool,
    /// Nobody has listened yet.
    pub(super) unheard: bool,
    /// What the client had said is to be gone on with, once it has taken its answers.
    pub(super) owed: bool,
    /// It ends when its output is written.
    pub(super) closing: bool,
    /// What epoll was told.
    pub(super) armed: EventFlags,
    /// Bytes that the client said and nobody wanted.
    pub(super) chatter: u32,
    /// When it came, by the lane's clock of milliseconds.
    pub(super) opened_ms: u32,
    _place: OwnedSemaphorePermit,
}

/// The watch that the client thinks it hears.
pub(super) struct Run(Option<WatchName>);

/// One watch.
pub(super) struct Watch {
    pub(super) name: WatchName,
    /// Counts how often it went on with another view.
    pub(super) life: u32,
    pub(super) chain: bool,
    pub(super) state: State,
    /// Since when it has not been live, after it was.
    pub(super) behind_since: Option<Instant>,
    /// When its client's right to it ends.
    pub(super) until: Option<Until>,
    /// Tells the lane when something changes that it was allowed by; in a box, since most have none.
    pub(super) listening: Option<Box<Listening>>,
    /// Where it comes from, if it has given way under load.
    pub(super) slowed: Option<Box<Slowed>>,
    /// Where what it is told is counted.
    pub(super) metered: Option<Box<Metered>>,
    pub(super) listed: WatchGuard,
}

/// Where a watch is.
pub(super) enum State {
    /// A task brings it to its tail.
    Walking(Walking),
    /// In step with its tail, at this place among its members.
    Live(Seat),
    /// Not in step: it takes from its place when the socket takes bytes. Few are, so few pay for it.
    Late(Seat, Box<Place>),
    /// Over; it is on the list until its socket has closed.
    Ended,
}

/// What is known of a watch that walks.
#[derive(Default)]
pub(super) struct Walking {
    /// Ends its task.
    pub(super) walk: Option<AbortHandle>,
    /// Where it stands after what it has said here; none before the first cursor of its view. In a box, for the sake of
    /// all that do not walk.
    pub(super) stands: Option<Box<Cursor>>,
    /// Its first frame has not been said. In a box, as few are so for long.
    pub(super) unsaid: Option<Box<Unsaid>>,
}

impl Walking {
    /// Of one that has said how it began.
    pub(super) fn said(stands: Option<Cursor>, walk: Option<AbortHandle>) -> Walking {
        Walking { walk, stands: stands.map(Box::new), unsaid: None }
    }
}

/// A watch that has still to say how it began.
#[derive(Default)]
pub(super) struct Unsaid {
    /// What it sees from then on, where that is something else by now.
    pub(super) over: Option<Regard>,
}

/// A watch's part in a tail of the lane.
pub(super) struct Seat {
    pub(super) tail: u32,
    /// Its place among the tail's members, if it is one.
    pub(super) member: u32,
    pub(super) hold: Hold,
}

impl Socket {
    pub(super) fn new(id: ConnectionId, line: Line, terms: Terms, opened_ms: u32) -> Socket {
        let Terms { encoding, many, ear, head: _, place } = terms;
        let silent = ear.is_none();
        Socket {
            id,
            line,
            encoding,
            ear: ear.map(Ear::settle),
            watches: SmallVec::new(),
            many: many.then_some(Run(None)),
            output: None,
            queued: false,
            listening: silent,
            unheard: !silent,
            owed: false,
            closing: false,
            armed: if silent { EventFlags::IN } else { EventFlags::empty() },
            chatter: 0,
            opened_ms,
            _place: place,
        }
    }

    /// The watches that are not in step, each in its turn: first come those after the one that had
    /// the socket last, or a busy tail would keep it from the others.
    pub(super) fn late(&self) -> Vec<u32> {
        let last = self.many.as_ref().and_then(|run| self.watch(run.0?));
        let (before, after) = self.watches.split_at(last.map_or(0, |at| at + 1));
        let numbered = (before.len() as u32..).zip(after).chain((0..).zip(before));
        numbered.filter(|(_, watch)| matches!(watch.state, State::Late(..))).map(|(at, _)| at).collect()
    }

    /// Whether what the client says is read. A client that takes no answers is not heard, or they
    /// would pile up.
    pub(super) fn hears(&self) -> bool {
        let owed = self.output.as_ref().map_or(0, |output| output.answer_bytes);
        self.closing || self.listening && owed < ANSWER_BYTES_MAX
    }

    pub(super) fn watch(&self, name: WatchName) -> Option<usize> {
        self.watches.iter().position(|watch| watch.name == name)
    }

    /// The watch whose walk speaks, unless it goes on without it.
    pub(super) fn voice(&self, voice: Voice) -> Option<usize> {
        self.watches.iter().position(|watch| watch.voice() == voice)
    }

    /// Queues bytes of a watch, or an answer.
    pub(super) fn say(
        &mut self,
        watch: Option<WatchName>,
        bytes: Bytes,
        written: Option<oneshot::Sender<()>>,
        now: Instant,
    ) {
        let named = watch.and_then(|name| self.many.as_mut()?.begin(name));
        let output = self.output(now);
        if let Some(named) = named {
            output.push(named.into(), None);
        }
        match watch {
            Some(_) => output.push(bytes, written),
            None => output.answer(bytes),
        }
    }

    /// Offers a watch's frames to a socket without output. Returns how many of their bytes it took. A
    /// socket that is full has output from then on, which completes the run's name if that is due.
    pub(super) fn offer(&mut self, watch: usize, slices: &[IoSlice<'_>], now: Instant) -> io::Result<usize> {
        let name = self.watches[watch].name;
        let Some(named) = self.many.as_mut().and_then(|run| run.begin(name)) else {
            let Taken { bytes, full } = self.line.write(slices)?;
            if full {
                self.output(now).full = true;
            }
            return Ok(bytes);
        };
        let mut all = Vec::with_capacity(slices.len() + 1);
        all.push(IoSlice::new(&named));
        all.extend_from_slice(slices);
        let Taken { bytes, full } = self.line.write(&all)?;
        if full {
            self.output(now).full = true;
        }
        if bytes < named.len() {
            self.output(now).push(Bytes::copy_from_slice(&named[bytes..]), None);
        }
        Ok(bytes.saturating_sub(named.len()))
    }

    /// What waits to be written, as it is or new.
    pub(super) fn output(&mut self, now: Instant) -> &mut Output {
        self.output.get_or_insert_with(|| Box::new(Output::new(now)))
    }

    /// Tells epoll what is waited for.
    pub(super) fn arm(&mut self, poll: &OwnedFd) {
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, self.hears());
        wanted.set(EventFlags::OUT, self.output.as_ref().is_some_and(|output| output.full));
        if wanted != self.armed {
            self.armed = wanted;
            if let Err(error) = epoll::modify(poll, self.line.tcp(), self.id.data(), wanted) {
                // It closes by its write timeout; the client resumes by its cursor.
                tracing::error!(%error, "a socket cannot be waited for");
            }
        }
    }
}

impl Watch {
    pub(super) fn voice(&self) -> Voice {
        Voice { name: self.name, life: self.life }
    }

    /// Out of step with its tail from now on.
    pub(super) fn fall_late(&mut self, place: Place) {
        self.state = match std::mem::replace(&mut self.state, State::Walking(Walking::default())) {
            State::Live(seat) | State::Late(seat, _) => State::Late(seat, Box::new(place)),
            other => other,
        };
    }
}

impl Run {
    /// The frame that names the watch whose frames follow; none if they go on.
    fn begin(&mut self, name: WatchName) -> Option<Vec<u8>> {
        if self.0.replace(name) == Some(name) {
            return None;
        }
        let mut frame = Vec::with_capacity(40);
        websocket_text(format!("{{\"op\":\"on\",\"watch\":\"w{name}\"}}").as_bytes(), &mut frame);
        Some(frame)
    }
}
