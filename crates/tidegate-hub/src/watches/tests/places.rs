//! Places among the watches at once: of the watch on the list, and of nothing else.

use std::net::{IpAddr, Ipv4Addr};

use tidegate_gate::{Account, Limits, LimitsConfig, PartyLimits};

use super::super::*;
use crate::testing::{TestHub, target};
use crate::{Caller, WatchRequest};

/// Who hears nothing.
struct Deaf;

impl Keeper for Deaf {
    fn tell(&self, _: WatchPlace, _: Order) {}
}

struct World {
    hub: TestHub,
    /// Of somebody who may have one watch.
    account: Account,
}

impl World {
    fn new() -> World {
        let address = PartyLimits { watches_max: Some(1), ..PartyLimits::default() };
        let limits = Limits::new(LimitsConfig { address, ..LimitsConfig::default() });
        World { hub: TestHub::new(), account: limits.of_address(IpAddr::V4(Ipv4Addr::LOCALHOST)) }
    }

    fn enter(&self, place: Option<Place>) -> (WatchId, WatchGuard) {
        let plan = self.hub.plan(&WatchRequest::new(target("kv/eu")), &Caller::anonymous()).expect("a plan");
        let id = WatchId::random();
        let entry = WatchEntry {
            id,
            view: plan.view.clone(),
            channel: plan.channel.clone(),
            principal: Principal::anonymous(),
            transport: "sse",
            peer: None,
            since: Millis(0),
        };
        let handle = WatchHandle::new(Arc::new(Deaf), WatchPlace { connection: 1, name: 1 });
        (id, self.hub.watches().enter(entry, place, handle))
    }

    fn place(&self) -> Option<Place> {
        self.account.place().ok().map(|place| place.expect("they are limited"))
    }
}

#[tokio::test]
async fn a_copy_neither_holds_a_place_nor_gives_it_back() {
    let world = World::new();
    let (id, listed) = world.enter(world.place());
    let found = world.hub.watches().find(id).expect("it is on the list").entry;
    let copies = [found, listed.entry(), world.hub.watches().list(1).remove(0)];
    drop(copies[0].clone());
    assert!(world.place().is_none(), "the watch has it");
    listed.end();
    assert!(world.place().is_none(), "its connection has not ended");
    drop(listed);
    assert!(world.place().is_some(), "copies are no watches");
    assert_eq!(copies.map(|copy| copy.id), [id; 3]);
}

#[tokio::test]
async fn a_place_goes_over_to_another_watch() {
    let world = World::new();
    let (_, first) = world.enter(world.place());
    let place = first.take_place();
    drop(first);
    assert!(world.place().is_none(), "it is on its way");
    let (_, second) = world.enter(place);
    assert!(world.place().is_none() && second.take_place().is_some_and(|_| world.place().is_none()));
    assert!(world.place().is_some(), "who took it has dropped it");
    drop(second);
    assert!(world.place().is_some());
}
