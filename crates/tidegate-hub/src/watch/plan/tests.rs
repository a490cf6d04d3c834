use super::*;
use crate::publish::Format;
use crate::testing::{TestHub, cursor, target};

fn request(address: &str) -> WatchRequest {
    WatchRequest::new(target(address))
}

fn key(hub: &Hub, address: &str, text: &str) -> Result<Option<Box<str>>, ErrorCode> {
    let request = WatchRequest { key: Some(text.into()), ..request(address) };
    hub.plan(&request, &Caller::anonymous()).map(|plan| plan.view.scope.key).map_err(|problem| problem.code)
}

#[tokio::test]
async fn a_key_has_one_spelling() {
    let hub = TestHub::new();
    for address in ["seats/main", "seats/*"] {
        assert_eq!(key(&hub, address, r#" [1, "\u007a"]"#), Ok(Some(r#"[1,"z"]"#.into())));
        for none in ["[1]", "1", "[1,[2]]", ""] {
            assert_eq!(key(&hub, address, none), Err(ErrorCode::Unprocessable), "{none}");
        }
    }
    assert_eq!(key(&hub, "kv/eu", "a b"), Ok(Some("a b".into())));
    assert_eq!(key(&hub, "kv/eu", ""), Err(ErrorCode::Unprocessable));
    assert_eq!(key(&hub, "chat/a", "x"), Err(ErrorCode::Invalid));
}

#[tokio::test]
async fn history_from_the_next_record_is_now() {
    let hub = TestHub::new();
    let published = hub.post("kv/eu", Format::Json, r#"{"id":"a"}"#).await.expect("published");
    let now = |request: &WatchRequest| hub.plan(request, &Caller::anonymous()).map(|plan| plan.now).expect("a plan");
    assert!(now(&request("chat/a")));
    assert!(now(&WatchRequest { from: Some(From::Now), ..request("kv/eu") }));
    assert!(now(&WatchRequest { snapshot: Some(false), ..request("kv/eu") }));
    assert!(!now(&request("kv/eu")));
    assert!(!now(&WatchRequest { from: Some(From::Start), ..request("chat/a") }));
    assert!(!now(&WatchRequest { from: Some(From::Time(Millis(0))), ..request("chat/a") }));
    let after = Some(cursor(&published));
    assert!(!now(&WatchRequest { after, snapshot: Some(false), ..request("kv/eu") }));
    assert!(!now(&WatchRequest { after, from: Some(From::Now), ..request("kv/eu") }));
}

#[tokio::test]
async fn at_is_a_time_that_history_tells() {
    let hub = TestHub::new();
    let at = |time: u64| WatchRequest { at: Some(Millis(time)), ..request("kv/eu") };
    let start = |request: &WatchRequest| {
        hub.plan(request, &crate::Caller::anonymous()).map(|plan| plan.start).map_err(|problem| problem.code)
    };
    assert_eq!(start(&at(Millis::now().0)), Err(ErrorCode::OutOfReach), "nothing was ever recorded");
    let published = hub.post("kv/eu", Format::Json, r#"{"id":"a"}"#).await.expect("published");
    let first = hub
        .catalog()
        .readable(&target("kv/eu"), &crate::Caller::anonymous())
        .expect("channel")
        .0
        .log
        .oldest_time()
        .expect("a record");
    let now = Millis::now().0;
    assert_eq!(start(&at(now)), Ok(Start::AsOf(1)));
    assert_eq!(start(&at(first.0)), Ok(Start::AsOf(1)), "what was appended at that time is in it");
    assert_eq!(start(&at(first.0 - 1)), Err(ErrorCode::OutOfReach));
    let problem = hub.plan(&at(0), &crate::Caller::anonymous()).map(|_| ()).expect_err("before the first");
    assert!(problem.hint.contains(&format!("at={first}")), "{problem:?}");
    assert_eq!(start(&at(Millis::now().0 + 60_000)), Err(ErrorCode::Invalid), "in the future");

    for other in [
        WatchRequest { from: Some(From::Start), ..at(now) },
        WatchRequest { snapshot: Some(false), ..at(now) },
        WatchRequest { at: Some(Millis(now)), ..request("chat/a") },
    ] {
        assert_eq!(start(&other), Err(ErrorCode::Invalid), "{other:?}");
    }
    // A header that resumes beats it, however far back it is.
    let after = Some(cursor(&published).at(1));
    let resumed = WatchRequest { after, ..at(0) };
    assert!(matches!(start(&resumed), Ok(Start::At(1) | Start::Snapshot(ResetReason::View))), "{:?}", start(&resumed));
}
