//! Rights that depend on who is a member: members come and go under a steady publisher, and nobody is ever told of a room
//! while they are not in it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Ended, Publish, Publisher, Transport, Watch};
use tidegate_testkit::process::Server;
use tidegate_testkit::replica::{Item, Replica};
use tidegate_testkit::token::{mint, seconds_from_now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://id.example.org";
/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who was refused, or closed, comes back after this.
const PAUSE: Duration = Duration::from_millis(3);
/// So often somebody comes and goes.
const ROUNDS: u64 = 40;

fn start() -> Server {
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_tidegate")),
        &format!(
            r#"
gate:
  issuers:
    test: {{ issuer: {ISSUER}, audience: tidegate, algorithms: HS256, secret: {SECRET} }}
channels:
  members:
    address: rooms/{{room}}/members
    key: [room, user]
    access:
      read: "true"
      publish: claims.sub == "owner"
  messages:
    address: rooms/{{room}}/messages
    access:
      read: exists("members", [params.room, claims.sub])
      publish: claims.sub == "owner" || (exists("members", [params.room, claims.sub]) && data.by == claims.sub)
  notes:
    address: notes/{{shelf}}
    key: id
    access:
      read: has(claims.sub)
      publish: claims.sub == "owner"
      rows: exists("members", [data.room, claims.sub])
"#
        ),
    )
}

fn token(name: &str) -> String {
    let hour = Duration::from_secs(3_600);
    mint(SECRET, &json!({ "iss": ISSUER, "aud": "tidegate", "sub": name, "exp": seconds_from_now(hour) }))
}

fn ask(path: &str, keyed: bool, kind: Kind, name: &str) -> Ask {
    Ask { token: Some(token(name)), ..Ask::new(path, keyed, kind) }
}

/// Who owns the rooms, and says what is in them.
struct Owner {
    publisher: Publisher,
    token: String,
    /// What was said last.
    said: u64,
}

impl Owner {
    fn new(server: &Server) -> Owner {
        Owner { publisher: Publisher::new(server.address()), token: token("owner"), said: 0 }
    }

    async fn send(&mut self, publish: Publish) {
        let answer = self.publisher.send(&publish.by(&self.token)).await.expect("an answer");
        assert!(matches!(answer.head.status, 200 | 204), "{}", answer.body);
    }

    async fn join(&mut self, room: &str, name: &str) {
        let row = json!({ "room": room, "user": name }).to_string();
        self.send(Publish::post(&format!("rooms/{room}/members"), types::JSON, row)).await;
    }

    async fn part(&mut self, room: &str, name: &str) {
        let key = format!("%5B%22{room}%22%2C%22{name}%22%5D");
        self.send(Publish::delete(&format!("rooms/{room}/members"), &key)).await;
    }

    /// The next number, as a note and as a message of a room.
    async fn say(&mut self, room: &str) {
        self.said += 1;
        let note = json!({ "id": format!("{room}{}", self.said % 3), "room": room, "n": self.said });
        self.send(Publish::post("notes/a", types::JSON, note.to_string())).await;
        let message = json!({ "by": "owner", "room": room, "n": self.said });
        self.send(Publish::post(&format!("rooms/{room}/messages"), types::JSON, message.to_string())).await;
    }
}

/// What one of them may have been told.
#[derive(Default)]
struct Truth {
    /// Numbers that were said while she was out.
    hidden: Mutex<Vec<u64>>,
    /// What had been said when she began to come in the last time: she may be told of it since.
    shown: AtomicU64,
}

impl Truth {
    fn check(&self, frame: &Value) {
        let Some(n) = frame["data"]["n"].as_u64() else { return };
        let hidden = self.hidden.lock().expect("a list").contains(&n);
        assert!(!hidden || n <= self.shown.load(Ordering::SeqCst), "told of {n} while out: {frame}");
    }
}

