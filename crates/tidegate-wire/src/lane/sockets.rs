//! Sockets of a lane: how they come, what is written outside of passes, what is read.

use std::io::{ErrorKind, IoSlice};
use std::net::TcpStream;

use bytes::Bytes;
use rustix::event::epoll;
use tokio::task::AbortHandle;

use super::ear::Hearing;
use super::giving_way::METERS_EVERY;
use super::handle::{Connection, catch_up};
use super::inbox::ConnectionId;
use super::message::{Arrival, Opening, Said, Voice, WatchName, Watched};
use super::pass::{LaneTail, Member, advance};
use super::socket::{Seat, Socket, State, Walking, Watch};
use super::thread::Lane;
use crate::meter::Metered;
use crate::tail::Place;
use crate::until::Until;

/// What a client may say on a stream that it should only read; more ends it.
const CHATTER_BYTES_MAX: u32 = 64 * 1024;
/// The kernel may hold so much for a socket that has not been sent yet: enough to be busy between
/// two looks of ours, little enough that thousands who do not read cost little.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

impl Lane {
    pub(super) fn open(&mut self, id: ConnectionId, opening: Opening) {
        let Opening { line, mut terms } = opening;
        let head = std::mem::take(&mut terms.head);
        bound_unsent(line.tcp());
        let mut socket = Socket::new(id, line, terms, self.now_ms());
        socket.say(None, head, None, self.now);
        let watched = epoll::add(&self.poll, socket.line.tcp(), id.data(), socket.armed);
        self.sockets.put(id.number as usize, socket);
        if let Err(error) = watched {
            tracing::error!(%error, "a socket cannot be waited for");
            return self.drop_socket(id.number);
        }
        self.queue(id.number);
    }

    pub(super) fn watch(&mut self, id: ConnectionId, name: WatchName, watched: Watched) {
        let Watched { mut entry, place, stands, until, chain, standing, meter } = watched;
        let (watches, handle) = (self.hub.watches().clone(), self.inbox.handle(id, name));
        if let Some(socket) = self.socket(id) {
            entry.principal = entry.principal.settle();
            let listed = watches.enter(entry, place, handle);
            let (state, ends) =
                (State::Walking(Walking { walk: None, stands, unsaid: Some(Box::default()) }), until.is_some());
            let until = until.map(Until::new);
            let metered = meter.map(|meter| Box::new(Metered::new(meter)));
            let counted = metered.is_some();
            let (behind_since, slowed) = (None, None);
            let listening = None;
            socket.watches.push(Watch {
                name,
                life: 0,
                chain,
                state,
                behind_since,
                until,
                listening,
                slowed,
                metered,
                listed,
            });
            if counted {
                self.look_at_meters.get_or_insert(self.now + METERS_EVERY);
            }
            if ends {
                self.look_at_rights = Some(self.now);
            }
            match standing.holds_from_now() {
                true => self.listen_for(id, name, &standing),
                // Before its walk says anything.
                false => self.judge(id, name),
            }
        }
    }

    pub(super) fn walking(&mut self, id: ConnectionId, voice: Voice, walk: AbortHandle) {
        let watch = self.socket(id).and_then(|socket| {
            let watch = socket.voice(voice)?;
            Some(&mut socket.watches[watch])
        });
        match watch {
            None => walk.abort(),
            Some(watch) => {
                // It may have arrived, and be on another walk, before this is told.
                if let State::Walking(Walking { walk: own @ None, .. }) = &mut watch.state {
                    *own = Some(walk);
                }
            }
        }
    }

    pub(super) fn say(&mut self, id: ConnectionId, said: Said) {
        let now = self.now;
        let Some(socket) = self.socket(id) else { return };
        if socket.closing {
            return;
        }
        let mut over = None;
        if let Some(voice) = said.watch {
            // A watch that has ended has nothing to say.
            let Some(at) = socket.voice(voice) else { return };
            if let State::Walking(Walking { stands, unsaid, .. }) = &mut socket.watches[at].state {
                if let Some(cursor) = said.stands {
                    **stands.get_or_insert_with(|| Box::new(cursor)) = cursor;
                }
                over = unsaid.take().and_then(|unsaid| Some((at, unsaid.over?)));
            }
        }
        socket.say(said.watch.map(|voice| voice.name), said.bytes, said.written, now);
        let unheard = socket.unheard;
        if let Some(socket) = self.sockets.get_mut(id.number as usize) {
            socket.arm(&self.poll);
        }
        self.queue(id.number);
        if unheard {
            self.listen(id);
        }
        if let Some((at, regard)) = over {
            self.go_over(id, at, regard);
        }
    }

