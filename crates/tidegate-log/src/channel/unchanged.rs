//! Whether what was read is still so: asked at every answer that is kept, so never of the disk.

use tidegate_core::{Offset, Scope};

use super::ChannelState;

/// So many records are looked at: some tens of microseconds. What was read longer ago is read again.
const LOOKED_AT_MAX: u64 = 1_024;

impl ChannelState {
    pub(super) fn unchanged(&self, after: Offset, scope: &Scope) -> Option<Offset> {
        if let Some(ring) = &self.ring {
            return ring.unchanged(after, scope, LOOKED_AT_MAX);
        }
        if self.head() <= after {
            return Some(after);
        }
        let seen = self.see();
        let held_after = seen.held.parts.first()?.after.max(seen.start);
        if after < held_after || seen.head.saturating_sub(after) > LOOKED_AT_MAX {
            return None;
        }
        let changed = seen.held.parts.iter().any(|part| part.concerns(after, seen.head, scope));
        (!changed).then_some(seen.head)
    }
}
