//! By what a watch on the general path is reached from outside: a place for one order, and a bell.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_hub::{Keeper, Order, WatchHandle, WatchPlace};
use tokio::sync::Notify;

/// Of one watch.
#[derive(Default)]
pub struct Reins {
    order: Mutex<Option<Order>>,
    told: Notify,
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
            if let Some(order) = self.order.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return order;
            }
            told.await;
        }
    }
}

impl Keeper for Reins {
    /// A newer order stands for those before it, with what they say of the view; after an end there is none.
    fn tell(&self, _: WatchPlace, order: Order) {
        let mut held = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(match (held.take(), order) {
            (Some(end @ Order::End(_)), _) => end,
            (Some(Order::Renew(before)), Order::Renew(mut renewal)) => {
                renewal.regard = renewal.regard.or(before.regard);
                Order::Renew(renewal)
            }
            // Whoever renews looks whether that still holds.
            (Some(renew @ Order::Renew(_)), Order::Judge) => renew,
            (_, order) => order,
        });
        drop(held);
        self.told.notify_one();
    }
}
