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

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::{Address, Millis, Target};

    /// The ops of the frames of a record at offset 7, with the offsets of their cursors.
    fn ops(op: Op, kind: Kind, cursor: bool) -> Vec<(&'static str, Option<u64>)> {
        let data: &'static [u8] = if op == Op::Notice { br#"{"code":"schema","message":""}"# } else { b"" };
        let record = Arc::new(Record {
            offset: 7,
            appended: Millis(0),
            time: Millis(0),
            op,
            address: Address::parse("elsewhere").expect("address"),
            key: None,
            data: data.into(),
            before: None,
            tx: None,
        });
        let scope = Scope { target: Target::parse("a/b").expect("address"), key: Some("k".into()) };
        let mut found = Vec::new();
        changes(&record, kind, &scope, cursor, |frame| found.push((frame.op(), frame.cursor())));
        found
    }

    #[test]
    fn what_concerns_the_channel_reaches_every_watch() {
        for kind in [Kind::State, Kind::History] {
            assert_eq!(ops(Op::Notice, kind, true), [("notice", Some(7))]);
        }
        assert_eq!(ops(Op::Clear, Kind::State, true), [("reset", None), ("snapshot", Some(7))]);
        assert_eq!(ops(Op::Clear, Kind::History, true), [("clear", Some(7))]);
        assert_eq!(ops(Op::Gap, Kind::History, true), [("gap", None), ("bookmark", Some(7))]);
        assert_eq!(ops(Op::Gap, Kind::State, true), [], "its rows are compared instead");
    }

    #[test]
    fn no_cursor_stands_within_a_snapshot() {
        assert_eq!(ops(Op::Notice, Kind::State, false), [("notice", None)]);
        assert_eq!(ops(Op::Clear, Kind::State, false), [("reset", None)]);
        assert_eq!(ops(Op::Gap, Kind::State, false), []);
    }
}
