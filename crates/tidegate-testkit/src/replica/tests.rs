use serde_json::{Value, json};
use tidegate_core::{ChannelId, Cursor, Epoch, Fingerprint};

use super::*;

fn at(offset: u64) -> String {
    let (channel, view) = (ChannelId::of("c"), Fingerprint::of(&[b"v"]));
    Cursor { channel, epoch: Epoch::from_bits(1), view, offset }.to_string()
}

fn upsert(key: &str, value: u64, offset: u64, prev: u64) -> Value {
    json!({"op": "upsert", "address": "a", "key": key, "data": value, "cursor": at(offset), "prev": at(prev)})
}

fn row(key: &str, value: u64) -> Value {
    json!({"op": "snapshot", "address": "a", "key": key, "data": value})
}

fn last(count: u64, offset: u64) -> Value {
    json!({"op": "snapshot", "last": true, "count": count, "cursor": at(offset)})
}

fn reset() -> Value {
    json!({"op": "reset", "reason": "start"})
}

fn fed(mut replica: Replica, frames: &[Value]) -> Replica {
    for frame in frames {
        replica.apply(frame).expect("a good frame");
    }
    replica
}

fn held(replica: &Replica) -> Vec<(String, u64)> {
    let rows = replica.rows().expect("state").iter();
    rows.map(|((_, key), data)| (key.clone(), data.as_u64().expect("a number"))).collect()
}

fn one_row() -> Replica {
    fed(Replica::state(), &[json!({"op": "begin"}), reset(), row("1", 10), last(1, 5)])
}

#[test]
fn a_cut_inside_a_snapshot_brings_the_old_rows_back() {
    let mut replica = fed(one_row(), &[reset(), row("2", 20)]);
    assert!(!replica.settled());
    let hash = row_hash("a", "1", &json!(10));
    replica.cut();
    assert_eq!(held(&replica), [("1".to_owned(), 10)]);
    assert!(replica.settled() && matches!(&replica.holds, Holds::State(state) if state.hash == hash));
    assert_eq!(replica.cursor, Some(at(5)));
}

#[test]
fn who_forgets_at_reset_has_no_cursor_to_resume_from() {
    let replica = fed(one_row().forget_at_reset(), &[reset(), row("2", 20)]);
    assert_eq!(replica.cursor, None);
}

#[test]
fn the_chain_tells_lost_from_doubled() {
    let replica = fed(one_row(), &[upsert("1", 11, 6, 5), upsert("1", 12, 8, 6)]);
    assert_eq!((replica.lost, replica.doubled), (0, 0));
    assert_eq!(fed(replica.clone(), &[upsert("1", 13, 10, 9)]).lost, 1);
    assert_eq!(fed(replica, &[upsert("1", 12, 8, 6)]).doubled, 1);
}

#[test]
fn what_contradicts_the_protocol_is_refused() {
    let wrong = |replica: Replica, frame: Value| {
        let mut replica = replica;
        assert!(replica.apply(&frame).is_err(), "{frame}");
    };
    wrong(one_row(), row("2", 20));
    wrong(one_row(), json!({"op": "delete", "address": "a", "key": "9", "cursor": at(6)}));
    wrong(one_row(), json!({"op": "append", "address": "a", "data": 1, "cursor": at(6)}));
    let amid = fed(one_row(), &[reset(), row("2", 20)]);
    wrong(amid.clone(), last(2, 6));
    wrong(amid.clone(), upsert("2", 21, 6, 5));
    wrong(amid, json!({"op": "bookmark", "cursor": at(6)}));
}

#[test]
fn a_list_keeps_what_a_cursor_stands_behind() {
    let event = |offset: Option<u64>| {
        let mut frame = json!({"op": "append", "address": "a", "data": 1});
        if let Some(offset) = offset {
            frame["cursor"] = at(offset).into();
        }
        frame
    };
    let begin = json!({"op": "begin", "cursor": at(1)});
    let mut replica = fed(Replica::history(), &[begin, event(Some(2)), event(None)]);
    assert!(!replica.settled());
    replica.cut();
    assert_eq!(replica.items().map(<[Item]>::len), Some(2));
    assert!(replica.settled());
}

#[test]
fn patches_change_the_row_that_is_held_and_a_cut_takes_them_back() {
    let whole = json!({"op": "snapshot", "address": "a", "key": "1", "data": {"n": 1, "l": [1, 2]}});
    let with = |member: &str, value: Value, cursor: Option<u64>| {
        let mut frame = json!({"op": "upsert", "address": "a", "key": "1"});
        frame[member] = value;
        if let Some(offset) = cursor {
            frame["cursor"] = at(offset).into();
        }
        frame
    };
    let data = |replica: &Replica| replica.rows().expect("state").values().next().expect("a row").clone();
    let replica = fed(Replica::state(), &[reset(), whole, last(1, 5)]);
    let mut replica = fed(replica, &[with("patch", json!({"n": null, "m": {"k": 1}}), Some(6))]);
    assert_eq!(data(&replica), json!({"l": [1, 2], "m": {"k": 1}}));
    replica
        .apply(&with("patches", json!([{"op": "move", "from": "/l/1", "path": "/l/0"}]), None))
        .expect("a good frame");
    assert_eq!(data(&replica), json!({"l": [2, 1], "m": {"k": 1}}));
    replica.cut();
    assert_eq!(data(&replica), json!({"l": [1, 2], "m": {"k": 1}}));
    let Holds::State(state) = &replica.holds else { panic!("state") };
    assert_eq!(state.hash, row_hash("a", "1", &data(&replica)));
    for wrong in [
        json!({"op": "upsert", "address": "a", "key": "2", "patch": {}, "cursor": at(7)}),
        json!({"op": "upsert", "address": "a", "key": "1", "cursor": at(7)}),
        with("patches", json!([{"op": "remove", "path": "/gone"}]), Some(7)),
    ] {
        replica.clone().apply(&wrong).expect_err("a wrong frame");
    }
}
