//! Many watchers on one thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rustix::event::epoll;

use super::{MARK, now_us};

/// Connections whose event latency is recorded; reading the time out of every frame of every
/// connection would load the generator more than the server.
const SAMPLED: usize = 100;

/// SSE watchers of one address, read as fast as they are ready.
pub struct Watchers {
    stop: Arc<AtomicBool>,
    /// Events received, over all watchers.
    events: Arc<AtomicU64>,
    begun: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<Seen>>,
}

/// What the watchers received.
#[derive(Debug, Default)]
pub struct Seen {
    /// Events of each watcher.
    pub events: Vec<u64>,
    /// Sorted microseconds from sending to receiving, of the first hundred watchers.
    pub latencies_us: Vec<u64>,
    /// Connections that the server ended.
    pub ended: usize,
}

struct Connection {
    socket: TcpStream,
    events: u64,
    begun: bool,
    /// The end of what was read, where a time may be cut.
    carry: Vec<u8>,
}

impl Watchers {
    /// Connects `count` watchers to `path`, and returns when each has had its first frame.
    pub fn connect(server: SocketAddr, path: &str, count: usize) -> io::Result<Watchers> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n");
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let mut socket = TcpStream::connect(server)?;
            socket.write_all(request.as_bytes())?;
            socket.set_nonblocking(true)?;
            epoll::add(&poll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
            connections.push(Connection { socket, events: 0, begun: false, carry: Vec::new() });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let events = Arc::new(AtomicU64::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let thread = {
            let (stop, events, begun) = (stop.clone(), events.clone(), begun.clone());
            std::thread::spawn(move || {
                let mut reading = Reading { connections, latencies_us: Vec::new(), ended: 0, events, begun };
                reading.run(&poll, &stop)?;
                Ok(reading.seen())
            })
        };
        let watchers = Watchers { stop, events, begun, thread };
        while watchers.begun.load(Ordering::Acquire) < count && !watchers.thread.is_finished() {
            std::thread::yield_now();
        }
        Ok(watchers)
    }

    /// Events received so far, over all watchers.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns when `events` were received in total, or nothing came for ten seconds.
    pub fn wait_for(&self, events: u64) {
        let mut last = (self.events(), now_us());
        while self.events() < events {
            std::thread::yield_now();
            let seen = self.events();
            if seen != last.0 {
                last = (seen, now_us());
            } else if now_us() - last.1 > 10_000_000 {
                return;
            }
        }
    }

    /// Closes all connections.
    pub fn stop(self) -> io::Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Reading {
    connections: Vec<Connection>,
    latencies_us: Vec<u64>,
    ended: usize,
    events: Arc<AtomicU64>,
    begun: Arc<AtomicUsize>,
}

impl Reading {
    fn run(&mut self, poll: &rustix::fd::OwnedFd, stop: &AtomicBool) -> io::Result<()> {
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(1_024);
        let mut buffer = vec![0; 256 * 1024];
        let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        while !stop.load(Ordering::Relaxed) {
            ready.clear();
            match epoll::wait(poll, rustix::buffer::spare_capacity(&mut ready), Some(&tick)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &ready {
                self.read(event.data.u64() as usize, &mut buffer, poll)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, number: usize, buffer: &mut [u8], poll: &rustix::fd::OwnedFd) -> io::Result<()> {
        let connection = &mut self.connections[number];
        let bytes = match connection.socket.read(buffer) {
            Ok(0) => {
                self.ended += 1;
                epoll::delete(poll, &connection.socket)?;
                return Ok(());
            }
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => {
                self.ended += 1;
                epoll::delete(poll, &connection.socket)?;
                return Ok(());
            }
        };
        let read = &buffer[..bytes];
        if !connection.begun && contains(read, b"\"op\":\"begin\"") {
            connection.begun = true;
            self.begun.fetch_add(1, Ordering::Release);
        }
        let events = read.iter().filter(|byte| **byte == MARK).count() as u64;
        connection.events += events;
        self.events.fetch_add(events, Ordering::Relaxed);
        if number < SAMPLED {
            sample(&mut connection.carry, read, &mut self.latencies_us);
        }
        Ok(())
    }

    fn seen(mut self) -> Seen {
        self.latencies_us.sort_unstable();
        Seen {
            events: self.connections.iter().map(|connection| connection.events).collect(),
            latencies_us: self.latencies_us,
            ended: self.ended,
        }
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Reads each `"us":…` in the stream; what may be the beginning of one is carried on.
fn sample(carry: &mut Vec<u8>, read: &[u8], latencies_us: &mut Vec<u64>) {
    const NAME: &[u8] = b"\"us\":";
    let now = now_us();
    carry.extend_from_slice(read);
    let mut done = 0;
    while let Some(at) = carry[done..].windows(NAME.len()).position(|window| window == NAME) {
        let digits = done + at + NAME.len();
        let Some(length) = carry[digits..].iter().position(|byte| !byte.is_ascii_digit()) else { break };
        let sent = std::str::from_utf8(&carry[digits..digits + length]).ok().and_then(|text| text.parse::<u64>().ok());
        latencies_us.extend(sent.map(|sent| now.saturating_sub(sent)));
        done = digits + length;
    }
    let keep = (carry.len() - done).min(64);
    carry.drain(..carry.len() - keep);
}
