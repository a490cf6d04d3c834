//! The two yardsticks: what a fan-out costs if a program does nothing but the system calls.
//!
//! `yardstick limit` writes each event to each watcher with one `write(2)` of a ready frame, at
//! once. `yardstick reference` reads all that was published, and then makes one pass: each watcher
//! gets everything that piled up since its last write, in one `write(2)`.
//!
//! One thread, one epoll. `POST /CHANNEL` publishes, `GET /CHANNEL` watches, SSE. No limits, no
//! resume, no refusals: it is a ruler, and never a server.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

const WATCHING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n:\n\n";
const PUBLISHED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// What is kept of one channel for watchers whose sockets are full. Beyond it the yardstick ends:
/// whoever measures with it keeps less than that under way.
const RING_BYTES: usize = 64 * 1024 * 1024;
/// The front of a ring is given back in pieces of this size, so that it is seldom moved.
const PIECE_BYTES: usize = 1024 * 1024;
const LISTENER: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Limit,
    Reference,
}

struct Yardstick {
    mode: Mode,
    poll: OwnedFd,
    /// By the number that epoll knows them by.
    connections: Vec<Option<Connection>>,
    channels: Vec<Channel>,
    names: HashMap<Box<str>, usize>,
    /// The channels that are dirty.
    dirty: Vec<usize>,
}

enum Connection {
    /// Says requests; what is read of an unfinished one.
    Asking(Box<(TcpStream, Vec<u8>)>),
    Watching(Watcher),
}

struct Watcher {
    socket: TcpStream,
    channel: u32,
    /// Waits until its socket takes bytes again.
    blocked: bool,
    /// What it has been sent, counted from the channel's beginning.
    position: u64,
}

#[derive(Default)]
struct Channel {
    watchers: Vec<u32>,
    /// Frames, ready to be written.
    ring: Vec<u8>,
    /// Where the ring begins, counted from the channel's beginning.
    begins: u64,
    /// Has events that no pass has written yet.
    dirty: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mode, listen) = match words.as_slice() {
        ["limit", listen] => (Mode::Limit, *listen),
        ["reference", listen] => (Mode::Reference, *listen),
        _ => {
            eprintln!("usage: yardstick limit|reference ADDRESS:PORT");
            return ExitCode::from(2);
        }
    };
    match TcpListener::bind(listen).and_then(|listener| run(mode, &listener)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yardstick: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Mode, listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut yardstick = Yardstick {
        mode,
        poll,
        connections: Vec::new(),
        channels: Vec::new(),
        names: HashMap::new(),
        dirty: Vec::new(),
    };
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(1_024);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        ready.clear();
        match epoll::wait(&yardstick.poll, rustix::buffer::spare_capacity(&mut ready), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &ready {
            match event.data.u64() {
                LISTENER => yardstick.accept(listener)?,
                number => yardstick.ready(number as usize, event.flags, &mut buffer)?,
            }
        }
        for channel in std::mem::take(&mut yardstick.dirty) {
            yardstick.pass(channel)?;
        }
    }
}

