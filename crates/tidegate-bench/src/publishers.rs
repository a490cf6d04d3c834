//! Publishers: connections with one request under way each, on a schedule or as fast as it goes.
//!
//! The schedule does not wait for anybody: an event that was due while all publishers waited for
//! their answers is sent late, with the time at which it was due.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::event::epoll::{self, EventFlags};

use crate::gauge::Gauge;
use crate::load::{Context, PUBLISHER};
use crate::mark::{Mark, write_event};
use crate::socket::Socket;
use crate::subject::{Acknowledged, Step};
use crate::{Error, Target};

/// A server may close a connection that was idle for longer, at the very moment at which it is used.
const IDLE_US_MAX: u64 = 5_000_000;
/// A handshake that takes longer has failed.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);
/// As much as a read within TLS wants to have.
const READ_BYTES: usize = 32 * 1024;
/// An answer to a publish is far smaller.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How fast events come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each publisher sends the next when it has its answer.
    Fastest,
    /// So many events a second, whatever the answers do.
    PerSecond(f64),
    /// None come.
    Never,
}

pub(crate) struct Publishers {
    list: Vec<Publisher>,
    /// The ones without a request under way; the one that was used last is used first.
    idle: Vec<u32>,
    /// Events of each stream so far.
    pub(crate) published: Vec<u32>,
    /// Streams with an event under way: the next one has to wait, or they would have no order.
    busy: Vec<bool>,
    turn: usize,
    /// Events so far.
    sent: u64,
    /// So many there may be as long as watchers have no more, at [`Pace::Fastest`].
    sent_max: u64,
    schedule: Option<Schedule>,
    body: Vec<u8>,
}

struct Publisher {
    socket: Option<Socket>,
    used_us: u64,
    out: Vec<u8>,
    written: usize,
    answer: Vec<u8>,
    /// When the publish that is under way was due.
    flight: Option<u64>,
    /// The streams that it has events of.
    streams: Vec<u32>,
}

struct Schedule {
    pace: Pace,
    begins_us: u64,
    ends_us: u64,
    /// Publishes to make, if there is an end to them.
    left: u64,
    sent: u64,
}

impl Publishers {
    pub(crate) fn new(target: &Target) -> Publishers {
        let streams = target.streams() as usize;
        let publisher = || Publisher {
            socket: None,
            used_us: 0,
            out: Vec::new(),
            written: 0,
            answer: Vec::new(),
            flight: None,
            streams: Vec::new(),
        };
        Publishers {
            list: (0..target.publishers).map(|_| publisher()).collect(),
            idle: (0..target.publishers).rev().collect(),
            published: vec![0; streams],
            busy: vec![false; streams],
            turn: 0,
            sent: 0,
            sent_max: u64::MAX,
            schedule: None,
            body: Vec::new(),
        }
    }

    /// Publishes from now until then, at most `left` times.
    pub(crate) fn begin(&mut self, pace: Pace, now_us: u64, ends_us: u64, left: u64) {
        self.schedule = Some(Schedule { pace, begins_us: now_us, ends_us, left, sent: 0 });
    }

    /// Whether the schedule is through and everything is acknowledged.
    pub(crate) fn done(&self, target: &Target, now_us: u64) -> bool {
        let over = self.schedule.as_ref().is_none_or(|schedule| schedule.due(target, now_us, u64::MAX).is_none());
        over && self.idle.len() == self.list.len()
    }

    /// Watchers, so many of each address, have seen this many events.
    pub(crate) fn seen(&mut self, target: &Target, events: u64, watchers_of_one: u64) {
        if let Some(window) = target.window {
            self.sent_max = (events / watchers_of_one.max(1)).saturating_add(u64::from(window));
        }
    }

    fn has_to_wait(&self) -> bool {
        self.sent >= self.sent_max && self.schedule.as_ref().is_some_and(|schedule| schedule.pace == Pace::Fastest)
    }

    /// When there is something to send and somebody to send it.
    pub(crate) fn next_us(&self, context: &Context) -> Option<u64> {
        self.idle.last()?;
        if self.has_to_wait() {
            return None;
        }
        self.schedule.as_ref()?.due(&context.target, context.clock.now_us(), u64::MAX)
    }

    /// Sends what is due.
    pub(crate) fn send_due(&mut self, context: &Context) -> Result<(), Error> {
        while !self.has_to_wait() {
            let now_us = context.clock.now_us();
            let Some(schedule) = &mut self.schedule else { return Ok(()) };
            let (Some(number), Some(due_us)) = (self.idle.last(), schedule.due(&context.target, now_us, now_us)) else {
                return Ok(());
            };
            let number = *number as usize;
            (schedule.sent, schedule.left) = (schedule.sent + 1, schedule.left - 1);
            self.idle.pop();
            self.send(number, due_us, context)?;
        }
        Ok(())
    }

