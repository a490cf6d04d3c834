//! Appending to the log, without its threads: journal, before-image, memory. On a disk of the
//! machine, whose kernel is not counted.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Key, Op};
use tidegate_log::disk::RealDisk;
use tidegate_log::{Batch, Entry, SteppedLog};

use super::{EVENT_BYTES, Measure, Round, world};

const BATCHES: u64 = 64;

pub(super) const EPHEMERAL: Measure = Measure {
    name: "append-ephemeral",
    what: "a batch of one event on a channel that keeps nothing",
    units: BATCHES,
    prepare: || prepare(world::LIVE, Op::Append, each),
};

pub(super) const DURABLE: Measure = Measure {
    name: "append-durable",
    what: "a batch of one event on a plain channel, a group of its own",
    units: BATCHES,
    prepare: || prepare(world::KEPT, Op::Append, each),
};

pub(super) const KEYED: Measure = Measure {
    name: "append-keyed",
    what: "a batch of one upsert of a key that has a value",
    units: BATCHES,
    prepare: || prepare(world::ROWS, Op::Upsert, each),
};

pub(super) const GROUP: Measure = Measure {
    name: "append-group",
    what: "a batch of one event among 64 of a group",
    units: BATCHES,
    prepare: || {
        prepare(world::KEPT, Op::Append, |log, batches| {
            log.append_group(batches).into_iter().for_each(|answer| drop(answer.expect("appended")));
        })
    },
};

fn each(log: &SteppedLog, batches: Vec<Batch>) {
    batches.into_iter().for_each(|batch| drop(log.append(batch).expect("appended")));
}

fn prepare(channel: &'static str, op: Op, append: fn(&SteppedLog, Vec<Batch>)) -> Round {
    let (folder, options) = world::place();
    let disk = Arc::new(RealDisk::new(folder.path()).expect("a disk"));
    let log = SteppedLog::open(disk, options, &world::specs()).expect("a log");
    let entry = Entry {
        channel: ChannelId::of(channel),
        op,
        address: Address::parse(&format!("{channel}/one")).expect("an address"),
        key: (op == Op::Upsert).then(|| Key::from("k1")),
        time: world::NOW,
        data: Bytes::from(world::event(EVENT_BYTES)),
    };
    Round::of(move || {
        let _ = &folder;
        let batch = || Batch { entries: vec![entry.clone()], ..Batch::default() };
        append(&log, (0..BATCHES).map(|_| batch()).collect());
    })
}
