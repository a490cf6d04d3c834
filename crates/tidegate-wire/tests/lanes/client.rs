//! A client that does everything a client can: reads slowly, stalls, breaks off, resumes, begins and
//! ends watches; and knows what it has to be told.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::replica::{Item, Replica, offset};
use tidegate_wire::{Connection, Encoding, Left, WatchName, websocket_text};
use tokio::io::AsyncReadExt;

use crate::frames::Frames;
use crate::world::{PARTS, Pair, Shape, Wish, World, gone};

/// Watches on a socket of many.
const WATCHES_MAX: usize = 6;

pub struct Client {
    world: Arc<World>,
    random: StdRng,
    encoding: Encoding,
    many: bool,
    buffer_bytes: Option<usize>,
    watches: Vec<Watch>,
    names: WatchName,
}

struct Watch {
    wish: Wish,
    replica: Replica,
    /// On this socket.
    name: WatchName,
    /// It was asked to end, and has not been heard to.
    leaving: bool,
    /// It follows another, and nothing of it has been heard.
    coming: bool,
}

impl Client {
    pub fn new(world: Arc<World>, seed: u64) -> Client {
        let mut random = StdRng::seed_from_u64(seed);
        let many = random.random_ratio(1, 4);
        let encoding = *Encoding::ALL[if many { 6 } else { 0 }..].choose(&mut random).expect("encodings");
        let wishes = if many { random.random_range(1..=WATCHES_MAX) } else { 1 };
        let watches = (0..wishes).map(|_| Watch::new(&mut random)).collect();
        let buffer_bytes = [None, Some(16 * 1024), Some(64 * 1024)][random.random_range(0..3)];
        Client { world, random, encoding, many, buffer_bytes, watches, names: 0 }
    }

    /// Watches until nothing more is written and all of it has come.
    pub async fn run(mut self) -> Vec<(Wish, Replica)> {
        while !self.connection().await {
            for watch in &mut self.watches {
                watch.replica.cut();
            }
        }
        self.watches.into_iter().map(|watch| (watch.wish, watch.replica)).collect()
    }

    /// One connection. Returns whether all has come.
    async fn connection(&mut self) -> bool {
        let shape = Shape { encoding: self.encoding, many: self.many, buffer_bytes: self.buffer_bytes, ear: None };
        let Pair { mut client, lane } = self.world.open(shape).await;
        let mut frames = Frames::of(self.encoding);
        for at in 0..self.watches.len() {
            self.begin(at, &lane);
        }
        let mut on = (!self.many).then_some(self.names);
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let calm = self.world.finished();
            match self.random.random_range(0..200) {
                0 if !calm => return false,
                1..=4 => tokio::time::sleep(Duration::from_millis(self.random.random_range(0..30))).await,
                5..=6 if self.many && !calm => self.unwatch(&lane),
                7..=12 if self.many && !calm => self.go_over(&lane),
                _ => {}
            }
            let most = if self.random.random_ratio(1, 4) { 200 } else { buffer.len() };
            let length = self.random.random_range(1..=most);
            let bytes = match client.read(&mut buffer[..length]).await {
                Ok(bytes) => bytes,
                Err(error) if gone(&error) => panic!("the lane ended the socket: {error}"),
                Err(error) => panic!("{error}"),
            };
            assert!(bytes > 0, "the lane ended the socket");
            for frame in frames.push(&buffer[..bytes]) {
                self.hear(&frame, &mut on, &lane);
            }
            if self.world.finished() && self.complete() {
                return true;
            }
        }
    }

    fn begin(&mut self, at: usize, lane: &Connection) {
        self.names += 1;
        let watch = &mut self.watches[at];
        (watch.name, watch.leaving, watch.coming) = (self.names, false, false);
        let after = watch.replica.cursor.as_deref().map(|cursor| cursor.parse().expect("cursor"));
        self.world.watch(lane, watch.name, self.encoding, &watch.wish, after);
    }

    /// From one watch to another, which begins where the lane says that the first stood.
    fn go_over(&mut self, lane: &Connection) {
        let at = self.random.random_range(0..self.watches.len());
        let watch = &mut self.watches[at];
        if watch.coming || std::mem::replace(&mut watch.leaving, true) {
            return;
        }
        self.names += 1;
        let (old, new, wish, encoding) = (watch.name, self.names, watch.wish.clone(), self.encoding);
        let (world, lane) = (self.world.clone(), lane.clone());
        tokio::spawn(async move {
            // The client may have broken off meanwhile.
            let Ok(Left { stands, .. }) = lane.leave(old).await else { return };
            let stood = stands.map(|cursor| cursor.to_string());
            let done = json!({ "op": "done", "ref": old, "now": new, "stood": stood });
            let mut answer = Vec::new();
            websocket_text(done.to_string().as_bytes(), &mut answer);
            lane.say(answer.into());
            world.watch(&lane, new, encoding, &wish, stands);
        });
    }

    fn unwatch(&mut self, lane: &Connection) {
        let at = self.random.random_range(0..self.watches.len());
        let watch = &mut self.watches[at];
        if !watch.coming && !std::mem::replace(&mut watch.leaving, true) {
            let mut answer = Vec::new();
            websocket_text(format!("{{\"op\":\"done\",\"ref\":{}}}", watch.name).as_bytes(), &mut answer);
            lane.unwatch(watch.name, answer.into());
        }
    }

    fn hear(&mut self, frame: &Value, on: &mut Option<WatchName>, lane: &Connection) {
        match frame["op"].as_str().expect("op") {
            "on" => {
                assert!(self.many);
                let name = frame["watch"].as_str().and_then(|name| name.strip_prefix('w'));
                *on = name.map(|name| name.parse().expect("a name"));
            }
            "done" => {
                let name = frame["ref"].as_u64().expect("ref") as WatchName;
                let at = self.watches.iter().position(|watch| watch.name == name).expect("a watch that was left");
                let watch = &mut self.watches[at];
                assert!(std::mem::replace(&mut watch.leaving, false), "done twice");
                watch.replica.cut();
                match frame["now"].as_u64() {
                    None => self.begin(at, lane),
                    Some(now) => {
                        (watch.name, watch.coming) = (now as WatchName, true);
                        let (stood, heard) =
                            (frame["stood"].as_str().and_then(offset), watch.replica.cursor.as_deref());
                        assert!(
                            stood.is_none() || stood >= heard.and_then(offset),
                            "{frame} {heard:?} {:?}",
                            watch.wish
                        );
                    }
                }
            }
            "close" | "closed" => panic!("{frame}"),
            _ => {
                let watch = self.watches.iter_mut().find(|watch| Some(watch.name) == *on);
                let watch = watch.unwrap_or_else(|| panic!("of no watch ({on:?}): {frame}"));
                watch.coming = false;
                let link = watch.replica.cursor.clone();
                watch.replica.apply(frame).unwrap_or_else(|violation| panic!("{violation}"));
                let (lost, doubled) = (watch.replica.lost, watch.replica.doubled);
                assert_eq!((lost, doubled), (0, 0), "{:?}: after {link:?} came {frame}", watch.wish);
            }
        }
    }

    fn complete(&self) -> bool {
        let head = self.world.head();
        self.watches.iter().all(|watch| {
            let at = watch.replica.cursor.as_deref().and_then(offset);
            !watch.leaving && !watch.coming && watch.replica.settled() && at == Some(head)
        })
    }
}

