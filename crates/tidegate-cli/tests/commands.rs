//! The commands as a person or a script runs them.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use common::{binary, chat_and_rows};
use serde_json::Value;
use tidegate_core::Millis;
use tidegate_testkit::process::Server;

const ROOM: &str = "rooms/a/messages";

fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("TIDEGATE_LOG", "warn").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    tidegate(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command against a server and returns what it printed.
fn at(server: &Server, arguments: &[&str]) -> String {
    let output = try_at(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn try_at(server: &Server, arguments: &[&str]) -> Output {
    let url = format!("http://{}", server.address());
    run(&[arguments, &["--url", &url]].concat())
}

/// The `n` of each data frame.
fn numbers(lines: &str) -> Vec<u64> {
    let frames = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a frame"));
    frames.filter(|frame| frame["op"] == "append").map(|frame| frame["data"]["n"].as_u64().expect("n")).collect()
}

fn publish(server: &Server, n: u64) -> String {
    at(server, &["publish", ROOM, &format!(r#"{{"n":{n}}}"#)])
}

#[test]
fn a_publish_may_say_what_it_goes_on_from() {
    let server = chat_and_rows();
    let cursor = |printed: String| -> String {
        let answer: Value = serde_json::from_str(&printed).expect("JSON");
        answer["cursor"].as_str().expect("a cursor").to_owned()
    };
    let first = cursor(at(&server, &["publish", ROOM, "1", "--create"]));
    let second = cursor(at(&server, &["publish", ROOM, "2", "--if-match", &first]));
    for stale in [&["--create"][..], &["--if-match", &first], &["--if-match", &format!("\"{first}\"")]] {
        let output = try_at(&server, &[&["publish", ROOM, "3"], stale].concat());
        assert!(!output.status.success() && text(&output.stderr).contains("precondition-failed"), "{output:?}");
    }
    at(&server, &["publish", ROOM, "3", "--if-match", &format!("\"{second}\"")]);
    let key = ["publish", "rows/p", "{}", "--key", "k"];
    let row = cursor(at(&server, &[&key[..], &["--create"]].concat()));
    at(&server, &[&key[..], &["--if-match", &row]].concat());
}

#[test]
fn what_is_published_is_watched() {
    let server = chat_and_rows();
    let answer: Value = serde_json::from_str(&publish(&server, 1)).expect("JSON");
    assert_eq!(answer["count"], 1);
    let mut lines = tidegate(&["publish", ROOM, "-", "--url", &format!("http://{}", server.address())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawned");
    lines.stdin.take().expect("stdin").write_all(b"{\"n\":2}\n\n{\"n\":3}\n").expect("written");
    assert!(lines.wait().expect("ended").success());
    assert_eq!(numbers(&at(&server, &["watch", ROOM, "--from", "start", "--count", "3"])), [1, 2, 3]);

    at(&server, &["publish", "rows/p", r#"{"id":"k","v":1}"#, "--key", "k"]);
    let rows = at(&server, &["watch", "rows/p", "--count", "1"]);
    assert!(rows.contains(r#""op":"snapshot","address":"rows/p","key":"k""#), "{rows}");
}

#[test]
fn a_watch_may_begin_in_the_past() {
    let server = chat_and_rows();
    let put = |v: u64| at(&server, &["publish", "rows/p", &format!(r#"{{"id":"k","v":{v}}}"#), "--key", "k"]);
    put(1);
    let then = Millis::now();
    while Millis::now() <= then {
        std::thread::yield_now();
    }
    put(2);
    let frames = at(&server, &["watch", "rows/p", "--at", &then.to_string(), "--count", "2"]);
    let values = frames.lines().map(|line| serde_json::from_str::<Value>(line).expect("a frame"));
    let values: Vec<Value> = values.filter(|frame| frame.get("data").is_some()).collect();
    let told: Vec<_> = values.iter().map(|frame| (&frame["op"], &frame["data"]["v"])).collect();
    assert_eq!(told, [(&"snapshot".into(), &1.into()), (&"upsert".into(), &2.into())]);
}

#[test]
fn a_name_makes_a_repeat_harmless() {
    let server = chat_and_rows();
    let again = || at(&server, &["publish", ROOM, r#"{"n":1}"#, "--idempotency-key", "once"]);
    assert_eq!(again(), again());
    publish(&server, 2);
    assert_eq!(numbers(&at(&server, &["watch", ROOM, "--from", "start", "--count", "2"])), [1, 2]);
}

#[test]
fn a_cursor_file_goes_on_where_the_last_watch_ended() {
    let server = chat_and_rows();
    let file = server.folder().join("cursor");
    let file = file.to_str().expect("UTF-8");
    (1..=4).for_each(|n| drop(publish(&server, n)));
    let first = at(&server, &["watch", ROOM, "--from", "start", "--count", "3", "--cursor-file", file]);
    let second = at(&server, &["watch", ROOM, "--from", "start", "--count", "1", "--cursor-file", file]);
    assert_eq!((numbers(&first), numbers(&second)), (vec![1, 2, 3], vec![4]));
}

#[test]
fn a_view_is_named_as_in_the_protocol_and_goes_on_with_its_cursor() {
    let server = chat_and_rows();
    let file = server.folder().join("cursor");
    let (url, file) = (format!("http://{}", server.address()), file.to_str().expect("UTF-8"));
    let watch = |count: &str| {
        let view = ["--filter", "-1 < data.n && data.n < 10", "--fields", "n,what", "--mode", "patch", "--chain"];
        tidegate(&[&["watch", "rows/p", "--url", &url, "--cursor-file", file, "--count", count], &view[..]].concat())
    };
    let row = |n: u64| {
        let rows = format!(r#"[{{"id":"a","n":{n},"what":"longer than its change"}},{{"id":"b","n":50}}]"#);
        drop(at(&server, &["publish", "rows/p", &rows]));
    };
    let read = |line: &str| serde_json::from_str::<Value>(line).expect("a frame");
    row(1);
    let mut first = watch("2").stdout(Stdio::piped()).spawn().expect("spawned");
    let mut lines = BufReader::new(first.stdout.take().expect("stdout")).lines().map(|line| line.expect("a line"));
    assert_eq!(read(&lines.next().expect("begin"))["options"]["filter"], "-1 < data.n && data.n < 10");
    let rows: Vec<String> = lines.by_ref().take_while(|line| !line.contains(r#""last":true"#)).collect();
    assert!(
        rows.iter().any(|line| line.contains(r#""key":"a""#)) && !rows.iter().any(|line| line.contains(r#""key":"b""#))
    );
    row(2);
    let changes: Vec<Value> = lines.map(|line| read(&line)).filter(|frame| frame["op"] == "upsert").collect();
    assert!(first.wait().expect("ended").success());
    assert_eq!((changes.len(), &changes[0]["patch"]["n"]), (1, &Value::from(2)), "{changes:?}");

    row(3);
    let second = text(&watch("1").output().expect("the binary runs").stdout);
    let change = second.lines().map(read).find(|frame| frame["op"] == "upsert").expect("a change");
    assert_eq!((&change["patch"], change["data"].is_null()), (&serde_json::json!({"n": 3}), true));
    assert_eq!(change["prev"], changes[0]["cursor"], "nothing is between the two");
}

#[test]
fn a_mistake_in_a_filter_is_shown_where_it_stands() {
    let server = chat_and_rows();
    let output = try_at(&server, &["watch", "rows/p", "--filter", "data.n > 1 && dat.n < 9"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("    data.n > 1 && dat.n < 9\n                  ^\n"), "{told}");
    assert!(told.contains("did you mean `data`"), "{told}");
}

#[test]
fn a_watch_survives_the_death_of_the_server() {
    let mut server = chat_and_rows();
    publish(&server, 0);
    let url = format!("http://{}", server.address());
    let mut watch = tidegate(&["watch", ROOM, "--from", "start", "--count", "10", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("spawned");
    let mut lines = BufReader::new(watch.stdout.take().expect("stdout")).lines().map(|line| line.expect("a line"));
    let mut seen: Vec<String> = lines.by_ref().take_while(|line| !line.contains(r#""n":0"#)).collect();
    assert!(seen[0].contains("begin"), "{seen:?}");
    (1..5).for_each(|n| drop(publish(&server, n)));
    server.kill9();
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    (5..10).for_each(|n| drop(publish(&server, n)));
    seen = lines.collect();
    assert!(watch.wait().expect("ended").success());
    assert!(!seen.iter().any(|line| line.contains(r#""op":"gap""#)), "{seen:?}");
    assert_eq!(numbers(&seen.join("\n")), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn refusals_are_told_with_what_to_do() {
    let server = chat_and_rows();
    let refused = |arguments: &[&str], wanted: &str| {
        let output = try_at(&server, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(wanted), "{arguments:?}: {}", text(&output.stderr));
    };
    refused(&["publish", "room/a/messages", "{}"], "rooms/{room}/messages");
    refused(&["publish", ROOM, "{"], "invalid");
    refused(&["publish", ROOM, "-", "--create"], "one event");
    refused(&["publish", "rows/p", r#"{"v":1}"#], "id");
    refused(&["watch", "room/a/messages"], "channel-not-found");
    refused(&["watch", ROOM, "--after", "nonsense"], "cursor-invalid");

    for url in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
        let output = run(&["watch", ROOM, "--url", url]);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains(&format!("cannot reach {url}")), "{told}");
    }
    assert_eq!(run(&["watch", "a//b"]).status.code(), Some(2));
}

#[test]
fn check_shows_mistakes_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("tidegate.yaml");
    let check = |text: &str| {
        std::fs::write(&config, text).expect("written");
        run(&["check", "--config", config.to_str().expect("UTF-8")])
    };
    let good = check(
        "sources: { host: { kind: system } }\nchannels: { m: { address: \"m/{group}\", source: host, key: name } }\n",
    );
    assert!(good.status.success(), "{}", text(&good.stderr));
    assert!(text(&good.stdout).contains("source  host (system): good"), "{}", text(&good.stdout));
    let bad = check("channels: { chat: { adress: a } }\n");
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("^^^^^^ did you mean `address`?"), "{}", text(&bad.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1);
}

#[test]
fn a_url_that_nobody_reads_is_refused_without_its_password() {
    for command in ["serve", "check"] {
        let output = run(&[command, "oracle://app:secret@db/shop"]);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains("oracle://") && !told.contains("secret"), "{told}");
        assert!(text(&run(&[command, "tidegate.yaml"]).stderr).contains("--config"), "a file is no URL");
        assert_eq!(run(&[command, "oracle://db", "--config", "a.yaml"]).status.code(), Some(2), "one or the other");
    }
    assert_eq!(run(&["serve", "--listen", "127.0.0.1:0"]).status.code(), Some(2), "a config says where to listen");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().expect("folder");
    let serve = |arguments: &[&str]| {
        let output = tidegate(arguments).current_dir(folder.path()).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    assert!(serve(&["serve"]).contains("tidegate demo"));
    std::fs::write(folder.path().join("tidegate.yaml"), "listen: 0.0.0.0:0\nchannels: { a: { address: a } }\n")
        .expect("written");
    assert!(serve(&["serve"]).contains("--insecure"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let told = serve(&["demo", "--listen", &address]);
    assert!(told.contains(&address) && told.contains("--listen 127.0.0.1:0"), "{told}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = chat_and_rows();
    let mut lingering = TcpStream::connect(server.address()).expect("connected");
    let head = format!("GET /v1/{ROOM} HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n");
    lingering.write_all(head.as_bytes()).expect("sent");
    let mut frames = BufReader::new(lingering).lines().map(|line| line.expect("a line"));
    assert!(frames.any(|line| line.contains(r#""op":"begin""#)));
    server.terminate();
    // The first signal was heard; the client stays, so the server would wait for it a little.
    assert!(frames.any(|line| line.contains(r#""op":"close""#)));
    server.terminate();
    assert_eq!(server.wait().code(), Some(130));
}
