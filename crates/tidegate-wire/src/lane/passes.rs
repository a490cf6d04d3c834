//! Passes over the watchers of a tail, in slices, so that no tail holds up another.

use std::cmp::Reverse;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::pass::{HOLE, Member, News, advance};
use super::socket::State;
use super::thread::Lane;

/// Writes that one slice makes: a third of a millisecond.
const SLICE_WRITES: usize = 64;
/// A slice ends sooner when it has written so much.
const SLICE_BYTES: usize = 1024 * 1024;
/// After a pass a lane rests for this part of the pass's time: the rest of the process has to come
/// to the processor too, and what comes meanwhile joins the next write.
const REST_PART: u32 = 8;

/// A tail whose watches give way under load rests so long: fewer writes, and larger ones. Its ring has room for more.
const REST_SLOWED: Duration = Duration::from_millis(200);

/// What a member was offered, by its place among the members, and how much of it it took.
pub(super) struct Offer {
    at: usize,
    taken: io::Result<usize>,
}

impl Lane {
    /// A tail has new chunks: a pass at once, or when it has rested.
    pub(super) fn dirty(&mut self, number: u32) {
        let Some(tail) = self.tails.get_mut(number as usize) else { return };
        if std::mem::replace(&mut tail.queued, true) {
            tail.dirty = true;
            return;
        }
        match tail.rest_until.take().filter(|until| *until > self.now) {
            Some(until) => self.resting.push(Reverse((until, number))),
            None => self.ready.push_back(number),
        }
    }

    /// Begins a pass, or goes on with it, for some of its members.
    pub(super) fn slice(&mut self, number: u32) {
        let Some(tail) = self.tails.get_mut(number as usize) else { return };
        if tail.pass.is_none() {
            if tail.seats == 0 {
                return self.forget(number);
            }
            match tail.begin(&self.inbox, self.now) {
                News::Pass => {}
                News::None => {
                    tail.queued = false;
                    return;
                }
                News::Later => return self.ready.push_back(number),
                News::Behind => {
                    tail.queued = false;
                    return self.fall_behind(number);
                }
            }
        }
        let broken = self.write_slice(number);
        for socket in broken {
            self.drop_socket(socket);
        }
        let Some(tail) = self.tails.get_mut(number as usize) else { return };
        match &tail.pass {
            Some(pass) if pass.next < pass.count => self.ready.push_back(number),
            _ => self.finish(number),
        }
    }

    /// Writes to the next members. Returns the sockets that are gone.
    fn write_slice(&mut self, number: u32) -> Vec<u32> {
        let mut broken = Vec::new();
        let mut offers = std::mem::take(&mut self.offers);
        self.offer_slice(number, &mut offers);
        let tail = &mut self.tails[number as usize];
        let place = tail.place();
        let Some(pass) = &tail.pass else { return broken };
        for Offer { at, taken } in offers.drain(..) {
            let Member { socket: number, watch } = tail.members[at];
            let Some(socket) = self.sockets.get_mut(number as usize) else { continue };
            let Ok(taken) = taken else {
                broken.push(number);
                continue;
            };
            self.sent.bytes += taken;
            if taken == pass.bytes.len() {
                self.sent.frames += pass.frames;
                continue;
            }
            // It takes the rest when its socket does.
            let (place, rest, frames) = advance(place, &pass.chunks, taken);
            self.sent.frames += frames;
            if let Some(rest) = rest {
                socket.output(self.now).push(rest, None);
            }
            let watch = &mut socket.watches[watch as usize];
            watch.behind_since.get_or_insert(self.now);
            watch.fall_late(place);
            tail.members[at].socket = HOLE;
            tail.holes += 1;
        }
        self.offers = offers;
        broken
    }

