//! What a lane is told, and how it is woken: the hand-over between all other threads and one lane.
//!
//! A lane that works is not woken, it looks when it is through; one that sleeps is woken once,
//! however many messages come before it has got up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::event::epoll::EventData;
use rustix::event::{EventfdFlags, eventfd};
use tidegate_hub::{Keeper, Order, WatchHandle, WatchPlace};

use super::letterbox::Letterbox;
use super::message::{Message, WatchName};

/// A lane's inbox.
pub(crate) struct Inbox {
    letters: Letterbox<Message>,
    numbers: Mutex<Numbers>,
    /// Something was posted that is to be heard before anything else is written.
    urgent: AtomicBool,
    /// Readable when the lane is to get up.
    pub(super) wake: OwnedFd,
    pub(super) counts: Counts,
}

/// What the lane says of itself.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) tails: AtomicUsize,
    pub(super) full: AtomicUsize,
}

/// A connection in a lane. Its number is used again when it is gone; its generation is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ConnectionId {
    pub(super) number: u32,
    pub(super) generation: u32,
}

#[derive(Default)]
struct Numbers {
    /// The lowest is used first, so that those who stay come to be together.
    free: BinaryHeap<Reverse<u32>>,
    next: u32,
    generation: u32,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Inbox> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (letters, counts) = (Letterbox::new(), Counts::default());
        Ok(Inbox { letters, numbers: Mutex::default(), urgent: AtomicBool::new(false), wake, counts })
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().expect("no holder of this lock panics")
    }

    /// Leaves a message.
    pub(super) fn post(&self, message: Message) {
        if self.letters.post(message) {
            // It can only fail when the counter is full, and then the lane is being woken.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    /// Leaves a message that is heard before anything is written that became visible after it.
    fn post_urgent(&self, message: Message) {
        self.post(message);
        self.urgent.store(true, Ordering::Release);
    }

    /// Whether messages are to be taken first. It is asked after something was looked at, and before that is written.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Acquire)
    }

    /// A tail of the lane has new chunks.
    pub(crate) fn dirty(&self, tail: u32) {
        self.post(Message::Dirty(tail));
    }

    /// By what a watch of the lane is reached from outside.
    pub(super) fn handle(self: &Arc<Inbox>, id: ConnectionId, name: WatchName) -> WatchHandle {
        WatchHandle::new(self.clone(), WatchPlace { connection: id.bits(), name })
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        let numbers = self.numbers();
        numbers.next as usize - numbers.free.len()
    }

    /// A number for a connection that will be opened.
    pub(super) fn reserve(&self) -> ConnectionId {
        let mut numbers = self.numbers();
        let numbers = &mut *numbers;
        numbers.generation = numbers.generation.wrapping_add(1);
        let number = numbers.free.pop().map(|Reverse(free)| free).unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        });
        ConnectionId { number, generation: numbers.generation }
    }

    /// Gives numbers back, and takes all messages into `messages`, which is empty. Without any,
    /// and if the lane has nothing else to do, it may sleep: the next message wakes it.
    pub(super) fn take(&self, gone: &mut Vec<u32>, messages: &mut Vec<Message>, idle: bool) {
        if !gone.is_empty() {
            self.numbers().free.extend(gone.drain(..).map(Reverse));
        }
        self.urgent.store(false, Ordering::Relaxed);
        self.letters.take(messages, idle);
    }
}

impl Keeper for Inbox {
    fn tell(&self, WatchPlace { connection, name }: WatchPlace, order: Order) {
        self.post_urgent(Message::Order(ConnectionId::of(connection), name, order));
    }
}

impl ConnectionId {
    pub(super) fn bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.number)
    }

    /// What epoll says of it.
    pub(super) fn data(self) -> EventData {
        EventData::new_u64(self.bits())
    }

    /// Reads what epoll said, or a keeper of watches was told.
    pub(super) fn of(bits: u64) -> ConnectionId {
        ConnectionId { number: bits as u32, generation: (bits >> 32) as u32 }
    }
}
