//! What a watch would tell of rows and columns that its principal may not see.

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::{Ask, Transport};

use crate::rig::{Rig, token, until};

fn ask(kind: Kind, sub: &str) -> Ask {
    Ask { token: Some(token(&json!({ "sub": sub }))), ..Ask::new("docs/a", true, kind) }
}

fn row(id: &str, owner: &str, n: u32) -> Option<Value> {
    Some(
        json!({ "id": id, "owner": owner, "n": n, "cost": n, "note": "long enough that a patch is smaller than the value" }),
    )
}

/// Whatever way it reads it: what passes would tell what is in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_reads_a_masked_column() {
    let rig = Rig::start();
    rig.write("1", row("1", "ann", 1)).await;
    let filters = [
        "data.cost > 1",
        "data[\"cost\"] == 1",
        "has(data.cost)",
        "\"cost\" in data",
        "data == {\"id\": \"1\"}",
        "data.exists(name, name == \"cost\")",
        "data.pay.iban.startsWith(\"DE\")",
        "size(data.pay) > 1",
        "data.n == 1 || data.cost > 100",
    ];
    for transport in Transport::ALL {
        for filter in filters {
            let ask = Ask { filter: Some(filter.to_owned()), ..ask(Kind::State, "ann") };
            let (status, problem) = rig.refused(transport, &ask).await;
            assert_eq!((status, &problem["code"]), (400, &json!("invalid")), "{transport:?} {filter}: {problem}");
        }
        for fields in ["cost", "id,cost", "pay.iban"] {
            let ask = Ask { fields: Some(fields.to_owned()), ..ask(Kind::State, "ann") };
            let (status, problem) = rig.refused(transport, &ask).await;
            assert_eq!((status, &problem["code"]), (400, &json!("invalid")), "{transport:?} {fields}: {problem}");
        }
    }
}

/// The end of a row is told to who saw it, and to nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_leaks_by_its_delete() {
    let rig = Rig::start();
    for transport in Transport::ALL {
        for kind in [Kind::State, Kind::History] {
            rig.write("mark", row("mark", "ann", 0)).await;
            rig.write("1", row("1", "ben", 1)).await;
            let ask = Ask { from: Some("now".to_owned()), ..ask(kind, "ann") };
            let (mut watch, first) = rig.opened(transport, &ask).await.expect("let in");
            if kind == Kind::State && first["last"] != true {
                until(&mut watch, |frame| frame["last"] == true).await;
            }
            // It is deleted, goes from one to another of whom neither is ann, and comes again.
            rig.write("1", None).await;
            rig.write("1", row("1", "cai", 2)).await;
            rig.write("1", row("1", "ben", 3)).await;
            rig.write("1", None).await;
            rig.write("mark", row("mark", "ann", 1)).await;
            let told = until(&mut watch, |frame| frame["data"]["n"] == 1).await;
            assert!(told.iter().all(|frame| frame["key"] != "1"), "{transport:?} {kind:?}: {told:?}");
        }
    }
}

/// A row that comes to somebody is told as a whole: a patch would say what it was to another. What a patch changes of a masked
/// column is not in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_leaks_by_a_patch() {
    let rig = Rig::start();
    for transport in Transport::ALL {
        for mode in ["patch", "json-patch"] {
            rig.write("1", row("1", "ben", 7)).await;
            let ask = Ask { mode: Some(mode), ..ask(Kind::State, "ann") };
            let (mut watch, first) = rig.opened(transport, &ask).await.expect("let in");
            if first["last"] != true {
                until(&mut watch, |frame| frame["last"] == true).await;
            }
            rig.write("1", row("1", "ann", 7)).await;
            let came = until(&mut watch, |frame| frame["key"] == "1").await;
            let came = came.last().expect("it");
            assert!(
                came["data"]["owner"] == "ann" && came["data"].get("cost").is_none(),
                "{transport:?} {mode}: {came}"
            );
            rig.write("1", row("1", "ann", 8)).await;
            let changed = until(&mut watch, |frame| frame["key"] == "1").await;
            let changed = changed.last().expect("it");
            assert!(changed.get("data").is_none(), "{transport:?} {mode}: {changed}");
            assert!(!changed.to_string().contains("cost"), "{transport:?} {mode}: {changed}");
            rig.write("1", row("1", "ben", 9)).await;
            let went = until(&mut watch, |frame| frame["key"] == "1").await;
            let went = went.last().expect("it");
            assert!(went["op"] == "delete" && !went.to_string().contains("ben"), "{transport:?} {mode}: {went}");
        }
    }
}

/// A cursor is a place and no right: who shows one of another gets what is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_cursor() {
    let rig = Rig::start();
    rig.write("1", row("1", "ann", 1)).await;
    rig.write("2", row("2", "ben", 2)).await;
    for transport in Transport::ALL {
        let (mut watch, first) = rig.opened(transport, &ask(Kind::State, "ann")).await.expect("let in");
        let last = match first["last"] == true {
            true => first,
            false => until(&mut watch, |frame| frame["last"] == true).await.pop().expect("it"),
        };
        let stolen = last["cursor"].as_str().expect("a cursor").to_owned();
        drop(watch);
        rig.write("1", row("1", "ann", 3)).await;
        // By nobody: nothing.
        let nobody = Ask { token: None, cursor: Some(stolen.clone()), ..ask(Kind::State, "ann") };
        assert_eq!(rig.refused(transport, &nobody).await.0, 401, "{transport:?}");
        // By another: its own rows, from the beginning.
        let ben = Ask { cursor: Some(stolen.clone()), ..ask(Kind::State, "ben") };
        let (mut watch, first) = rig.opened(transport, &ben).await.expect("let in");
        let mut told = vec![first];
        told.extend(until(&mut watch, |frame| frame["last"] == true).await);
        assert!(told.iter().any(|frame| frame["op"] == "reset"), "{transport:?}: {told:?}");
        assert!(
            told.iter().all(|frame| frame["key"].is_null() || frame["data"]["owner"] == "ben"),
            "{transport:?}: {told:?}"
        );
        // As a history: what has been its own since.
        let ben = Ask { cursor: Some(stolen), ..ask(Kind::History, "ben") };
        rig.write("2", row("2", "ben", 4)).await;
        let (mut watch, first) = rig.opened(transport, &ben).await.expect("let in");
        let mut told = vec![first];
        if told[0]["data"]["n"] != 4 {
            told.extend(until(&mut watch, |frame| frame["data"]["n"] == 4).await);
        }
        assert!(told.iter().all(|frame| frame["key"].is_null() || frame["key"] == "2"), "{transport:?}: {told:?}");
        rig.write("1", row("1", "ann", 1)).await;
        rig.write("2", row("2", "ben", 2)).await;
    }
}
