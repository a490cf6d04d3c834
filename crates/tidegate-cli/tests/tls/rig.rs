//! A server with a certificate of its own, and the authority that clients trust.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tidegate_testkit::process::Server;
use tidegate_testkit::raw::Raw;
use tidegate_testkit::tls::Authority;

use crate::common::binary;

/// A chat and rows over TLS.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    folder: tempfile::TempDir,
}

const TLS: &str = "tls: { cert: cert.pem, key: key.pem }\n";
const CHANNELS: &str = r#"
channels:
  chat:
    address: rooms/{room}/messages
    access: { read: "true", publish: "true" }
  rows:
    address: rows/{part}
    key: id
    access: { read: "true", publish: "true" }
"#;

impl Rig {
    /// Starts one whose certificate names `name`.
    pub(crate) fn start(name: &str) -> Rig {
        Rig::start_as(name, &format!("{TLS}{CHANNELS}"))
    }

    /// The same with another config.
    pub(crate) fn start_as(name: &str, config: &str) -> Rig {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        authority.issue(name).write(folder.path());
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        let server = Server::start_in(binary(), folder.path(), config, &[]).expect("a server");
        Rig { server, authority, folder }
    }

    /// The folder with `cert.pem`, `key.pem` and `ca.pem`.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The certificate that clients trust.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A URL of the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address())
    }

    /// Runs a program to its end, with nothing to read.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let ran = Command::new(program).args(arguments).current_dir(self.folder()).stdin(Stdio::null()).output();
        ran.unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Runs curl; returns what it printed, heads first.
    pub(crate) fn curl(&self, arguments: &[&str]) -> String {
        let usual = ["-sS", "--noproxy", "*", "--max-time", "30", "--cacert", "ca.pem"];
        let ran = self.run("curl", &[&usual, arguments].concat());
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).replace("\r\n", "\n")
    }

    /// Publishes one event.
    pub(crate) fn publish(&self, room: &str, data: &str) {
        let answer = self.curl(&["-d", data, &self.url(&format!("/v1/rooms/{room}/messages"))]);
        assert!(answer.contains("\"count\":1"), "{answer}");
    }

    /// A figure of the admin side.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        metric(&self.server, name)
    }
}

/// A figure of a server's admin side.
pub(crate) fn metric(server: &Server, name: &str) -> f64 {
    let text = Raw::admin(server).get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("no figure {name} in {text}"))
}

/// A wait that is longer has failed.
const NEVER: Duration = Duration::from_secs(60);
/// Between two looks: nothing tells from outside that the server has read a file.
const AGAIN: Duration = Duration::from_millis(100);

/// Looks until it is so.
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < NEVER, "never: {what}");
        std::thread::park_timeout(AGAIN);
    }
}
