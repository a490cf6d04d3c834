//! What is left when the process dies or the disk fails.
//!
//! `TIDEGATE_FAULT_KILLS` says how many `kill -9` there are: 3 in CI, 20 in the soak.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Answer, Ask, Publish, Publisher, Transport, Watch, get_json};
use tidegate_testkit::process::Server;
use tidegate_testkit::shim::Shim;
use tokio::sync::watch;
use tokio::task::JoinSet;

const PUBLISHERS: u64 = 8;
/// Events of one batch.
const BATCH: u64 = 3;
/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_tidegate").into(), PathBuf::from)
}

/// Two channels; `data` is where the log is.
fn config(data: &Path) -> String {
    format!(
        "heartbeat: 5s\nlog: {{ path: {}, journal_bytes: 1MiB, segment_bytes: 1MiB }}\nchannels:\n\
         \x20 chat:\n    address: rooms/{{room}}\n    retain: {{ age: 1h }}\n    access: {{ read: \"true\", publish: \"true\" }}\n\
         \x20 stock:\n    address: stock/{{shop}}\n    key: id\n    retain: {{ age: 1h }}\n    access: {{ read: \"true\", publish: \"true\" }}\n",
        data.display()
    )
}

fn post(address: &str, body: &Value) -> Publish {
    Publish::post(address, types::JSON, body.to_string())
}

async fn publish(server: SocketAddr, publish: &Publish) -> Answer {
    Publisher::new(server).send(publish).await.unwrap_or_else(|ended| panic!("{publish:?}: {ended:?}"))
}

