//! A watcher's hold on a tail, and the boundary at which it goes live.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tidegate_core::{Cursor, Offset};
use tidegate_hub::Channel;

use super::channel::ChannelTails;
use super::registry::Registry;
use crate::tail::{Boundary, Calls, Tail, TailKey, Take};

/// A watcher's hold on a tail; the last one to let go drops the tail.
pub(crate) struct Hold {
    tails: Arc<ChannelTails>,
    pub(crate) tail: Arc<Tail>,
}

impl Hold {
    pub(super) fn new(tails: &Arc<ChannelTails>, key: TailKey) -> Hold {
        Hold { tail: tails.enter(key), tails: tails.clone() }
    }

    /// The channel that is watched.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.tails.channel
    }

    /// The cursor of the view at a place.
    pub(crate) fn cursor(&self, upto: Offset) -> Cursor {
        self.channel().cursor(&self.tail.key.view, upto)
    }

    /// Whether nobody else has the same view on the same wire.
    pub(crate) fn alone(&self) -> bool {
        self.tail.holds.load(Ordering::Relaxed) <= 1
    }

    /// Where the tail is now.
    pub(crate) fn boundary(&self) -> Boundary {
        self.boundary_in(&self.tails.lock())
    }

    fn boundary_in(&self, registry: &Registry) -> Boundary {
        self.tail.boundary(registry.upto)
    }

    /// Where the tail is, once it has got everything up to `offset`.
    pub(crate) async fn boundary_past(&self, offset: Offset) -> Boundary {
        loop {
            let progressed = self.tails.progressed();
            let boundary = self.boundary();
            if boundary.upto >= offset {
                return boundary;
            }
            progressed.await;
        }
    }

    /// The same after the tail has said a bookmark there, so that its last cursor is not below
    /// `offset`: for a chained watcher whose own cursor is above the tail's.
    pub(crate) async fn boundary_standing_past(&self, offset: Offset) -> Boundary {
        self.boundary_past(offset).await;
        let mut calls = Calls::default();
        let boundary = {
            let registry = self.tails.lock();
            self.tail.stand_at(registry.upto, &mut calls);
            self.boundary_in(&registry)
        };
        calls.make();
        boundary
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.tails.leave(&self.tail);
    }
}

/// A watcher of the general path, which waits for its tail by itself.
pub(crate) struct Subscription {
    slot: Slot,
    hold: Hold,
}

/// Its place to wait at, given back when dropped.
struct Slot {
    tail: Arc<Tail>,
    number: usize,
}

impl Subscription {
    pub(crate) fn new(hold: Hold) -> Subscription {
        Subscription { slot: Slot { number: hold.tail.enter(), tail: hold.tail.clone() }, hold }
    }

    /// Takes chunks from number `at` on; waits for the first.
    pub(crate) async fn take(&self, at: u64, out: &mut Vec<Bytes>) -> Take {
        let Slot { tail, number } = &self.slot;
        std::future::poll_fn(|context| tail.poll_take(at, *number, context.waker(), out)).await
    }

    pub(crate) fn hold(&self) -> &Hold {
        &self.hold
    }

    pub(crate) fn into_hold(self) -> Hold {
        self.hold
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.tail.leave(self.number);
    }
}
