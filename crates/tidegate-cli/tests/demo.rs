//! The demo: what it shows, and that it goes on when its server is killed.

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::binary;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

/// A running demo, killed when dropped.
struct Demo {
    process: Child,
    said: BufReader<ChildStdout>,
    introduction: Vec<String>,
    address: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Demo {
    fn start(folder: &Path) -> Demo {
        let mut process = tidegate(&["demo", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("data"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("spawned");
        let said = BufReader::new(process.stdout.take().expect("stdout"));
        let mut demo = Demo { process, said, introduction: Vec::new(), address: String::new() };
        while demo.introduction.iter().filter(|line| line.trim_start().starts_with("curl ")).count() < 4 {
            let line = demo.line();
            demo.introduction.push(line);
        }
        demo.address = listens_on(&demo.introduction).to_owned();
        demo
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.said.read_line(&mut line).expect("read") > 0, "it ended: {:?}", self.introduction);
        line
    }

    /// All of an answer, or nothing where none came.
    fn request(&self, method: &str, path: &str, head: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).expect("connected");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n");
        socket.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        // A server that was killed resets the connection.
        let _ = socket.read_to_string(&mut answer);
        answer
    }

    /// What the page has a button for: `kill -9` and the process that serves.
    fn button(&self) -> (String, Pid) {
        let answer = self.request("GET", "/v1/", "");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let action = &serde_json::from_str::<Value>(body).expect("JSON")["actions"][0];
        let pid = action["title"].as_str().and_then(|title| title.strip_prefix("kill -9 ")).expect("a title");
        let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a pid");
        (action["path"].as_str().expect("a path").to_owned(), pid)
    }

    /// Presses it, and returns when the server is there again.
    fn kill(&mut self) {
        let (path, pid) = self.button();
        assert_eq!(self.request("POST", &path, ""), "", "a server that was killed answers nothing");
        let mut said = Vec::new();
        while !said.iter().any(|line: &String| line.starts_with("admin on ")) {
            said.push(self.line());
        }
        assert_eq!(listens_on(&said), self.address);
        assert_ne!(self.button().1, pid);
    }
}

fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("TIDEGATE_LOG", "error").stdin(Stdio::null());
    command
}

fn listens_on(lines: &[String]) -> &str {
    lines.iter().find_map(|line| line.strip_prefix("listening on http://")).expect("an address").trim()
}

#[test]
fn it_shows_live_data_and_lines_to_try() {
    let folder = tempfile::tempdir().expect("folder");
    let mut demo = Demo::start(folder.path());
    let lines = &demo.introduction;
    assert!(lines.iter().any(|line| line.contains(&*folder.path().join("data").to_string_lossy())), "{lines:?}");

    // What it prints works as printed, up to the first frames.
    let curl = |part: &str| lines.iter().find(|line| line.contains("curl ") && line.contains(part)).expect("a line");
    let said = shell(curl("-d "), None);
    assert!(said.contains("\"count\":1"), "{said}");
    let seen = shell(curl("machine/cpu"), Some("\"percent\""));
    assert!(seen.contains("event: reset"), "{seen}");
    assert!(shell(curl("machine/memory"), None).contains("\"total_bytes\""));

    let pid = Pid::from_child(&demo.process);
    kill_process(pid, Signal::TERM).expect("a signal");
    assert!(demo.process.wait().expect("ended").success());
    assert!(TcpStream::connect(&demo.address).is_err(), "nobody listens any more");
}

#[test]
fn its_market_counts_on_over_kills() {
    let folder = tempfile::tempdir().expect("folder");
    let mut demo = Demo::start(folder.path());
    let mut watching = tidegate(&["watch", "synthetic-market/*", "--count", "40", "--url"])
        .arg(format!("http://{}", demo.address))
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawned");
    let mut sequences: HashMap<String, u64> = HashMap::new();
    for (at, line) in BufReader::new(watching.stdout.take().expect("stdout")).lines().enumerate() {
        let frame: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let Some(sequence) = frame["data"]["sequence"].as_u64() else {
            assert!(!matches!(frame["op"].as_str(), Some("gap" | "reset")), "{frame}");
            continue;
        };
        assert_eq!(frame["data"]["synthetic"], true);
        let address = frame["address"].as_str().expect("an address").to_owned();
        if let Some(before) = sequences.insert(address, sequence) {
            assert_eq!(sequence, before + 1, "{frame}");
        }
        if at % 10 == 5 {
            demo.kill();
        }
    }
    assert!(watching.wait().expect("ended").success());
    assert!(sequences.len() > 3, "{sequences:?}");
}

#[test]
fn only_a_page_of_its_own_kills_it() {
    let folder = tempfile::tempdir().expect("folder");
    let demo = Demo::start(folder.path());
    let (path, pid) = demo.button();
    let evil = demo.request("POST", &path, "Origin: http://evil.example\r\n");
    assert!(evil.starts_with("HTTP/1.1 403"), "{evil}");
    let read = demo.request("GET", &path, "");
    assert!(read.starts_with("HTTP/1.1 405") && read.contains("allow: POST"), "{read}");
    assert_eq!(demo.button().1, pid);
    // Elsewhere there is no such path.
    let server = common::chat_and_rows();
    assert_eq!(tidegate_testkit::raw::Raw::to(&server).send("POST", &path, &[], "").status, 404);
}

#[test]
fn the_server_ends_with_the_one_that_started_it() {
    let folder = tempfile::tempdir().expect("folder");
    let mut demo = Demo::start(folder.path());
    let serving = pidfd_open(demo.button().1, PidfdFlags::empty()).expect("a process");
    demo.process.kill().expect("killed");
    let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&serving, PollFlags::IN)], Some(&timeout)).expect("polled");
    assert_eq!(ended, 1, "it serves still");
}

#[test]
fn a_server_that_cannot_start_is_not_started_again() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("data"), "").expect("a file where the folder should be");
    let told = tidegate(&["demo", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data")).output();
    let told = told.expect("the binary runs");
    assert_eq!(told.status.code(), Some(1));
    let said = String::from_utf8_lossy(&told.stderr);
    assert_eq!(said.matches("cannot make the folder").count(), 1, "{said}");
}

/// Runs a line as a shell does; with `wanted`, until its output holds that.
fn shell(line: &str, wanted: Option<&str>) -> String {
    let mut process = Command::new("sh")
        .args(["-c", &format!("exec {}", line.trim())])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let mut output = process.stdout.take().expect("stdout");
    let mut seen = String::new();
    let mut chunk = [0; 4096];
    while wanted.is_none_or(|wanted| !seen.contains(wanted)) {
        let read = output.read(&mut chunk).expect("read");
        if read == 0 {
            break;
        }
        seen.push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
    let _ = process.kill();
    let _ = process.wait();
    seen
}
