//! Watches that share a lane or a socket: each comes to its turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tidegate_core::Kind;
use tidegate_testkit::replica::offset;
use tidegate_wire::{Encoding, StreamOptions};
use tokio::io::AsyncReadExt;

use crate::frames::Frames;
use crate::world::{Pair, Shape, Wish, World, eventually};

/// Nothing is said but what is written.
const NO_HEARTBEAT: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that reads when it is told to.
pub struct Reader {
    pair: Pair,
    frames: Frames,
    read: std::collections::VecDeque<Value>,
}

impl Reader {
    pub async fn new(world: &World, many: bool, buffer_bytes: Option<usize>) -> Reader {
        let encoding = Encoding::WebSocket;
        let pair = world.open(Shape { encoding, many, buffer_bytes, ear: None }).await;
        Reader { pair, frames: Frames::of(encoding), read: std::collections::VecDeque::new() }
    }

    /// Watches all there is of a part.
    pub fn watch(&self, world: &World, name: u32, part: usize) {
        let wish = Wish { target: format!("rows/{part}"), kind: Kind::History, chain: false };
        world.watch(&self.pair.lane, name, Encoding::WebSocket, &wish, None);
    }

    /// The next frame, or none when the server has closed.
    pub async fn next(&mut self) -> Option<Value> {
        let mut buffer = vec![0; 16 * 1024];
        while self.read.is_empty() {
            let read = tokio::time::timeout(PATIENCE, self.pair.client.read(&mut buffer)).await;
            match read.expect("a frame in time") {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.read.extend(self.frames.push(&buffer[..bytes])),
            }
        }
        self.read.pop_front()
    }

    /// Reads until the record at `wanted` has come.
    pub async fn upto(&mut self, wanted: u64) {
        while let Some(frame) = self.next().await {
            if frame.get("cursor").and_then(Value::as_str).and_then(offset) == Some(wanted) {
                return;
            }
        }
        panic!("the stream ended before {wanted}");
    }

    /// Waits until the lane follows so many tails, that of the part too, and a record has come from it.
    pub async fn live(&mut self, world: &World, random: &mut StdRng, part: usize, tails: usize) {
        let follows = || world.tails.lanes().tails();
        eventually("tails that the lane follows", || (follows() == tails).then_some(()), follows).await;
        world.write(random, part, 1, 10);
        self.upto(world.head()).await;
    }
}

fn world(stream: StreamOptions) -> Arc<World> {
    World::new(NO_HEARTBEAT, StreamOptions { lanes: 1, ..stream })
}

/// The members of a tail rest, and a watch that arrives is ahead of them and waits. When they have
/// rested the ring has gone on without them; who waits for them is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_waits_for_others_goes_on_when_they_fall_behind() {
    let mut random = StdRng::seed_from_u64(1);
    let world = world(StreamOptions { batch_delay: Duration::from_secs(2), ..StreamOptions::default() });
    let mut first = Reader::new(&world, false, None).await;
    first.watch(&world, 1, 0);
    first.live(&world, &mut random, 0, 1).await;
    // No ring holds this.
    world.write(&mut random, 0, 400, 1_500);
    let mut second = Reader::new(&world, false, None).await;
    second.watch(&world, 1, 0);
    second.upto(world.head()).await;
    world.write(&mut random, 0, 1, 10);
    tokio::join!(second.upto(world.head()), first.upto(world.head()));
    assert!(world.tails.stats().behind.load(Ordering::Relaxed) > 0, "the first fell behind");
}

/// One watch of a socket has much to say and the socket takes little; the others are heard in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_watch_leaves_room_for_the_others_on_its_socket() {
    let mut random = StdRng::seed_from_u64(1);
    let world = world(StreamOptions::default());
    let mut reader = Reader::new(&world, true, Some(16 * 1024)).await;
    for part in [0, 1] {
        reader.watch(&world, part as u32, part);
        reader.live(&world, &mut random, part, part + 1).await;
    }
    // On a socket of its own, it tells when the lane has had something for both.
    let mut witness = Reader::new(&world, false, None).await;
    witness.watch(&world, 1, 1);
    witness.upto(world.head()).await;
    // A ring holds this, the socket does not.
    world.write(&mut random, 0, 130, 1_500);
    let last = world.head();
    world.write(&mut random, 1, 1, 10);
    let wanted = world.head();
    eventually("full sockets", || (world.tails.lanes().full() == 1).then_some(()), || ()).await;
    witness.upto(wanted).await;
    loop {
        let frame = reader.next().await.expect("a frame");
        match frame.get("cursor").and_then(Value::as_str).and_then(offset) {
            Some(at) if at == wanted => break,
            at => assert_ne!(at, Some(last), "all of the busy watch came first"),
        }
    }
    reader.upto(last).await;
    assert_eq!(world.tails.stats().behind.load(Ordering::Relaxed), 0, "nobody fell behind a ring");
}

/// What a client that takes nothing for too long is told when it does, and that it is counted.
async fn cut_off(stream: StreamOptions, sips: bool) {
    let mut random = StdRng::seed_from_u64(1);
    let world = world(stream);
    let mut reader = Reader::new(&world, false, Some(16 * 1024)).await;
    reader.watch(&world, 1, 0);
    reader.live(&world, &mut random, 0, 1).await;
    // More than any buffer on the way holds.
    for _ in 0..8 {
        world.write(&mut random, 0, 400, 1_500);
    }
    let cut_off = || world.tails.stats().too_far_behind.load(Ordering::Relaxed);
    let began = std::time::Instant::now();
    while cut_off() == 0 {
        assert!(began.elapsed() < 2 * PATIENCE, "it is cut off");
        if sips {
            let _ = reader.pair.client.read(&mut [0; 1]).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(cut_off(), 1);
    if sips {
        return;
    }
    let mut last = Value::Null;
    while let Some(frame) = reader.next().await {
        last = frame;
    }
    assert_eq!((&last["op"], &last["code"]), (&"close".into(), &"too-far-behind".into()));
    drop(reader);
    world.empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_cut_off() {
    cut_off(StreamOptions { write_timeout: Duration::from_millis(300), ..StreamOptions::default() }, false).await;
}

/// It takes a byte now and then, so that it is not the write that is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stays_behind_is_cut_off() {
    cut_off(StreamOptions { lag_max: Duration::from_millis(300), ..StreamOptions::default() }, true).await;
}
