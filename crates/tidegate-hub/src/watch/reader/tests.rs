//! A snapshot while its rows change: one that is sent, and one that was read as pages.

use tidegate_core::{Frame, Shown};

use super::*;
use crate::testing::{TestHub, target};
use crate::watch::{Mode, WatchRequest};
use crate::{Format, Plan};

/// Rows of more than one page; a list of one item each.
const ROWS: usize = 20;

fn row(id: usize, list: &str) -> String {
    let filling = "x".repeat(PIECE.bytes / ROWS * 2);
    format!(r#"{{"id":"k{id:02}","list":[{list}],"filling":"{filling}"}}"#)
}

async fn put(hub: &TestHub, id: usize, list: &str) {
    hub.post("kv/eu", Format::Json, &row(id, list)).await.expect("published");
}

fn plan(hub: &TestHub, mode: Mode) -> Plan {
    hub.plan(&WatchRequest { mode, ..WatchRequest::new(target("kv/eu")) }, &crate::Caller::anonymous()).expect("a plan")
}

/// Reads on, up to the head.
fn next(reader: &mut Reader, hub: &TestHub) -> Vec<Frame> {
    let head = hub.head("kv");
    reader.next(head, head).expect("read").frames
}

/// The first row of a snapshot is shown before it changes, the last one after: neither may be told by a patch, since
/// nobody knows which value the watch holds.
#[tokio::test]
async fn what_changes_amid_a_snapshot_is_told_in_full() {
    for mode in [Mode::Patch, Mode::JsonPatch] {
        let hub = TestHub::new();
        for id in 0..ROWS {
            put(&hub, id, "1").await;
        }
        let mut reader = Reader::new(&plan(&hub, mode));
        assert!(matches!(next(&mut reader, &hub)[..], [Frame::Reset(_)]));
        let first = next(&mut reader, &hub).len();
        assert!((1..ROWS).contains(&first), "the first page has {first} rows");
        for list in ["1,2", "1,2,3"] {
            put(&hub, 0, list).await;
            put(&hub, ROWS - 1, list).await;
        }
        let (mut rows, mut meanwhile) = (first, Vec::new());
        let at = loop {
            for frame in next(&mut reader, &hub) {
                match frame {
                    Frame::Row(_) => rows += 1,
                    Frame::Change { shown, cursor, .. } => meanwhile.push((matches!(shown, Shown::Data(_)), cursor)),
                    Frame::Last { at, .. } => assert_eq!(at, hub.head("kv")),
                    frame => panic!("{frame:?}"),
                }
            }
            if let Some(at) = reader.position() {
                break at;
            }
        };
        assert_eq!((rows, meanwhile), (ROWS, vec![(true, None); 4]), "{mode:?}");
        // From here on the watch holds what it was shown.
        put(&hub, 0, "").await;
        let frames = next(&mut reader, &hub);
        let [Frame::Change { shown: Shown::Patch(_) | Shown::Patches(_), cursor, .. }] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert_eq!(*cursor, Some(hub.head("kv")), "behind {at}");
    }
}

/// Who has read the rows as pages holds some that are newer than the cursor: what changed since is told in full, and the
/// first cursor stands where they are exact.
#[tokio::test]
async fn what_changed_amid_pages_of_rows_is_told_in_full() {
    for mode in [Mode::Full, Mode::Patch, Mode::JsonPatch] {
        let hub = TestHub::new();
        put(&hub, 0, "1").await;
        let Plan { channel, view, .. } = plan(&hub, mode);
        let began = hub.head("kv");
        put(&hub, 0, "1,2").await;
        let after = Some(channel.rows_cursor(&view, began, false));
        let resumed = hub
            .plan(&WatchRequest { mode, after, ..WatchRequest::new(target("kv/eu")) }, &crate::Caller::anonymous())
            .expect("a plan");
        let mut reader = Reader::new(&resumed);
        let frames = next(&mut reader, &hub);
        let [Frame::Change { shown, cursor: None, .. }, Frame::Bookmark(at)] = &frames[..] else {
            panic!("{frames:?}")
        };
        assert!(matches!(shown, Shown::Whole | Shown::Data(_)), "{shown:?}");
        assert_eq!((*at, reader.position()), (hub.head("kv"), Some(*at)));
    }
}