/// Repeats until the answer is 200: refusals and broken connections are what these tests make.
async fn acknowledged(publisher: &mut Publisher, publish: &Publish) {
    let begun = Instant::now();
    loop {
        match publisher.send(publish).await {
            Ok(answer) if answer.head.status == 200 => return,
            Ok(answer) => assert!(matches!(answer.head.status, 503 | 507), "{publish:?}: {answer:?}"),
            Err(_) => {}
        }
        assert!(begun.elapsed() < PATIENCE, "{publish:?} is not acknowledged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every event at an address, oldest first.
async fn events(server: SocketAddr, address: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut url = format!("/v1/{address}?from=start&limit=5000");
    loop {
        let answer = get_json(server, &url).await.expect("an answer");
        let frames = answer.body["frames"].as_array().cloned().unwrap_or_default();
        if frames.is_empty() {
            assert!(matches!(answer.head.status, 200 | 204), "{answer:?}");
            return found;
        }
        found.extend(frames.into_iter().map(|frame| frame["data"].clone()));
        url = format!("/v1/{address}?after={}&wait=0s&limit=5000", answer.body["cursor"].as_str().expect("a cursor"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_nothing_acknowledged_and_invents_nothing() {
    let kills = std::env::var("TIDEGATE_FAULT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut server = Server::start(&binary(), &config(Path::new("./data")));
    let address = server.address();
    let (stop, stopped) = watch::channel(false);
    let (counted, mut count) = watch::channel(0u64);
    let mut publishers = JoinSet::new();
    for own in 0..PUBLISHERS {
        let (stopped, counted) = (stopped.clone(), counted.clone());
        publishers.spawn(async move {
            let mut publisher = Publisher::new(address);
            let mut batches = 0;
            while !*stopped.borrow() {
                // Large enough that the journal is drained meanwhile: a death may fall between the
                // log and the checkpoint of its view.
                let event = |at| json!({"publisher": own, "batch": batches, "at": at, "pad": "x".repeat(8_000)});
                let batch: Vec<Value> = (0..BATCH).map(event).collect();
                let publish = post("rooms/kill", &batch.into()).once(&format!("{own}-{batches}"));
                acknowledged(&mut publisher, &publish).await;
                let row = json!({"id": own, "batch": batches});
                let put = Publish::put("stock/kill", &own.to_string(), row.to_string());
                acknowledged(&mut publisher, &put.once(&format!("row-{own}-{batches}"))).await;
                batches += 1;
                counted.send_modify(|count| *count += 1);
            }
            (own, batches)
        });
    }
    for kill in 1..=kills {
        // Each life of the server acknowledges something before it ends.
        let until = *count.borrow() + 40;
        tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= until))
            .await
            .expect("in time")
            .expect("a count");
        server = tokio::task::spawn_blocking(move || {
            server.kill9();
            server.restart().unwrap_or_else(|error| panic!("kill {kill}: {error}"));
            server
        })
        .await
        .expect("restart");
    }
    stop.send_replace(true);
    let mut batches = vec![0; PUBLISHERS as usize];
    while let Some(done) = publishers.join_next().await {
        let (own, count) = done.expect("a publisher");
        batches[own as usize] = count;
    }
    let found = events(address, "rooms/kill").await;
    println!("{kills} kills, batches {batches:?}, {} events", found.len());
    assert_eq!(found.len() as u64, batches.iter().sum::<u64>() * BATCH, "each event is there once");
    // Batches whole and uninterrupted, and each publisher's in order.
    let mut next = vec![0; PUBLISHERS as usize];
    for batch in found.chunks(BATCH as usize) {
        let own = batch[0]["publisher"].as_u64().expect("a publisher");
        for (at, event) in batch.iter().enumerate() {
            let is = [&event["publisher"], &event["batch"], &event["at"]];
            assert_eq!(is, [&json!(own), &json!(next[own as usize]), &json!(at)]);
        }
        next[own as usize] += 1;
    }
    let view = get_json(address, "/v1/stock/kill").await.expect("an answer");
    let rows: Vec<&Value> = view.body["rows"].as_array().expect("rows").iter().map(|row| &row["data"]).collect();
    let last: Vec<Value> = (0..PUBLISHERS).map(|own| json!({"id": own, "batch": batches[own as usize] - 1})).collect();
    assert_eq!(rows, last.iter().collect::<Vec<_>>(), "the view is the last acknowledged value of each key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_sync_poisons_the_log_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, shim) = on_a_shimmed_disk(folder.path());
    let address = server.address();
    assert_eq!(publish(address, &post("rooms/a", &json!({"n": 1}))).await.head.status, 200);
    assert_eq!(get_json(address, "/readyz").await.expect("an answer").head.status, 200);
    let ask = Ask { from: Some("start".to_owned()), ..Ask::new("rooms/a", false, Kind::History) };
    let mut watch = Watch::open(address, Transport::Sse, &ask).await.expect("a watch");
    until(&mut watch, |frame| frame["data"]["n"] == 1).await;

    shim.sync_fails(true);
    let refused = publish(address, &post("rooms/a", &json!({"n": 2}))).await;
    assert_eq!((refused.head.status, refused.code()), (503, Some("log-poisoned")), "{refused:?}");
    // A sync that works again proves nothing about what the failed one lost.
    shim.sync_fails(false);
    let refused = publish(address, &post("rooms/a", &json!({"n": 3}))).await;
    assert_eq!((refused.head.status, refused.code()), (503, Some("log-poisoned")), "{refused:?}");
    for side in [address, server.admin()] {
        let ready = get_json(side, "/readyz").await.expect("an answer");
        assert_eq!(ready.head.status, 503, "{ready:?}");
        assert!(ready.text.contains("log-poisoned"), "{ready:?}");
    }
    // Watches go on, old ones and new ones, and show nothing that was refused.
    let frame = until(&mut watch, |frame| frame["op"] == "bookmark").await;
    assert!(frame["cursor"].is_string(), "{frame}");
    let mut another = Watch::open(address, Transport::Ndjson, &ask).await.expect("a watch");
    until(&mut another, |frame| frame["data"]["n"] == 1).await;
    assert_eq!(events(address, "rooms/a").await, [json!({"n": 1})]);

    server.kill9();
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(publish(address, &post("rooms/a", &json!({"n": 4}))).await.head.status, 200);
    let found = events(address, "rooms/a").await;
    // What was refused may have reached the disk; what was acknowledged must have.
    assert_eq!((found.first(), found.last()), (Some(&json!({"n": 1})), Some(&json!({"n": 4}))), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sync_delays_the_answer_and_the_watch() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, shim) = on_a_shimmed_disk(folder.path());
    let address = server.address();
    let ask = Ask { from: Some("start".to_owned()), ..Ask::new("rooms/a", false, Kind::History) };
    let mut watch = Watch::open(address, Transport::Sse, &ask).await.expect("a watch");
    until(&mut watch, |frame| frame["op"] == "begin").await;

    let delay = Duration::from_millis(1_500);
    shim.sync_delay(delay);
    let begun = Instant::now();
    let answered =
        tokio::spawn(async move { (publish(address, &post("rooms/a", &json!({"n": 1}))).await, begun.elapsed()) });
    until(&mut watch, |frame| frame["op"] == "append").await;
    assert!(begun.elapsed() >= delay, "a frame left before its record was durable");
    let (answer, after) = answered.await.expect("an answer");
    assert_eq!(answer.head.status, 200);
    assert!(after >= delay, "acknowledged before it was durable");
}

/// A small file system of memory, which can be full in truth.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(size: &str) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={size}")).arg("tidegate-test").arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Fills, is refused, gets room again: what was acknowledged is there once and in order, and
/// what was refused is not.
async fn fills_and_recovers(server: &Server, until_full: impl FnOnce(), room: impl FnOnce()) {
    let address = server.address();
    let mut publisher = Publisher::new(address);
    let mut kept = Vec::new();
    let padding = "x".repeat(100_000);
    until_full();
    let refused = loop {
        let n = kept.len();
        let answer = publisher.send(&post("rooms/a", &json!({"n": n, "pad": padding}))).await.expect("an answer");
        if answer.head.status != 200 {
            break answer;
        }
        kept.push(n as u64);
        assert!(kept.len() < 1_000, "the disk never fills");
    };
    assert_eq!((refused.head.status, refused.code()), (507, Some("log-full")), "{refused:?}");
    assert!(refused.body["retry_ms"].is_u64(), "{refused:?}");
    let numbers = |events: Vec<Value>| events.iter().map(|event| event["n"].as_u64().expect("n")).collect::<Vec<_>>();
    assert_eq!(numbers(events(address, "rooms/a").await), kept, "reads go on");

    room();
    let begun = Instant::now();
    let after = loop {
        let answer = publisher.send(&post("rooms/a", &json!({"n": 10_000}))).await.expect("an answer");
        if answer.head.status != 507 {
            break answer;
        }
        assert!(begun.elapsed() < PATIENCE, "there is room, and it says {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(after.head.status, 200, "{after:?}");
    kept.push(10_000);
    assert_eq!(numbers(events(address, "rooms/a").await), kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers() {
    let Some(disk) = SmallDisk::mount("24m") else {
        println!("not allowed to mount: the shim's full disk is the only one here");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 12 << 20]).expect("ballast");
    let mut server = Server::start(&binary(), &config(&disk.0.path().join("data")));
    fills_and_recovers(&server, || (), || std::fs::remove_file(&ballast).expect("remove the ballast")).await;
    let before = events(server.address(), "rooms/a").await.len();
    server.kill9();
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(events(server.address(), "rooms/a").await.len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_says_it_is_full_is_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, shim) = on_a_shimmed_disk(folder.path());
    assert_eq!(publish(server.address(), &post("rooms/b", &json!({}))).await.head.status, 200);
    fills_and_recovers(&server, || shim.full(true), || shim.full(false)).await;
}

#[test]
fn a_second_process_on_the_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let first = Server::start(&binary(), &config(&data));
    let other = tempfile::tempdir().expect("a folder");
    let refused = Server::start_in(&binary(), other.path(), &config(&data), &[]).err().expect("the second is refused");
    assert!(refused.status.is_some_and(|status| status.code().is_some_and(|code| code != 0)), "{refused}");
    assert!(refused.output.contains(&*data.to_string_lossy()), "it names the folder: {refused}");
    drop(first);
    drop(Server::start(&binary(), &config(&data)));
}

async fn until(watch: &mut Watch, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            match watch.next_frame().await {
                Ok(frame) if wanted(&frame) => return frame,
                Ok(_) => {}
                Err(ended) => panic!("the watch ended: {ended:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the frame comes in time")
}

/// A server whose log is on a disk that the shim can make fail.
fn on_a_shimmed_disk(folder: &Path) -> (Server, Shim) {
    std::fs::create_dir(folder.join("data")).expect("the log's folder");
    let shim = Shim::new(&folder.join("data"));
    let environment = shim.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let started = Server::start_in(&binary(), folder, &config(Path::new("./data")), &environment);
    (started.unwrap_or_else(|error| panic!("{error}")), shim)
}
