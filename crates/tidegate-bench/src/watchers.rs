//! Watchers: each a socket, a cursor, and the piece of a frame that one read left over.
//!
//! ```text
//!   closed ─► connecting ─► head ─┬─► stream ─────────── cut ─► connecting, with the cursor held
//!                            ▲    └─► body (long-poll)
//!                            └────────── next request
//! ```
//!
//! A cursor that comes with an event is held once the event is there: what is cut between the two
//! comes again, and is counted once.

mod reading;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

use rustix::event::epoll::{self, EventFlags};
use socket2::{Domain, Type};

use self::reading::Reading;
use crate::gauge::Gauge;
use crate::head::{Cursor, Head};
use crate::load::{Context, WATCHER};
use crate::order::Order;
use crate::scan::Scanner;
use crate::socket::Socket;
use crate::subject::OPENING_MAX;
use crate::target::Transport;
use crate::{Error, Target};

/// What a read may leave over: a head that is not whole, or the beginning of a frame.
const CARRY_BYTES_MAX: usize = 16 * 1024;
/// One read of one watcher.
const READ_BYTES_MAX: usize = 256 * 1024;

pub(crate) struct Watchers {
    list: Vec<Watcher>,
    to_open: VecDeque<u32>,
    opening: u32,
    /// Watchers that have begun, whatever became of them.
    pub(crate) begun: u32,
    /// Connections that the server ended.
    pub(crate) cut: u64,
    /// Watchers that have come back and still miss something.
    pub(crate) behind: u32,
    pub(crate) order: Order,
    scanner: Scanner,
    /// One buffer for all; what a read left over goes before the next.
    buffer: Vec<u8>,
}

struct Watcher {
    socket: Option<Socket>,
    phase: Phase,
    begun: bool,
    /// Whether it counts among those being opened.
    opening: bool,
    /// Whether its latencies count.
    timed: bool,
    /// Events until it has caught up.
    behind: u32,
    opened_us: u64,
    carry: Vec<u8>,
    held: Cursor,
    /// Of an event that has not come yet.
    pending: Cursor,
}

/// So that twenty thousand of them are a few megabytes.
const _: () = assert!(size_of::<Watcher>() <= 160);

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Closed,
    Connecting,
    Head,
    /// Of another server: what this step of its handshake waits for.
    Hearing(usize),
    Stream,
    /// So many bytes of an answer are to come.
    Body(usize),
}

impl Watchers {
    pub(crate) fn new(target: &Target, scanner: Scanner) -> Watchers {
        Watchers {
            list: Vec::new(),
            to_open: VecDeque::new(),
            opening: 0,
            begun: 0,
            cut: 0,
            behind: 0,
            order: Order::new(target.streams_of_one() as usize),
            scanner,
            buffer: vec![0; CARRY_BYTES_MAX + READ_BYTES_MAX],
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.list.len() as u32
    }

    /// Adds one, which is opened in its turn and begins now or behind a cursor.
    pub(crate) fn add(&mut self, timed: bool, held: Cursor, behind: u32) {
        self.to_open.push_back(self.count());
        self.order.add_watcher();
        self.behind += u32::from(behind > 0);
        self.list.push(Watcher {
            socket: None,
            phase: Phase::Closed,
            begun: false,
            opening: false,
            timed,
            behind,
            opened_us: 0,
            carry: Vec::new(),
            held,
            pending: Cursor::NONE,
        });
    }

    /// The cursor of a watcher.
    pub(crate) fn held(&self, number: usize) -> Cursor {
        self.list[number].held
    }

    /// Cuts a watcher off where it is, unless it is just being opened, and lets it come back.
    pub(crate) fn cut_off(&mut self, number: usize) -> bool {
        let watcher = &self.list[number];
        let open = watcher.socket.is_some() && !watcher.opening;
        if open {
            self.reopen(number);
        }
        open
    }

    /// Lets the watchers with these numbers read no more, or again; from then on they are not timed.
    pub(crate) fn read(&mut self, numbers: std::ops::Range<u32>, read: bool, context: &Context) -> Result<(), Error> {
        for number in numbers {
            let watcher = &mut self.list[number as usize];
            watcher.timed = false;
            let flags = if read { EventFlags::IN } else { EventFlags::empty() };
            if let Some(socket) = &watcher.socket {
                epoll::modify(&context.poll, socket, WATCHER.data(number as usize), flags)
                    .map_err(Error::errno("epoll"))?;
            }
        }
        Ok(())
    }

    /// Opens what is to be opened, a few at a time.
    pub(crate) fn open_some(&mut self, context: &Context) -> Result<(), Error> {
        let opening_max = context.target.foreign.as_ref().map_or(OPENING_MAX, |subject| subject.opening_max());
        while self.opening < opening_max {
            let Some(number) = self.to_open.pop_front() else { return Ok(()) };
            let watcher = &mut self.list[number as usize];
            let socket = connect(context).map_err(Error::system("cannot connect a watcher"))?;
            epoll::add(&context.poll, &socket, WATCHER.data(number as usize), EventFlags::OUT)
                .map_err(Error::errno("epoll"))?;
            (watcher.socket, watcher.phase) = (Some(socket), Phase::Connecting);
            (watcher.opening, watcher.opened_us) = (true, context.clock.now_us());
            self.opening += 1;
        }
        Ok(())
    }

    /// Something can be read, or the connection stands.
    pub(crate) fn ready(&mut self, number: usize, context: &Context, gauge: &mut Gauge) -> Result<(), Error> {
        let watcher = &mut self.list[number];
        let Some(socket) = &mut watcher.socket else { return Ok(()) };
        if watcher.phase == Phase::Connecting {
            if let Some(error) = socket.tcp().take_error().map_err(Error::system("cannot connect a watcher"))? {
                return Err(Error::system("cannot connect a watcher")(error));
            }
            epoll::modify(&context.poll, &*socket, WATCHER.data(number), EventFlags::IN)
                .map_err(Error::errno("epoll"))?;
            return watcher.request(number, context);
        }
        let start = CARRY_BYTES_MAX - watcher.carry.len();
        self.buffer[start..CARRY_BYTES_MAX].copy_from_slice(&watcher.carry);
        watcher.carry = Vec::new();
        let bytes = match socket.read(&mut self.buffer[CARRY_BYTES_MAX..]) {
            Ok(0) => 0,
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                watcher.carry = self.buffer[start..CARRY_BYTES_MAX].to_vec();
                return Ok(());
            }
            Err(_) => 0,
        };
        if bytes == 0 {
            if watcher.opening {
                return Err(Error::Gone);
            }
            self.cut += 1;
            self.reopen(number);
            return Ok(());
        }
        gauge.bytes += bytes as u64;
        self.take(number, start, CARRY_BYTES_MAX + bytes, context, gauge)
    }

