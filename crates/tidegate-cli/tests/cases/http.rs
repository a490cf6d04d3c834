//! One request on a connection of its own, with nothing between the case and the bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::line::{Line, Place};

/// Longer than any wait of a case; a server that is silent for so long has failed.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Default)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// The head of an answer.
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

/// A whole answer.
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Head {
    /// That of an answer which was told otherwise than by HTTP.
    pub fn of(status: u16) -> Head {
        Head { status, headers: Vec::new() }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn read(from: &mut impl BufRead) -> anyhow::Result<Head> {
        let status = line(from)?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut head =
            Head { status: code.with_context(|| format!("no status line: `{status}`"))?, headers: Vec::new() };
        loop {
            let header = line(from)?;
            if header.is_empty() {
                return Ok(head);
            }
            let (name, value) = header.split_once(':').with_context(|| format!("no header: `{header}`"))?;
            head.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("the body is no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What carries a request and its answer.
pub trait Carrier: Read + Write + Send {}

impl<C: Read + Write + Send> Carrier for C {}

/// What comes back, without what carries it.
pub type Reader = BufReader<Box<dyn Carrier>>;

/// Sends a request and reads the head of its answer; what follows is in the reader.
pub fn open(server: Place, request: &Request) -> anyhow::Result<(Head, Reader)> {
    let carried: Box<dyn Carrier> = match server.line {
        Line::Http2 => Box::new(server.http2(request)?),
        Line::Plain => Box::new(send(server.plain()?, server, request)?),
        Line::Tls => Box::new(send(server.tls()?, server, request)?),
    };
    let mut reader = BufReader::new(carried);
    let head = Head::read(&mut reader).context("reading the head of the answer")?;
    Ok((head, reader))
}

fn send<S: Write>(mut socket: S, server: Place, request: &Request) -> anyhow::Result<S> {
    let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, server.address);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = &request.body {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(request.body.as_deref().unwrap_or_default());
    socket.write_all(&bytes)?;
    socket.flush()?;
    Ok(socket)
}

/// Sends a request and reads all of its answer.
pub fn ask(server: Place, mut request: Request) -> anyhow::Result<Answer> {
    if server.line != Line::Http2 {
        request.headers.push(("Connection".to_owned(), "close".to_owned()));
    }
    let (head, reader) = open(server, &request)?;
    let body = rest(&head, reader)?;
    Ok(Answer { head, body })
}

/// The body behind a head.
pub fn rest(head: &Head, mut reader: Reader) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    if head.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = line(&mut reader)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16)?;
            if size == 0 {
                return Ok(body);
            }
            let taken = reader.by_ref().take(size).read_to_end(&mut body)?;
            ensure!(taken as u64 == size, "the body ends within a chunk");
            line(&mut reader)?;
        }
    }
    match head.header("Content-Length") {
        Some(length) => {
            let length = length.parse()?;
            reader.take(length).read_to_end(&mut body)?;
            ensure!(body.len() as u64 == length, "the body ends early");
        }
        None if matches!(head.status, 204 | 304) => {}
        None => drop(reader.read_to_end(&mut body)?),
    }
    Ok(body)
}

fn line(from: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    ensure!(line.ends_with('\n'), "the connection ends within a line: `{line}`");
    Ok(line.trim_end().to_owned())
}
