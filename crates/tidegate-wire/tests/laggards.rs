//! Those who fell off the ring share what is read of the log: a burst of twice the ring to 200
//! watchers who take nothing meanwhile.

use std::collections::HashSet;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tidegate_core::{Address, Cursor, Millis, Op, Principal, Target, Template};
use tidegate_hub::{Access, Caller, ChannelConfig, From, Hub, HubOptions, Start, WatchEntry, WatchId, WatchRequest};
use tidegate_log::{Batch, ChannelSpec, Entry, Log, Options};
use tidegate_testkit::replica::{Item, Replica};
use tidegate_wire::{Coding, Encoding, Line, Reins, Sink, Step, StreamOptions, Tails, Terms, Use, Watcher, follow};
use tokio::sync::{Semaphore, watch};

const WATCHERS: usize = 200;
/// Twice the ring of a tail.
const BURST_BYTES: usize = 2 * 256 * 1024;
const EVENT_BYTES: usize = 512;
const EVENTS: usize = BURST_BYTES / EVENT_BYTES;
/// What is read of the log at once.
const BLOCK_BYTES: usize = 64 * 1024;
/// The address that is watched.
const ADDRESS: &str = "load/hot";

struct World {
    log: Log,
    tails: Tails,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World::with(StreamOptions::default())
    }

    fn with(options: StreamOptions) -> World {
        let folder = tempfile::tempdir().expect("temp folder");
        let log = Log::open(Options::new(folder.path()), vec![ChannelSpec::plain("load")]).expect("open");
        let config = ChannelConfig {
            access: Access::open(),
            ..ChannelConfig::new("load", Template::parse("load/{name}").expect("template"), None)
        };
        let hub = Hub::new(log.clone(), vec![config], HubOptions::default());
        let options = StreamOptions { lanes: 2, ..options };
        World { log, tails: Tails::start(hub, options).expect("lanes"), _folder: folder }
    }

    /// Events with these numbers, a batch for every sixteen.
    fn publish(&self, numbers: std::ops::Range<usize>) {
        let numbers: Vec<usize> = numbers.collect();
        for batch in numbers.chunks(16) {
            let entries = batch.iter().map(|number| self.entry(*number)).collect();
            self.log.append(Batch { entries, ..Batch::default() }).expect("append");
        }
    }

    fn entry(&self, number: usize) -> Entry {
        Entry {
            channel: self.log.channel("load").expect("channel").id(),
            op: Op::Append,
            address: Address::parse(ADDRESS).expect("address"),
            key: None,
            time: Millis(1),
            data: format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(EVENT_BYTES - 32)).into(),
        }
    }

    fn watcher(&self, encoding: Encoding, chain: bool) -> Watcher {
        let target = Target::parse(ADDRESS).expect("target");
        let request = WatchRequest { from: Some(From::Now), ..WatchRequest::new(target) };
        let plan = self.tails.hub().plan(&request, &Caller::anonymous()).expect("plan");
        Watcher { plan, encoding, chain, id: "w".into(), options: Vec::new(), until: None, meter: None, place: None }
    }

    fn check_figures(&self, per_block: u64) {
        let (figures, stats) = (self.tails.block_figures(), self.tails.stats());
        println!("{figures:?}, {stats:?}");
        let load = |figure: &std::sync::atomic::AtomicU64| figure.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(load(&stats.too_far_behind), 0, "nobody was cut");
        assert!(load(&stats.behind) >= WATCHERS as u64, "the burst went past them");
        // An event is encoded in less than twice its size.
        let encoded = 2 * (BURST_BYTES / BLOCK_BYTES) as u64;
        assert!(figures.read <= per_block * encoded, "{figures:?}");
        assert!(figures.read_bytes <= per_block * 2 * BURST_BYTES as u64, "{figures:?}");
        assert!(figures.shared >= (WATCHERS as u64 - 1) * figures.read / 2, "{figures:?}");
    }
}

/// The numbers of the events in NDJSON, which are in order, each once, and linked.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let mut replica = Replica::history();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let frame: Value = serde_json::from_slice(line).expect("a frame is JSON");
        replica.apply(&frame).unwrap_or_else(|violation| panic!("{violation}"));
    }
    assert_eq!((replica.lost, replica.doubled), (0, 0));
    let number = |item: &Item| match item {
        Item::Event { data, .. } => data["n"].as_u64(),
        _ => None,
    };
    replica.items().expect("history").iter().filter_map(number).collect()
}

