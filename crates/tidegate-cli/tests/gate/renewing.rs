//! A watch is given a fresh token and goes on, on every transport.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_core::Kind;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Publish};
use tidegate_testkit::process::Server;

use crate::rig::{HOUR, STREAMS, Stream, ask, post_token, publish, start, token};

/// How long the first token lasts here, beside the leeway of a second; and what comes after that.
const FIRST: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(2);

fn of(subject: &str, lasts: Duration) -> String {
    token(json!({ "sub": subject, "rooms": ["a"] }), lasts)
}

fn room(token: &str) -> Ask {
    Ask { chain: true, ..ask("rooms/a/messages", false, Kind::History, Some(token)) }
}

/// Publishes numbers, one after the other, for so long; the last one says so.
async fn publish_numbers(server: &Server, time: Duration) {
    let (ben, began, mut n) = (of("ben", HOUR), Instant::now(), 0);
    loop {
        n += 1;
        let last = began.elapsed() > time;
        let event = json!({ "by": "ben", "n": n, "last": last }).to_string();
        publish(server, Publish::post("rooms/a/messages", types::JSON, event), &ben).await;
        if last {
            return;
        }
    }
}

/// Each number once and in order, in one chain, told twice of an end and closed by none.
fn judge(transport: &str, frames: &[Value]) {
    let numbers: Vec<u64> = frames.iter().filter_map(|frame| frame["data"]["n"].as_u64()).collect();
    let first = *numbers.first().expect("a number");
    let wanted: Vec<u64> = (first..first + numbers.len() as u64).collect();
    assert_eq!(numbers, wanted, "{transport}");
    let mut link: Option<&Value> = None;
    for frame in frames.iter().filter(|frame| frame["cursor"].is_string()) {
        assert!(link.is_none_or(|link| *link == frame["prev"]), "{transport}: {frame} after {link:?}");
        link = Some(&frame["cursor"]);
    }
    let told = frames.iter().filter(|frame| frame["code"] == "token-expiring").count();
    assert_eq!(told, 2, "{transport}");
    let others: Vec<&Value> =
        frames.iter().filter(|frame| !matches!(frame["op"].as_str(), Some("append" | "notice" | "bookmark"))).collect();
    assert!(others.is_empty(), "{transport}: {others:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_frame_is_lost_or_doubled_over_the_end_of_the_first_token() {
    let server = start();
    let mut streams = Vec::new();
    for transport in STREAMS {
        streams.push((format!("{transport:?}"), Stream::open(&server, transport, &room(&of("ann", FIRST))).await));
    }
    let watching = async {
        let mut heard = Vec::new();
        for (transport, stream) in &mut streams {
            heard.push(stream.until(|frame| frame["op"] == "append").await);
            // Shorter than the time of the notice, so that it is told again.
            stream.renew(&server, &of("ann", Duration::from_secs(25))).await.expect(transport);
        }
        for ((transport, stream), mut frames) in streams.iter_mut().zip(heard) {
            frames.extend(stream.until(|frame| frame["data"]["last"] == true).await);
            judge(transport, &frames);
        }
    };
    // What a stream has not read yet waits for it.
    tokio::join!(publish_numbers(&server, FIRST + AFTER), watching);
    // The sockets are those of the fresh token now, too.
    for (transport, stream) in streams.iter_mut().filter(|(transport, _)| transport.contains("WebSocket")) {
        let message = json!({ "do": "publish", "ref": 9, "address": "rooms/a/messages", "data": { "by": "ann" } });
        assert_eq!(stream.say(message).await["op"], "done", "{transport}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_given_over_to_nobody() {
    let server = start();
    for transport in STREAMS {
        let mut stream = Stream::open(&server, transport, &room(&of("ann", HOUR))).await;
        let stale = token(json!({ "sub": "ann", "rooms": ["a"], "exp": 1_000_000_000 }), HOUR);
        for other in [of("ben", HOUR), stale] {
            let refused = stream.renew(&server, &other).await.expect_err("refused");
            assert!(["forbidden", "token-expired"].contains(&refused.as_str()), "{transport:?}: {refused}");
        }
        let said = Publish::post("rooms/a/messages", types::JSON, json!({ "by": "ben" }).to_string());
        publish(&server, said, &of("ben", HOUR)).await;
        let frames = stream.until(|frame| frame["op"] != "bookmark").await;
        assert_eq!(frames.last().expect("one")["op"], "append", "{transport:?}: {frames:?}");
        let id = stream.id().to_owned();
        assert_eq!(post_token(&server, &id, "").await, Err("unauthenticated".into()));
        assert_eq!(post_token(&server, &id, &of("ben", HOUR)).await, Err("forbidden".into()));
    }
    for wrong in ["0123456789ab", "x", ""] {
        assert_eq!(post_token(&server, wrong, &of("ann", HOUR)).await, Err("watch-not-found".into()), "{wrong}");
    }
}

/// Its connection may be there for a moment longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_has_ended_takes_no_token() {
    let server = start();
    let mut streams = Vec::new();
    for transport in STREAMS {
        let room = room(&of("ann", Duration::from_secs(1)));
        streams.push((transport, Stream::open(&server, transport, &room).await));
    }
    for (transport, stream) in &mut streams {
        let frames = stream.until(|frame| frame["op"] == "close").await;
        assert_eq!(frames.last().expect("a close")["code"], "token-expired", "{transport:?}");
        let refused = post_token(&server, stream.id(), &of("ann", HOUR)).await;
        assert_eq!(refused, Err("watch-not-found".into()), "{transport:?}");
    }
}
