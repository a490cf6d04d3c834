//! What the list does when watches come and go.

mod places;

use std::sync::{Arc, Mutex};

use tidegate_core::{ErrorCode, Principal, Problem};

use super::{Keeper, Order, WatchEntry, WatchHandle, WatchId, WatchPlace, Watches};
use crate::testing::{TestHub, target};
use crate::{Caller, WatchRequest};

/// Notes which watches were told something.
#[derive(Default)]
struct Notes(Mutex<Vec<u32>>);

impl Keeper for Notes {
    fn tell(&self, place: WatchPlace, _: Order) {
        self.0.lock().expect("no holder panics").push(place.name);
    }
}

#[tokio::test]
async fn who_has_the_place_of_a_watch_that_was_found_is_not_taken_for_it() {
    let (hub, notes, watches) = (TestHub::new(), Arc::new(Notes::default()), Watches::default());
    let plan = hub.plan(&WatchRequest::new(target("chat/a")), &Caller::anonymous()).expect("a plan");
    let enter = |name| {
        let entry = WatchEntry {
            id: WatchId::random(),
            view: plan.view.clone(),
            channel: plan.channel.clone(),
            principal: Principal::anonymous(),
            transport: "sse",
            peer: None,
            since: tidegate_core::Millis::now(),
        };
        let id = entry.id;
        (id, watches.enter(entry, None, WatchHandle::new(notes.clone(), WatchPlace { connection: 0, name })))
    };
    let end = |_: &mut WatchEntry| Ok(Order::End(Problem::new(ErrorCode::TokenRevoked, "over")));
    let (_, _before) = enter(0);
    let (id, first) = enter(1);
    let found = watches.find(id).expect("it is on the list");
    drop(first);
    let (other, second) = enter(2);
    assert_eq!(watches.find(other).map(|own| own.place), Some(found.place), "the place was given to another");
    assert!(watches.order(&found, end).is_none() && watches.find(id).is_none());

    let found = watches.find(other).expect("it is on the list");
    assert_eq!(watches.order(&found, end), Some(Ok(())));
    second.end();
    assert!(watches.order(&found, end).is_none(), "it was over");
    assert_eq!(*notes.0.lock().expect("no holder panics"), [2]);
}
