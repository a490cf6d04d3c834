//! The file that is read again: all of it or nothing, and what is wrong with it is told.

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::Transport;
use tidegate_testkit::client::http;
use tidegate_testkit::process::Server;

use crate::reloading::{OWN, Policies, ann, config, next, put, reload, reloaded, snapshot, start};
use crate::rig::{PATIENCE, Stream, admin, answered, ask};

const ALL: Policies = Policies { orders: r#"read: "has(claims.sub)""#, ..OWN };

async fn watching(server: &Server) -> Stream {
    put(server, "orders", "1", "ann", 1).await;
    let asked = ask("orders/eu", true, Kind::State, Some(&ann()));
    let mut stream = Stream::open(server, Some(Transport::Sse), &asked).await;
    snapshot(&mut stream).await;
    stream
}

/// It is told nothing but what comes.
async fn goes_on(server: &Server, stream: &mut Stream, n: u32) {
    put(server, "orders", "1", "ann", n).await;
    let frame = next(stream).await;
    assert_eq!((&frame["op"], &frame["data"]), (&json!("upsert"), &json!({ "id": "1", "owner": "ann", "n": n })));
}

/// It is in the log.
async fn said(server: &Server, text: &str) {
    let said = async {
        while !server.output().contains(text) {
            tokio::task::yield_now().await;
        }
    };
    let said = tokio::time::timeout(PATIENCE, said).await;
    assert!(said.is_ok(), "{text} in {}", server.output());
}

async fn metrics(server: &Server) -> String {
    admin(server, "GET", "/metrics", None).await.text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_mistake_changes_nothing_and_is_told_with_its_place() {
    let server = start(&OWN);
    let mut stream = watching(&server).await;
    let broken = Policies { talk: r#"read: "claims.sub ==""#, ..ALL };
    let text = config(&broken);
    server.rewrite(&text);
    let written = std::fs::read_to_string(server.folder().join("tidegate.yaml")).expect("the file");
    let line = written.lines().position(|line| line.contains("claims.sub ==\"")).expect("the line") + 1;
    let answer = reloaded(&server).await;
    assert_eq!((answer.head.status, answer.code()), (422, Some("unprocessable")), "{answer:?}");
    let detail = answer.body["detail"].as_str().expect("a detail");
    let place = format!("tidegate.yaml:{line}:");
    assert!(detail.contains(&place) && detail.contains("claims.sub =="), "{detail}");
    said(&server, &place).await;
    goes_on(&server, &mut stream, 2).await;
    for (name, count) in [("mistaken", 1), ("applied", 0), ("restart", 0)] {
        let figure = format!("tidegate_config_reloads_total{{result=\"{name}\"}} {count}.0\n");
        assert!(metrics(&server).await.contains(&figure), "{figure}");
    }
    std::fs::remove_file(server.folder().join("tidegate.yaml")).expect("removed");
    assert_eq!(reloaded(&server).await.head.status, 422);
    goes_on(&server, &mut stream, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_restart_is_named_and_nothing_else_is_changed_either() {
    let server = start(&OWN);
    let mut stream = watching(&server).await;
    let others: [(&str, &str, &str); 4] = [
        ("address: talk/{region}", "address: chat/{region}", "`channels.talk.address` (line "),
        ("    key: id\n", "    key: [id]\n", "`channels.orders.key` (line "),
        ("channels:\n", "heartbeat: 5s\nchannels:\n", "`heartbeat` (line "),
        ("channels:\n", "channels:\n  more: { address: more }\n", "`channels.more` (line "),
    ];
    for (from, to, told) in others {
        server.rewrite(&config(&ALL).replacen(from, to, 1));
        let answer = reloaded(&server).await;
        assert_eq!((answer.head.status, answer.code()), (409, Some("conflict")), "{answer:?}");
        let detail = answer.body["detail"].as_str().expect("a detail");
        assert!(detail.contains(told) && !detail.contains("access"), "{detail}");
        said(&server, told).await;
    }
    server.rewrite(&config(&ALL).replace("wide", "tall"));
    let detail = reloaded(&server).await.body["detail"].clone();
    assert!(detail.as_str().is_some_and(|detail| detail.contains("`channels.wide` (not there any more)")), "{detail}");
    goes_on(&server, &mut stream, 2).await;
    // The same in other words is no change.
    server.rewrite(&config(&OWN).replace("  wide:", "  # as it was\n  wide:"));
    let answer = reloaded(&server).await;
    assert_eq!(answer.body["changed"], json!([]), "{answer:?}");
    goes_on(&server, &mut stream, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_and_the_command_reload_too() {
    let server = start(&OWN);
    let mut stream = watching(&server).await;
    server.rewrite(&config(&ALL));
    server.hang_up();
    assert_eq!(next(&mut stream).await["reason"], "rights");
    assert_eq!(snapshot(&mut stream).await[0].1["margin"], 1);
    let command = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["reload", "--admin", &format!("http://{}", server.admin())]);
        let done = tokio::task::block_in_place(|| command.output().expect("it runs"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.success(), text(&done.stdout), text(&done.stderr))
    };
    assert_eq!(command(), (true, "nothing has changed\n".to_owned(), String::new()));
    server.rewrite(&config(&OWN));
    let (done, said, _) = command();
    assert!(done && said.contains("changed channels.orders.access.rows\n"), "{said}");
    assert!(said.ends_with("1 watches judged anew: 1 see something else, 0 closed\n"), "{said}");
    server.rewrite("channels: { a: { adress: a } }");
    let (done, _, told) = command();
    assert!(!done && told.contains("address"), "{told}");
    assert_eq!(admin(&server, "GET", "/reload", None).await.head.status, 405);
    // A page in the operator's browser.
    let headers = ["Origin: http://evil.example".to_owned()];
    let answer = http::ask(server.admin(), "POST", "/reload", &headers, b"").await;
    assert_eq!(answer.expect("an answer").code(), Some("forbidden"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origins_limits_and_the_share_of_the_audit_are_changed_too() {
    let server = start(&OWN);
    let preflight = async || {
        let headers = ["Origin: https://app.example.org"];
        answered(server.address(), "POST", "/v1/talk/eu", Some(&ann()), &headers, r#"{"owner":"ann","n":1}"#).await
    };
    assert_eq!(preflight().await.code(), Some("forbidden"));
    let more = "origins: [https://app.example.org]\naudit: { allows: 100% }\n";
    server.rewrite(&format!("{more}{}", config(&OWN)));
    let answer = reloaded(&server).await;
    assert_eq!(answer.body["changed"], json!(["audit.allows", "origins"]), "{answer:?}");
    assert_eq!(preflight().await.head.status, 200);
    said(&server, "decision=\"allow\" act=\"publish\"").await;
    let limited = config(&OWN).replacen("gate:\n", "gate:\n  limits: { subject: { publishes: 1/h } }\n", 1);
    server.rewrite(&format!("{more}{limited}"));
    let answer = reloaded(&server).await;
    assert_eq!(answer.body["changed"], json!(["gate.limits"]), "{answer:?}");
    assert_eq!(preflight().await.head.status, 200);
    assert_eq!(preflight().await.code(), Some("rate-limited"));
    let none: Value = json!([]);
    server.rewrite(&format!("{more}{}", config(&OWN)));
    assert_ne!(reloaded(&server).await.body["changed"], none);
    assert_eq!(preflight().await.head.status, 200);
}

/// A WebSocket that stays goes by the limits of now, whether there were any when it came or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_websocket_is_limited_as_the_file_says_now() {
    let server = start(&OWN);
    put(&server, "orders", "1", "ann", 1).await;
    let asked = ask("orders/eu", true, Kind::State, Some(&ann()));
    let mut stream = Stream::open(&server, Some(Transport::Many), &asked).await;
    let mut publish = async || {
        let message = json!({ "do": "publish", "ref": 3, "address": "talk/eu", "data": { "owner": "ann", "n": 1 } });
        let answer = stream.say(message).await;
        answer["code"].as_str().map(str::to_owned)
    };
    let limits = async |limits: &str| {
        server.rewrite(&config(&OWN).replacen("gate:\n", &format!("gate:\n{limits}"), 1));
        let changed = reloaded(&server).await.body["changed"].as_array().cloned().expect("a list");
        let is_a_limit = |path: &Value| path.as_str().is_some_and(|path| path.starts_with("gate.limits"));
        assert!(!changed.is_empty() && changed.iter().all(is_a_limit), "{changed:?}");
    };
    assert_eq!(publish().await, None);
    for _ in 0..2 {
        limits("  limits: { subject: { publishes: 1/h } }\n").await;
        assert_eq!(publish().await, None, "all counts begin anew");
        assert_eq!(publish().await.as_deref(), Some("rate-limited"));
        limits("  limits: { address: { publishes: 100/h } }\n").await;
        assert_eq!(publish().await, None);
        limits("").await;
        assert_eq!(publish().await, None);
    }
}

/// `exists` of a policy that is new looks into a channel that nobody looked into before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_policy_looks_into_another_channel() {
    let member = Policies { orders: r#"read: "exists('board', claims.sub)""#, ..OWN };
    let server = start(&ALL);
    put(&server, "board", "ann", "ann", 1).await;
    let mut stream = watching(&server).await;
    let told = reload(&server, &member).await;
    assert_eq!(told["watches"], json!({ "judged": 1, "changed": 0, "closed": 0 }), "{told}");
    put(&server, "orders", "1", "ann", 2).await;
    assert_eq!(next(&mut stream).await["data"]["n"], 2);
    let gone = answered(server.address(), "DELETE", "/v1/board/eu?key=ann", Some(&ann()), &[], "").await;
    assert!(gone.head.status < 300, "{gone:?}");
    let frames = stream.until(|frame| frame["op"] == "close").await;
    assert_eq!(frames.last().expect("the close")["code"], "forbidden");
}
