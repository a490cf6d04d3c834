use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::Drain;
use crate::testing::{TestHub, target};

fn refused(answer: Result<Published, Problem>) -> Problem {
    answer.expect_err("refused")
}

#[tokio::test]
async fn a_body_of_many_small_events_is_too_large_and_nothing_is_accepted() {
    let hub = TestHub::new();
    let body = format!("[{}1]", "1,".repeat(4 * 1024 * 1024 - 1));
    let problem = refused(hub.post("chat/a", Format::Json, &body).await);
    assert_eq!(problem.code, ErrorCode::TooLarge);
    assert_eq!(hub.head("chat"), 0);
}

/// On the first poll a small body has its answer; a large one is read by another thread.
#[tokio::test]
async fn large_bodies_are_read_off_the_runtime() {
    let hub = TestHub::new();
    let ready = |body: &str| {
        let mut post = std::pin::pin!(hub.post("chat/a", Format::Json, body));
        matches!(post.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    };
    assert!(ready("[1,"));
    assert!(!ready(&format!("[{}", "1,".repeat(1024 * 1024))));
}

#[tokio::test]
async fn an_unknown_member_of_an_envelope_is_refused_with_its_line() {
    let hub = TestHub::new();
    let body =
        "{\"op\":\"upsert\",\"data\":{\"id\":\"a\"}}\n{\"op\":\"upsert\",\"adress\":\"kv/us\",\"data\":{\"id\":\"b\"}}";
    let problem = refused(hub.post("kv/eu", Format::EnvelopeNdjson, body).await);
    assert_eq!((problem.code, problem.line), (ErrorCode::Unprocessable, Some(2)));
    assert!(problem.hint.contains("`address`") && problem.detail.contains("nothing was accepted"), "{problem:?}");
    assert_eq!(hub.head("kv"), 0);
}

#[tokio::test]
async fn an_envelope_does_not_reach_the_servers_own_addresses() {
    let hub = TestHub::new();
    let body = r#"{"op":"upsert","address":"%5Fkv/us","data":{"id":"b"}}"#;
    let problem = refused(hub.post("kv/eu", Format::Envelope, body).await);
    assert!(problem.code == ErrorCode::Invalid && problem.detail.contains("reserved"), "{problem:?}");
}

#[tokio::test]
async fn a_parameter_of_any_type_must_agree_with_the_address() {
    let hub = TestHub::new();
    for region in ["[\"us\"]", "[\"eu\"]", "{}", "true", "\"us\""] {
        let body = format!(r#"{{"id":"a","region":{region}}}"#);
        let problem = refused(hub.post("kv/eu", Format::Json, &body).await);
        assert!(problem.code == ErrorCode::Conflict && problem.detail.contains("`region`"), "{region}: {problem:?}");
    }
    for region in ["null", "\"eu\""] {
        let body = format!(r#"{{"id":"a","region":{region}}}"#);
        hub.post("kv/eu", Format::Json, &body).await.expect(region);
    }
}

#[tokio::test]
async fn refusals_of_a_drain_spread() {
    let hub = TestHub::new();
    assert_eq!(hub.drain().current(), None);
    let drain = Drain { pace: Duration::ZERO, retry_ms_max: 1_000_000 };
    hub.drain().begin(drain);
    assert_eq!(hub.drain().current(), Some(drain));
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(hub.ready().expect_err("draining"));
        told.push(hub.publishable(&target("kv/eu"), "POST", &Caller::anonymous()).expect_err("draining"));
    }
    assert!(told.iter().all(|problem| problem.code == ErrorCode::Draining));
    let mut times: Vec<u64> = told.iter().filter_map(|problem| problem.retry_ms).collect();
    assert!(times.len() == 8 && times.iter().all(|ms| *ms <= 1_000_000), "{times:?}");
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 4, "eight draws out of a million are hardly ever alike: {times:?}");
}
