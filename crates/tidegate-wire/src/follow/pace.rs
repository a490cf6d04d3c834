//! How often a watch without a lane is told, and how long: it gives way under load, and for its own bytes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch::Receiver;

use super::NOT_ALLOWED;
use crate::load::{Level, Slowed, Turn};
use crate::meter::Metered;
use crate::tails::{Hold, Tails};
use crate::walk::{Sink, Watcher, notice_frame};

/// How often a watch is told, and why; and how long.
pub(super) struct Pace {
    pub(super) level: Receiver<Level>,
    /// Where it comes from, if it has given way.
    pub(super) slowed: Option<Slowed>,
    pub(super) metered: Option<Metered>,
    /// Bytes from all its tails.
    pub(super) told: AtomicU64,
    /// It is as old as it may become.
    pub(super) ends: Option<tokio::time::Instant>,
}

impl Pace {
    pub(super) fn new(tails: &Tails, watcher: &Watcher) -> Pace {
        let ends = tails.options().age(rand::random()).map(|age| tokio::time::Instant::now() + age);
        let metered = watcher.meter.clone().map(Metered::new);
        Pace { level: tails.load().listen(), slowed: None, metered, told: AtomicU64::new(0), ends }
    }

    /// Counts what it was told. Returns whether that changes how often it is.
    pub(super) fn count(&mut self) -> bool {
        let Some(metered) = &mut self.metered else { return false };
        let before = metered.over;
        metered.look(0, self.told.load(Ordering::Relaxed));
        metered.over != before
    }

    /// The tail where it belongs, if that is another one; its client is told.
    pub(super) async fn give_way(
        &mut self,
        tails: &Tails,
        hold: &Hold,
        sink: &mut impl Sink,
    ) -> io::Result<Option<Hold>> {
        let (load, level) = (tails.load(), *self.level.borrow_and_update());
        let over = self.metered.as_ref().is_some_and(|metered| metered.over);
        let Some(turn) = load.turn(level, hold, self.slowed.is_some(), over) else { return Ok(None) };
        let (code, message) = load.told(&turn, over);
        let key = match (turn, self.slowed.take()) {
            (Turn::Slower(key), _) => {
                self.slowed = Some(load.slow(hold.tail.key.clone()));
                key
            }
            (Turn::Back, Some(slowed)) => slowed.from.clone(),
            (Turn::Back, None) => return Ok(None),
        };
        match sink.write(&[notice_frame(hold.tail.key.encoding, code, message)], None).await {
            // What it may see is judged anew in a moment.
            Err(error) if error.kind() == NOT_ALLOWED => {}
            written => written?,
        }
        Ok(Some(tails.hold(hold.channel(), key)))
    }
}

/// Returns when it is as old as it may become.
pub(super) async fn at_age(ends: Option<tokio::time::Instant>) {
    match ends {
        Some(ends) => tokio::time::sleep_until(ends).await,
        None => std::future::pending().await,
    }
}
