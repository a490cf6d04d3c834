//! The thread of a lane: what it waits for, and in which order it works.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::os::fd::OwnedFd;
use tidegate_core::Shelves;
use tidegate_hub::{Hub, Order};
use tokio::runtime::Handle;

use super::ages;
use super::batch::Batch;
use super::giving_way::Turning;
use super::inbox::{ConnectionId, Inbox};
use super::message::Message;
use super::pass::LaneTail;
use super::passes::Offer;
use super::socket::Socket;
use crate::load::Level;
use crate::options::StreamOptions;
use crate::tails::{Shared, Tails};

/// Sockets that are told of at once.
const EVENTS_MAX: usize = 256;
/// Sockets whose output is written between two slices of passes, and when there are none.
const OUTPUTS_BETWEEN: usize = 2;
const OUTPUTS_ALONE: usize = 32;
/// How often stalled sockets, sockets that close and a drain are looked at, while there are any.
const TICK: Duration = Duration::from_millis(20);
/// What epoll says of the inbox.
const WAKE: u64 = u64::MAX;
/// One buffer for all that clients say.
const READ_BYTES: usize = 64 * 1024;

/// One lane. Its work is in the files beside this one: `passes`, `sockets`, `endings`.
pub(super) struct Lane {
    pub(super) inbox: Arc<Inbox>,
    pub(super) poll: OwnedFd,
    pub(super) hub: Hub,
    pub(super) options: StreamOptions,
    pub(super) runtime: Handle,
    /// Weak, or a lane would keep what ends it.
    shared: Weak<Shared>,
    /// By number.
    pub(super) sockets: Shelves<Socket>,
    /// By number, with the free ones.
    pub(super) tails: Shelves<LaneTail>,
    /// Tails that have a pass to make or to go on with, in turn.
    pub(super) ready: VecDeque<u32>,
    /// Tails that wait for the end of their rest.
    pub(super) resting: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Sockets with output to write, or a watch to bring into step, in turn.
    pub(super) outputs: VecDeque<ConnectionId>,
    /// Sockets that take nothing at the moment.
    pub(super) full: HashSet<u32>,
    /// Sockets that are ending, and when they are given up, in order.
    pub(super) endings: VecDeque<(Instant, ConnectionId)>,
    pub(super) draining: Option<Draining>,
    /// Who gives way, and how far its watches know.
    pub(super) level: Level,
    pub(super) turning: Option<Turning>,
    /// Numbers of sockets that are gone.
    pub(super) gone: Vec<u32>,
    pub(super) now: Instant,
    pub(super) sent: Sent,
    /// How late passes have ended since that was last told.
    pub(super) late: Duration,
    /// Sends of a slice together, if there is io_uring.
    pub(super) batch: Option<Batch>,
    /// Kept for their memory.
    pub(super) offers: Vec<Offer>,
    pub(super) taken: Vec<io::Result<usize>>,
    next_tick: Instant,
    /// When the next right ends, or is to be told of.
    pub(super) look_at_rights: Option<Instant>,
    /// When sockets are looked at for their age.
    pub(super) look_at_ages: Option<Instant>,
    pub(super) since: Instant,
    /// When watches are looked at that are metered.
    pub(super) look_at_meters: Option<Instant>,
    buffer: Vec<u8>,
}

/// How far a drain is.
pub(super) struct Draining {
    pub(super) began: Instant,
    pub(super) pace: Duration,
    /// Sockets below this number have been closed.
    pub(super) done: usize,
}

/// What was sent since the figures were last told.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) frames: u64,
    pub(super) bytes: usize,
}