/// Takes what it is given while the gate is open, and keeps it.
struct Gated {
    open: watch::Receiver<bool>,
    chunks: Vec<Bytes>,
    /// Counts who has begun, and who has the first event.
    arrived: watch::Sender<usize>,
}

impl Sink for Gated {
    async fn write(&mut self, chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        self.open.wait_for(|open| *open).await.expect("a gate");
        let first = chunks.iter().any(|chunk| has(chunk, "{\"n\":0,"));
        if first || self.chunks.is_empty() {
            self.arrived.send_modify(|arrived| *arrived += 1);
        }
        self.chunks.extend_from_slice(chunks);
        if ends(self.chunks.last().expect("chunks")) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

/// Whether the last event of the burst is in it.
fn ends(bytes: &[u8]) -> bool {
    has(bytes, &format!("{{\"n\":{EVENTS},"))
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn burst(chain: bool) {
    let world = World::new();
    let (gate, open) = watch::channel(true);
    let (arrived, mut counted) = watch::channel(0);
    let mut followers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let (tails, watcher) = (world.tails.clone(), world.watcher(Encoding::Ndjson(Coding::Identity), chain));
        let mut sink = Gated { open: open.clone(), chunks: Vec::new(), arrived: arrived.clone() };
        followers.spawn(async move {
            let _ = follow(&tails, &watcher, &Reins::new(), None, &mut sink).await;
            sink.chunks
        });
    }
    counted.wait_for(|count| *count == WATCHERS).await.expect("all have begun");
    world.publish(0..1);
    counted.wait_for(|count| *count == 2 * WATCHERS).await.expect("all are live");
    let free = tokio::spawn({
        let (tails, watcher) = (world.tails.clone(), world.watcher(Encoding::Ndjson(Coding::Identity), chain));
        let (_, open) = watch::channel(true);
        let mut sink = Gated { open, chunks: Vec::new(), arrived: watch::channel(0).0 };
        async move {
            let _ = follow(&tails, &watcher, &Reins::new(), None, &mut sink).await;
        }
    });
    gate.send_replace(false);
    world.publish(1..EVENTS + 1);
    free.await.expect("who takes everything has everything");
    gate.send_replace(true);

    let mut pieces = HashSet::new();
    let mut kept = Vec::new();
    while let Some(chunks) = followers.join_next().await {
        let chunks = chunks.expect("a follower");
        let wanted: Vec<u64> = (0..=EVENTS as u64).collect();
        assert_eq!(numbers(&chunks.concat()), wanted);
        pieces.extend(chunks.iter().filter(|chunk| chunk.len() >= BLOCK_BYTES / 4).map(|chunk| chunk.as_ptr()));
        kept.push(chunks);
    }
    world.check_figures(1);
    // All hold the same bytes: nothing was copied for one of them.
    assert!(pieces.len() <= 6 * BURST_BYTES / BLOCK_BYTES, "{} pieces of memory", pieces.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_twice_the_ring_is_read_once_for_all() {
    burst(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_with_a_chain() {
    burst(true).await;
}

/// Who was cut at different places comes back at once: from wherever they go on, what they read comes
/// to be the same blocks.
async fn resume(world: &World, chain: bool) {
    world.publish(0..EVENTS + 1);
    let mut followers = tokio::task::JoinSet::new();
    for number in 0..WATCHERS {
        // From every fifth event on, in an order that is neither up nor down.
        let from = (number * 77 % WATCHERS) * (EVENTS / WATCHERS);
        let mut watcher = world.watcher(Encoding::Ndjson(Coding::Identity), chain);
        (watcher.plan.start, watcher.plan.now) = (Start::At(from as u64), false);
        let tails = world.tails.clone();
        followers.spawn(async move {
            let mut sink = Copied(Vec::new());
            let _ = follow(&tails, &watcher, &Reins::new(), None, &mut sink).await;
            (from, sink.0)
        });
    }
    while let Some(followed) = followers.join_next().await {
        let (from, heard) = followed.expect("a follower");
        // The event with the number 0 has the offset 1.
        assert_eq!(numbers(&heard), (from as u64..=EVENTS as u64).collect::<Vec<_>>());
    }
}

/// Takes what it is given, and holds nothing of the server's.
struct Copied(Vec<u8>);

impl Sink for Copied {
    async fn write(&mut self, chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        chunks.iter().for_each(|chunk| self.0.extend_from_slice(chunk));
        // Others come to the processor too, and to the log.
        tokio::task::yield_now().await;
        if ends(chunks.last().expect("chunks")) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

async fn share(chain: bool) {
    let world = World::new();
    resume(&world, chain).await;
    let figures = world.tails.block_figures();
    println!("{figures:?}");
    assert!(figures.read_bytes <= 4 * BURST_BYTES as u64, "each event is encoded twice at most: {figures:?}");
    assert!(figures.shared > WATCHERS as u64, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_who_resume_at_different_places_come_to_share() {
    share(false).await;
    share(true).await;
}

/// Blocks are the first that is given up: then more is read, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn with_hardly_any_memory_blocks_are_dropped() {
    let world = World::with(StreamOptions { memory_max: 3 * BLOCK_BYTES, watch_bytes: 0, ..StreamOptions::default() });
    resume(&world, true).await;
    let memory = world.tails.memory();
    println!("{memory:?}, {:?}", world.tails.block_figures());
    assert!(memory.shed(Step::Blocks) > 0);
    assert_eq!(memory.used(Use::Outputs), 0);
}

/// The same over sockets of the lanes, whose clients do not read.
#[test]
fn sockets_that_are_not_read_share_blocks_too() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // This thread blocks, so it is none of the runtime's.
    let _within = runtime.enter();
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let places = Arc::new(Semaphore::new(WATCHERS));
    let mut clients: Vec<TcpStream> = (0..WATCHERS).map(|_| enter(&world, &listener, &places)).collect();
    let mut heard: Vec<Vec<u8>> = clients.iter_mut().map(|client| until(client, Vec::new(), b"\"begin\"")).collect();
    world.publish(0..1);
    heard = clients.iter_mut().zip(heard).map(|(client, heard)| until(client, heard, b"{\"n\":0,")).collect();
    world.publish(1..EVENTS + 1);

    let last = format!("{{\"n\":{EVENTS},");
    let wanted: Vec<u64> = (0..=EVENTS as u64).collect();
    for (client, heard) in clients.iter_mut().zip(heard) {
        assert_eq!(numbers(&until(client, heard, last.as_bytes())), wanted);
    }
    world.check_figures(2);
}

/// What a socket's buffers take, each of the two; less than a segment of loopback would stall it.
const SOCKET_BYTES: usize = 64 * 1024;

/// A watcher on a socket whose buffers are small.
fn enter(world: &World, listener: &TcpListener, places: &Arc<Semaphore>) -> TcpStream {
    let small = |socket: &TcpStream| {
        let socket = socket2::SockRef::from(socket);
        let sized = socket.set_send_buffer_size(SOCKET_BYTES).and_then(|()| socket.set_recv_buffer_size(SOCKET_BYTES));
        sized.expect("buffers");
    };
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    small(&client);
    small(&server);
    let place = places.clone().try_acquire_owned().expect("a place");
    let terms =
        Terms { encoding: Encoding::Ndjson(Coding::Identity), many: false, ear: None, head: Bytes::new(), place };
    let connection = world.tails.lanes().open(Line::Plain(server), terms).expect("a lane");
    let watcher = world.watcher(Encoding::Ndjson(Coding::Identity), true);
    let entry = WatchEntry {
        id: WatchId::random(),
        view: watcher.plan.view.clone(),
        channel: watcher.plan.channel.clone(),
        principal: Principal::anonymous(),
        transport: "ndjson",
        peer: None,
        since: Millis(0),
    };
    connection.watch(&world.tails, 1, watcher, entry);
    client
}

/// Reads on until this has come, and the line that it is in is whole.
fn until(client: &mut TcpStream, mut heard: Vec<u8>, wanted: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 16 * 1024];
    let mut looked = 0;
    loop {
        let from = heard.len().min(looked);
        let found = heard[from..].windows(wanted.len()).any(|window| window == wanted);
        if found && heard.ends_with(b"\n") {
            return heard;
        }
        if !found {
            looked = heard.len().saturating_sub(wanted.len());
        }
        match client.read(&mut buffer).expect("a client that is not cut") {
            0 => panic!("the server closed"),
            bytes => heard.extend_from_slice(&buffer[..bytes]),
        }
    }
}
