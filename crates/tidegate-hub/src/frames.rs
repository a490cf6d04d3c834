//! Which frames a record is in a view. The one place that says so, for live tails, for those who
//! catch up, and for long-polls.

use std::sync::Arc;

use tidegate_core::{Frame, Kind, Op, Record, ResetReason, Shown};

use crate::watch::{Sight, View};

/// Calls `each` with the frames of a record in a view.
///
/// `cursor` is false within an unfinished snapshot, where no cursor may stand.
pub fn changes(sight: &Sight<'_>, view: &View, cursor: bool, mut each: impl FnMut(Frame)) {
    let record = sight.record();
    match (record.op, view.kind) {
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
        (op, _) if op.is_channel_wide() => {
            each(change(record, Shown::Whole, cursor));
        }
        _ => {
            if let Some(shown) = shown(sight, view, cursor) {
                each(change(record, shown, cursor));
            }
        }
    }
}

fn change(record: &Arc<Record>, shown: Shown, cursor: bool) -> Frame {
    Frame::Change { record: record.clone(), shown, conflated: None, cursor: cursor.then_some(record.offset) }
}

/// What a view shows of a change of one key, or of one event; `None`: nothing.
pub(crate) fn shown(sight: &Sight<'_>, view: &View, patches: bool) -> Option<Shown> {
    let record = sight.record();
    if !view.scope.matches(record.address.as_str(), record.key.as_deref()) {
        return None;
    }
    match &view.lens {
        None => Some(Shown::Whole),
        Some(lens) if record.op == Op::Append => lens.value(sight.after()?),
        Some(lens) => lens.change(sight.before(), sight.after(), patches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ChannelConfig;
    use tidegate_core::{Address, Millis, Scope, Target, Template};

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
        let config = ChannelConfig::new("a", Template::parse("a/{b}").expect("template"), None);
        let mut found = Vec::new();
        let sight = Sight::new(&record, &config);
        changes(&sight, &View::whole(scope, kind), cursor, |frame| found.push((frame.op(), frame.cursor())));
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
