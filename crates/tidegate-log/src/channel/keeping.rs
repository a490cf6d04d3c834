//! What keeps the records after a position from being trimmed: for how long what was read there can be had again.

use std::time::Duration;

use tidegate_core::{Millis, Offset};

use super::ChannelState;

/// Retention may come for what follows a position once *either* of these is over; without any bound it never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Until this time at least no record is too old; `None` where age is no bound.
    pub until: Option<Millis>,
    /// So many bytes at least can be written before it is too much; `None` where size is no bound.
    pub room: Option<u64>,
}

impl ChannelState {
    /// From memory: retention drops whole segments, and their ends are known.
    pub(super) fn keeping(&self, after: Offset) -> Option<Keeping> {
        // A ring gives room to whatever comes.
        if self.ring.is_some() {
            return None;
        }
        let seen = self.see();
        if after < seen.start || after >= seen.head {
            return None;
        }
        let older = seen.held.segments.partition_point(|segment| segment.meta.last <= after);
        let segments = &seen.held.segments[older..];
        let parts = seen.held.parts.iter().filter(|part| part.last() > after);
        let until = match (self.retain.age, segments.first()) {
            (None, _) => None,
            (Some(age), Some(segment)) => Some(later(segment.meta.last_time, age)),
            (Some(age), None) => Some(later(parts.clone().next()?.appended_after(after)?, age)),
        };
        // Half of the bound is left out: a merge may join what is dropped next to what is older.
        let held = || segments.iter().map(|segment| segment.meta.bytes).chain(parts.map(|part| part.bytes())).sum();
        let room = self.retain.bytes.map(|max| (max / 2).saturating_sub(held()));
        Some(Keeping { until, room })
    }
}

fn later(time: Millis, age: Duration) -> Millis {
    Millis(time.0.saturating_add(age.as_millis() as u64))
}
