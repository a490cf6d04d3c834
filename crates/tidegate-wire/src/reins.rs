//! By what a watch on the general path is reached from outside: a place for what it is told, and a bell.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_hub::{Keeper, Order, Standing, WatchHandle, WatchPlace};
use tokio::sync::Notify;

/// Of one watch.
#[derive(Default)]
pub struct Reins {
    held: Mutex<Held>,
    told: Notify,
    /// The order that waits ends it, or says that it sees something else.
    stops: AtomicBool,
}

/// What it has not heard yet.
#[derive(Default)]
struct Held {
    order: Option<Order>,
    /// Afterwards it is to be judged.
    judge: bool,
}

impl Reins {
    /// Nothing is to happen yet.
    pub fn new() -> Arc<Reins> {
        Arc::default()
    }

    /// By what others reach it.
    pub fn handle(self: &Arc<Reins>) -> WatchHandle {
        WatchHandle::new(self.clone(), WatchPlace { connection: 0, name: 0 })
    }

    /// Waits for the next order.
    pub(crate) async fn order(&self) -> Order {
        loop {
            let told = self.told.notified();
            if let Some(order) = self.take() {
                return order;
            }
            told.await;
        }
    }

    /// Whether it is to say nothing more before it has heard the next order: whoever was told that the order is given
    /// relies on that.
    pub(crate) fn stops(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }

    /// The next order, if it is there.
    pub(crate) fn take(&self) -> Option<Order> {
        let mut held = self.lock();
        self.stops.store(false, Ordering::Release);
        match held.order.take() {
            Some(order) => Some(order),
            None => std::mem::take(&mut held.judge).then_some(Order::Judge),
        }
    }

    /// What it is allowed by from now on, if the next order says so and nothing else.
    pub(crate) fn unchanged(&self) -> Option<Standing> {
        match &self.lock().order {
            Some(Order::Renew(renewal)) if renewal.regard.is_none() => Some(renewal.standing.clone()),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper for Reins {
    /// A newer order stands for those before it, with what they say of the view, but it is judged if it was to be; after an
    /// end there is none.
    fn tell(&self, _: WatchPlace, order: Order) {
        let mut held = self.lock();
        held.order = match (held.order.take(), order) {
            (Some(end @ Order::End(_)), _) => Some(end),
            (Some(Order::Renew(before)), Order::Renew(mut renewal)) => {
                renewal.regard = renewal.regard.or(before.regard);
                Some(Order::Renew(renewal))
            }
            // Whoever renews looks whether that still holds.
            (Some(renew @ Order::Renew(_)), Order::Judge) => Some(renew),
            (None, Order::Judge) => {
                held.judge = true;
                None
            }
            (_, order) => Some(order),
        };
        let stops = match &held.order {
            Some(Order::End(_)) => true,
            Some(Order::Renew(renewal)) => renewal.regard.is_some(),
            Some(Order::Judge) | None => false,
        };
        self.stops.store(stops, Ordering::Release);
        drop(held);
        self.told.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::{ErrorCode, Problem};

    use super::*;

    #[test]
    fn what_waits_for_an_end_says_nothing_more() {
        let reins = Reins::new();
        let place = WatchPlace { connection: 0, name: 0 };
        reins.tell(place, Order::Judge);
        assert!(!reins.stops(), "whether it is judged to see the same is not known yet");
        reins.tell(place, Order::End(Problem::new(ErrorCode::TokenRevoked, "revoked")));
        assert!(reins.stops());
        assert!(matches!(reins.take(), Some(Order::End(_))));
        assert!(!reins.stops());
    }
}