/// One who watches on one transport, and comes back whenever it ends.
struct Watcher {
    replica: Arc<Mutex<Replica>>,
    opened: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Watcher {
    fn start(server: SocketAddr, transport: Transport, ask: Ask, truth: Arc<Truth>) -> Watcher {
        let replica = if ask.kind == Kind::State { Replica::state() } else { Replica::history() };
        let (replica, opened) = (Arc::new(Mutex::new(replica)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (replica, opened) = (replica.clone(), opened.clone());
            async move {
                loop {
                    let cursor = replica.lock().expect("a replica").cursor.clone();
                    let from = cursor.is_none().then(|| "start".to_owned()).filter(|_| ask.kind == Kind::History);
                    let ask = Ask { cursor, from, ..ask.clone() };
                    let Ok(mut watch) = Watch::open(server, transport, &ask).await else {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    };
                    opened.fetch_add(1, Ordering::SeqCst);
                    loop {
                        match watch.next_frame().await {
                            Ok(frame) => {
                                truth.check(&frame);
                                replica.lock().expect("a replica").apply(&frame).expect("the protocol");
                                if frame["op"] == "close" {
                                    break;
                                }
                            }
                            Err(Ended::Garbage(what)) => panic!("{transport:?}: {what}"),
                            Err(_) => break,
                        }
                    }
                    replica.lock().expect("a replica").cut();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Watcher { replica, opened, task }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Replica) -> bool) {
        let began = tokio::time::Instant::now();
        loop {
            {
                let replica = self.replica.lock().expect("a replica");
                if replica.settled() && holds(&replica) {
                    return;
                }
                assert!(!self.task.is_finished(), "the watcher has failed; wanted: {what}");
                assert!(began.elapsed() < PATIENCE, "never {what}: {replica:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn number(item: &Item) -> Option<u64> {
    if let Item::Event { data, .. } = item { data["n"].as_u64() } else { None }
}

fn numbers(replica: &Replica) -> Vec<u64> {
    let mut found: Vec<u64> = match (replica.rows(), replica.items()) {
        (Some(rows), _) => rows.values().filter_map(|row| row["n"].as_u64()).collect(),
        (_, Some(items)) => items.iter().filter_map(number).collect(),
        _ => Vec::new(),
    };
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_of_a_room_while_not_in_it() {
    let server = start();
    let (at, mut owner) = (server.address(), Owner::new(&server));
    let (truth, nothing_hidden) = (Arc::new(Truth::default()), Arc::new(Truth::default()));
    owner.join("lobby", "bob").await;
    let watches = |name: &str, truth: &Arc<Truth>| {
        let notes = ask("notes/a", true, Kind::State, name);
        let changes = ask("notes/a", true, Kind::History, name);
        let messages = ask("rooms/lobby/messages", false, Kind::History, name);
        let each = |ask: &Ask| Transport::ALL.map(|wire| Watcher::start(at, wire, ask.clone(), truth.clone()));
        [each(&notes), each(&changes), each(&messages)]
    };
    let ann = watches("ann", &truth);
    let bob = watches("bob", &nothing_hidden);
    for round in 0..ROUNDS {
        // Out: a few are said that she must not hear, in the very moment that the answer is there.
        let before = owner.said;
        truth.hidden.lock().expect("a list").extend(before + 1..=before + 3);
        for _ in 0..3 {
            owner.say("lobby").await;
        }
        truth.shown.store(owner.said, Ordering::SeqCst);
        owner.join("lobby", "ann").await;
        for _ in 0..(round % 4) {
            owner.say("lobby").await;
        }
        if round % 8 == 7 {
            let last = owner.said;
            for watcher in ann.iter().flatten() {
                watcher.until("up to date", |replica| numbers(replica).last() == Some(&last)).await;
            }
        }
        owner.part("lobby", "ann").await;
    }
    let (last, [notes, _, _]) = (owner.said, &ann);
    for watcher in notes {
        watcher.until("empty, as she is out", |replica| numbers(replica).is_empty()).await;
    }
    truth.shown.store(last, Ordering::SeqCst);
    owner.join("lobby", "ann").await;
    for [notes, changes, messages] in (0..5).map(|wire| [0, 1, 2].map(|kind| &ann[kind][wire])) {
        notes.until("the last three", |replica| numbers(replica) == [last - 2, last - 1, last]).await;
        changes.until("up to date", |replica| numbers(replica).last() == Some(&last)).await;
        messages.until("up to date", |replica| numbers(replica).last() == Some(&last)).await;
    }
    for (at, watcher) in bob.iter().flatten().enumerate() {
        watcher.until("up to date", |replica| numbers(replica).last() == Some(&last)).await;
        let replica = watcher.replica.lock().expect("a replica");
        assert!(replica.gaps.is_empty() && replica.resets.len() <= 1, "{at}: {replica:?}");
        assert_eq!(watcher.opened.load(Ordering::SeqCst), 1, "{at}: whose rights stay is left alone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_removed_is_closed_and_refused() {
    let server = start();
    let (at, mut owner) = (server.address(), Owner::new(&server));
    owner.join("lobby", "ann").await;
    let room = ask("rooms/lobby/messages", false, Kind::History, "ann");
    let mut watches = Vec::new();
    for transport in Transport::ALL {
        let mut watch =
            Watch::open(at, transport, &room).await.unwrap_or_else(|error| panic!("{transport:?}: {error:?}"));
        watch.next_frame().await.expect("a frame");
        watches.push((transport, watch));
    }
    let begun = std::time::Instant::now();
    owner.part("lobby", "ann").await;
    for (transport, watch) in &mut watches {
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                match watch.next_frame().await {
                    Ok(frame) if frame["op"] == "close" => {
                        return frame["code"].as_str().unwrap_or_default().to_owned();
                    }
                    Ok(frame) => assert_ne!(frame["op"], "append", "{frame}"),
                    Err(Ended::Refused(answer)) => return answer.code().unwrap_or_default().to_owned(),
                    Err(ended) => return format!("{ended:?}"),
                }
            }
        });
        let code = ended.await.expect("an end in time");
        assert_eq!(code, "forbidden", "{transport:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for transport in Transport::ALL {
        let refused = async {
            let mut watch = Watch::open(at, transport, &room).await?;
            watch.next_frame().await
        };
        assert!(matches!(refused.await, Err(Ended::Refused(answer)) if answer.head.status == 403), "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_member_may_publish_ends_with_the_membership() {
    let server = start();
    let mut owner = Owner::new(&server);
    let mut publisher = Publisher::new(server.address());
    let said = Publish::post("rooms/lobby/messages", types::JSON, json!({ "by": "ann" }).to_string()).by(&token("ann"));
    let mut status = async || publisher.send(&said).await.expect("an answer").head.status;
    assert_eq!(status().await, 403);
    owner.join("lobby", "ann").await;
    assert_eq!(status().await, 200);
    owner.part("lobby", "ann").await;
    assert_eq!(status().await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_are_known_again_after_a_restart() {
    let mut server = start();
    let mut owner = Owner::new(&server);
    owner.join("lobby", "ann").await;
    owner.join("attic", "ann").await;
    owner.say("lobby").await;
    owner.part("attic", "ann").await;
    let notes = ask("notes/a", true, Kind::State, "ann");
    let mut watch = Watch::open(server.address(), Transport::Ndjson, &notes).await.expect("a watch");
    let cursor = loop {
        let frame = watch.next_frame().await.expect("a frame");
        if frame["last"] == true {
            break frame["cursor"].as_str().expect("a cursor").to_owned();
        }
    };
    drop(watch);
    server.kill9();
    server.restart().expect("a start");
    let mut owner = Owner::new(&server);
    owner.said = 1;
    // Her rights are the same, so she goes on where she was.
    let resumed = Ask { cursor: Some(cursor), ..notes };
    let mut watch = Watch::open(server.address(), Transport::Ndjson, &resumed).await.expect("a watch");
    owner.say("attic").await;
    owner.say("lobby").await;
    loop {
        let frame = watch.next_frame().await.expect("a frame");
        assert_ne!(frame["op"], "reset", "{frame}");
        if frame["op"] == "upsert" {
            assert_eq!(frame["data"]["n"], 3, "{frame}");
            break;
        }
    }
}