impl Watch {
    fn new(random: &mut StdRng) -> Watch {
        // One in twelve sees the busy address.
        let target = match random.random_range(0..24) {
            0 => "rows/*".to_owned(),
            1 => "rows/0".to_owned(),
            _ => format!("rows/{}", random.random_range(1..PARTS)),
        };
        let kind = if random.random_ratio(1, 3) { Kind::State } else { Kind::History };
        let replica = if kind == Kind::State { Replica::state() } else { Replica::history() };
        Watch { wish: Wish { target, kind, chain: random.random() }, replica, name: 0, leaving: false, coming: false }
    }
}

/// Each record once, in order, with holes only where a gap says so; or the rows as they are.
pub fn check(world: &World, wish: &Wish, replica: &Replica) {
    assert_eq!((replica.lost, replica.doubled), (0, 0), "{wish:?}");
    let written = world.written();
    let Some(items) = replica.items() else {
        let mut wanted = written.rows.clone();
        wanted.retain(|(address, _), _| wish.sees(address));
        assert_eq!(replica.rows(), Some(&wanted), "{wish:?}");
        return;
    };
    let mut at = None;
    let mut wanted = Vec::new();
    for (offset, record) in &written.records {
        if wish.sees(&record.1) {
            wanted.push((*offset, record));
        }
    }
    let mut wanted = wanted.into_iter().peekable();
    for item in items {
        match item {
            Item::Begin { .. } if at.is_some() => {}
            Item::Begin { offset: to } | Item::Gap { to, .. } => {
                at = *to;
                while wanted.next_if(|(offset, _)| Some(*offset) <= at).is_some() {}
            }
            Item::Notice { .. } => panic!("{wish:?}: {item:?}"),
            Item::Event { op, address, key, data, offset, .. } => {
                let (own, record) = wanted.next().unwrap_or_else(|| panic!("{wish:?}: too much: {item:?}"));
                assert_eq!(Some(own), *offset, "{wish:?}: lost or doubled");
                at = *offset;
                let (own_op, own_address, own_key, own_data) = record;
                assert_eq!((op.as_str(), address, key.as_ref(), data), (*own_op, own_address, Some(own_key), own_data));
            }
        }
    }
    assert_eq!(wanted.count(), 0, "{wish:?}: records at the end are missing");
}
