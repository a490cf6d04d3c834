//! What a presented cursor is worth to a watch.

use tidegate_core::{Cursor, GapReason, Kind, Offset};

use super::eye::Eye;
use super::log::Channel;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The watch goes on after this offset.
    Resume(Offset),
    /// The same, for who holds rows of which some may be newer than this offset.
    Fuzzy(Offset),
    /// Records between the cursor and what is held cannot be had.
    Gap(GapReason),
    /// The replica behind the cursor is of another view; it has to be built anew.
    OtherView,
    /// The cursor belongs to another channel.
    Refused,
}

/// Judges `cursor` for a watch with `eye` on `channel`.
///
/// Only a state watch minds another view: its holder has a replica that changes of this view
/// would not fit. Who follows records holds nothing that could be wrong.
pub fn judge(channel: &Channel, eye: &Eye, cursor: &Cursor) -> Verdict {
    if cursor.channel != channel.id() {
        return Verdict::Refused;
    }
    if cursor.epoch != channel.epoch || cursor.offset > channel.head {
        return Verdict::Gap(GapReason::Epoch);
    }
    let fuzzy = eye.kind == Kind::State && cursor.view == eye.fuzzy_fingerprint();
    if eye.kind == Kind::State && cursor.view != eye.fingerprint() && !fuzzy {
        return Verdict::OtherView;
    }
    if cursor.offset < channel.start {
        return Verdict::Gap(GapReason::Retention);
    }
    if fuzzy { Verdict::Fuzzy(cursor.offset) } else { Verdict::Resume(cursor.offset) }
}
