//! A record into the frames of one view, and these into bytes.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::frame::Cursors;
use tidegate_core::{Address, ChannelId, Cursor, Epoch, Fingerprint, Kind, Op, Record, Scope, Target};
use tidegate_hub::{Sight, View, changes};
use tidegate_wire::{Coding, Encoding};

use super::{EVENT_BYTES, Measure, Round, world};

const RECORDS: u64 = 256;

pub(super) const SSE: Measure = Measure {
    name: "encode-sse",
    what: "a record as SSE",
    units: RECORDS,
    prepare: || prepare(Encoding::Sse(Coding::Identity), "live/one"),
};

pub(super) const NDJSON: Measure = Measure {
    name: "encode-ndjson",
    what: "a record as NDJSON",
    units: RECORDS,
    prepare: || prepare(Encoding::Ndjson(Coding::Identity), "live/one"),
};

pub(super) const WEBSOCKET: Measure = Measure {
    name: "encode-websocket",
    what: "a record as a frame of a WebSocket",
    units: RECORDS,
    prepare: || prepare(Encoding::WebSocket, "live/one"),
};

pub(super) const ELSEWHERE: Measure = Measure {
    name: "encode-elsewhere",
    what: "a record that does not belong to the view",
    units: RECORDS,
    prepare: || prepare(Encoding::Sse(Coding::Identity), "live/two"),
};

fn prepare(encoding: Encoding, watched: &str) -> Round {
    let record = Arc::new(Record {
        offset: 1,
        appended: world::NOW,
        time: world::NOW,
        op: Op::Append,
        address: Address::parse("live/one").expect("an address"),
        key: None,
        data: Bytes::from(world::event(EVENT_BYTES)),
        before: None,
        tx: None,
    });
    let scope = Scope { target: Target::parse(watched).expect("an address"), key: None };
    let whole = View::whole(scope, Kind::History);
    let config = world::config(world::LIVE);
    let (channel, view) = (ChannelId::of(world::LIVE), Fingerprint::of(&[b"view"]));
    let prefix = Cursor { channel, epoch: Epoch::from_bits(1), view, offset: 0 }.prefix();
    let mut cursors = Cursors::new(prefix, false, None);
    let mut out = Vec::new();
    Round::of(move || {
        out.clear();
        for _ in 0..RECORDS {
            changes(&Sight::new(&record, &config), &whole, true, |frame| {
                encoding.write(&frame, &mut cursors, &mut out)
            });
        }
        std::hint::black_box(&out);
    })
}
