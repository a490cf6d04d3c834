//! Many clients at once, on one thread: as one is cut, the next connects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rand::Rng;
use rand::rngs::StdRng;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::client::{Client, Cut, Ending, Next};
use crate::gate::{Gate, HOT};
use crate::request::Way;

/// Clients at once: more than may have to wait for the others' end.
const CLIENTS: usize = 192;
/// One of so many goes to the second server, whose handshakes cost.
const ENCRYPTED: u32 = 16;
/// So many end between two events that are published.
const ENDS_PER_EVENT: u64 = 16;
const EVENT_BYTES_MAX: usize = 8 * 1024;
/// When nothing happens for so long, all wait: for an event, or for each other.
const CALM: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// After so many of these a client was forgotten.
const CALMS_MAX: u32 = 1_500;
const READY_MAX: usize = 256;
const READ_BYTES: usize = 64 * 1024;

pub(crate) struct Crowd {
    random: StdRng,
    poll: OwnedFd,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Those who wait for others to end: for how many, in all.
    waiting: BTreeSet<(u64, usize)>,
    ended: u64,
    by_way: BTreeMap<Way, u64>,
    by_cut: BTreeMap<&'static str, u64>,
    by_ending: BTreeMap<&'static str, u64>,
    buffer: Vec<u8>,
}

impl Crowd {
    pub(crate) fn new(random: StdRng) -> Crowd {
        Crowd {
            random,
            poll: epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll"),
            clients: (0..CLIENTS).map(|_| None).collect(),
            free: (0..CLIENTS).collect(),
            waiting: BTreeSet::new(),
            ended: 0,
            by_way: BTreeMap::new(),
            by_cut: BTreeMap::new(),
            by_ending: BTreeMap::new(),
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Connects so many, and cuts them; returns when all are gone.
    pub(crate) fn cut(&mut self, gates: &mut [Gate; 2], count: usize) {
        let mut ready = Vec::with_capacity(READY_MAX);
        let mut left = count;
        let (mut published, mut calm) = (self.ended, 0);
        while left > 0 || self.free.len() < CLIENTS {
            while left > 0
                && let Some(slot) = self.free.pop()
            {
                left -= 1;
                self.connect(gates, slot);
            }
            self.end_who_waited(left == 0);
            if self.ended >= published + ENDS_PER_EVENT {
                published = self.ended;
                self.publish(gates);
            }
            ready.clear();
            epoll::wait(&self.poll, spare_capacity(&mut ready), Some(&CALM)).expect("polled");
            for event in &ready {
                calm = 0;
                self.go_on(event.data.u64() as usize);
            }
            if ready.is_empty() {
                calm += 1;
                assert!(
                    calm < CALMS_MAX,
                    "nothing happens to {:#?}",
                    self.clients.iter().flatten().collect::<Vec<_>>()
                );
                self.publish(gates);
                self.end_first();
            }
        }
    }

    fn connect(&mut self, gates: &[Gate; 2], slot: usize) {
        let gate = &gates[usize::from(self.random.random_ratio(1, ENCRYPTED))];
        let client = Client::random(gate, &mut self.random).expect("connected");
        epoll::add(&self.poll, &client.socket, epoll::EventData::new_u64(slot as u64), client.wants()).expect("added");
        *self.by_way.entry(client.way).or_default() += 1;
        let cut = match client.cut {
            Cut::Written(_) => "written",
            Cut::Begun => "begun",
            Cut::Read(_) => "read",
            Cut::Later { reads: true, .. } => "later",
            Cut::Later { reads: false, .. } => "stalled",
        };
        *self.by_cut.entry(cut).or_default() += 1;
        let ending = match client.ending {
            Ending::Reset => "reset",
            Ending::Close => "closed",
            Ending::HalfClose => "half closed",
        };
        *self.by_ending.entry(ending).or_default() += 1;
        self.clients[slot] = Some(client);
        self.go_on(slot);
    }

    fn publish(&mut self, gates: &mut [Gate; 2]) {
        let bytes = self.random.random_range(1..=EVENT_BYTES_MAX);
        for gate in gates {
            gate.hot = gate.publish(HOT, bytes);
        }
    }

    fn go_on(&mut self, slot: usize) {
        let Some(client) = &mut self.clients[slot] else { return };
        let next = client.go_on(&mut self.buffer);
        self.then(slot, next);
    }

    fn then(&mut self, slot: usize, next: Next) {
        let Some(client) = &self.clients[slot] else { return };
        match next {
            Next::Ended => {
                self.clients[slot] = None;
                self.waiting.retain(|(_, own)| *own != slot);
                self.free.push(slot);
                self.ended += 1;
            }
            Next::GoesOn | Next::Waits(_) => {
                let data = epoll::EventData::new_u64(slot as u64);
                epoll::modify(&self.poll, &client.socket, data, client.wants()).expect("modified");
                if let Next::Waits(others) = next {
                    self.waiting.insert((self.ended + others, slot));
                }
            }
        }
    }

    /// Ends those who have waited for enough others; all of them when no others come.
    fn end_who_waited(&mut self, all: bool) {
        while let Some((until, _)) = self.waiting.first()
            && (all || *until <= self.ended)
        {
            self.end_first();
        }
    }

    fn end_first(&mut self) {
        let Some((_, slot)) = self.waiting.pop_first() else { return };
        let Some(client) = &mut self.clients[slot] else { return };
        let next = client.end().unwrap_or(Next::Ended);
        self.then(slot, next);
    }

    /// Fails if a kind of client was never there: then nothing was shown of it.
    pub(crate) fn has_seen_everything(&self) {
        assert_eq!((self.by_way.len(), self.by_cut.len(), self.by_ending.len()), (Way::ALL.len(), 5, 3), "{self}");
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cut: {:?}, {:?}, {:?}", self.ended, self.by_way, self.by_cut, self.by_ending)
    }
}
