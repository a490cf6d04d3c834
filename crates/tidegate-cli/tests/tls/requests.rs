//! Reading, publishing and watching as curl does them, over TLS, on HTTP/1.1 and HTTP/2.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::rig::Rig;

const VERSIONS: [(&str, &str); 2] = [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")];

/// A watch of curl's, killed when dropped.
pub(crate) struct Watch {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Watch {
    /// Opens one; its head comes first.
    pub(crate) fn open(rig: &Rig, arguments: &[&str]) -> Watch {
        let mut child = Command::new("curl")
            .args(["-sSN", "--noproxy", "*", "--max-time", "60", "-i", "--cacert", "ca.pem"])
            .args(arguments)
            .current_dir(rig.folder())
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Watch { child, lines }
    }

    /// The next line; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.lines.read_line(&mut line).expect("curl says lines");
        (bytes > 0).then(|| line.trim_end().to_owned())
    }

    /// The lines up to and with the first that has `part`.
    pub(crate) fn until(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line() {
            let found = line.contains(part);
            lines.push(line);
            if found {
                return lines;
            }
        }
        panic!("`{part}` did not come: {lines:#?}");
    }

    /// How curl ended.
    pub(crate) fn status(&mut self) -> Option<i32> {
        self.child.wait().expect("curl ends").code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn json_publish_and_long_poll() {
    let rig = Rig::start("requests");
    for (room, (version, status)) in ["one", "two"].into_iter().zip(VERSIONS) {
        let url = rig.url(&format!("/v1/rooms/{room}/messages"));
        let put = rig.curl(&[version, "-i", "-X", "PUT", "-d", r#"{"v":1}"#, &rig.url("/v1/rows/p?key=k")]);
        assert!(put.starts_with(status), "{put}");
        let value = rig.curl(&[version, "-i", &rig.url("/v1/rows/p?key=k")]);
        assert!(value.starts_with(status) && value.ends_with("{\"v\":1}"), "{value}");
        assert!(value.contains("\netag: ") && value.contains("\ntidegate-cursor: "), "{value}");
        let head = rig.curl(&[version, "-I", &rig.url("/v1/rows/p?key=k")]);
        assert!(head.contains("\ncontent-length: 7\n"), "{head}");

        rig.publish(room, r#"{"n":1}"#);
        let read = rig.curl(&[version, &url]);
        let cursor = read.split("\"cursor\":\"").last().and_then(|rest| rest.split('"').next()).expect("a cursor");
        let empty = rig.curl(&[version, "-i", &format!("{url}?after={cursor}")]);
        assert!(empty.contains(" 204"), "{empty}");
        let mut waiting = Watch::open(&rig, &[version, &format!("{url}?after={cursor}&wait=30s")]);
        rig.publish(room, r#"{"n":2}"#);
        assert!(waiting.until(r#"{"n":2}"#).concat().contains("\"frames\":["));

        std::fs::write(rig.folder().join("large"), format!("\"{}\"", "x".repeat(9 << 20))).expect("written");
        for (path, status) in [("/v1/rooms/x/messages", " 413"), ("/v1/room/x/messages", " 404"), ("/v1/", " 405")] {
            let answer = rig.curl(&[version, "-i", "-d", "@large", "-H", "Expect:", &rig.url(path)]);
            assert!(answer.lines().next().is_some_and(|line| line.contains(status)), "{path}: {answer}");
        }
        let refused = rig.curl(&[version, "-i", &rig.url("/v1/room/x/messages")]);
        assert!(refused.contains(" 404") && refused.contains("channel-not-found"), "{refused}");
    }
}

#[test]
fn a_body_larger_than_any_window_arrives_and_comes_back() {
    let rig = Rig::start("windows");
    let data = format!("\"{}\"", "x".repeat(900 * 1024));
    std::fs::write(rig.folder().join("body"), &data).expect("written");
    let url = rig.url("/v1/rooms/large/messages");
    for version in ["--http1.1", "--http2"] {
        let answer = rig.curl(&[version, "-d", "@body", "-H", "Expect:", &url]);
        assert!(answer.contains("\"count\":1"), "{answer}");
    }
    for version in ["--http1.1", "--http2"] {
        let read = rig.curl(&[version, &format!("{url}?from=start")]);
        assert_eq!(read.matches(&data).count(), 2, "{} bytes", read.len());
    }
}

#[test]
fn heads_have_a_limit() {
    let rig = Rig::start("heads");
    let many: Vec<String> = (0..70).map(|number| format!("x-{number}: x")).collect();
    let many: Vec<&str> = many.iter().flat_map(|field| ["-H", field.as_str()]).collect();
    let url = rig.url("/v1/");
    // Over HTTP/1.1 the limit of 32 KiB is judged between two reads, each of which may be as long.
    for (version, bytes) in [("--http1.1", 80 * 1024), ("--http2", 40 * 1024)] {
        let large = format!("x-large: {}", "x".repeat(bytes));
        for fields in [many.clone(), vec!["-H", &large]] {
            let answer = rig.curl(&[&[version, "-i"], &fields[..], &[&url]].concat());
            assert!(answer.lines().next().is_some_and(|line| line.contains(" 431")), "{answer}");
        }
    }
}

#[test]
fn streams_have_the_same_heads_and_frames() {
    let rig = Rig::start("streams");
    rig.publish("s", r#"{"n":1}"#);
    for media_type in ["text/event-stream", "application/x-ndjson"] {
        let heads = VERSIONS.map(|(version, status)| {
            let accept = format!("Accept: {media_type}");
            let mut watch = Watch::open(&rig, &[version, "-H", &accept, &rig.url("/v1/rooms/s/messages?from=start")]);
            let mut head: Vec<String> =
                std::iter::from_fn(|| watch.line()).take_while(|line| !line.is_empty()).collect();
            watch.until("\"op\":\"append\"");
            assert!(head.remove(0).starts_with(status), "{head:?}");
            let is = |line: &String, name: &str| line.starts_with(&format!("{name}: "));
            assert_eq!(head.iter().any(|line| is(line, "connection")), version == "--http1.1", "{head:?}");
            head.retain(|line| !["date", "tidegate-watch", "connection"].iter().any(|name| is(line, name)));
            head.sort();
            head
        });
        assert!(heads[0].contains(&format!("content-type: {media_type}")), "{heads:?}");
        assert_eq!(heads[0], heads[1]);
    }
}

#[test]
fn a_drain_reaches_every_stream() {
    let mut rig = Rig::start("drain");
    let mut watches: Vec<Watch> = ["--http1.1", "--http2"]
        .iter()
        .map(|version| {
            let mut watch =
                Watch::open(&rig, &[version, "-H", "Accept: application/x-ndjson", &rig.url("/v1/rooms/d/messages")]);
            watch.until("\"op\":\"begin\"");
            watch
        })
        .collect();
    rig.server.terminate();
    for watch in &mut watches {
        watch.until("\"op\":\"close\"");
        while watch.line().is_some() {}
        assert_eq!(watch.status(), Some(0), "the body ended in order");
    }
    assert!(rig.server.wait().success());
}
