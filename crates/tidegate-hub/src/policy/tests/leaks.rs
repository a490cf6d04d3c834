//! One test for each way in which something hidden could be learnt.

use tidegate_core::{ErrorCode, Kind};

use super::*;
use crate::watch::Mode;

#[tokio::test]
async fn a_row_does_not_leak_by_its_delete() {
    let hub = own_rows();
    post(&hub, r#"[{"id":"k","owner":"a"},{"id":"k","owner":"b"}]"#).await;
    hub.delete("kv/eu", "k").await.expect("deleted");
    let plan = |name: &str| hub.plan(&asked("kv/eu"), &sub(name)).expect("a plan");
    let a = told(&hub, &plan("a"), 0);
    assert_eq!(a.len(), 2, "it comes and it goes, and its end is not told: {a:?}");
    assert!(a[1].contains("\"op\":\"delete\"") && !a[1].contains("owner"), "{a:?}");
    assert_eq!(told(&hub, &plan("b"), 0).len(), 2);
    assert_eq!(told(&hub, &plan("c"), 0), Vec::<String>::new());
}

#[tokio::test]
async fn a_row_and_a_masked_column_do_not_leak_by_a_patch() {
    let hub = own_rows();
    let rows = r#"[{"id":"k","owner":"a","n":1,"ssn":"s1"},{"id":"k","owner":"b","n":2,"ssn":"s2"},
        {"id":"k","owner":"a","n":3,"ssn":"s3"},{"id":"k","owner":"a","n":4,"ssn":"s4"},{"id":"k","owner":"a","n":4,"ssn":"s5"}]"#;
    post(&hub, rows).await;
    for (mode, name) in [(Mode::Patch, "\"patch\""), (Mode::JsonPatch, "\"patches\"")] {
        let plan = hub.plan(&WatchRequest { mode, ..asked("kv/eu") }, &sub("a")).expect("a plan");
        let frames = told(&hub, &plan, 0);
        // What was another's in between is no base of a patch, and what changed unseen is not told.
        assert_eq!(frames.len(), 4, "{frames:?}");
        assert!(
            frames[2].contains("\"data\":") && frames[3].contains("\"n\"") | frames[3].contains("/n"),
            "{frames:?}"
        );
        assert!(frames.iter().all(|frame| !frame.contains("ssn") && !frame.contains("\"b\"")), "{name}: {frames:?}");
    }
}

#[test]
fn a_masked_column_does_not_leak_by_a_filter_or_fields() {
    let hub = own_rows();
    let all = [
        "data.ssn == \"1\"",
        "has(data.ssn)",
        "data[\"ssn\"] == \"1\"",
        "\"ssn\" in data",
        "size(data) == 3",
        "data == {\"a\": 1}",
        "data.pay.iban.startsWith(\"DE\")",
        "data.pay == {\"iban\": 1}",
        "size(data.pay) > 0",
        "data.exists(name, name == \"ssn\")",
        "[data].exists(one, one.ssn == \"1\")",
        "data[key] == 1",
        "dyn(data).ssn == \"1\"",
        "{\"x\": data}.x.ssn == \"1\"",
        "data.n == 1 || data.pay[0].iban == \"1\"",
        "(true ? data : data).ssn == \"1\"",
    ];
    for filter in all {
        let problem = refused(&hub, &WatchRequest { filter: Some(filter.into()), ..asked("kv/eu") }, &sub("a"));
        let hidden = problem.detail.contains("`ssn`") || problem.detail.contains("`pay.iban`");
        assert!(problem.code == ErrorCode::Invalid && hidden, "{filter}: {problem:?}");
    }
    for filter in ["data.n == 1", "data.pay.sum > 1", "key == \"ssn\"", "data.name == \"ssn\""] {
        let request = WatchRequest { filter: Some(filter.into()), ..asked("kv/eu") };
        assert!(hub.plan(&request, &sub("a")).is_ok(), "{filter}");
    }
    let fields = |list: &str| WatchRequest { fields: Some(list.parse().expect("fields")), ..asked("kv/eu") };
    assert!(refused(&hub, &fields("n,pay.iban"), &sub("a")).detail.contains("`pay.iban`"));
    assert!(hub.plan(&fields("n,pay"), &sub("a")).is_ok());
}

