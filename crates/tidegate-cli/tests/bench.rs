//! `tidegate bench` against the demo's config, and against a stand-in that does everything wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_bench::{Load, Pace, Report, Step, Subject, Tally, Target};
use tidegate_testkit::process::Server;

const CONFIG: &str = include_str!("../src/demo/demo.yaml");
const ROOM: &str = "rooms/bench/messages";
const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

fn demo() -> Server {
    Server::start(Path::new(BINARY), &CONFIG.replace("listen: 127.0.0.1:8080", "listen: 127.0.0.1:0"))
}

fn bench(server: SocketAddr, arguments: &[&str]) -> Output {
    let url = format!("http://{server}");
    let run = Command::new(BINARY).arg("bench").args(arguments).args(["--url", &url, "--json", "--quiet"]).output();
    run.expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The figures of a run. They are of the shape that is documented: nothing is left out, and what
/// is not documented is refused.
fn figures(output: &Output) -> Report {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}{}", text(&output.stdout), text(&output.stderr)))
}

/// Runs a scenario in which nothing goes wrong, for a short time.
fn good(server: &Server, arguments: &str) -> Report {
    let mut all: Vec<&str> = arguments.split_whitespace().collect();
    all.extend(["--time", "0.6"]);
    if all[0] != "idle" {
        all.extend(["--warm-up", "0.1"]);
    }
    let output = bench(server.address(), &all);
    assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
    let report = figures(&output);
    assert!(report.is_clean(), "{arguments}: {report:?}");
    assert_eq!(report.cut_by_server, 0, "{arguments}: {report:?}");
    report
}

#[test]
fn fanout_delivers_each_event_to_each_watcher() {
    let server = demo();
    for transport in ["sse", "websocket", "ndjson", "poll"] {
        for chain in ["", "--chain"] {
            let report =
                good(&server, &format!("fanout {ROOM} --transport {transport} --watchers 9 --rate 50 {chain}"));
            assert_eq!(report.transport, transport);
            assert!(report.published >= 25, "{report:?}");
            // What was sent before the warm-up was over may count only when it arrives.
            assert!(report.deliveries >= 9 * (report.published - 2), "{report:?}");
            assert_eq!((report.opening.count, report.latency.count > 200), (9, true), "{report:?}");
        }
    }
}

#[test]
fn watchers_and_events_go_round_the_addresses() {
    let server = demo();
    let report = good(&server, "fanout rooms/{n}/messages --addresses 20 --watchers 40 --rate max --publishers 3");
    assert!(report.published > 20 && report.deliveries > report.published, "{report:?}");
    assert!(report.deliveries < 3 * report.published, "each event goes to the two of its address: {report:?}");
}

#[test]
fn one_publish_goes_to_several_addresses() {
    let server = demo();
    let report = good(&server, "fanout rooms/{n}/messages --addresses 20 --watchers 20 --batch 8 --spread --rate 800");
    assert_eq!((report.batch, report.cut_by_server), (8, 0));
    assert!(report.published > 100 && report.deliveries >= report.published - 16, "one watcher each: {report:?}");
}

/// The demo, watched by a pattern: each watcher sees every room.
#[derive(Debug)]
struct AllRooms(SocketAddr);

impl Subject for AllRooms {
    fn watch_address(&self) -> SocketAddr {
        self.0
    }

