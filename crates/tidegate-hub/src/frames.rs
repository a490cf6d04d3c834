//! Which frames a record is, for one kind of watch. The one place that says so, for live tails,
//! for those who catch up, and for long-polls.

use std::sync::Arc;

use tidegate_core::{Frame, Kind, Op, Record, ResetReason, Scope};

/// Calls `each` with the frames of `record` in a watch of this kind over `scope`.
///
/// `cursor` is false within an unfinished snapshot, where no cursor may stand.
pub fn changes(record: &Arc<Record>, kind: Kind, scope: &Scope, cursor: bool, mut each: impl FnMut(Frame)) {
    match (record.op, kind) {
        (Op::Clear, Kind::State) => {
            each(Frame::Reset(ResetReason::Clear));
            if cursor {
                each(Frame::Last { count: 0, at: record.offset });
            }
        }
        (Op::Gap, Kind::History) => {
            each(Frame::SourceGap(record.offset));
            if cursor {
                each(Frame::Bookmark(record.offset));
            }
        }
        // What was lost is found again by comparing, so the state is as if nothing had been.
        (Op::Gap, Kind::State) => {}
        (op, _) if op.is_channel_wide() || scope.matches(record.address.as_str(), record.key.as_deref()) => {
            each(Frame::Change { record: record.clone(), cursor });
        }
        _ => {}
    }
}
