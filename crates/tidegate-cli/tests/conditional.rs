//! Many writers under conditions at once: of those who have seen the same exactly one is accepted, also while the server is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Answer, Ended, Publish, Publisher, get_json};
use tidegate_testkit::process::Server;
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

const WRITERS: u64 = 100;
/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn start() -> Server {
    let open = "access: { read: \"true\", publish: \"true\" }";
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        &format!(
            "log: {{ path: ./data, journal_bytes: 1MiB, segment_bytes: 1MiB }}\nchannels:\n\
             \x20 counters: {{ address: \"counters/{{part}}\", key: id, {open} }}\n\
             \x20 streams: {{ address: \"streams/{{name}}\", {open} }}\n\
             \x20 fleeting: {{ address: \"fleeting/{{name}}\", retain: none, {open} }}\n"
        ),
    )
}

/// One client: its connection breaks when the server is killed, and it comes back.
struct Writer {
    server: SocketAddr,
    publisher: Publisher,
}

impl Writer {
    fn new(server: SocketAddr) -> Writer {
        Writer { server, publisher: Publisher::new(server) }
    }

    /// Repeats under its key until it is decided.
    async fn decided(&mut self, publish: &Publish) -> Answer {
        loop {
            match self.publisher.send(publish).await {
                Ok(answer) if matches!(answer.head.status, 200 | 412) => return answer,
                Ok(answer) => assert_eq!(answer.head.status, 503, "{publish:?}: {answer:?}"),
                Err(Ended::Garbage(what)) => panic!("{publish:?}: {what}"),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn read(&self, url: &str) -> Answer {
        loop {
            match get_json(self.server, url).await {
                Ok(answer) if matches!(answer.head.status, 200 | 404) => return answer,
                Ok(answer) => assert_eq!(answer.head.status, 503, "{answer:?}"),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn etag(answer: &Answer) -> Option<&str> {
    answer.head.header("etag")
}

/// What a writer does to the last value that it has read.
trait Change: Copy + Send + 'static {
    /// Where it reads.
    const READ: &'static str;
    /// The number that an answer to a read has.
    fn number(answer: &Answer) -> u64;
    /// The write of the next number, without its condition.
    fn write(next: u64, writer: u64) -> Publish;
}

/// A row that counts.
#[derive(Clone, Copy)]
struct Counter;

impl Change for Counter {
    const READ: &'static str = "/v1/counters/a?key=n";

    fn number(answer: &Answer) -> u64 {
        answer.body["count"].as_u64().unwrap_or(0)
    }

    fn write(next: u64, writer: u64) -> Publish {
        Publish::put("counters/a", "n", json!({"count": next, "by": writer}).to_string())
    }
}

/// A stream of numbered events, two at a time.
#[derive(Clone, Copy)]
struct Stream;

impl Change for Stream {
    const READ: &'static str = "/v1/streams/a?limit=1";

    fn number(answer: &Answer) -> u64 {
        answer.body["frames"][0]["data"]["n"].as_u64().unwrap_or(0)
    }

    fn write(next: u64, writer: u64) -> Publish {
        let events = [json!({"n": next - 1, "by": writer, "half": true}), json!({"n": next, "by": writer})];
        Publish::post("streams/a", types::JSON, Value::from(events.to_vec()).to_string())
    }
}

/// Each writer adds so much, `times` times; returns how many writes were refused.
async fn adds<C: Change>(server: SocketAddr, by: u64, times: u64, done: watch::Sender<u64>) -> u64 {
    let mut writers = JoinSet::new();
    for own in 0..WRITERS {
        let done = done.clone();
        writers.spawn(async move {
            let (mut writer, mut attempts) = (Writer::new(server), 0);
            for _ in 0..times {
                loop {
                    let seen = writer.read(C::READ).await;
                    let condition = match etag(&seen) {
                        Some(etag) => format!("If-Match: {etag}"),
                        None => "If-None-Match: *".to_owned(),
                    };
                    attempts += 1;
                    let write = C::write(C::number(&seen) + by, own).once(&format!("{own}-{attempts}")).when(condition);
                    if writer.decided(&write).await.head.status == 200 {
                        break;
                    }
                }
                done.send_modify(|done| *done += 1);
            }
            attempts - times
        });
    }
    let refused = writers.join_all();
    tokio::time::timeout(PATIENCE, refused).await.expect("in time").into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_writers_count_exactly() {
    let server = start();
    let address = server.address();
    let refused = adds::<Counter>(address, 1, 3, watch::channel(0).0).await;
    let last = Writer::new(address).read(Counter::READ).await;
    println!("{} increments, {refused} refused on the way", Counter::number(&last));
    assert_eq!(Counter::number(&last), WRITERS * 3);
    assert!(refused > WRITERS, "they were in each other's way: {refused}");
    let history = Writer::new(address).read("/v1/counters/a?from=start&limit=1000").await;
    let counts: Vec<u64> = numbers(&history, "count");
    assert_eq!(counts, (1..=WRITERS * 3).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_writers_count_exactly_while_the_server_is_killed() {
    let mut server = start();
    let address = server.address();
    let (done, mut count) = watch::channel(0);
    let counting = tokio::spawn(adds::<Counter>(address, 1, 2, done.clone()));
    let appending = tokio::spawn(adds::<Stream>(address, 2, 1, done));
    for kill in 1..=3 {
        tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= kill * 60))
            .await
            .expect("in time")
            .expect("a count");
        let killed = tokio::task::spawn_blocking(move || {
            server.kill9();
            server.restart().unwrap_or_else(|error| panic!("kill {kill}: {error}"));
            server
        });
        server = killed.await.expect("restart");
    }
    let refused = (counting.await.expect("counted"), appending.await.expect("appended"));
    println!("refused on the way: {refused:?}");
    let writer = Writer::new(address);
    assert_eq!(Counter::number(&writer.read(Counter::READ).await), WRITERS * 2);
    let events = numbers(&writer.read("/v1/streams/a?from=start&limit=1000").await, "n");
    assert_eq!(events, (1..=WRITERS * 2).collect::<Vec<_>>(), "each append follows the one that its writer has read");
    drop(server);
}

fn numbers(history: &Answer, member: &str) -> Vec<u64> {
    let frames = history.body["frames"].as_array().expect("frames").iter();
    frames.map(|frame| frame["data"][member].as_u64().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_that_have_seen_the_same_one_is_accepted() {
    let server = start();
    let address = server.address();
    for place in ["streams/b", "fleeting/b", "counters/b"] {
        let mut condition = "If-None-Match: *".to_owned();
        for round in 0..5 {
            let (together, mut writers) = (Arc::new(Barrier::new(WRITERS as usize)), JoinSet::new());
            for own in 0..WRITERS {
                let (together, condition) = (together.clone(), condition.clone());
                writers.spawn(async move {
                    let mut writer = Writer::new(address);
                    let event = json!({"id": own, "round": round});
                    let write = Publish::post(place, types::JSON, event.to_string()).when(condition);
                    together.wait().await;
                    writer.decided(&write).await
                });
            }
            let answers = writers.join_all().await;
            let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.head.status == 200);
            assert_eq!(won.len(), 1, "{place}, round {round}");
            let now = etag(won[0]).expect("an ETag");
            assert!(lost.iter().all(|answer| etag(answer) == Some(now) && answer.body["etag"] == now), "{lost:?}");
            condition = format!("If-Match: {now}");
        }
    }
}
