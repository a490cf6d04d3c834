//! The real log, hub, tails and lanes in one process, and sockets between them and clients.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tidegate_core::{Address, Cursor, Kind, Millis, Op, Principal, Target, Template};
use tidegate_hub::{Access, Caller, ChannelConfig, From, Hub, HubOptions, WatchEntry, WatchId, WatchRequest};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options, Retain};
use tidegate_testkit::replica::Rows;
use tidegate_wire::{Connection, Ear, Encoding, Line, StreamOptions, Tails, Terms, WatchName, Watcher};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Addresses; the first is the busy one.
pub const PARTS: usize = 6;
const CHANNEL: &str = "rows";

/// A record: its op, address, key and data.
pub type Record = (&'static str, String, String, Value);

pub struct World {
    pub tails: Tails,
    log: Log,
    written: Mutex<Written>,
    finished: AtomicBool,
    _folder: tempfile::TempDir,
}

#[derive(Default)]
pub struct Written {
    pub rows: Rows,
    /// By offset.
    pub records: BTreeMap<u64, Record>,
}

/// The client's end of a socket, and the lane's.
pub struct Pair {
    pub client: TcpStream,
    pub lane: Connection,
}

/// What a socket is like.
pub struct Shape {
    pub encoding: Encoding,
    pub many: bool,
    /// Of either end, so that a slow reader is felt soon.
    pub buffer_bytes: Option<usize>,
    pub ear: Option<Box<dyn Ear>>,
}

impl World {
    pub fn new(heartbeat: Duration, stream: StreamOptions) -> Arc<World> {
        let folder = tempfile::tempdir().expect("temp folder");
        let retain = Retain { bytes: Some(1024 * 1024), ..Retain::default() };
        let spec = ChannelSpec { retain, ..ChannelSpec::keyed(CHANNEL) };
        let log = Log::open(Options::new(folder.path()), vec![spec]).expect("open");
        let config = ChannelConfig {
            access: Access::open(),
            ..ChannelConfig::new(
                CHANNEL,
                Template::parse("rows/{part}").expect("template"),
                tidegate_core::KeySpec::new(["id"]),
            )
        };
        let hub = Hub::new(log.clone(), vec![config], HubOptions { heartbeat });
        Arc::new(World {
            tails: Tails::start(hub, stream).expect("lanes"),
            log,
            written: Mutex::default(),
            finished: AtomicBool::new(false),
            _folder: folder,
        })
    }

    pub fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().expect("written")
    }

    pub fn head(&self) -> u64 {
        self.log.channel(CHANNEL).expect("channel").head()
    }

    /// Nothing more is written.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    pub fn finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// One batch of changes, each about so large.
    pub fn write(&self, random: &mut StdRng, part: usize, count: usize, bytes: usize) {
        let channel = self.log.channel(CHANNEL).expect("channel").id();
        let mut written = self.written();
        let changes: Vec<Record> = (0..count).map(|_| written.change(random, part, bytes)).collect();
        let entries = changes.iter().map(|(op, address, key, data)| Entry {
            channel,
            op: if *op == "upsert" { Op::Upsert } else { Op::Delete },
            address: Address::parse(address).expect("address"),
            key: Some(key.as_str().into()),
            time: Millis(1),
            data: if *op == "upsert" { Bytes::from(data.to_string()) } else { Bytes::new() },
        });
        let appended = self.log.append(Batch { entries: entries.collect(), ..Batch::default() }).expect("append");
        let last = appended.offset(channel).expect("offset");
        written.records.extend((last + 1 - count as u64..).zip(changes));
    }

    /// What is old goes.
    pub fn trim(&self) {
        self.log.drain_now().expect("drain");
        self.log.retain_now().expect("retain");
    }

    /// A socket that a lane has.
    pub async fn open(&self, shape: Shape) -> Pair {
        let Shape { encoding, many, buffer_bytes, ear } = shape;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = listener.local_addr().expect("its address");
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        if let Some(bytes) = buffer_bytes {
            client.set_recv_buffer_size(bytes).expect("a small buffer");
        }
        client.connect(&to.into()).expect("connect");
        client.set_nonblocking(true).expect("nonblocking");
        let (server, _) = listener.accept().expect("accept");
        server.set_nodelay(true).expect("nodelay");
        if let Some(bytes) = buffer_bytes {
            socket2::SockRef::from(&server).set_send_buffer_size(bytes).expect("a small buffer");
        }
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a place");
        let terms = Terms { encoding, many, ear, head: Bytes::new(), place };
        let lane = self.tails.lanes().open(Line::Plain(server), terms).expect("a lane");
        Pair { client: TcpStream::from_std(client.into()).expect("a client"), lane }
    }

    /// Begins a watch at a cursor.
    pub fn watch(&self, lane: &Connection, name: WatchName, encoding: Encoding, wish: &Wish, after: Option<Cursor>) {
        let request = WatchRequest {
            from: (wish.kind == Kind::History && after.is_none()).then_some(From::Start),
            after,
            snapshot: (wish.kind == Kind::History).then_some(false),
            ..WatchRequest::new(Target::parse(&wish.target).expect("target"))
        };
        let hub = self.tails.hub();
        let plan = hub.plan(&request, &Caller::anonymous()).expect("plan");
        let entry = WatchEntry {
            id: WatchId::random(),
            view: plan.view.clone(),
            channel: plan.channel.clone(),
            principal: Principal::anonymous(),
            transport: encoding.as_str(),
            peer: None,
            since: Millis::now(),
        };
        let id = entry.id.to_string();
        let watcher = Watcher {
            plan,
            encoding,
            chain: wish.chain,
            id,
            options: Vec::new(),
            until: None,
            meter: None,
            place: None,
        };
        lane.watch(&self.tails, name, watcher, entry);
    }

    /// Waits until nothing is left of sockets that have closed.
    pub async fn empty(&self) {
        let left = || {
            let lanes = self.tails.lanes();
            [lanes.sockets(), lanes.tails(), lanes.full(), self.tails.count(), self.tails.hub().watches().count()]
        };
        eventually("sockets, tails of lanes, full sockets, tails, watches", || (left() == [0; 5]).then_some(()), left)
            .await;
    }
}

/// Waits for what nothing tells of.
pub async fn eventually<T, D: std::fmt::Debug>(
    what: &str,
    mut is: impl FnMut() -> Option<T>,
    now: impl Fn() -> D,
) -> T {
    for _ in 0..2_000 {
        if let Some(found) = is() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: {:?}", now());
}

/// What a client wants to see.
#[derive(Clone, Debug)]
pub struct Wish {
    pub target: String,
    pub kind: Kind,
    pub chain: bool,
}

impl Wish {
    pub fn sees(&self, address: &str) -> bool {
        self.target == address || self.target == "rows/*"
    }
}

impl Written {
    fn change(&mut self, random: &mut StdRng, part: usize, bytes: usize) -> Record {
        let address = format!("rows/{part}");
        let key = format!("k{}", random.random_range(0..20));
        let id = (address.clone(), key.clone());
        if random.random_ratio(1, 5) && self.rows.remove(&id).is_some() {
            return ("delete", address, key, Value::Null);
        }
        let pad = "x".repeat(random.random_range(0..=2 * bytes));
        let data = json!({ "n": random.random::<u32>(), "pad": pad });
        self.rows.insert(id, data.clone());
        ("upsert", address, key, data)
    }
}

/// Whether the other side ended it, in one of the ways of TCP.
pub fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