impl Yardstick {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            epoll::add(&self.poll, &socket, EventData::new_u64(self.connections.len() as u64), EventFlags::IN)?;
            self.connections.push(Some(Connection::Asking(Box::new((socket, Vec::new())))));
        }
    }

    fn ready(&mut self, number: usize, flags: EventFlags, buffer: &mut [u8]) -> io::Result<()> {
        match &mut self.connections[number] {
            Some(Connection::Asking(asking)) => match asking.0.read(buffer) {
                Ok(bytes) if bytes > 0 => {
                    asking.1.extend_from_slice(&buffer[..bytes]);
                    self.answer(number)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                _ => self.close(number),
            },
            Some(Connection::Watching(_)) if flags.contains(EventFlags::OUT) => self.unblock(number),
            Some(Connection::Watching(_)) => self.close(number),
            None => Ok(()),
        }
    }

    /// Answers the requests that have come whole.
    fn answer(&mut self, number: usize) -> io::Result<()> {
        while let Some(Connection::Asking(asking)) = &mut self.connections[number] {
            let Some(request) = Request::read(&asking.1) else { return Ok(()) };
            let channel = match self.names.get(request.channel) {
                Some(channel) => *channel,
                None => {
                    self.names.insert(request.channel.into(), self.channels.len());
                    self.channels.push(Channel::default());
                    self.channels.len() - 1
                }
            };
            if request.watches {
                return self.watch(number, channel);
            }
            let place = &mut self.channels[channel];
            place.ring.extend_from_slice(b"data: ");
            place.ring.extend_from_slice(request.body);
            place.ring.extend_from_slice(b"\n\n");
            let length = request.length;
            asking.1.drain(..length);
            asking.0.write_all(PUBLISHED)?;
            if self.mode == Mode::Limit {
                self.pass(channel)?;
            } else if !place.dirty {
                place.dirty = true;
                self.dirty.push(channel);
            }
        }
        Ok(())
    }

    /// The connection watches from now on, and its buffers are given back.
    fn watch(&mut self, number: usize, channel: usize) -> io::Result<()> {
        let Some(Connection::Asking(asking)) = self.connections[number].take() else { return Ok(()) };
        let (mut socket, _) = *asking;
        socket.write_all(WATCHING)?;
        let place = &mut self.channels[channel];
        place.watchers.push(number as u32);
        self.connections[number] = Some(Connection::Watching(Watcher {
            socket,
            channel: channel as u32,
            blocked: false,
            position: place.end(),
        }));
        Ok(())
    }

    /// Writes to each watcher of the channel everything from its position to the end.
    fn pass(&mut self, number: usize) -> io::Result<()> {
        let channel = &mut self.channels[number];
        channel.dirty = false;
        let end = channel.end();
        let mut oldest = end;
        let mut cut = Vec::new();
        for at in &channel.watchers {
            let Some(Connection::Watching(watcher)) = &mut self.connections[*at as usize] else { continue };
            if !watcher.blocked && !watcher.write(&channel.ring, channel.begins) {
                cut.push(*at);
            } else if watcher.position < end && !watcher.blocked {
                watcher.blocked = true;
                let data = EventData::new_u64(u64::from(*at));
                epoll::modify(&self.poll, &watcher.socket, data, EventFlags::IN | EventFlags::OUT)?;
            }
            oldest = oldest.min(watcher.position);
        }
        channel.give_back(oldest)?;
        for at in cut {
            self.close(at as usize)?;
        }
        Ok(())
    }

    fn unblock(&mut self, number: usize) -> io::Result<()> {
        let Some(Connection::Watching(watcher)) = &mut self.connections[number] else { return Ok(()) };
        let channel = &mut self.channels[watcher.channel as usize];
        if !watcher.write(&channel.ring, channel.begins) {
            return self.close(number);
        }
        if watcher.position == channel.end() {
            watcher.blocked = false;
            epoll::modify(&self.poll, &watcher.socket, EventData::new_u64(number as u64), EventFlags::IN)?;
        }
        Ok(())
    }

    fn close(&mut self, number: usize) -> io::Result<()> {
        if let Some(Connection::Watching(watcher)) = self.connections[number].take() {
            self.channels[watcher.channel as usize].watchers.retain(|at| *at != number as u32);
        }
        Ok(())
    }
}

impl Channel {
    fn end(&self) -> u64 {
        self.begins + self.ring.len() as u64
    }

    /// Frees what lies before `oldest`.
    fn give_back(&mut self, oldest: u64) -> io::Result<()> {
        let done = (oldest - self.begins) as usize;
        if done == self.ring.len() || done > PIECE_BYTES {
            self.ring.drain(..done);
            self.begins = oldest;
        }
        if self.ring.len() > RING_BYTES {
            return Err(io::Error::other("a watcher is further behind than the ring is long"));
        }
        Ok(())
    }
}

impl Watcher {
    /// One `write(2)` of what is left; false if the socket is gone.
    fn write(&mut self, ring: &[u8], begins: u64) -> bool {
        let left = &ring[(self.position - begins) as usize..];
        match rustix::io::write(&self.socket, left) {
            Ok(bytes) => self.position += bytes as u64,
            Err(Errno::AGAIN) => {}
            Err(_) => return false,
        }
        true
    }
}

struct Request<'r> {
    watches: bool,
    channel: &'r str,
    body: &'r [u8],
    /// Of head and body.
    length: usize,
}

impl Request<'_> {
    /// The first request in `bytes`, if it is whole.
    fn read(bytes: &[u8]) -> Option<Request<'_>> {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..head]).ok()?;
        let mut words = text.split(' ');
        let watches = words.next()? == "GET";
        let channel = words.next()?;
        let body = match text.split_once("content-length: ") {
            Some((_, rest)) => rest.split("\r\n").next()?.parse().ok()?,
            None => 0,
        };
        let length = head + 4 + body;
        let body = bytes.get(head + 4..length)?;
        Some(Request { watches, channel, body, length })
    }
}
