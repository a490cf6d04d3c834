//! From the log to the bytes of every watcher: reading what is hot, one encoding, and each watcher's
//! step. What publishes has done its work before, so that nothing here waits for another thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Cursor, Op, Target};
use tidegate_hub::{Caller, From, Hub, WatchRequest};
use tidegate_log::{Batch, Entry};
use tidegate_wire::{Coding, Encoding, Reins, Sink, StreamOptions, Tails, Watcher, follow};
use tokio::sync::Notify;

use super::{EVENT_BYTES, Measure, Round, world};

pub(super) const ONE: Measure =
    Measure { name: "fanout-1", what: "an event, from the log to one watcher", units: 1, prepare: || prepare(1) };

pub(super) const HUNDRED: Measure = Measure {
    name: "fanout-100",
    what: "a delivery of an event that goes to a hundred watchers",
    units: 100,
    prepare: || prepare(100),
};

/// Takes bytes as fast as they come.
struct Count {
    writes: Arc<AtomicU64>,
    /// Is told at each multiple of this.
    every: u64,
    all: Arc<Notify>,
}

impl Sink for Count {
    async fn write(&mut self, chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        std::hint::black_box(chunks);
        if (self.writes.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.every) {
            self.all.notify_one();
        }
        Ok(())
    }
}

fn prepare(watchers: u64) -> Round {
    let (folder, hub) = world::hub();
    let runtime = world::runtime();
    let all = Arc::new(Notify::new());
    runtime.block_on(async {
        let tails = Tails::start(hub.clone(), StreamOptions::default()).expect("lanes");
        let writes = Arc::new(AtomicU64::new(0));
        for _ in 0..watchers {
            let sink = Count { writes: writes.clone(), every: watchers, all: all.clone() };
            tokio::spawn(watch(tails.clone(), sink));
        }
        // Each has been told that it begins.
        all.notified().await;
    });
    // Called behind the hub's own listener, so by then the tails have been told.
    let (advanced, told) = sync_channel(1);
    hub.log().on_advance(move |_| {
        // At the end nobody listens any more.
        let _ = advanced.send(());
    });
    let entry = Entry {
        channel: ChannelId::of(world::LIVE),
        op: Op::Append,
        address: Address::parse("live/one").expect("an address"),
        key: None,
        time: world::NOW,
        data: Bytes::from(world::event(EVENT_BYTES)),
    };
    let before = move || {
        let _ = &folder;
        let batch = Batch { entries: vec![entry.clone()], ..Batch::default() };
        hub.log().append(batch).expect("appended");
        told.recv().expect("the log tells");
    };
    Round { before: Box::new(before), work: Box::new(move || runtime.block_on(all.notified())) }
}

async fn watch(tails: Tails, mut sink: Count) {
    let watcher = watcher(tails.hub());
    follow(&tails, &watcher, &Reins::new(), None, &mut sink).await;
}

fn watcher(hub: &Hub) -> Watcher {
    let target = Target::parse("live/one").expect("an address");
    let request = WatchRequest { from: Some(From::Now), ..WatchRequest::new(target) };
    let plan = hub.plan(&request, &Caller::anonymous()).unwrap_or_else(|problem| panic!("{problem}"));
    Watcher {
        plan,
        encoding: Encoding::Sse(Coding::Identity),
        chain: false,
        id: "w".into(),
        options: Vec::new(),
        until: None,
        meter: None,
        place: None,
    }
}
