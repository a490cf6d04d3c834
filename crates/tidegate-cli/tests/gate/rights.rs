//! A fresh token says something else of its caller: what its watches may see is judged anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Publish, Transport};
use tidegate_testkit::process::Server;

use crate::rig::{HOUR, STREAMS, Stream, ask, post_token, publish, start, token};

fn ann(teams: &[&str]) -> String {
    // Each is another token.
    token(json!({ "sub": "ann", "teams": teams, "jti": rand::random::<u32>().to_string() }), HOUR)
}

async fn put(server: &Server, id: &str, team: &str, n: u32) {
    let row = json!({ "id": id, "team": team, "n": n }).to_string();
    publish(server, Publish::put("teams/eu", id, row), &token(json!({ "sub": "shop" }), HOUR)).await;
}

async fn say(server: &Server, path: &str, team: &str, n: u32) {
    let event = json!({ "team": team, "n": n }).to_string();
    publish(server, Publish::post(path, types::JSON, event), &token(json!({ "sub": "shop" }), HOUR)).await;
}

fn state(token: &str) -> Ask {
    Ask { chain: true, ..ask("teams/eu", true, Kind::State, Some(token)) }
}

/// What frames come to.
fn rows(frames: &[Value]) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for frame in frames {
        let key = frame["key"].as_str().unwrap_or_default().to_owned();
        match frame["op"].as_str() {
            Some("reset") => rows.clear(),
            Some("snapshot" | "upsert") if frame["last"].is_null() => {
                drop(rows.insert(key, frame["data"]["n"].clone()))
            }
            Some("delete") => drop(rows.remove(&key)),
            _ => {}
        }
    }
    rows
}

