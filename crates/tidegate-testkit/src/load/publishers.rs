//! Publishing at a rate, and as fast as it goes with a fixed number in flight.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll;

use super::{event, now_us, post};

/// What was published.
#[derive(Debug, Default)]
pub struct Published {
    /// Acknowledged events.
    pub events: u64,
    /// For how long.
    pub time: Duration,
    /// Sorted microseconds from request to acknowledgement.
    pub latencies_us: Vec<u64>,
}

/// Publishes one event at a time on a fixed schedule; a late answer does not move the schedule.
pub fn publish_at_rate(
    server: SocketAddr,
    path: &str,
    event_bytes: usize,
    per_second: u32,
    time: Duration,
) -> io::Result<Published> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    let began = Instant::now();
    let total = (f64::from(per_second) * time.as_secs_f64()) as u64;
    let mut published = Published::default();
    let mut answer = [0; 4096];
    for number in 0..total {
        let due = began + Duration::from_secs_f64(number as f64 / f64::from(per_second));
        wait_until(due);
        let sent = now_us();
        socket.write_all(post(path, &event(event_bytes)).as_bytes())?;
        acknowledged(socket.read(&mut answer)?, &answer)?;
        published.latencies_us.push(now_us() - sent);
        published.events += 1;
    }
    published.time = began.elapsed();
    published.latencies_us.sort_unstable();
    Ok(published)
}

/// Keeps `in_flight` publishes under way, each on a connection of its own, for `time`. `path` is
/// given the number of the event.
pub fn publish_in_flight(
    server: SocketAddr,
    mut path: impl FnMut(u64) -> String,
    event_bytes: usize,
    in_flight: usize,
    time: Duration,
) -> io::Result<Published> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::with_capacity(in_flight);
    for number in 0..in_flight {
        let socket = TcpStream::connect(server)?;
        socket.set_nodelay(true)?;
        epoll::add(&poll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
        connections.push((socket, 0));
    }
    let began = Instant::now();
    let mut sent = 0;
    let mut published = Published::default();
    for (socket, at) in &mut connections {
        *at = now_us();
        socket.write_all(post(&path(sent), &event(event_bytes)).as_bytes())?;
        sent += 1;
    }
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(in_flight);
    let mut answer = [0; 4096];
    while published.events < sent {
        ready.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut ready), None)?;
        for event_ready in &ready {
            let (socket, at) = &mut connections[event_ready.data.u64() as usize];
            acknowledged(socket.read(&mut answer)?, &answer)?;
            published.events += 1;
            published.latencies_us.push(now_us() - *at);
            if began.elapsed() < time {
                *at = now_us();
                socket.write_all(post(&path(sent), &event(event_bytes)).as_bytes())?;
                sent += 1;
            }
        }
    }
    published.time = began.elapsed();
    published.latencies_us.sort_unstable();
    Ok(published)
}

/// An answer is smaller than a packet, so one read has all of it.
fn acknowledged(bytes: usize, answer: &[u8]) -> io::Result<()> {
    if answer[..bytes].starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&answer[..bytes]).into_owned()))
}

/// Sleeps for most of the time and spins for the rest: the schedule of a load, not a wait for luck.
fn wait_until(due: Instant) {
    while let Some(left) = due.checked_duration_since(Instant::now()) {
        if left > Duration::from_millis(1) {
            #[expect(clippy::disallowed_methods, reason = "a load generator's schedule, on a thread of its own")]
            std::thread::sleep(left - Duration::from_micros(500));
        } else {
            std::hint::spin_loop();
        }
    }
}
