//! How watches and sockets of a lane end: asked to, given up, or drained.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{Cursor, ErrorCode, Problem};
use tidegate_hub::{WatchEntry, WatchGuard};
use tokio::sync::oneshot;

use super::inbox::ConnectionId;
use super::message::{Left, Said, Voice, WatchName};
use super::socket::{Seat, State, Walking, Watch};
use super::thread::{Draining, Lane};
use crate::until::{Due, expired};
use crate::walk::close_frame;

/// After the last byte the client has this long to take it and to close its side: a close with
/// unread bytes in the socket would be a reset, which may destroy the last frame on its way.
const LINGER: Duration = Duration::from_secs(2);
/// A watch that has not come to its tail yet is told of its end when it has; so long after, that is looked at again.
const RIGHTS_AGAIN: Duration = Duration::from_secs(1);

impl Lane {
    /// A watch ends on its way, unless it goes on without this walk.
    pub(super) fn end_walk(&mut self, id: ConnectionId, voice: Voice, problem: &Problem) {
        if self.socket(id).is_some_and(|socket| socket.voice(voice).is_some()) {
            self.end(id, voice.name, problem);
        }
    }

    /// A watch ends for this reason; a socket of one watch ends with it.
    pub(super) fn end(&mut self, id: ConnectionId, name: WatchName, problem: &Problem) {
        let now = self.now;
        let Some(socket) = self.socket(id).filter(|socket| !socket.closing) else { return };
        if socket.watch(name).is_none() {
            return;
        }
        let frame = close_frame(socket.encoding, problem);
        if socket.many.is_none() {
            return self.close_with(id, frame, problem.code);
        }
        socket.say(Some(name), frame, None, now);
        drop(self.remove(id, name));
        self.queue(id.number);
    }

    /// The same for all watches of a socket, and the socket.
    pub(super) fn end_all(&mut self, id: ConnectionId, problem: &Problem) {
        let now = self.now;
        let Some(socket) = self.socket(id).filter(|socket| !socket.closing) else { return };
        let frame = close_frame(socket.encoding, problem);
        if socket.many.is_none() {
            return self.close_with(id, frame, problem.code);
        }
        let names: Vec<WatchName> = socket.watches.iter().map(|watch| watch.name).collect();
        for name in names {
            socket.say(Some(name), frame.clone(), None, now);
        }
        self.close_with(id, Bytes::new(), problem.code);
    }

    pub(super) fn unwatch(&mut self, id: ConnectionId, name: WatchName, answer: Bytes) {
        drop(self.remove(id, name));
        let now = self.now;
        if let Some(ear) = self.socket(id).and_then(|socket| socket.ear.as_mut()) {
            // Also one that never began.
            ear.ended(name);
        }
        if let Some(socket) = self.socket(id).filter(|socket| !socket.closing) {
            socket.say(None, answer, None, now);
            self.queue(id.number);
        }
    }

    /// Tells what a watch is, unless it is over.
    pub(super) fn ask(&mut self, id: ConnectionId, name: WatchName, told: oneshot::Sender<WatchEntry>) {
        if let Some(socket) = self.socket(id).filter(|socket| !socket.closing)
            && let Some(at) = socket.watch(name)
        {
            // Who asked may be gone.
            let _ = told.send(socket.watches[at].listed.entry());
        }
    }

    /// Ends a watch without a word, and tells where it stands, unless it is over.
    pub(super) fn leave(&mut self, id: ConnectionId, name: WatchName, told: oneshot::Sender<Left>) {
        let at = self.socket(id).filter(|socket| !socket.closing).and_then(|socket| socket.watch(name));
        let Some(stands) = at.and_then(|at| self.stands(id, at)) else { return };
        let place = self.remove(id, name).and_then(|listed| listed.take_place());
        let _ = told.send(Left { stands, place });
    }

    /// Where a watch stands, unless it is over: `Some(None)` before the first cursor of its view.
    pub(super) fn stands(&self, id: ConnectionId, at: usize) -> Option<Option<Cursor>> {
        let socket = self.sockets.get(id.number as usize).filter(|socket| socket.id == id)?;
        Some(match &socket.watches.get(at)?.state {
            State::Walking(Walking { stands, .. }) => stands.as_deref().copied(),
            State::Late(seat, place) => Some(seat.hold.cursor(place.upto)),
            State::Live(Seat { tail, member, hold }) => {
                let upto = self.tails[*tail as usize].upto_of(*member);
                Some(hold.cursor(upto))
            }
            State::Ended => return None,
        })
    }

    fn close_with(&mut self, id: ConnectionId, last: Bytes, code: ErrorCode) {
        let goodbye = self.socket(id).and_then(|socket| Some(socket.ear.as_ref()?.goodbye(code)));
        match goodbye {
            None => self.close(id, last),
            Some(goodbye) => self.close(id, [last, goodbye].concat().into()),
        }
    }

    /// Ends a socket in order, after these bytes.
    pub(super) fn close(&mut self, id: ConnectionId, last: Bytes) {
        let now = self.now;
        let Some(socket) = self.socket(id).filter(|socket| !socket.closing) else { return };
        socket.closing = true;
        if !last.is_empty() {
            socket.say(None, last, None, now);
        }
        let ended = |watch: &mut Watch| {
            watch.listed.end();
            std::mem::replace(&mut watch.state, State::Ended)
        };
        let ended: Vec<State> = socket.watches.iter_mut().map(ended).collect();
        for state in ended {
            self.release(state);
        }
        if let Some(socket) = self.sockets.get_mut(id.number as usize) {
            socket.arm(&self.poll);
        }
        self.endings.push_back((now + LINGER, id));
        self.queue(id.number);
    }

