//! Brings records from each channel's log to its tails. The pump is itself a cursor on the log:
//! nothing is queued between them, and a burst is read in larger pages.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tidegate_log::{ReadError, ReadLimit};

use crate::memory::Memory;
use crate::tails::{ChannelTails, Shared};

/// Records that one page may have; a page is encoded under the lock of the channel's tails.
const PAGE: ReadLimit = ReadLimit { records: 1_024, bytes: 256 * 1024 };
/// Memory is relieved at most so often: the tails are looked at one by one.
const RELIEF_PAUSE: Duration = Duration::from_millis(100);
/// A log that cannot be read is tried again after this; its watchers wait meanwhile.
const RETRY: Duration = Duration::from_secs(1);

/// Runs for the life of a channel.
pub(crate) async fn pump(tails: Arc<ChannelTails>) {
    loop {
        tails.channel.advanced().await;
        // Who is about to publish does so first: then one page, and one call of each lane, is for all.
        tokio::task::yield_now().await;
        while step(&tails).await {
            // Watchers on this thread write before the next page is encoded.
            tokio::task::yield_now().await;
        }
    }
}

/// Moves one page. Returns whether there may be more.
async fn step(tails: &Arc<ChannelTails>) -> bool {
    let head = tails.channel.log.head();
    let Some(after) = tails.pumped(head) else { return false };
    if after >= head {
        return false;
    }
    let log = &tails.channel.log;
    let page = match log.read_hot(after, head, tails.channel.everything(), PAGE) {
        Some(page) => Ok(page),
        None => {
            let tails = tails.clone();
            let read = move || tails.channel.log.read(after, head, tails.channel.everything(), PAGE);
            tokio::task::spawn_blocking(read)
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }
    };
    match page {
        Ok(page) => tails.feed(&page.records, page.upto),
        Err(ReadError::Trimmed { start }) => tails.skip(start),
        Err(error) => {
            tracing::error!(channel = tails.channel.config.name, %error, "the log cannot be read; watches wait");
            tokio::time::sleep(RETRY).await;
        }
    }
    true
}

/// Tells conflated watches what has changed, each tail at its own rate. Runs for the life of a channel.
pub(crate) async fn ticks(tails: Arc<ChannelTails>) {
    loop {
        tails.tick().await;
    }
}

/// One sweep over all tails: those that were silent for a heartbeat say that they are current, and
/// blocks that nobody needs any more are dropped.
pub(crate) async fn bookmarks(tails: Weak<Shared>, heartbeat: Duration) {
    let tick = heartbeat / 8;
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A tail speaks between 7/8 and 8/8 of a heartbeat after it last did, as its own start
        // falls between the ticks: that is the jitter.
        let Some(tails) = tails.upgrade() else { return };
        tails.tidy();
        for channel in tails.channels() {
            channel.bookmark(heartbeat - tick);
        }
    }
}

/// Gives up memory whenever there is too little.
pub(crate) async fn relief(tails: Weak<Shared>, memory: Arc<Memory>) {
    loop {
        memory.pressed().await;
        let Some(tails) = tails.upgrade() else { return };
        tails.relieve();
        drop(tails);
        tokio::time::sleep(RELIEF_PAUSE).await;
    }
}
