//! The policies of a channel that are in force, and what they look into. A channel has others when its config was read
//! again; what was decided by those before is decided anew.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use super::access::Access;
use crate::lookup::Lookups;

const IN_FORCE: u8 = 0;
/// Others are in force for who comes; those who watch are about to be told.
const SUPERSEDED: u8 = 1;
/// Nothing is told by them any more.
const OVER: u8 = 2;

/// What decides who may do what with one channel.
pub struct Policies {
    /// As configured.
    pub access: Access,
    pub(crate) lookups: Lookups,
    phase: AtomicU8,
    ended: Notify,
}

impl Policies {
    pub(crate) fn new(access: Access, lookups: Lookups) -> Policies {
        Policies { access, lookups, phase: AtomicU8::new(IN_FORCE), ended: Notify::new() }
    }

    /// Others have taken their place.
    pub(crate) fn supersede(&self) {
        self.phase.fetch_max(SUPERSEDED, Ordering::AcqRel);
    }

    /// Everybody who watches has been told of the others.
    pub(crate) fn end(&self) {
        self.phase.store(OVER, Ordering::Release);
        self.ended.notify_waiters();
    }

    pub(crate) fn are_superseded(&self) -> bool {
        self.phase.load(Ordering::Acquire) != IN_FORCE
    }

    pub(crate) fn are_over(&self) -> bool {
        self.phase.load(Ordering::Acquire) == OVER
    }

    /// Returns when they are over.
    pub(crate) async fn over(&self) {
        let ended = self.ended.notified();
        if !self.are_over() {
            ended.await;
        }
    }
}
