//! What a watch sees is judged anew at any moment of its life.

use std::time::Duration;

use tidegate_core::Kind;
use tidegate_hub::{Order, Renewal};
use tidegate_wire::{Encoding, StreamOptions};
use tokio::io::AsyncReadExt;

use crate::frames::Frames;
use crate::world::{Pair, Shape, Wish, World};

const NO_HEARTBEAT: Duration = Duration::from_secs(600);

/// The lane is told before the task has spoken that brings the watch to its tail: there is one thread for that, and this is it.
#[tokio::test]
async fn a_watch_says_how_it_begins_before_it_sees_something_else() {
    let world = World::new(NO_HEARTBEAT, StreamOptions { lanes: 1, ..StreamOptions::default() });
    let hub = world.tails.hub().clone();
    for encoding in Encoding::ALL {
        let shape = Shape { encoding, many: false, buffer_bytes: None, ear: None };
        let Pair { mut client, lane } = world.open(shape).await;
        let wish = Wish { target: "rows/1".to_owned(), kind: Kind::State, chain: true };
        world.watch(&lane, 1, encoding, &wish, None);
        let listed = || !hub.watches().list_where(|_, handle| lane.has(handle)).is_empty();
        while !listed() {
            std::thread::yield_now();
        }
        hub.watches().order_all(
            |handle| lane.has(handle),
            |entry| {
                let judged = hub.judge_again(entry, true).expect("allowed");
                Order::Renew(Box::new(Renewal { until: None, regard: judged.regard, standing: judged.standing }))
            },
        );
        let (mut frames, mut heard, mut buffer) = (Frames::of(encoding), Vec::new(), vec![0; 4096]);
        while heard.last().is_none_or(|frame: &serde_json::Value| frame["last"] != true) {
            let bytes = client.read(&mut buffer).await.expect("read");
            assert!(bytes > 0, "{encoding:?}: {heard:?}");
            heard.extend(frames.push(&buffer[..bytes]));
        }
        let ops: Vec<_> = heard.iter().map(|frame| frame["op"].as_str().expect("op")).collect();
        assert_eq!(ops[0], "begin", "{encoding:?}: {heard:?}");
        assert!(heard.iter().any(|frame| frame["reason"] == "rights"), "{encoding:?}: {heard:?}");
    }
}