    fn watch(&self, _: u32, _: u32) -> Vec<Step> {
        let say = b"GET /v1/rooms/*/messages HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n".to_vec();
        vec![Step { say, hear: br#""op":"begin""#.to_vec() }]
    }

    fn publish_address(&self) -> SocketAddr {
        self.0
    }

    fn publish(&self, number: u32, event: &[u8], out: &mut Vec<u8>) {
        let (length, event) = (event.len(), String::from_utf8_lossy(event));
        let head =
            format!("POST /v1/rooms/{number}/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json");
        out.extend_from_slice(format!("{head}\r\ncontent-length: {length}\r\n\r\n{event}").as_bytes());
    }
}

#[test]
fn a_wide_watcher_has_to_get_the_events_of_all_addresses() {
    let server = demo();
    let foreign: Option<Arc<dyn Subject>> = Some(Arc::new(AllRooms(server.address())));
    let target = Target { foreign, addresses: 5, wide: true, ..Target::new(server.address(), "") };
    let mut load = Load::new(target, None, |_| {}).expect("a load");
    load.watch(3).expect("all watch");
    load.publish(Pace::PerSecond(200.0), Duration::from_millis(300)).expect("published");
    assert_eq!(load.finish().expect("all came"), Tally::default());
    assert_eq!(load.latency().count, 3 * 60, "each of the 60 to each of the three");
}

#[test]
fn publish_times_acknowledgements() {
    let server = demo();
    let report = good(&server, &format!("publish {ROOM} --batch 10 --bytes 300"));
    assert_eq!((report.batch, report.event_bytes, report.rate_per_second), (10, 300, None));
    assert!(report.published > 10 && report.deliveries > 10, "{report:?}");
    assert!(report.acknowledgement.p50_us > 0 && report.acknowledgement.max_us >= report.acknowledgement.p99_us);
    let cost = report.server.expect("the process was found");
    assert_eq!(cost.pid, server.pid());
}

#[test]
fn idle_watchers_are_weighed() {
    let server = demo();
    let report = good(&server, &format!("idle {ROOM} --watchers 250 --pid {}", server.pid()));
    assert_eq!((report.opening.count, report.deliveries), (250, 0));
    let cost = report.server.expect("it was given");
    assert!(cost.pss_bytes_per_watcher.is_some() && cost.pss_bytes > cost.pss_bytes_before, "{cost:?}");
}

#[test]
fn those_who_missed_much_catch_up() {
    let server = demo();
    for transport in ["sse", "poll"] {
        let arguments =
            format!("resume {ROOM} --transport {transport} --watchers 12 --live 3 --backlog 3000 --rate 30");
        let report = good(&server, &arguments);
        let catch_up = report.catch_up.as_ref().expect("it is timed");
        assert_eq!((report.watchers, catch_up.count), (15, 12), "{report:?}");
        assert!(report.deliveries >= 12 * 3_000, "{report:?}");
    }
}

#[test]
fn cuts_at_any_byte_lose_and_double_nothing() {
    let server = demo();
    for transport in ["sse", "websocket", "ndjson", "poll"] {
        let arguments = "--watchers 10 --cuts 100 --rate 300 --bytes 2000 --chain";
        let report = good(&server, &format!("churn {ROOM} --transport {transport} {arguments}"));
        assert!(report.cut_on_purpose > 20, "{report:?}");
        assert!(report.opening.count <= report.cut_on_purpose, "only who came back is timed: {report:?}");
    }
}

#[test]
fn those_who_did_not_read_get_everything_in_the_end() {
    let server = demo();
    let report = good(&server, &format!("slow {ROOM} --watchers 10 --stalled 4 --rate 200 --bytes 4000"));
    let stalled = report.stalled.as_ref().expect("they are told");
    assert_eq!(stalled.watchers, 4);
    assert!(stalled.latency_before.count > 0 && report.deliveries >= 10 * report.published, "{report:?}");
    assert!(report.latency.count <= 6 * report.published, "the latencies are the others': {report:?}");
}

#[test]
fn a_picture_is_well_formed() {
    let server = demo();
    let file = server.folder().join("bench.svg");
    let file = file.to_str().expect("UTF-8");
    good(&server, &format!("fanout {ROOM} --rate 200 --svg {file}"));
    let picture = std::fs::read_to_string(file).expect("a picture");
    let document = roxmltree::Document::parse(&picture).unwrap_or_else(|error| panic!("{error}\n{picture}"));
    let curves = document.descendants().filter(|node| node.has_tag_name("polyline"));
    let points = curves.map(|curve| curve.attribute("points").unwrap_or_default().split(' ').count());
    assert!(points.clone().count() == 3 && points.min() > Some(2), "two latencies and the throughput: {picture}");
    good(&server, &format!("idle {ROOM} --watchers 1 --svg {file}"));
    let empty = std::fs::read_to_string(file).expect("a picture");
    assert!(roxmltree::Document::parse(&empty).is_ok() && !empty.contains("NaN") && !empty.contains("inf"), "{empty}");
}

#[test]
fn refusals_are_told_with_what_to_do() {
    let server = demo();
    let refused = |arguments: &str, wanted: &str| {
        let output = bench(server.address(), &arguments.split_whitespace().collect::<Vec<_>>());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {told}");
        assert!(told.contains(wanted), "{arguments}: {told}");
    };
    refused("fanout room/a/messages", "rooms/{room}/messages");
    refused("fanout synthetic-market/TIDE", "forbidden");
    refused("fanout rooms/{n}/messages", "--addresses");
    refused("fanout rooms/*/messages", "pattern");
    refused("idle rooms/a/messages --watchers 4000000", "ulimit");
    refused("idle rooms/a/messages --pid 4194305", "no process");
    let nobody = bench(SocketAddr::from(([127, 0, 0, 1], 1)), &["idle", ROOM]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("cannot connect a watcher"), "{}", text(&nobody.stderr));
    let senseless = bench(server.address(), &["fanout", ROOM, "--rate", "fast"]);
    assert_eq!(senseless.status.code(), Some(2));
    assert!(text(&senseless.stderr).contains("or max"), "{}", text(&senseless.stderr));
}

#[test]
fn what_a_server_does_wrong_is_told_apart() {
    let wrong = |fault: Fault| {
        let server = stand_in(fault);
        let arguments = "--watchers 2 --publishers 1 --rate 100 --time 0.5 --warm-up 0 --patience 0.5 --chain";
        let output =
            bench(server, &["fanout a".split(' ').collect(), arguments.split(' ').collect::<Vec<_>>()].concat());
        let report = figures(&output);
        assert_eq!(output.status.success(), report.is_clean(), "{}", text(&output.stderr));
        (report.lost, report.doubled, report.reordered, report.broken_links)
    };
    assert_eq!(wrong(Fault::None), (0, 0, 0, 0));
    assert_eq!(wrong(Fault::Loses), (2, 0, 0, 2), "one event of two watchers, and the links that show it");
    assert_eq!(wrong(Fault::LosesTheLast), (2, 0, 0, 0));
    assert_eq!(wrong(Fault::Doubles), (0, 2, 0, 2));
    assert_eq!(wrong(Fault::Reorders), (0, 0, 2, 6), "three links of each watcher lead astray");
    assert_eq!(wrong(Fault::BreaksALink), (0, 0, 0, 2));
}

/// What a stand-in does wrong, once.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Loses,
    LosesTheLast,
    Doubles,
    Reorders,
    BreaksALink,
}

/// The event with which something goes wrong, and the last of fifty.
const WRONG: usize = 7;
const LAST: usize = 49;

/// A server that passes on what is published, with a fault.
fn stand_in(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let watchers: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (socket, watchers) = (socket.expect("a connection"), watchers.clone());
            std::thread::spawn(move || serve(socket, &watchers, fault));
        }
    });
    address
}

