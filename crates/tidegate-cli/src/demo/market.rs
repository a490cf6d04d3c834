//! A made-up market: a few symbols whose prices walk at random. Every event says that it is
//! synthetic.

use std::time::Duration;

use bytes::Bytes;
use tidegate_core::{Address, Millis, Op};
use tidegate_hub::Hub;
use tidegate_log::{AppendError, Batch, Entry};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

/// No symbols of any exchange.
const SYMBOLS: [(&str, f64); 6] =
    [("TIDE", 120.0), ("EBB", 48.5), ("FLOW", 310.0), ("SWELL", 18.2), ("REEF", 75.0), ("KELP", 9.4)];
/// One trade of one symbol each time.
const INTERVAL: Duration = Duration::from_millis(200);

/// Trades until the log takes nothing more.
pub(super) async fn run(hub: Hub) {
    let mut prices = SYMBOLS.map(|(_, price)| price);
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at = rand::random_range(0..SYMBOLS.len());
        // Up to 0.3 % either way, never below a cent.
        prices[at] = (prices[at] * (1.0 + rand::random_range(-0.003..0.003))).max(0.01);
        match append(&hub, SYMBOLS[at].0, prices[at]).await {
            None | Some(Err(AppendError::Poisoned | AppendError::Closed)) => return,
            // A full disk: the trade did not happen, the next one may.
            Some(Err(_) | Ok(_)) => {}
        }
    }
}

/// Appends one trade; publishing through the front door is closed to everyone, so that nothing in
/// this channel lacks the label. `None`: the log has stopped.
async fn append(hub: &Hub, symbol: &str, price: f64) -> Option<Result<(), AppendError>> {
    let channel = hub.log().channel("market")?;
    let address = Address::from_segments(["synthetic-market", symbol]).ok()?;
    let size = rand::random_range(1..=50) * 10;
    let data = format!(r#"{{"symbol":"{symbol}","price":{price:.2},"size":{size},"synthetic":true}}"#);
    let entry = Entry {
        channel: channel.id(),
        op: Op::Append,
        address,
        key: None,
        time: Millis::now(),
        data: Bytes::from(data),
    };
    let (done, answer) = oneshot::channel();
    hub.log().submit(Batch { entries: vec![entry], ..Batch::default() }, move |result| {
        // The task may have been ended meanwhile.
        let _ = done.send(result.map(|_| ()));
    });
    answer.await.ok()
}