impl Lane {
    /// Starts the thread of a lane.
    pub(super) fn spawn(number: usize, inbox: Arc<Inbox>, tails: &Tails) -> io::Result<()> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered: nothing has to be read to be told again.
        epoll::add(&poll, &inbox.wake, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        let now = Instant::now();
        let mut lane = Lane {
            inbox,
            poll,
            hub: tails.hub().clone(),
            options: tails.options().clone(),
            runtime: Handle::current(),
            shared: Arc::downgrade(tails.shared()),
            sockets: Shelves::default(),
            tails: Shelves::default(),
            ready: VecDeque::new(),
            resting: BinaryHeap::new(),
            outputs: VecDeque::new(),
            full: HashSet::new(),
            endings: VecDeque::new(),
            draining: None,
            level: Level::default(),
            turning: None,
            gone: Vec::new(),
            now,
            sent: Sent::default(),
            late: Duration::ZERO,
            batch: None,
            offers: Vec::new(),
            taken: Vec::new(),
            next_tick: now,
            look_at_rights: None,
            look_at_ages: tails.options().age_max.map(|max| now + ages::pause(max)),
            since: now,
            look_at_meters: None,
            buffer: vec![0; READ_BYTES],
        };
        std::thread::Builder::new().name(format!("lane-{number}")).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| lane.run()));
            if !matches!(ended, Ok(Ok(()))) {
                // Sockets would still be given to a lane that is no more, and nobody would hear of it. A
                // process that has ended is started again, and its clients resume by their cursors.
                tracing::error!(?ended, "a lane cannot go on; the process ends");
                std::process::abort();
            }
        })?;
        Ok(())
    }

    /// Works until it is stopped.
    ///
    /// # Errors
    /// When the system does not tell of sockets any more.
    fn run(&mut self) -> io::Result<()> {
        // The ring belongs to this thread.
        self.batch = if self.options.io_uring { Batch::new() } else { None };
        let (mut messages, mut events) = (Vec::new(), Vec::with_capacity(EVENTS_MAX));
        loop {
            let idle = self.ready.is_empty() && self.outputs.is_empty();
            self.inbox.take(&mut self.gone, &mut messages, idle);
            self.now = Instant::now();
            // Only a lane that found nothing at all may sleep: only that one is woken.
            let sleepy = idle && messages.is_empty();
            for message in messages.drain(..) {
                if matches!(message, Message::Stop) {
                    return Ok(());
                }
                self.told(message);
            }
            self.work();
            self.tell();
            // Numbers are given back before it does.
            let wait = if sleepy && self.gone.is_empty() { self.wait() } else { Some(Duration::ZERO) };
            self.poll(&mut events, wait)?;
        }
    }

    /// Some of the work that is there; sockets are looked at in between.
    fn work(&mut self) {
        while let Some(Reverse((until, _))) = self.resting.peek()
            && *until <= self.now
            && let Some(Reverse((_, tail))) = self.resting.pop()
        {
            self.ready.push_back(tail);
        }
        let busy = match self.ready.pop_front() {
            Some(tail) => {
                self.slice(tail);
                true
            }
            None => false,
        };
        for _ in 0..if busy { OUTPUTS_BETWEEN } else { OUTPUTS_ALONE } {
            let Some(id) = self.outputs.pop_front() else { break };
            self.attend(id);
        }
        if self.ticking() && self.now >= self.next_tick {
            self.next_tick = self.now + TICK;
            self.tick();
        }
        if self.look_at_rights.is_some_and(|at| self.now >= at) {
            self.look_at_rights();
        }
        if self.look_at_ages.is_some_and(|at| self.now >= at) {
            self.look_at_ages();
        }
        if self.look_at_meters.is_some_and(|at| self.now >= at) {
            self.look_at_meters();
        }
    }

    fn ticking(&self) -> bool {
        !self.full.is_empty() || !self.endings.is_empty() || self.draining.is_some() || self.turning.is_some()
    }

    fn tick(&mut self) {
        self.look_at_full();
        self.look_at_endings();
        self.go_on_draining();
        self.go_on_turning();
    }

    /// How long there is nothing to do; `None`: until something comes.
    fn wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() || !self.outputs.is_empty() {
            return Some(Duration::ZERO);
        }
        let rested = self.resting.peek().map(|Reverse((until, _))| *until);
        let tick = self.ticking().then_some(self.next_tick);
        let until = rested
            .into_iter()
            .chain(tick)
            .chain(self.look_at_rights)
            .chain(self.look_at_ages)
            .chain(self.look_at_meters)
            .min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn poll(&mut self, events: &mut Vec<epoll::Event>, wait: Option<Duration>) -> io::Result<()> {
        let timeout =
            wait.map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
        events.clear();
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if events.is_empty() {
            return Ok(());
        }
        self.now = Instant::now();
        for event in events.drain(..) {
            let data = event.data.u64();
            if data == WAKE {
                continue;
            }
            let id = ConnectionId::of(data);
            let flags = event.flags;
            if flags.intersects(EventFlags::OUT) {
                self.writable(id);
            }
            let broken = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            if broken || flags.intersects(EventFlags::IN) {
                self.read(id, broken);
            }
        }
        Ok(())
    }

    /// Reads from a socket into the lane's one buffer.
    pub(super) fn read(&mut self, id: ConnectionId, broken: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.readable(id, &mut buffer, broken);
        self.buffer = buffer;
    }

    fn told(&mut self, message: Message) {
        match message {
            Message::Open(id, opening) => self.open(id, opening),
            Message::Watch(id, name, entry) => self.watch(id, name, *entry),
            Message::Walking(id, voice, walk) => self.walking(id, voice, walk),
            Message::Say(id, said) => self.say(id, said),
            Message::Live(id, voice, arrival) => self.live(id, voice, *arrival),
            Message::End(id, voice, problem) => self.end_walk(id, voice, &problem),
            Message::Order(id, name, Order::End(problem)) => self.end(id, name, &problem),
            Message::Order(id, name, Order::Renew(renewal)) => self.renew(id, name, *renewal),
            Message::Order(id, name, Order::Judge) => self.judge(id, name),
            Message::Unwatch(id, name, answer) => self.unwatch(id, name, answer),
            Message::Ask(id, name, told) => self.ask(id, name, told),
            Message::Leave(id, name, told) => self.leave(id, name, told),
            Message::Listen(id) => self.listen(id),
            Message::Close(id, last) => self.close(id, last),
            Message::Dirty(tail) => self.dirty(tail),
            Message::Drain(pace) => self.draining = Some(Draining { began: self.now, pace, done: 0 }),
            Message::Load(level) => self.load_changed(level),
            Message::Stop => {}
        }
    }

    /// Adds to the figures, once for many writes.
    fn tell(&mut self) {
        let counts = &self.inbox.counts;
        counts.tails.store(self.tails.len(), Ordering::Relaxed);
        counts.full.store(self.full.len(), Ordering::Relaxed);
        let Sent { frames, bytes } = std::mem::take(&mut self.sent);
        if bytes > 0
            && let Some(tails) = self.tails()
        {
            tails.count_sent(frames, bytes);
            tails.load().late(std::mem::take(&mut self.late));
        }
    }

    /// The tails, unless they are being dropped.
    pub(super) fn tails(&self) -> Option<Tails> {
        self.shared.upgrade().map(Tails::from_shared)
    }

    /// The socket of this name, if it is still there.
    pub(super) fn socket(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        self.sockets.get_mut(id.number as usize).filter(|socket| socket.id == id)
    }
}