    /// All is written: the client hears the end, and closes.
    pub(super) fn shut(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id)
            && socket.line.end().is_err()
        {
            self.drop_socket(id.number);
        }
    }

    /// Takes a watch off its socket. Returns what takes it off the list.
    fn remove(&mut self, id: ConnectionId, name: WatchName) -> Option<WatchGuard> {
        let socket = self.socket(id)?;
        if let Some(ear) = &mut socket.ear {
            ear.ended(name);
        }
        let at = socket.watch(name)?;
        let watch = socket.watches.swap_remove(at);
        let moved = match socket.watches.get(at).map(|watch| &watch.state) {
            Some(State::Live(seat)) => Some((seat.tail, seat.member)),
            _ => None,
        };
        if let Some((tail, member)) = moved {
            self.tails[tail as usize].members[member as usize].watch = at as u32;
        }
        self.release(watch.state);
        Some(watch.listed)
    }

    pub(super) fn release(&mut self, state: State) {
        match state {
            State::Walking(Walking { walk, .. }) => walk.into_iter().for_each(|walk| walk.abort()),
            State::Live(seat) => {
                self.tails[seat.tail as usize].leave(seat.member);
                self.let_go(seat.tail);
            }
            State::Late(seat, _) => self.let_go(seat.tail),
            State::Ended => {}
        }
    }

    /// The socket is gone, and all that it had.
    pub(super) fn drop_socket(&mut self, number: u32) {
        let Some(socket) = self.sockets.remove(number as usize) else { return };
        self.full.remove(&number);
        self.gone.push(number);
        for watch in socket.watches {
            self.release(watch.state);
        }
    }

    /// Gives up sockets that take nothing, and watches that stay behind, for too long.
    pub(super) fn look_at_full(&mut self) {
        let (now, options) = (self.now, &self.options);
        let late = |number: &u32| {
            let socket = self.sockets.get(*number as usize)?;
            let stalled = socket.output.as_ref().is_some_and(|output| now - output.moved > options.write_timeout);
            let behind = socket
                .watches
                .iter()
                .any(|watch| watch.behind_since.is_some_and(|since| now - since > options.lag_max));
            let why = match (stalled, behind) {
                (true, _) => "the client took nothing for too long",
                (_, true) => "the watch stayed behind the live events for too long",
                _ => return None,
            };
            (!socket.closing).then_some((socket.id, why))
        };
        let late: Vec<_> = self.full.iter().filter_map(late).collect();
        for (id, why) in late {
            let Some(tails) = self.tails() else { return };
            let peer = self.socket(id).and_then(|socket| socket.line.tcp().peer_addr().ok());
            tracing::info!(?peer, why, "a stream is closed; its client can resume by its cursor");
            self.end_all(id, &tails.too_far_behind(why));
        }
    }

    /// Tells watches that their right ends, and closes those whose right has ended.
    pub(super) fn look_at_rights(&mut self) {
        let now = self.now;
        let (mut next, mut ended, mut told) = (None, Vec::new(), Vec::new());
        for number in 0..self.sockets.end() {
            let Some(socket) = self.sockets.get_mut(number).filter(|socket| !socket.closing) else { continue };
            let (id, encoding) = (socket.id, socket.encoding);
            for watch in &mut socket.watches {
                let voice = watch.voice();
                let Some(until) = &mut watch.until else { continue };
                let after = match until.due(now) {
                    Due::End => {
                        ended.push((id, watch.name));
                        continue;
                    }
                    Due::Notice if matches!(watch.state, State::Walking(_)) => now + RIGHTS_AGAIN,
                    Due::Notice => {
                        told.push((id, voice, until.notice(encoding, now)));
                        now + RIGHTS_AGAIN
                    }
                    Due::Nothing(at) => at,
                };
                next = Some(next.map_or(after, |next: Instant| next.min(after)));
            }
        }
        self.look_at_rights = next;
        for (id, voice, notice) in told {
            self.say(id, Said { watch: Some(voice), bytes: notice, stands: None, written: None });
        }
        for (id, name) in ended {
            self.end(id, name, &expired());
        }
    }

    pub(super) fn look_at_endings(&mut self) {
        while let Some((until, id)) = self.endings.front().copied() {
            if until > self.now {
                return;
            }
            self.endings.pop_front();
            if self.socket(id).is_some() {
                self.drop_socket(id.number);
            }
        }
    }

    /// Closes as many sockets as the pace of the drain wants by now.
    pub(super) fn go_on_draining(&mut self) {
        let Some(Draining { began, pace, done }) = self.draining.take() else { return };
        let part = (self.now - began).as_secs_f64() / pace.as_secs_f64().max(f64::MIN_POSITIVE);
        // At its end all that is there, also who came meanwhile.
        let (from, upto) = match part < 1.0 {
            true => (done, (self.sockets.end() as f64 * part) as usize),
            false => (0, self.sockets.end()),
        };
        for number in from..upto {
            let Some(id) = self.sockets.get(number).map(|socket| socket.id) else { continue };
            let problem = self.hub.draining_problem();
            self.end_all(id, &problem);
        }
        self.draining = Some(Draining { began, pace, done: upto.max(done) });
    }
}
