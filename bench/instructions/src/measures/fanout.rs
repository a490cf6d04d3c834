//! From a publish to the bytes of every watcher, all but the log's own thread: reading what is hot,
//! one encoding, and each watcher's step.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidegate_core::Target;
use tidegate_hub::{Action, Format, From, Hub, Publish, WatchRequest};
use tidegate_wire::{Encoding, Sink, Tails, Watcher, follow};
use tokio::sync::Notify;

use super::{EVENT_BYTES, Measure, world};

const EVENTS: u64 = 16;

pub(super) const ONE: Measure = Measure {
    name: "fanout-1",
    what: "an event, from its publish to one watcher",
    units: EVENTS,
    prepare: || prepare(1),
};

pub(super) const HUNDRED: Measure = Measure {
    name: "fanout-100",
    what: "a delivery of an event that goes to a hundred watchers, its publish shared among them",
    units: EVENTS * 100,
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
    async fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        std::hint::black_box(chunks);
        if (self.writes.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.every) {
            self.all.notify_one();
        }
        Ok(())
    }
}

fn prepare(watchers: u64) -> Box<dyn FnMut()> {
    let (folder, hub) = world::hub();
    let runtime = world::runtime();
    let all = Arc::new(Notify::new());
    runtime.block_on(async {
        let tails = Tails::start(hub.clone());
        let writes = Arc::new(AtomicU64::new(0));
        for _ in 0..watchers {
            let sink = Count { writes: writes.clone(), every: watchers, all: all.clone() };
            tokio::spawn(watch(tails.clone(), sink));
        }
        // Each has been told that it begins.
        all.notified().await;
    });
    let target = Target::parse("live/one").expect("an address");
    let body = Bytes::from(world::event(EVENT_BYTES));
    Box::new(move || {
        let _ = &folder;
        runtime.block_on(async {
            // One after the other, so that each is one write for each watcher.
            for _ in 0..EVENTS {
                let action = Action::Post { format: Format::Json, body: body.clone() };
                let publish = Publish { target: target.clone(), action, idempotency: None };
                hub.publish(publish).await.expect("published");
                all.notified().await;
            }
        });
    })
}

async fn watch(tails: Tails, mut sink: Count) {
    let watcher = watcher(tails.hub());
    follow(&tails, &watcher, &mut sink).await;
}

fn watcher(hub: &Hub) -> Watcher {
    let request = WatchRequest {
        target: Target::parse("live/one").expect("an address"),
        key: None,
        from: Some(From::Now),
        after: None,
        snapshot: None,
    };
    let plan = hub.plan(&request).unwrap_or_else(|problem| panic!("{problem}"));
    Watcher { plan, encoding: Encoding::Sse, chain: false, id: "w".into(), options: Vec::new() }
}
