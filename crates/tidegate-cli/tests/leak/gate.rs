//! A server that connections are cut off, and what it still holds when all are gone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::distr::{Alphanumeric, Distribution};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;
use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;
use tidegate_testkit::tls::Authority;

/// Of the history that some read: more than sockets and rings take.
const PAST_EVENTS: usize = 400;
const PAST_EVENT_BYTES: usize = 2_000;
/// A server that still holds something after so long never lets go of it.
const NEVER: Duration = Duration::from_secs(60);
/// Between two looks: nothing tells from outside that something is gone.
const AGAIN: Duration = Duration::from_millis(100);
/// The same so many times: a server's files stand still.
const LOOKS: usize = 10;

/// Memory that is freed goes back at once, as far as glibc can (mallopt(3)): what a burst leaves in
/// its arenas comes to tens of megabytes either way, and would hide what is never freed.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "1"), ("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_MMAP_THRESHOLD_", "16384")];

const CHANNELS: &str = r#"
channels:
  load:
    address: load/{name}
    retain: none
    access: { read: "true", publish: "true" }
  past:
    address: past/{name}
    access: { read: "true", publish: "true" }
"#;

/// What is published now, for all to hear.
pub(crate) const HOT: &str = "/v1/load/hot";
/// What was published before, for all to read.
pub(crate) const PAST: &str = "/v1/past/all";
/// Where nothing is ever published.
pub(crate) const QUIET: &str = "/v1/past/quiet";

/// One server.
pub(crate) struct Gate {
    pub(crate) server: Server,
    pub(crate) tls: Option<Clients>,
    /// The newest cursor of [`HOT`].
    pub(crate) hot: String,
    /// The only cursor of [`QUIET`].
    pub(crate) quiet: String,
    /// Where the server keeps its log and its certificate.
    _folder: TempDir,
}

/// Clients that trust its certificate.
pub(crate) struct Clients {
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) http2: Arc<ClientConfig>,
}

impl Gate {
    pub(crate) fn plain() -> Gate {
        Gate::start(tempfile::tempdir().expect("a folder"), CHANNELS, None)
    }

    pub(crate) fn encrypted() -> Gate {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        authority.issue("leak").write(folder.path());
        let config = format!("tls: {{ cert: cert.pem, key: key.pem }}\n{CHANNELS}");
        let (http1, http2) = (authority.client(&["http/1.1"]), authority.client(&["h2"]));
        Gate::start(folder, &config, Some(Clients { http1, http2 }))
    }

    fn start(folder: TempDir, config: &str, tls: Option<Clients>) -> Gate {
        let binary = Path::new(env!("CARGO_BIN_EXE_tidegate"));
        let server = Server::start_in(binary, folder.path(), config, &ALLOCATOR).expect("a server");
        let mut gate = Gate { server, tls, hot: String::new(), quiet: String::new(), _folder: folder };
        for _ in 0..PAST_EVENTS {
            gate.publish(PAST, PAST_EVENT_BYTES);
        }
        gate.hot = gate.publish(HOT, 10);
        gate.quiet = gate.ask(&format!("GET {QUIET} HTTP/1.1"), "");
        gate
    }

    /// Publishes one event of this size, which deflate hardly makes smaller; returns its cursor.
    pub(crate) fn publish(&self, path: &str, bytes: usize) -> String {
        let text: String = Alphanumeric.sample_iter(rand::rng()).take(bytes).map(char::from).collect();
        self.ask(&format!("POST {path} HTTP/1.1"), &format!("\"{text}\""))
    }

    /// Sends one request on a connection of its own; returns the cursor in its answer.
    fn ask(&self, line: &str, body: &str) -> String {
        let request = format!(
            "{line}\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = TcpStream::connect(self.server.address()).expect("connect");
        socket.set_read_timeout(Some(NEVER)).expect("a time limit");
        let answer = match &self.tls {
            None => exchange(&mut socket, &request),
            Some(clients) => {
                let session = ClientConnection::new(clients.http1.clone(), self.name()).expect("a session");
                exchange(&mut StreamOwned::new(session, socket), &request)
            }
        };
        let answer: Option<Value> = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        let cursor = answer.as_ref().and_then(|answer| answer["cursor"].as_str());
        cursor.unwrap_or_else(|| panic!("no cursor: {answer:?}")).to_owned()
    }

    /// As it stands in the certificate.
    pub(crate) fn name(&self) -> ServerName<'static> {
        ServerName::from(self.server.address().ip())
    }

    pub(crate) fn pss_bytes(&self) -> u64 {
        self.server.pss_bytes()
    }

    /// Which files are open, once that stands still and nothing else is held.
    pub(crate) fn settled_files(&self) -> Vec<String> {
        let (mut files, mut looks, began) = (self.files(), 0, Instant::now());
        while looks < LOOKS {
            assert!(began.elapsed() < NEVER, "the server still holds {:?}", self.held());
            std::thread::park_timeout(AGAIN);
            let now = self.files();
            looks = if now == files && self.held().is_empty() { looks + 1 } else { 0 };
            files = now;
        }
        files
    }

    /// Waits until nothing is held for clients, and the same files are open as before.
    pub(crate) fn settle(&self, files: &[String]) {
        let began = Instant::now();
        while !self.held().is_empty() || self.files() != files {
            let (now, held) = (self.files(), self.held());
            assert!(began.elapsed() < NEVER, "the server still holds {held:?}; {now:?} open, {files:?} before");
            std::thread::park_timeout(AGAIN);
        }
    }

    /// What is held for clients, by the server's own account.
    fn held(&self) -> Vec<String> {
        const ACCOUNTS: [&str; 3] = ["tidegate_watches{", "tidegate_tails ", "tidegate_memory_bytes{"];
        let metrics = Raw::admin(&self.server).get("/metrics").text();
        // Answers are kept until there is too little room for them: they are no client's.
        let kept = |line: &str| line.starts_with("tidegate_memory_bytes{use=\"answers\"}");
        let accounts = metrics.lines().filter(|line| ACCOUNTS.iter().any(|name| line.starts_with(name)) && !kept(line));
        let mut held: Vec<String> = accounts.filter(|line| !line.ends_with(" 0.0")).map(str::to_owned).collect();
        let listed = Raw::admin(&self.server).get("/watches").json();
        if listed["count"] != 0 {
            held.push(format!("{} listed", listed["count"]));
        }
        held
    }

    /// The kinds of what is open, in order.
    fn files(&self) -> Vec<String> {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.server.pid())).expect("a running server");
        let links = folder.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        // Those of the log, which go their own ways, have a path.
        let links = links.filter(|link| link.is_relative());
        // Sockets have a number each.
        let mut kinds: Vec<String> =
            links.map(|link| link.display().to_string().replace(|c: char| c.is_ascii_digit(), "")).collect();
        kinds.sort();
        kinds
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).expect("written");
    let mut answer = Vec::new();
    // A reset behind the answer does not concern it.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
