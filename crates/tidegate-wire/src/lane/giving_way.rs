//! Watches of a lane that give way under load, and go back: each leaves its tail at its cursor, and a task brings it to
//! the other one.

use std::time::Duration;

use super::handle::{Connection, catch_up};
use super::inbox::ConnectionId;
use super::message::Said;
use super::socket::{State, Walking};
use super::thread::Lane;
use crate::load::{Level, Turn};
use crate::tail::Place;
use crate::walk::notice_frame;

/// Watches that go elsewhere in one tick of a lane: each reads a little of the log and waits for the other tail's next
/// tick, which is not to add to the load.
const TURNS_MAX: usize = 16;

/// How far the lane is with telling its watches of a new level.
pub(super) struct Turning {
    /// Sockets below this number have been looked at.
    done: usize,
}

/// How often what metered watches are told is counted.
pub(super) const METERS_EVERY: Duration = Duration::from_secs(1);

impl Lane {
    /// Counts what metered watches were told, and slows those down that were told more than they may.
    pub(super) fn look_at_meters(&mut self) {
        let mut counted = Vec::new();
        for number in 0..self.sockets.end() {
            let Some(socket) = self.sockets.get_mut(number).filter(|socket| !socket.closing) else { continue };
            let id = socket.id;
            for (at, watch) in socket.watches.iter_mut().enumerate() {
                let Some(metered) = &mut watch.metered else { continue };
                if let State::Live(seat) | State::Late(seat, _) = &watch.state {
                    metered.look(seat.hold.tail.number, self.tails[seat.tail as usize].told);
                }
                counted.push((id, at));
            }
        }
        self.look_at_meters = (!counted.is_empty()).then(|| self.now + METERS_EVERY);
        for (id, at) in counted {
            self.turn(id, at);
        }
    }

    pub(super) fn load_changed(&mut self, level: Level) {
        self.level = level;
        self.turning = Some(Turning { done: 0 });
    }

    /// Looks at some more sockets.
    pub(super) fn go_on_turning(&mut self) {
        let Some(Turning { mut done }) = self.turning.take() else { return };
        let mut turned = 0;
        while turned < TURNS_MAX {
            if done >= self.sockets.end() {
                return;
            }
            let watches = self.sockets.get(done).map_or(0, |socket| socket.watches.len());
            let Some(id) = self.sockets.get(done).map(|socket| socket.id) else {
                done += 1;
                continue;
            };
            turned += (0..watches).filter(|at| self.turn(id, *at)).count();
            done += 1;
        }
        self.turning = Some(Turning { done });
    }

    /// Sends a watch to the tail where it belongs under this load. Returns whether it was at another one; one that walks
    /// is looked at when it has arrived.
    pub(super) fn turn(&mut self, id: ConnectionId, at: usize) -> bool {
        let Some(tails) = self.tails() else { return false };
        let level = self.level;
        let Some(socket) = self.sockets.get_mut(id.number as usize).filter(|socket| socket.id == id && !socket.closing)
        else {
            return false;
        };
        let encoding = socket.encoding;
        let Some(watch) = socket.watches.get_mut(at) else { return false };
        let (hold, upto) = match &watch.state {
            State::Live(seat) => (&seat.hold, self.tails[seat.tail as usize].upto_of(seat.member)),
            State::Late(seat, place) => (&seat.hold, place.upto),
            State::Walking(_) | State::Ended => return false,
        };
        let load = tails.load();
        let over = watch.metered.as_ref().is_some_and(|metered| metered.over);
        let Some(turn) = load.turn(level, hold, watch.slowed.is_some(), over) else { return false };
        let (code, message) = load.told(&turn, over);
        let key = match (turn, watch.slowed.take()) {
            (Turn::Slower(key), _) => {
                watch.slowed = Some(Box::new(load.slow(hold.tail.key.clone())));
                key
            }
            (Turn::Back, Some(slowed)) => slowed.from.clone(),
            (Turn::Back, None) => return false,
        };
        let (voice, channel) = (watch.voice(), hold.channel().clone());
        let stands = hold.cursor(upto);
        let left = std::mem::replace(&mut watch.state, State::Walking(Walking::said(Some(stands), None)));
        self.release(left);
        let said =
            Said { watch: Some(voice), bytes: notice_frame(encoding, code, message), stands: None, written: None };
        self.say(id, said);
        let sink = Connection { inbox: self.inbox.clone(), id }.sink(voice);
        let hold = tails.hold(&channel, key);
        let place = Place { chunk: 0, bytes: 0, upto };
        let walk = self.runtime.spawn(catch_up(tails, hold, place, sink));
        self.walking(id, voice, walk.abort_handle());
        true
    }
}
