//! A lane looks at a tail while the pump fills it.

use tidegate_core::{Address, Kind, Millis, Op, Record, Scope, Target, Template};
use tidegate_hub::{Access, ChannelConfig, Hub, HubOptions, Sight, View};
use tidegate_log::{ChannelSpec, Log, Options};

use super::*;

fn record(offset: Offset) -> Arc<Record> {
    Arc::new(Record {
        offset,
        appended: Millis(0),
        time: Millis(0),
        op: Op::Append,
        address: Address::parse("rooms/a").expect("address"),
        key: None,
        data: Bytes::from_static(b"{}"),
        before: None,
        tx: None,
    })
}

/// Else a watch that comes just then, and falls behind, would read the log from behind what it never got.
#[test]
fn a_place_is_never_beyond_what_the_chunks_hold() {
    let folder = tempfile::tempdir().expect("temp folder");
    let log = Log::open(Options::new(folder.path()), vec![ChannelSpec::plain("rooms")]).expect("open");
    let config = ChannelConfig {
        access: Access::open(),
        ..ChannelConfig::new("rooms", Template::parse("rooms/{room}").expect("template"), None)
    };
    let hub = Hub::new(log, vec![config], HubOptions::default());
    let target = Target::parse("rooms/a").expect("target");
    let channel = hub.catalog().resolve(&target).expect("a channel");
    let key = TailKey {
        view: View::whole(Scope { target, key: None }, Kind::History),
        encoding: Encoding::Ndjson(Coding::Identity),
        chain: true,
    };
    let tail = Tail::new(key, channel, 0, Arc::new(Memory::new(usize::MAX)));
    let place = |chunk, upto| Place { chunk, bytes: 0, upto };
    let push = |offset| {
        tail.push(&Sight::new(&record(offset), &channel.config), 0);
    };
    push(1);
    let inbox = Arc::new(Inbox::new().expect("an inbox"));
    assert_eq!(tail.hook(inbox, 0), place(0, 0), "what is being built is no chunk yet");
    tail.seal(&mut Calls::default());
    assert_eq!(tail.place(), place(1, 1));
    push(2);
    assert_eq!(tail.place(), place(1, 1));
    tail.skip(7, &mut Calls::default());
    assert_eq!(tail.place(), place(2, 7));
}