fn wanted(pairs: &[(&str, u32)]) -> BTreeMap<String, Value> {
    pairs.iter().map(|(key, n)| ((*key).to_owned(), json!(n))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_has_its_new_rows_in_the_same_stream_and_no_others() {
    let server = start();
    for (transport, n) in STREAMS.into_iter().zip(1..) {
        put(&server, "1", "red", n).await;
        put(&server, "2", "blue", n).await;
        put(&server, "3", "red", n).await;
        let mut stream = Stream::open(&server, transport, &state(&ann(&["red"]))).await;
        let frames = stream.until(|frame| frame["last"] == true).await;
        assert_eq!(rows(&frames), wanted(&[("1", n), ("3", n)]), "{transport:?}");
        // Another token that says the same: nothing is told.
        stream.renew(&server, &ann(&["red"])).await.expect("taken");
        put(&server, "1", "red", 100 + n).await;
        let frames = stream.until(|frame| frame["op"] != "bookmark").await;
        assert_eq!(frames.last().expect("one")["op"], "upsert", "{transport:?}: {frames:?}");

        stream.renew(&server, &ann(&["blue", "green"])).await.expect("taken");
        put(&server, "3", "red", 200 + n).await;
        put(&server, "4", "green", n).await;
        let frames = stream.until(|frame| frame["key"] == "4").await;
        let reset = frames.iter().find(|frame| frame["op"] != "bookmark").expect("a reset");
        assert_eq!((&reset["op"], &reset["reason"]), (&json!("reset"), &json!("rights")), "{transport:?}: {frames:?}");
        let mut frames = frames;
        if !frames.iter().any(|frame| frame["last"] == true) {
            frames.extend(stream.until(|frame| frame["last"] == true).await);
        }
        assert_eq!(rows(&frames), wanted(&[("2", n), ("4", n)]), "{transport:?}: {frames:?}");
        assert!(frames.iter().all(|frame| frame["data"]["team"] != "red"), "{transport:?}: {frames:?}");
        // And it is live: one comes into what it sees, one goes.
        put(&server, "3", "blue", n).await;
        put(&server, "2", "red", n).await;
        let more = stream.until(|frame| frame["op"] == "delete").await;
        frames.extend(more);
        assert_eq!(rows(&frames), wanted(&[("3", n), ("4", n)]), "{transport:?}: {frames:?}");
        put(&server, "4", "none", n).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_told_and_goes_on_where_it_stood() {
    let server = start();
    for transport in STREAMS {
        let asked = Ask { chain: true, ..ask("talk/eu", false, Kind::History, Some(&ann(&["red"]))) };
        let mut stream = Stream::open(&server, transport, &asked).await;
        say(&server, "talk/eu", "red", 1).await;
        say(&server, "talk/eu", "blue", 1).await;
        let first = stream.until(|frame| frame["op"] == "append").await;
        assert_eq!(first.last().expect("one")["data"]["team"], "red", "{transport:?}");
        stream.renew(&server, &ann(&["blue"])).await.expect("taken");
        say(&server, "talk/eu", "red", 2).await;
        say(&server, "talk/eu", "blue", 2).await;
        let frames = stream.until(|frame| frame["data"]["n"] == 2).await;
        let told = frames.iter().position(|frame| frame["code"] == "rights-changed").expect("a notice");
        // From where it stood: the blue one of before may be behind that, as it was not seen before.
        assert!(frames[..told].iter().all(|frame| frame["op"] == "bookmark"), "{transport:?}: {frames:?}");
        let events: Vec<&Value> = frames[told..].iter().filter(|frame| frame["op"] == "append").collect();
        assert!(events.iter().all(|event| event["data"]["team"] == "blue"), "{transport:?}: {frames:?}");
        // A chain begins behind the notice.
        let cursors: Vec<&Value> = frames[told..].iter().filter(|frame| frame["cursor"].is_string()).collect();
        assert!(cursors[0]["prev"].is_null(), "{transport:?}: {frames:?}");
        assert!(cursors.windows(2).all(|two| two[1]["prev"] == two[0]["cursor"]), "{transport:?}: {frames:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_may_not_be_read_any_more_is_closed() {
    let server = start();
    for transport in STREAMS {
        let of = |rooms: &[&str]| token(json!({ "sub": "ann", "rooms": rooms }), HOUR);
        let asked = ask("rooms/a/messages", false, Kind::History, Some(&of(&["a"])));
        let mut stream = Stream::open(&server, transport, &asked).await;
        // By a request on all of them: a WebSocket of one watch closes with it, and answers nothing more.
        let id = stream.id().to_owned();
        post_token(&server, &id, &of(&["b"])).await.expect("the token is good");
        let frames = stream.until(|frame| frame["op"] == "close").await;
        let close = frames.last().expect("the close");
        assert_eq!((&close["code"], &close["retry_ms"]), (&json!("forbidden"), &Value::Null), "{transport:?}");
    }
}

/// A reader that does not read, amid a long snapshot: what comes of the old view is whole, and then dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_under_way_begins_anew() {
    const ROWS: u32 = 4_000;
    let server = start();
    let shop = token(json!({ "sub": "shop" }), HOUR);
    let row = |n: u32| {
        let team = if n.is_multiple_of(2) { "red" } else { "blue" };
        json!({ "id": n.to_string(), "team": team, "n": n, "pad": "x".repeat(1_000) })
    };
    for from in (0..ROWS).step_by(500) {
        let batch: Vec<Value> = (from..from + 500).map(row).collect();
        publish(&server, Publish::post("teams/eu", types::JSON, json!(batch).to_string()), &shop).await;
    }
    for transport in [Some(Transport::Sse), Some(Transport::Ndjson), None] {
        let asked = Ask { receive_buffer: Some(8 * 1024), ..state(&ann(&["red"])) };
        let mut stream = Stream::open(&server, transport, &asked).await;
        stream.renew(&server, &ann(&["blue"])).await.expect("taken");
        let frames = stream.until(|frame| frame["last"] == true).await;
        let resets: Vec<&Value> =
            frames.iter().filter(|frame| frame["op"] == "reset").map(|frame| &frame["reason"]).collect();
        assert_eq!(resets.last().expect("a reset"), &&json!("rights"), "{transport:?}: {resets:?}");
        let rows = rows(&frames);
        assert_eq!(rows.len() as u32, ROWS / 2, "{transport:?}");
        assert!(rows.values().all(|n| n.as_u64().is_some_and(|n| n % 2 == 1)), "{transport:?}");
    }
}

/// Who may look back less far than before goes on from there: the rest is announced as if it had been trimmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_judged_anew_too() {
    let server = start();
    let of = |all: bool| token(json!({ "sub": "ann", "all": all }), HOUR);
    let mut stream =
        Stream::open(&server, Some(Transport::Ndjson), &ask("past/eu", false, Kind::History, Some(&of(true)))).await;
    say(&server, "past/eu", "red", 1).await;
    stream.until(|frame| frame["op"] == "append").await;
    stream.renew(&server, &of(false)).await.expect("taken");
    say(&server, "past/eu", "red", 2).await;
    let frames = stream.until(|frame| frame["op"] == "append").await;
    assert!(frames.iter().any(|frame| frame["code"] == "rights-changed"), "{frames:?}");
    // It stood where a watch that was cut may go on.
    assert!(frames.iter().all(|frame| frame["op"] != "gap"), "{frames:?}");
}