    /// A watch has come to its tail.
    pub(super) fn live(&mut self, id: ConnectionId, voice: Voice, arrival: Arrival) {
        let Some(at) = self.socket(id).filter(|socket| !socket.closing).and_then(|socket| socket.voice(voice)) else {
            return;
        };
        let Arrival { hold, place } = arrival;
        let tail = self.tail(&hold);
        if let Some(socket) = self.socket(id) {
            let watch = &mut socket.watches[at];
            if watch.life > 0 {
                watch.listed.share(&hold.tail.key.view);
            }
            watch.state = State::Late(Seat { tail, member: 0, hold }, Box::new(place));
        }
        // Others may give way by now than when it began.
        if self.turn(id, at) {
            return;
        }
        self.queue(id.number);
    }

    /// The number of a tail in this lane.
    fn tail(&mut self, hold: &crate::tails::Hold) -> u32 {
        let tail = &hold.tail;
        if let Some(number) = tail.number_in(&self.inbox) {
            self.tails[number as usize].seats += 1;
            return number;
        }
        let number = self.tails.vacancy() as u32;
        let lane_tail = LaneTail::new(tail.clone(), &self.inbox, number);
        self.tails.put(number as usize, lane_tail);
        number
    }

    pub(super) fn listen(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id) {
            (socket.listening, socket.unheard, socket.owed) = (true, false, true);
            self.go_on_hearing(id);
        }
    }

    /// Goes on with what the client had said, if that is owed and its answers have room.
    fn go_on_hearing(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id).filter(|socket| socket.owed && socket.hears()) {
            socket.owed = false;
            let more = socket.line.has_read_ahead();
            self.hear(id, &[]);
            if more && self.socket(id).is_some_and(|socket| socket.hears()) {
                self.read(id, false);
            }
        }
    }

    /// Puts a socket in the line of those that have something to write.
    pub(super) fn queue(&mut self, number: u32) {
        let Some(socket) = self.sockets.get_mut(number as usize) else { return };
        let full = socket.output.as_ref().is_some_and(|output| output.full);
        if !full && !std::mem::replace(&mut socket.queued, true) {
            self.outputs.push_back(socket.id);
        }
    }

    pub(super) fn writable(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id)
            && let Some(output) = &mut socket.output
        {
            output.full = false;
            self.full.remove(&id.number);
            self.queue(id.number);
        }
    }

    /// Writes what a socket owes, brings its watches into step, and hears its client.
    pub(super) fn attend(&mut self, id: ConnectionId) {
        self.write_out(id);
        self.go_on_hearing(id);
    }

    fn write_out(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(id.number as usize).filter(|socket| socket.id == id) else {
            return;
        };
        socket.queued = false;
        if let Some(output) = &mut socket.output {
            if output.full {
                return;
            }
            match output.write(&mut socket.line, now) {
                Err(_) => return self.drop_socket(id.number),
                Ok(()) if output.full => return self.rest(id.number),
                Ok(()) if !output.is_empty() => return self.queue(id.number),
                Ok(()) => {}
            }
            socket.output = None;
            socket.arm(&self.poll);
        }
        let Some(socket) = self.socket(id) else { return };
        if socket.closing {
            return self.shut(id);
        }
        for at in socket.late() {
            if !self.take_rest(id, at) {
                return;
            }
        }
    }

    /// A socket that is full waits until it is not.
    pub(super) fn rest(&mut self, number: u32) {
        if let Some(socket) = self.sockets.get_mut(number as usize) {
            self.full.insert(number);
            socket.arm(&self.poll);
        }
    }

    /// Brings a late watch into step, as far as its socket takes bytes. Returns whether the socket
    /// can take more.
    fn take_rest(&mut self, id: ConnectionId, at: u32) -> bool {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(id.number as usize).filter(|socket| socket.id == id) else {
            return false;
        };
        loop {
            let watch = &mut socket.watches[at as usize];
            let State::Late(seat, place) = &mut watch.state else { return true };
            let tail = &mut self.tails[seat.tail as usize];
            let goal = tail.goal();
            if place.chunk > goal {
                // It is where the members will be; they are asked again then.
                tail.ahead.push(id.number);
                return true;
            }
            if place.chunk == goal && place.bytes == 0 {
                seat.member = tail.join(Member { socket: id.number, watch: at }, place.upto);
                watch.behind_since = None;
                watch.state = match std::mem::replace(&mut watch.state, State::Walking(Walking::default())) {
                    State::Late(seat, _) => State::Live(seat),
                    other => other,
                };
                return true;
            }
            let Some(chunks) = tail.tail.between(place.chunk, goal) else {
                let place = **place;
                self.read_log(id, at, place);
                return true;
            };
            let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(&chunk.bytes)).collect();
            if let Some(first) = chunks.first() {
                slices[0] = IoSlice::new(&first.bytes[place.bytes as usize..]);
            }
            if self.inbox.is_urgent() {
                self.queue(id.number);
                return false;
            }
            let (offered, from) = (slices.iter().map(|slice| slice.len()).sum::<usize>(), **place);
            let Ok(taken) = socket.offer(at as usize, &slices, now) else {
                self.drop_socket(id.number);
                return false;
            };
            let (place, rest, frames) = advance(from, &chunks, taken);
            self.sent.frames += frames;
            self.sent.bytes += taken;
            let watch = &mut socket.watches[at as usize];
            watch.fall_late(place);
            if taken < offered {
                watch.behind_since.get_or_insert(now);
            }
            if let Some(rest) = rest {
                socket.output(now).push(rest, None);
            }
            if socket.output.is_some() {
                self.rest(id.number);
                return false;
            }
        }
    }

    /// A watch behind its ring leaves the tail, and a task reads the log for it.
    fn read_log(&mut self, id: ConnectionId, at: u32, place: Place) {
        let sink = |voice| Connection { inbox: self.inbox.clone(), id }.sink(voice);
        let Some(tails) = self.tails() else { return };
        tails.stats().behind.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let Some(socket) = self.sockets.get_mut(id.number as usize) else { return };
        let watch = &mut socket.watches[at as usize];
        let voice = watch.voice();
        let State::Late(seat, _) = std::mem::replace(&mut watch.state, State::Walking(Walking::default())) else {
            return;
        };
        let (tail, stands) = (seat.tail, seat.hold.cursor(place.upto));
        let walk = self.runtime.spawn(catch_up(tails, seat.hold, place, sink(voice)));
        watch.state = State::Walking(Walking::said(Some(stands), Some(walk.abort_handle())));
        self.let_go(tail);
    }

    /// One watch less in a tail; without any the lane forgets it.
    pub(super) fn let_go(&mut self, number: u32) {
        let tail = &mut self.tails[number as usize];
        tail.seats -= 1;
        // One that waits for its turn is forgotten when it comes.
        if tail.seats == 0 && !tail.queued {
            self.forget(number);
        }
    }

    pub(super) fn forget(&mut self, number: u32) {
        if let Some(forgotten) = self.tails.remove(number as usize) {
            forgotten.tail.unhook(&self.inbox);
        }
    }

    /// Reads what the client said; `broken` is a socket on which nothing more can be.
    pub(super) fn readable(&mut self, id: ConnectionId, buffer: &mut [u8], broken: bool) {
        let Some(socket) = self.sockets.get_mut(id.number as usize).filter(|socket| socket.id == id) else {
            return;
        };
        if !socket.hears() {
            // What a client that is gone had said further is nobody's.
            return if broken { self.drop_socket(id.number) } else { socket.arm(&self.poll) };
        }
        let (read, more) = (socket.line.read(buffer), socket.line.has_read_ahead());
        match read {
            Ok(0) => self.drop_socket(id.number),
            Ok(bytes) => {
                self.hear(id, &buffer[..bytes]);
                match self.socket(id) {
                    Some(socket) if more && socket.hears() => self.readable(id, buffer, broken),
                    Some(socket) => socket.owed |= more,
                    None => {}
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.drop_socket(id.number),
        }
    }

    fn hear(&mut self, id: ConnectionId, bytes: &[u8]) {
        let connection = Connection { inbox: self.inbox.clone(), id };
        let Some(socket) = self.socket(id) else { return };
        if socket.closing {
            return;
        }
        let Some(ear) = &mut socket.ear else {
            socket.chatter = socket.chatter.saturating_add(bytes.len() as u32);
            if socket.chatter > CHATTER_BYTES_MAX {
                self.drop_socket(id.number);
            }
            return;
        };
        let mut answer = Vec::new();
        let hearing = ear.hear(bytes, &connection, &mut answer);
        match hearing {
            Hearing::Leave => return self.close(id, answer.into()),
            Hearing::Wait => socket.listening = false,
            Hearing::On => socket.listening = true,
        }
        if let Some(socket) = self.sockets.get_mut(id.number as usize) {
            socket.arm(&self.poll);
        }
        if !answer.is_empty() {
            self.say(id, Said { watch: None, bytes: Bytes::from(answer), stands: None, written: None });
        }
    }
}

/// Best effort: without it a client that does not read holds more of the kernel's memory.
fn bound_unsent(socket: &TcpStream) {
    let _ = socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
}
