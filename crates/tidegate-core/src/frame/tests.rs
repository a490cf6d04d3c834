use std::sync::Arc;

use super::*;
use crate::cursor::{ChannelId, Cursor, Epoch, Fingerprint};
use crate::record::is_notice;

fn cursors(chain: bool, prev: Option<Offset>) -> Cursors {
    let cursor = Cursor {
        channel: ChannelId::of("chat"),
        epoch: Epoch::from_bits(7),
        view: Fingerprint::of(&[b"v"]),
        offset: 0,
    };
    Cursors::new(cursor.prefix(), chain, prev)
}

fn append(offset: Offset) -> Frame {
    change(offset, Op::Append, b"{\"n\":1.10}")
}

fn change(offset: Offset, op: Op, data: &'static [u8]) -> Frame {
    let record = Record {
        offset,
        appended: Millis(0),
        time: Millis(1_795_295_293_123),
        op,
        address: Address::parse("rooms/a%22b").expect("address"),
        key: None,
        data: Bytes::from_static(data),
        before: None,
        tx: None,
    };
    Frame::Change { record: Arc::new(record), shown: Shown::Whole, conflated: None, cursor: Some(offset) }
}

fn json(frame: &Frame, cursors: &mut Cursors) -> serde_json::Value {
    let mut out = Vec::new();
    frame.write_json(cursors, &mut out);
    serde_json::from_slice(&out).expect("a frame is JSON")
}

#[test]
fn payloads_pass_as_they_came() {
    let mut out = Vec::new();
    append(5).write_json(&mut cursors(false, None), &mut out);
    let text = String::from_utf8(out).expect("utf-8");
    assert!(text.ends_with(",\"data\":{\"n\":1.10}}"), "{text}");
}

#[test]
fn chained_frames_name_the_cursor_before() {
    let mut chained = cursors(true, Some(4));
    let first = json(&append(5), &mut chained);
    let second = json(&append(9), &mut chained);
    assert_eq!(first["prev"], cursors(false, None).text(4));
    assert_eq!(second["prev"], first["cursor"]);
}

#[test]
fn every_frame_is_one_line_of_json() {
    let frames = [
        Frame::Begin(Begin {
            watch: "w".into(),
            options: vec![("after".into(), "\"x\n".into())],
            index: Some("data[\"a\\n\"]".into()),
            heartbeat_ms: 1,
            cursor: Some(3),
        }),
        Frame::Reset(ResetReason::Start),
        Frame::Last { count: 0, at: 3 },
        Frame::Bookmark(4),
        Frame::Gap { from: "x".into(), to: Some(9), reason: GapReason::Retention },
        Frame::SourceGap(9),
        change(10, Op::Notice, br#"{"code":"schema","message":"a"}"#),
        Frame::Notice { code: NoticeCode::TokenExpiring, message: "a\u{2028}b".into() },
        Frame::Close { code: ErrorCode::Draining, message: String::new(), retry_ms: None },
    ];
    for frame in frames {
        let mut out = Vec::new();
        frame.write_json(&mut cursors(true, None), &mut out);
        assert!(!out.contains(&b'\n'));
        let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(value["op"], frame.op());
    }
}

#[test]
fn a_source_tells_of_changes_that_it_lost() {
    let mut chained = cursors(true, Some(4));
    let gap = json(&Frame::SourceGap(9), &mut chained);
    let at = |offset| cursors(false, None).text(offset);
    assert_eq!(gap, serde_json::json!({"op": "gap", "from": at(8), "to": at(9), "reason": "source"}));
    assert_eq!(Frame::SourceGap(9).cursor(), None);
    assert_eq!(json(&Frame::Bookmark(9), &mut chained)["prev"], at(9), "as after any gap");
}

#[test]
fn the_members_of_a_notice_are_those_of_its_frame() {
    let notice = change(9, Op::Notice, br#"{"code":"schema","message":"a \"b\"","columns":["x"]}"#);
    let text = |offset| cursors(false, None).text(offset);
    let frame = json(&notice, &mut cursors(true, Some(4)));
    let wanted = serde_json::json!({
        "op": "notice", "cursor": text(9), "prev": text(4), "time": "2026-11-21T21:08:13.123Z",
        "code": "schema", "message": "a \"b\"", "columns": ["x"],
    });
    assert_eq!(frame, wanted);
    assert!(!notice.is_data() && notice.cursor() == Some(9));
}

#[test]
fn a_notice_has_its_texts_and_nothing_of_the_frames() {
    let good: [&[u8]; 2] = [br#"{"code":"a","message":""}"#, br#"{"x":1,"message":"m","code":"c"}"#];
    assert!(good.into_iter().all(is_notice));
    let bad: [&[u8]; 7] = [
        b"",
        b"[]",
        b"{}",
        br#"{"code":"a"}"#,
        br#"{"code":1,"message":""}"#,
        br#"{"code":"a","message":"","cursor":"x"}"#,
        br#"{"code":"a","message":"","\u006fp":"x"}"#,
    ];
    assert!(!bad.into_iter().any(is_notice));
}