    /// Offers what the pass has to its next members, and goes on with it.
    fn offer_slice(&mut self, number: u32, offers: &mut Vec<Offer>) {
        let tail = &mut self.tails[number as usize];
        let Some(pass) = &mut tail.pass else { return };
        let slice = SLICE_WRITES.min(SLICE_BYTES / pass.bytes.len().max(1)).max(1);
        let mut together = Vec::new();
        while pass.next < pass.count && offers.len() < slice {
            let at = pass.next;
            let Member { socket: number, watch } = tail.members[at];
            pass.next += 1;
            if number == HOLE {
                continue;
            }
            let Some(socket) = self.sockets.get_mut(number as usize) else { continue };
            let taken = match &socket.output {
                Some(_) => Ok(0),
                None if self.batch.is_some() && socket.many.is_none() && socket.line.is_plain() => {
                    together.push((offers.len(), number));
                    Ok(0)
                }
                None => socket.offer(watch as usize, &[IoSlice::new(&pass.bytes)], self.now),
            };
            if let Some(output) = &socket.output
                && output.full
            {
                self.full.insert(number);
                socket.arm(&self.poll);
            }
            offers.push(Offer { at, taken });
        }
        let bytes = pass.bytes.clone();
        self.send_together(&together, &bytes, offers);
    }

    /// Sends the same on many sockets with one system call, and notes in their offers what they took.
    fn send_together(&mut self, together: &[(usize, u32)], bytes: &Bytes, offers: &mut [Offer]) {
        let Some(batch) = self.batch.as_mut().filter(|_| !together.is_empty()) else { return };
        let sockets: Vec<BorrowedFd<'_>> = together
            .iter()
            .filter_map(|(_, number)| Some(self.sockets.get(*number as usize)?.line.tcp().as_fd()))
            .collect();
        batch.send(&sockets, bytes, &mut self.taken);
        let mut all_taken = std::mem::take(&mut self.taken);
        for ((offer, number), taken) in together.iter().zip(all_taken.drain(..)) {
            let full = taken.as_ref().is_ok_and(|taken| *taken < bytes.len());
            offers[*offer].taken = taken;
            if full && let Some(socket) = self.sockets.get_mut(*number as usize) {
                socket.output(self.now).full = true;
                self.rest(*number);
            }
        }
        self.taken = all_taken;
    }

    fn finish(&mut self, number: u32) {
        let tail = &mut self.tails[number as usize];
        tail.queued = false;
        let Some(pass) = tail.finish() else { return };
        let (began, ended) = (pass.began, Instant::now());
        let took = ended - began;
        let slow = self.level.slows(tail.tail.priority);
        let delay = if slow { REST_SLOWED } else { self.options.batch_delay };
        tail.rest_until = Some(began + delay.max(took + took / REST_PART));
        if let Some(first) = pass.chunks.first() {
            self.late = self.late.max(ended - first.sealed);
        }
        let sockets = &mut self.sockets;
        tail.tidy(|member, place| {
            let socket = sockets.get_mut(member.socket as usize);
            let watch = socket.and_then(|socket| socket.watches.get_mut(member.watch as usize));
            if let Some(State::Live(seat)) = watch.map(|watch| &mut watch.state) {
                seat.member = place;
            }
        });
        self.now = ended;
        self.meet(number);
        if self.tails[number as usize].seats == 0 {
            return self.forget(number);
        }
        if std::mem::take(&mut self.tails[number as usize].dirty) {
            self.dirty(number);
        }
    }

    /// The members are where watches may wait for them.
    fn meet(&mut self, number: u32) {
        for socket in std::mem::take(&mut self.tails[number as usize].ahead) {
            self.queue(socket);
        }
    }

    /// The ring has gone on without its members: they read the log.
    fn fall_behind(&mut self, number: u32) {
        let (place, members) = self.tails[number as usize].skip();
        self.meet(number);
        for Member { socket, watch } in members.into_iter().filter(|member| member.socket != HOLE) {
            if let Some(socket) = self.sockets.get_mut(socket as usize) {
                let watch = &mut socket.watches[watch as usize];
                watch.behind_since.get_or_insert(self.now);
                watch.fall_late(place);
                let number = socket.id.number;
                self.queue(number);
            }
        }
    }
}
