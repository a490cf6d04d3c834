//! Publishing, from the body to the answer, in the thread of the publisher: what is read and copied
//! there. What the log's thread does is counted in `append`.

use bytes::Bytes;
use tidegate_core::Target;
use tidegate_hub::{Action, Format, Publish};

use super::{EVENT_BYTES, Measure, world};

const EVENTS: u64 = 64;

pub(super) const ONE: Measure = Measure {
    name: "publish",
    what: "a publish of one event, body to answer, in its own thread",
    units: EVENTS,
    prepare: || prepare(Format::Json, world::event(EVENT_BYTES), EVENTS),
};

pub(super) const BATCH: Measure = Measure {
    name: "publish-batch",
    what: "an event of a publish of 64",
    units: EVENTS,
    prepare: || {
        prepare(Format::Ndjson, [world::event(EVENT_BYTES), b"\n".to_vec()].concat().repeat(EVENTS as usize), 1)
    },
};

fn prepare(format: Format, body: Vec<u8>, times: u64) -> Box<dyn FnMut()> {
    let (folder, hub) = world::hub();
    let (runtime, body) = (world::runtime(), Bytes::from(body));
    let target = Target::parse("live/one").expect("an address");
    Box::new(move || {
        let _ = &folder;
        for _ in 0..times {
            let action = Action::Post { format, body: body.clone() };
            let publish = Publish { target: target.clone(), action, idempotency: None };
            runtime.block_on(hub.publish(publish)).expect("published");
        }
    })
}
