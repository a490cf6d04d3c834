//! Requests over connections that stay, each with one under way: what `GET` costs, and how fast a
//! file comes. One thread, one epoll, as the generator of watchers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::place::Missing;

/// Without anything for so long, a server does not answer.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How many requests there are.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// As many as there is time for.
    Time(Duration),
    /// One over each connection.
    Once,
}

/// What came.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) count: u64,
    /// Heads and bodies.
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

struct Connection {
    socket: TcpStream,
    /// Until the head is whole.
    head: Vec<u8>,
    /// So much of the answer is still to come, once the head is known.
    left: Option<usize>,
}

/// One request and its answer: the body.
pub(crate) fn once(address: SocketAddr, request: &str) -> Result<Vec<u8>, Missing> {
    ask(&mut TcpStream::connect(address)?, request)
}

/// The same over a connection that stays.
pub(crate) fn ask(socket: &mut TcpStream, request: &str) -> Result<Vec<u8>, Missing> {
    socket.set_read_timeout(Some(Duration::from_secs(PATIENCE.tv_sec.unsigned_abs())))?;
    socket.write_all(request.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        if let Some((head, body)) = lengths(&answer)?
            && answer.len() >= head + body
        {
            let ok = answer.starts_with(b"HTTP/1.1 2");
            let body = answer.split_off(head);
            return if ok { Ok(body) } else { Err(Missing(String::from_utf8_lossy(&body).into_owned())) };
        }
        match socket.read(&mut buffer)? {
            0 => return Err(Missing("the connection ended before the answer".to_owned())),
            bytes => answer.extend_from_slice(&buffer[..bytes]),
        }
    }
}

/// Sends the same request over and over.
pub(crate) fn load(address: SocketAddr, request: &str, connections: usize, until: Until) -> Result<Answers, Missing> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(io::Error::from)?;
    let mut list = Vec::with_capacity(connections);
    for number in 0..connections {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        epoll::add(&poll, &socket, EventData::new_u64(number as u64), EventFlags::IN).map_err(io::Error::from)?;
        list.push(Connection { socket, head: Vec::new(), left: None });
    }
    let began = Instant::now();
    for connection in &mut list {
        connection.socket.write_all(request.as_bytes())?;
    }
    let (mut answers, mut open) = (Answers::default(), connections);
    let mut buffer = vec![0; 256 * 1024];
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(1_024);
    while open > 0 {
        ready.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut ready), Some(&PATIENCE)).map_err(io::Error::from)?;
        if ready.is_empty() {
            return Err(Missing(format!("{open} requests are not answered")));
        }
        for event in &ready {
            let connection = &mut list[event.data.u64() as usize];
            let bytes = match connection.socket.read(&mut buffer) {
                Ok(0) => return Err(Missing("a connection ended before the answer".to_owned())),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            answers.bytes += bytes as u64;
            if !connection.read(&buffer[..bytes])? {
                continue;
            }
            answers.count += 1;
            match until {
                Until::Time(time) if began.elapsed() < time => connection.socket.write_all(request.as_bytes())?,
                _ => open -= 1,
            }
        }
    }
    answers.time = began.elapsed();
    Ok(answers)
}

impl Connection {
    /// Whether the answer is whole now.
    fn read(&mut self, bytes: &[u8]) -> Result<bool, Missing> {
        let left = match self.left {
            Some(left) => left.checked_sub(bytes.len()),
            None => {
                self.head.extend_from_slice(bytes);
                let Some((head, body)) = lengths(&self.head)? else { return Ok(false) };
                if !self.head.starts_with(b"HTTP/1.1 200") {
                    return Err(Missing(String::from_utf8_lossy(&self.head).into_owned()));
                }
                let left = (head + body).checked_sub(self.head.len());
                self.head.clear();
                left
            }
        };
        let left = left.ok_or_else(|| Missing("more came than was asked for".to_owned()))?;
        self.left = (left > 0).then_some(left);
        Ok(left == 0)
    }
}

/// Bytes of the head, and of the body behind it, once the head is whole.
fn lengths(answer: &[u8]) -> Result<Option<(usize, usize)>, Missing> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        let endless = answer.len() > HEAD_BYTES_MAX;
        return if endless { Err(Missing("a head that does not end".to_owned())) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some((end + 4, length.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let (first, _second) = pair();
        let mut connection = Connection { socket: first, head: Vec::new(), left: None };
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for (at, byte) in answer.iter().enumerate() {
            assert_eq!(connection.read(&[*byte]).expect("an answer"), at == answer.len() - 1);
        }
        assert!(connection.read(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let first = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        (first, listener.accept().expect("accepted").0)
    }
}
