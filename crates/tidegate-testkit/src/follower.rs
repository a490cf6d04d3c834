//! A client that never gives up: it follows one watch through every cut, on any transport, and
//! tells what it has seen so that a test can wait for it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tidegate_core::Kind;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{Ask, Ended, Transport, Watch};
use crate::replica::{Replica, Rows, offset};

/// What is waited for has come by then, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Happenings kept for failure messages.
const TRACE: usize = 30;
/// A client that was refused or cut comes back after about so many milliseconds.
const COMES_BACK_MS: Range<u64> = 20..120;

/// A running client; dropped, it stops.
pub struct Follower {
    name: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Habits {
    /// On which transports, each connection on one of them.
    pub transports: Vec<Transport>,
    /// How many milliseconds it keeps a connection; `None`: as long as it lasts.
    pub restless_ms: Option<Range<u64>>,
    /// Of what it does at random.
    pub seed: u64,
}

/// What a client has seen.
#[derive(Debug)]
pub struct Seen {
    /// What it makes of it.
    pub replica: Replica,
    /// Of a history: the records and gaps, as they came, as far as a cursor stands behind them.
    pub frames: Vec<Value>,
    /// Every notice, in order; one may come again after a cut.
    pub notices: Vec<Value>,
    /// Connections that had an answer.
    pub connections: u64,
    /// What no client can make sense of; it has stopped there.
    pub broken: Option<String>,
    pending: Vec<Value>,
    trace: VecDeque<String>,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

impl Habits {
    /// One transport, connections as long as they last.
    pub fn steady(transport: Transport) -> Habits {
        Habits { transports: vec![transport], restless_ms: None, seed: 0 }
    }

    /// All transports by turns, connections that are given up soon.
    pub fn restless(seed: u64) -> Habits {
        Habits { transports: Transport::ALL.to_vec(), restless_ms: Some(50..2_500), seed }
    }
}

impl Follower {
    /// Begins to follow; the server may be down.
    pub fn start(server: SocketAddr, ask: Ask, habits: Habits) -> Follower {
        let replica = if ask.kind == Kind::State { Replica::state() } else { Replica::history() };
        let seen = Seen {
            replica,
            frames: Vec::new(),
            notices: Vec::new(),
            connections: 0,
            broken: None,
            pending: Vec::new(),
            trace: VecDeque::new(),
        };
        let shared = Arc::new(Shared { seen: Mutex::new(seen), changed: watch::channel(()).0 });
        let name = format!("{:?} of {}", ask.kind, ask.path);
        let rng = StdRng::seed_from_u64(habits.seed);
        let task = tokio::spawn(Client { server, ask, habits, rng, shared: shared.clone() }.run());
        Follower { name, shared, task }
    }

    /// The state of an address or pattern.
    pub fn state(server: SocketAddr, path: &str, habits: Habits) -> Follower {
        Follower::start(server, Ask::new(path, true, Kind::State), habits)
    }

    /// The changes of an address or pattern of a keyed channel, from the oldest record on.
    pub fn history(server: SocketAddr, path: &str, habits: Habits) -> Follower {
        let ask = Ask { from: Some("start".to_owned()), ..Ask::new(path, true, Kind::History) };
        Follower::start(server, ask, habits)
    }

    /// The events of a plain channel, from the oldest record on.
    pub fn events(server: SocketAddr, path: &str, habits: Habits) -> Follower {
        let ask = Ask { from: Some("start".to_owned()), ..Ask::new(path, false, Kind::History) };
        Follower::start(server, ask, habits)
    }

    /// Looks at what was seen so far.
    pub fn see<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.lock())
    }

    /// The rows that a state watch holds.
    pub fn rows(&self) -> Rows {
        self.see(|seen| seen.replica.rows().cloned().unwrap_or_default())
    }

    /// Waits until something holds at a cursor, as long as anything comes.
    ///
    /// # Panics
    /// If it does not come to that, or the server breaks the protocol; with what came last.
    pub async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let (mut deadline, mut came) = (Instant::now() + PATIENCE, None);
        loop {
            {
                let seen = self.shared.lock();
                if seen.replica.cursor != came {
                    (deadline, came) = (Instant::now() + PATIENCE, seen.replica.cursor.clone());
                }
                if let Some(broken) = &seen.broken {
                    panic!("{}: {broken}\n{}", self.name, seen.told());
                }
                if seen.replica.settled() && holds(&seen) {
                    return;
                }
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                let seen = self.shared.lock();
                panic!("{} waits in vain until {what}; it is {}", self.name, seen.told());
            }
        }
    }

    /// Waits until the rows of a state watch are these.
    ///
    /// # Panics
    /// As [`Self::until`], with the differences.
    pub async fn until_rows(&self, what: &str, wanted: &Rows) {
        let waiting = self.until(what, |seen| seen.replica.rows() == Some(wanted));
        let patience = tokio::time::timeout(PATIENCE / 2, waiting);
        if patience.await.is_err() {
            panic!("{} does not become {what}: {}", self.name, difference(&self.rows(), wanted));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of this lock panics")
    }
}