    /// Takes in what stands in the buffer.
    fn take(
        &mut self,
        number: usize,
        mut at: usize,
        end: usize,
        context: &Context,
        gauge: &mut Gauge,
    ) -> Result<(), Error> {
        let Watchers { list, order, scanner, buffer, behind, .. } = self;
        let watcher = &mut list[number];
        let mut reading = Reading { context, number, now_us: context.clock.now_us(), scanner, order, gauge, behind };
        while at < end || watcher.phase == Phase::Body(0) {
            match watcher.phase {
                Phase::Closed | Phase::Connecting => return Ok(()),
                Phase::Head => {
                    let Some(head) = Head::read(&buffer[at..end])? else { break };
                    at += head.bytes;
                    if !matches!(head.status, 101 | 200 | 204) {
                        let body = String::from_utf8_lossy(&buffer[at..end]).into_owned();
                        return Err(Error::Refused { status: head.status, body });
                    }
                    watcher.began(&head, context.target.transport);
                    reading.opened(watcher, &mut self.opening, &mut self.begun);
                }
                Phase::Hearing(step) => {
                    let steps = context
                        .target
                        .foreign
                        .iter()
                        .flat_map(|subject| subject.watch(reading.address(), number as u32));
                    let mut steps = steps.skip(step);
                    let Some(own) = steps.next() else { break };
                    let Some(heard) = own.heard(&buffer[at..end]) else {
                        // However much comes before it: only its own beginning is waited with.
                        at = at.max(end.saturating_sub(own.hear.len()));
                        break;
                    };
                    at += heard;
                    if let Some(next) = steps.next() {
                        watcher.phase = Phase::Hearing(step + 1);
                        watcher.say(&next.say)?;
                    } else {
                        watcher.phase = Phase::Stream;
                        reading.opened(watcher, &mut self.opening, &mut self.begun);
                    }
                }
                Phase::Stream => {
                    at += reading.read(watcher, &buffer[at..end]);
                    break;
                }
                Phase::Body(0) => watcher.request(number, context)?,
                Phase::Body(left) => {
                    let whole = left <= end - at;
                    let used = reading.read(watcher, &buffer[at..at + left.min(end - at)]);
                    let used = if whole { left } else { used };
                    at += used;
                    watcher.phase = Phase::Body(left - used);
                    if !whole {
                        break;
                    }
                }
            }
        }
        if end - at > CARRY_BYTES_MAX {
            return Err(Error::Strange("a head that does not end"));
        }
        watcher.carry = buffer[at..end].to_vec();
        Ok(())
    }

    fn reopen(&mut self, number: usize) {
        let watcher = &mut self.list[number];
        watcher.socket = None;
        watcher.phase = Phase::Closed;
        watcher.carry = Vec::new();
        watcher.pending = Cursor::NONE;
        self.to_open.push_back(number as u32);
    }
}

impl Watcher {
    fn request(&mut self, number: usize, context: &Context) -> Result<(), Error> {
        let target = &context.target;
        let address = number as u32 % target.addresses;
        if let Some(subject) = &target.foreign {
            self.phase = Phase::Hearing(0);
            return subject.watch(address, number as u32).first().map_or(Ok(()), |step| self.say(&step.say));
        }
        self.phase = Phase::Head;
        self.say(target.watch(address, self.held.text()).as_bytes())
    }

    fn say(&mut self, request: &[u8]) -> Result<(), Error> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        match socket.write(request) {
            // It is smaller than any socket's buffer.
            Ok(bytes) if bytes == request.len() => Ok(()),
            Ok(_) => Err(Error::Strange("a socket that takes half a request")),
            Err(error) => Err(Error::system("cannot watch")(error)),
        }
    }

    fn began(&mut self, head: &Head, transport: Transport) {
        if transport == Transport::Poll {
            self.phase = Phase::Body(head.content_length);
        } else {
            self.phase = Phase::Stream;
        }
        // Of an answer with a body it holds once the body is there, and stands in it.
        if !head.cursor.is_none() && head.content_length == 0 {
            (self.held, self.pending) = (head.cursor, Cursor::NONE);
        }
    }
}

fn connect(context: &Context) -> std::io::Result<Socket> {
    let address = context.target.watch_address();
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Socket::new(socket.into(), address.ip(), context.target.trust.as_ref()),
    }
}
