//! Publishing, from the body to the answer, in the thread of the publisher: what is read and copied
//! there. What the log's thread does is counted in `append`.
//!
//! A publish waits for that thread, sooner or later, so whatever waits has to do about the same in
//! both cases: here a thread that parks, where a runtime would look after its timers and sockets.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use tempfile::TempDir;
use tidegate_core::Target;
use tidegate_hub::{Action, Caller, Format, Hub, Publish};

use super::{EVENT_BYTES, Measure, Round, world};

const EVENTS: u64 = 64;

pub(super) const ONE: Measure = Measure {
    name: "publish",
    what: "a publish of one event, body to answer, in its own thread",
    units: EVENTS,
    prepare: || prepare(Format::Json, world::event(EVENT_BYTES), EVENTS),
};

pub(super) const JUDGED: Measure = Measure {
    name: "publish-judged",
    what: "the same by a policy that looks at claims",
    units: EVENTS,
    prepare: || {
        let policy = "claims.sub == 'ann' && 'write' in claims.roles";
        let caller = Caller::with_claims(r#"{"sub":"ann","roles":["read","write"]}"#).expect("claims");
        let body = world::event(EVENT_BYTES);
        prepare_as(&caller, world::hub_that_asks(policy), Format::Json, body, EVENTS)
    },
};

pub(super) const BATCH: Measure = Measure {
    name: "publish-batch",
    what: "an event of a publish of 64",
    units: EVENTS,
    prepare: || {
        prepare(Format::Ndjson, [world::event(EVENT_BYTES), b"\n".to_vec()].concat().repeat(EVENTS as usize), 1)
    },
};

fn prepare(format: Format, body: Vec<u8>, times: u64) -> Round {
    prepare_as(&Caller::anonymous(), world::hub(), format, body, times)
}

fn prepare_as(caller: &Caller, (folder, hub): (TempDir, Hub), format: Format, body: Vec<u8>, times: u64) -> Round {
    let caller = caller.clone();
    let body = Bytes::from(body);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let target = Target::parse("live/one").expect("an address");
    Round::of(move || {
        let _ = &folder;
        for _ in 0..times {
            let action = Action::Post { format, body: body.clone() };
            let publish = Publish { target: target.clone(), action, idempotency: None, condition: None };
            wait(&waker, hub.publish(publish, &caller)).expect("published");
        }
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<T>(waker: &Waker, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