impl Seen {
    /// Frames of this `op`.
    pub fn ops(&self, op: &str) -> usize {
        self.frames.iter().filter(|frame| frame["op"] == op).count()
    }

    fn take(&mut self, frame: &Value) -> Result<(), String> {
        self.note(frame.to_string());
        let before = self.replica.cursor.clone();
        self.replica.apply(frame).map_err(|violation| violation.0)?;
        if self.replica.lost + self.replica.doubled > 0 {
            return Err(format!("the chain of {before:?} is broken by {frame}"));
        }
        let at = |cursor: &Option<String>| cursor.as_deref().and_then(offset);
        if at(&self.replica.cursor) < at(&before) && self.replica.cursor.is_some() {
            return Err(format!("the cursor went back from {before:?}: {frame}"));
        }
        match frame["op"].as_str() {
            Some("append" | "upsert" | "delete" | "clear" | "gap") if self.replica.items().is_some() => {
                self.pending.push(frame.clone());
            }
            Some("notice") => self.notices.push(frame.clone()),
            _ => {}
        }
        if self.replica.settled() {
            self.frames.append(&mut self.pending);
        }
        Ok(())
    }

    /// A connection is over; says whether another one may follow.
    fn end(&mut self, ended: Ended) -> bool {
        self.replica.cut();
        self.pending.clear();
        self.note(format!("-- {ended:?}"));
        match ended {
            Ended::Cut | Ended::Gone(_) => {}
            Ended::Refused(answer) if answer.head.status == 503 => {}
            Ended::Refused(answer) => self.broken = Some(format!("refused: {answer:?}")),
            Ended::Garbage(what) => self.broken = Some(what),
        }
        self.broken.is_none()
    }

    fn note(&mut self, mut text: String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        text.truncate(text.floor_char_boundary(300));
        self.trace.push_back(text);
    }

    fn told(&self) -> String {
        let Seen { replica, frames, connections, trace, .. } = self;
        let holds = replica.rows().map_or(frames.len(), Rows::len);
        let trace: String = trace.iter().map(|line| format!("\n    {line}")).collect();
        format!("at {:?} after {connections} connections, holds {holds}; last came{trace}", replica.cursor)
    }
}

struct Client {
    server: SocketAddr,
    ask: Ask,
    habits: Habits,
    rng: StdRng,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(mut self) {
        loop {
            let ended = self.connection().await;
            let goes_on = self.shared.lock().end(ended);
            self.shared.changed.send_replace(());
            if !goes_on {
                return;
            }
            let pause = self.rng.random_range(COMES_BACK_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn connection(&mut self) -> Ended {
        let transport = *self.habits.transports.choose(&mut self.rng).expect("some");
        let mut ask = Ask { cursor: self.shared.lock().replica.cursor.clone(), ..self.ask.clone() };
        let mut until = None;
        if let Some(lives) = &self.habits.restless_ms {
            until = Some(Instant::now() + Duration::from_millis(self.rng.random_range(lives.clone())));
            ask.by_header = self.rng.random();
            ask.coding = [None, Some("gzip"), Some("zstd")][self.rng.random_range(0..3)];
            ask.chain |= self.rng.random_bool(0.3);
        }
        self.shared.lock().note(format!("-- {transport:?} {}", ask.url(&[])));
        let follow = async {
            let mut watch = match Watch::open(self.server, transport, &ask).await {
                Ok(watch) => watch,
                Err(ended) => return ended,
            };
            self.shared.lock().connections += 1;
            loop {
                let frame = match watch.next_frame().await {
                    Ok(frame) => frame,
                    Err(ended) => return ended,
                };
                if let Err(broken) = self.shared.lock().take(&frame) {
                    return Ended::Garbage(broken);
                }
                self.shared.changed.send_replace(());
                if frame["op"] == "close" {
                    return match frame["retry_ms"].is_u64() {
                        true => Ended::Cut,
                        false => Ended::Garbage(format!("closed for good: {frame}")),
                    };
                }
            }
        };
        match until {
            Some(until) => tokio::time::timeout_at(until, follow).await.unwrap_or(Ended::Cut),
            None => follow.await,
        }
    }
}

/// Where two sets of rows differ, in words.
pub fn difference(found: &Rows, wanted: &Rows) -> String {
    let missing: Vec<_> = wanted.keys().filter(|id| !found.contains_key(*id)).take(5).collect();
    let extra: Vec<_> = found.keys().filter(|id| !wanted.contains_key(*id)).take(5).collect();
    let wrong = wanted.iter().filter_map(|(id, data)| Some((id, found.get(id)?, data)));
    let wrong: Vec<String> = wrong
        .filter(|(_, found, wanted)| found != wanted)
        .take(3)
        .map(|(id, found, wanted)| format!("{id:?} is {} instead of {}", short(found), short(wanted)))
        .collect();
    format!("{} rows, {} wanted; missing {missing:?}, extra {extra:?}, wrong {wrong:?}", found.len(), wanted.len())
}

fn short(value: &Value) -> String {
    let mut text = value.to_string();
    text.truncate(text.floor_char_boundary(200));
    text
}
