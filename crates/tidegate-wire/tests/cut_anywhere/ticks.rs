//! A watch that begins amid a tick.

use std::io;

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_core::{Cursor, Kind};
use tidegate_hub::Mode;
use tidegate_testkit::model::Change;
use tidegate_testkit::replica::Replica;
use tidegate_wire::{Coding, Encoding, Reins, Sink, follow};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::check::check;
use crate::look::Look;
use crate::sink::frames;
use crate::world::World;

/// Tells what is written.
/// More than a watch here is told.
const FRAMES: usize = 1_024;

struct Teller(Sender<Value>);

impl Sink for Teller {
    async fn write(&mut self, chunks: &[Bytes], _: Option<Cursor>) -> io::Result<()> {
        for frame in frames(Encoding::Ndjson(Coding::Identity), &chunks.concat()) {
            self.0.send(frame).await.map_err(|_| io::ErrorKind::ConnectionReset)?;
        }
        Ok(())
    }
}

fn watch(world: &World, chain: bool) -> Receiver<Value> {
    let (teller, told) = channel(FRAMES);
    let (tails, watcher) = (world.tails.clone(), world.watcher((Encoding::Ndjson(Coding::Identity), chain), None));
    tokio::spawn(async move { follow(&tails, &watcher, &Reins::new(), None, &mut Teller(teller)).await });
    told
}

async fn until(told: &mut Receiver<Value>, replica: &mut Replica, holds: impl Fn(&Value) -> bool) {
    loop {
        let frame = told.recv().await.expect("the watch goes on");
        replica.apply(&frame).unwrap_or_else(|violation| panic!("{violation}"));
        if holds(&frame) {
            return;
        }
    }
}

async fn begins_amid_a_tick_that_comes_to_nothing(chain: bool) {
    let row = |n: u64| Change::upsert("rows/0", "k", json!({"n": n}));
    let last = |frame: &Value| frame.get("last").is_some();
    let mut world = World::new(0, Look::plain(Kind::State).fields("n").told(Mode::Full, Some("1/s")));
    world.put(&row(1));
    let (mut first, mut replica) = (watch(&world, chain), Replica::state());
    until(&mut first, &mut replica, last).await;
    world.put(&row(2));
    let (mut second, mut replica) = (watch(&world, chain), Replica::state());
    until(&mut second, &mut replica, |frame| frame["data"]["n"] == 2).await;
    world.put(&row(1));
    until(&mut second, &mut replica, last).await;
    check(&world, &replica);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_amid_a_tick_that_comes_to_nothing_is_exact() {
    begins_amid_a_tick_that_comes_to_nothing(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chained_snapshot_amid_a_tick_that_comes_to_nothing_is_exact() {
    begins_amid_a_tick_that_comes_to_nothing(true).await;
}
