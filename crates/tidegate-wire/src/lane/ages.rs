//! The age of sockets: one that is old enough is closed in order, with its cursors good, and its client comes back to
//! wherever it is sent by then. So no deploy and no new server meets only connections that stay.

use std::time::Duration;

use tidegate_core::{ErrorCode, Problem};

use super::inbox::ConnectionId;
use super::thread::Lane;

/// Sockets are looked at so many times in their life, which is how exactly their age is known.
const LOOKS: u32 = 64;
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_secs(60);

/// How long until the next look.
pub(super) fn pause(age_max: Duration) -> Duration {
    (age_max / LOOKS).clamp(LOOK_MIN, LOOK_MAX)
}

/// Why a watch is closed that has become old.
pub(crate) fn old() -> Problem {
    Problem::new(ErrorCode::AgeLimit, "the connection has reached its age limit")
}

impl Lane {
    /// Closes sockets that are too old, and says when to look again.
    pub(super) fn look_at_ages(&mut self) {
        let Some(age_max) = self.options.age_max else { return };
        let now_ms = self.now_ms();
        let old: Vec<ConnectionId> = self
            .sockets
            .iter()
            .filter(|socket| !socket.closing)
            .filter(|socket| {
                let age = Duration::from_millis(now_ms.wrapping_sub(socket.opened_ms).into());
                self.options.age(socket.id.generation).is_some_and(|max| age >= max)
            })
            .map(|socket| socket.id)
            .collect();
        let problem = self::old();
        for id in old {
            self.end_all(id, &problem);
        }
        self.look_at_ages = Some(self.now + pause(age_max));
    }

    /// Since the lane began; it comes round after 49 days, which is longer than sockets live.
    pub(super) fn now_ms(&self) -> u32 {
        (self.now - self.since).as_millis() as u32
    }
}