    fn send(&mut self, number: usize, due_us: u64, context: &Context) -> Result<(), Error> {
        let target = &context.target;
        self.take_streams(number, target.streams_of_publish());
        self.body.clear();
        let publisher = &mut self.list[number];
        for event in 0..target.batch {
            if event > 0 {
                self.body.push(b'\n');
            }
            let stream = publisher.streams[event as usize % publisher.streams.len()];
            let envelope = target.envelope(stream % target.addresses);
            let published = &mut self.published[stream as usize];
            let mark = Mark { stream, number: *published, at_us: due_us };
            self.body.extend(envelope.iter().flat_map(|(before, _)| before.bytes()));
            write_event(context.run, &mark, target.event_bytes, &mut self.body);
            self.body.extend(envelope.iter().flat_map(|(_, behind)| behind.bytes()));
            *published += 1;
            self.sent += 1;
        }
        let address = publisher.streams[0] % target.addresses;
        let now_us = context.clock.now_us();
        if publisher.used_us + IDLE_US_MAX < now_us {
            publisher.socket = None;
        }
        publisher.used_us = now_us;
        publisher.flight = Some(due_us);
        publisher.out.clear();
        publisher.written = 0;
        target.publish(address, &self.body, &mut publisher.out);
        if publisher.socket.is_none() {
            publisher.socket = Some(open(number, context)?);
        }
        publisher.write(number, context)
    }

    /// Gives a publisher its streams. There are as many as may be under way, and its own are not, so
    /// that enough are free.
    fn take_streams(&mut self, number: usize, count: u32) {
        let streams = &mut self.list[number].streams;
        streams.clear();
        while streams.len() < count as usize {
            if !std::mem::replace(&mut self.busy[self.turn], true) {
                streams.push(self.turn as u32);
            }
            self.turn = (self.turn + 1) % self.busy.len();
        }
    }

    /// Reads an answer, or writes the rest of a request.
    pub(crate) fn ready(&mut self, number: usize, context: &Context, gauge: &mut Gauge) -> Result<(), Error> {
        let publisher = &mut self.list[number];
        if publisher.has_to_write() {
            publisher.write(number, context)?;
        }
        let Some(socket) = &mut publisher.socket else { return Ok(()) };
        let mut buffer = [0; READ_BYTES];
        match socket.read(&mut buffer) {
            Ok(0) => return publisher.closed(),
            Ok(bytes) => publisher.answer.extend_from_slice(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return publisher.closed(),
        }
        if publisher.answer.len() > ANSWER_BYTES_MAX {
            return Err(Error::Strange("an answer to a publish is too long"));
        }
        let acknowledged = match &context.target.foreign {
            Some(subject) => subject.acknowledged(&publisher.answer)?,
            None => Acknowledged::over_http(&publisher.answer)?,
        };
        let Some(Acknowledged { stays }) = acknowledged else { return Ok(()) };
        let Some(due_us) = publisher.flight.take() else {
            return Err(Error::Strange("an answer to nothing"));
        };
        publisher.answer.clear();
        if !stays {
            publisher.socket = None;
        }
        publisher.used_us = context.clock.now_us();
        publisher.streams.iter().for_each(|stream| self.busy[*stream as usize] = false);
        self.idle.push(number as u32);
        gauge.published += u64::from(context.target.batch);
        if due_us >= gauge.from_us {
            gauge.acknowledgement.record(publisher.used_us.saturating_sub(due_us));
        }
        Ok(())
    }
}

impl Publisher {
    fn write(&mut self, number: usize, context: &Context) -> Result<(), Error> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        while self.written < self.out.len() {
            match socket.write(&self.out[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Error::system("cannot publish")(error)),
            }
        }
        let _ = socket.flush();
        let more = if self.has_to_write() { EventFlags::OUT } else { EventFlags::empty() };
        let Some(socket) = &self.socket else { return Ok(()) };
        epoll::modify(&context.poll, socket, PUBLISHER.data(number), EventFlags::IN | more)
            .map_err(Error::errno("epoll"))
    }

    fn has_to_write(&self) -> bool {
        self.written < self.out.len() || self.socket.as_ref().is_some_and(Socket::has_to_write)
    }

    /// The server may close a connection that has nothing to do.
    fn closed(&mut self) -> Result<(), Error> {
        self.socket = None;
        if self.flight.is_some() { Err(Error::Gone) } else { Ok(()) }
    }
}

impl Schedule {
    /// When the next event is due, if that is at `until_us` or before, and before the end.
    fn due(&self, target: &Target, now_us: u64, until_us: u64) -> Option<u64> {
        let due_us = match self.pace {
            Pace::Fastest => now_us,
            Pace::Never => return None,
            Pace::PerSecond(events) => {
                self.begins_us + (self.sent as f64 * f64::from(target.batch) / events * 1e6) as u64
            }
        };
        (self.left > 0 && due_us < self.ends_us && due_us <= until_us).then_some(due_us)
    }
}

fn open(number: usize, context: &Context) -> Result<Socket, Error> {
    let what = "cannot connect a publisher";
    let address = context.target.publish_address();
    let mut socket = TcpStream::connect(address).map_err(Error::system(what))?;
    for step in context.target.foreign.iter().flat_map(|subject| subject.open_publisher()) {
        exchange(&mut socket, &step).map_err(Error::system(what))?;
    }
    socket.set_nodelay(true).and_then(|()| socket.set_nonblocking(true)).map_err(Error::system(what))?;
    epoll::add(&context.poll, &socket, PUBLISHER.data(number), EventFlags::IN).map_err(Error::errno("epoll"))?;
    Socket::new(socket, address.ip(), context.target.trust.as_ref()).map_err(Error::system(what))
}

/// Says, and hears; before a connection belongs to the loop.
fn exchange(socket: &mut TcpStream, step: &Step) -> std::io::Result<()> {
    socket.set_read_timeout(Some(EXCHANGE_MAX))?;
    socket.write_all(&step.say)?;
    let (mut heard, mut buffer) = (Vec::new(), [0; 4 * 1024]);
    while step.heard(&heard).is_none() {
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            bytes => heard.extend_from_slice(&buffer[..bytes]),
        }
    }
    Ok(())
}