#[tokio::test]
async fn an_upsert_of_masked_columns_alone_is_not_sent() {
    let hub = own_rows();
    let rows = r#"[{"id":"k","owner":"a","ssn":1,"pay":{"iban":1,"sum":1}},{"id":"k","owner":"a","ssn":2,"pay":{"iban":2,"sum":1}},
        {"id":"k","owner":"a","ssn":2,"pay":{"iban":2,"sum":2}}]"#;
    post(&hub, rows).await;
    for snapshot in [None, Some(false)] {
        let plan = hub.plan(&WatchRequest { snapshot, ..asked("kv/eu") }, &sub("a")).expect("a plan");
        let frames = told(&hub, &plan, 0);
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert!(frames.iter().all(|frame| !frame.contains("iban") && !frame.contains("ssn")), "{frames:?}");
    }
    assert_eq!(rows_of(&hub, "a").await, [r#"{"id":"k","owner":"a","pay":{"sum":2}}"#]);
}

async fn rows_of(hub: &TestHub, name: &str) -> Vec<String> {
    rows(hub, "kv/eu", &sub(name)).await
}

#[tokio::test]
async fn a_count_of_rows_is_of_those_that_are_seen() {
    let hub = own_rows();
    post(&hub, r#"[{"id":"1","owner":"a"},{"id":"2","owner":"b"},{"id":"3","owner":"b"}]"#).await;
    for (name, count) in [("a", 1), ("b", 2), ("c", 0)] {
        let plan = hub.plan(&asked("kv/eu"), &sub(name)).expect("a plan");
        let (mut reader, mut last) = (crate::Reader::new(&plan), None);
        let head = plan.channel.log.head();
        while last.is_none() {
            let frames = reader.next(head, head).expect("read").frames;
            last = frames.iter().find_map(|frame| match frame {
                Frame::Last { count, .. } => Some(*count),
                _ => None,
            });
        }
        assert_eq!(last, Some(count), "{name}");
        assert_eq!(rows_of(&hub, name).await.len() as u64, count, "{name}");
    }
}

#[tokio::test]
async fn conflated_counts_no_change_that_is_not_seen() {
    let hub = own_rows();
    post(
        &hub,
        r#"[{"id":"k","owner":"a","n":1},{"id":"k","owner":"a","n":1,"ssn":7},{"id":"k","owner":"b","n":2},
        {"id":"k","owner":"b","n":3},{"id":"k","owner":"a","n":4}]"#,
    )
    .await;
    let request = WatchRequest { rate: Some("1/s".parse().expect("a rate")), ..asked("kv/eu") };
    let frames = told(&hub, &hub.plan(&request, &sub("a")).expect("a plan"), 0);
    // It came, it went, it came back.
    assert!(frames.len() == 1 && frames[0].contains("\"conflated\":3") && frames[0].contains("\"n\":4"), "{frames:?}");
    assert_eq!(told(&hub, &hub.plan(&request, &sub("c")).expect("a plan"), 0), Vec::<String>::new());
}

#[tokio::test]
async fn a_strong_etag_is_made_only_of_what_is_seen_whole() {
    let hub = own_rows();
    post(&hub, r#"[{"id":"1","owner":"a"},{"id":"2","owner":"b"}]"#).await;
    let Plan { channel, view, .. } = hub.plan(&asked("kv/eu"), &sub("a")).expect("a plan");
    assert_eq!(hub.rows(&channel, &view, None, 10).await.expect("rows").touched, None);
    let whole = View::whole(view.scope, Kind::State);
    assert_eq!(hub.rows(&channel, &whole, None, 10).await.expect("rows").touched, Some(2));
}
