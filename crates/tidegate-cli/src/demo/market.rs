//! A made-up market: a few symbols whose prices walk at random. Every event says that it is
//! synthetic, and the how-manieth of its symbol it is, so that a watcher can see for itself that
//! none is missing and none came twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tidegate_core::{Address, Kind, Millis, Op, Problem, Scope, Target};
use tidegate_hub::{Channel, Hub, View};
use tidegate_log::{AppendError, Batch, Entry};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

/// No symbols of any exchange, and what they begin with.
const SYMBOLS: [(&str, f64); 6] =
    [("TIDE", 120.0), ("EBB", 48.5), ("FLOW", 310.0), ("SWELL", 18.2), ("REEF", 75.0), ("KELP", 9.4)];
/// One trade of one symbol each time.
const INTERVAL: Duration = Duration::from_millis(100);

/// One symbol, as of its last trade.
struct Listing {
    symbol: &'static str,
    address: Address,
    price: f64,
    sequence: u64,
}

/// Trades until the log takes nothing more.
pub(super) async fn run(hub: Hub) {
    let (channel, mut listings) = match open(&hub).await {
        Ok(market) => market,
        Err(problem) => return tracing::error!(?problem, "the market stays closed"),
    };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let listing = &mut listings[rand::random_range(0..SYMBOLS.len())];
        // Up to 0.3 % either way, never below a cent.
        let price = (listing.price * (1.0 + rand::random_range(-0.003..0.003))).max(0.01);
        match append(&hub, &channel, listing, price).await {
            Some(Ok(())) => (listing.price, listing.sequence) = (price, listing.sequence + 1),
            // A full disk: the trade did not happen, the next one may.
            Some(Err(AppendError::Full | AppendError::State)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Goes on where the market was: the last trade of each symbol is read back from the log. It is
/// there if it was acknowledged, and also if a kill came between the disk and the answer, so no
/// number is left out and none is given twice.
async fn open(hub: &Hub) -> Result<(Arc<Channel>, Vec<Listing>), Problem> {
    let mut listings = Vec::new();
    let mut found = None;
    for (symbol, first_price) in SYMBOLS {
        let address = Address::from_segments(["synthetic-market", symbol]).expect("a good address");
        let channel = hub.catalog().resolve(&Target::Address(address.clone()))?.clone();
        let newest =
            hub.newest(&channel, &View::whole(Scope::address(address.clone()), Kind::History), 1, None).await?;
        let trade = newest.records.last().and_then(|record| serde_json::from_slice::<Value>(&record.data).ok());
        let member = |name: &str| trade.as_ref().map(|trade| &trade[name]);
        listings.push(Listing {
            symbol,
            address,
            price: member("price").and_then(Value::as_f64).unwrap_or(first_price),
            sequence: member("sequence").and_then(Value::as_u64).unwrap_or_default(),
        });
        found = Some(channel);
    }
    Ok((found.expect("there are symbols"), listings))
}

/// Appends one trade; publishing through the front door is closed to everyone, so that nothing in
/// this channel lacks the label. `None`: the log has stopped.
async fn append(hub: &Hub, channel: &Channel, listing: &Listing, price: f64) -> Option<Result<(), AppendError>> {
    let Listing { symbol, address, sequence, .. } = listing;
    let size = rand::random_range(1..=50) * 10;
    let data = format!(
        r#"{{"symbol":"{symbol}","sequence":{},"price":{price:.2},"size":{size},"synthetic":true}}"#,
        sequence + 1
    );
    let entry = Entry {
        channel: channel.log.id(),
        op: Op::Append,
        address: address.clone(),
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