fn serve(mut socket: TcpStream, watchers: &Mutex<Vec<TcpStream>>, fault: Fault) {
    let mut requests = BufReader::new(socket.try_clone().expect("a socket"));
    let mut events: Vec<String> = Vec::new();
    loop {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
            if first.is_empty() {
                first = line;
            }
        }
        if first.starts_with("GET") {
            socket.write_all(b"HTTP/1.1 200 OK\r\ntidegate-cursor: t0\r\n\r\n").expect("a watcher");
            watchers.lock().expect("no holder panics").push(socket.try_clone().expect("a socket"));
            continue;
        }
        let mut body = vec![0; length];
        requests.read_exact(&mut body).expect("a body");
        let at = events.len();
        let prev = if fault == Fault::BreaksALink && at == WRONG { at + 99 } else { at };
        events.push(format!(
            "data: {{\"op\":\"append\",\"cursor\":\"t{}\",\"prev\":\"t{prev}\",\"data\":{}}}\n\n",
            at + 1,
            text(&body)
        ));
        let sent: Vec<usize> = match fault {
            Fault::Loses if at == WRONG => vec![],
            Fault::LosesTheLast if at == LAST => vec![],
            Fault::Doubles if at == WRONG => vec![at, at],
            Fault::Reorders if at == WRONG => vec![],
            Fault::Reorders if at == WRONG + 1 => vec![at, at - 1],
            _ => vec![at],
        };
        for watcher in watchers.lock().expect("no holder panics").iter_mut() {
            for event in &sent {
                // One that has gone does not listen.
                let _ = watcher.write_all(events[*event].as_bytes());
            }
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").expect("an answer");
    }
}
