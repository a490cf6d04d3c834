//! Who is let in, how far back, and with whom a view is shared.

use std::time::Duration;

use tidegate_core::{ErrorCode, GapReason};

use super::*;
use crate::watch::{From, Start};

#[test]
fn what_is_not_allowed_is_denied_and_says_whether_a_token_helps() {
    for (read, anonymous, known) in [
        ("false", Some(ErrorCode::Forbidden), Some(ErrorCode::Forbidden)),
        ("true", None, None),
        ("claims.org == \"a\"", Some(ErrorCode::Unauthenticated), None),
        ("claims.org == \"b\"", Some(ErrorCode::Unauthenticated), Some(ErrorCode::Forbidden)),
        ("claims.nothing.of.it", Some(ErrorCode::Unauthenticated), Some(ErrorCode::Forbidden)),
        ("claims.org", Some(ErrorCode::Unauthenticated), Some(ErrorCode::Forbidden)),
        ("params.region == \"us\"", Some(ErrorCode::Forbidden), Some(ErrorCode::Forbidden)),
        ("params.region == \"us\" && has(claims.org)", Some(ErrorCode::Forbidden), Some(ErrorCode::Forbidden)),
        ("now > timestamp(\"2020-01-01T00:00:00Z\")", None, None),
        ("1 / 0 == 1", Some(ErrorCode::Forbidden), Some(ErrorCode::Forbidden)),
    ] {
        let hub = hub(|words| Access { read: rule(Right::Read, read, words), ..Access::default() });
        let code = |caller: &Caller| hub.plan(&asked("kv/eu"), caller).err().map(|problem| problem.code);
        assert_eq!((code(&Caller::anonymous()), code(&caller(r#"{"org":"a"}"#))), (anonymous, known), "{read}");
    }
}

#[test]
fn a_refusal_names_channel_and_policy_and_nothing_of_the_claims() {
    let hub = hub(|words| Access { read: rule(Right::Read, "claims.org == \"b\"", words), ..Access::default() });
    let problem = refused(&hub, &asked("kv/eu"), &caller(r#"{"org":"secret-org"}"#));
    let said = format!("{problem:?}");
    assert!(said.contains("`kv`") && said.contains("`read`") && !said.contains("secret-org"), "{said}");
}

#[tokio::test]
async fn a_pattern_that_leaves_a_parameter_open_shows_the_addresses_that_the_policy_allows() {
    let hub =
        hub(|words| Access { read: rule(Right::Read, "params.region in claims.regions", words), ..Access::open() });
    hub.post("kv/eu", Format::Json, r#"{"id":"a"}"#).await.expect("published");
    hub.post("kv/us", Format::Json, r#"{"id":"b"}"#).await.expect("published");
    let (eu, none) = (caller(r#"{"regions":["eu"]}"#), caller(r#"{"regions":[]}"#));
    assert_eq!(rows(&hub, "kv/*", &eu).await, [r#"{"id":"a"}"#]);
    assert_eq!(refused(&hub, &asked("kv/us"), &eu).code, ErrorCode::Forbidden);
    assert_eq!(refused(&hub, &asked("kv/*"), &none).code, ErrorCode::Forbidden);
    assert_eq!(refused(&hub, &asked("kv/*"), &Caller::anonymous()).code, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn callers_of_whom_the_same_is_left_share_a_view_and_others_do_not() {
    let hub = hub(|words| Access {
        rows: rule(Right::Rows, "claims.admin || data.team in claims.teams", words),
        ..Access::open()
    });
    let view = |claims: &str| hub.plan(&asked("kv/eu"), &caller(claims)).expect("a plan").view;
    let a = view(r#"{"sub":"a","admin":false,"teams":["x"]}"#);
    assert_eq!(a, view(r#"{"sub":"b","admin":false,"teams":["x"]}"#));
    let other = view(r#"{"sub":"a","admin":false,"teams":["y"]}"#);
    assert!(a != other && a.fingerprint() != other.fingerprint());
    assert_eq!(a.index().as_deref(), Some("data.team"), "found without a filter");
    assert_eq!(view(r#"{"admin":true}"#).lens, None, "nothing is left for who sees all");
}

#[test]
fn a_view_is_found_by_its_rule_or_its_filter_whichever_says_more() {
    let hub = own_rows();
    let index = |filter: &str| {
        let request = WatchRequest { filter: Some(filter.into()), ..asked("kv/eu") };
        hub.plan(&request, &sub("a")).expect("a plan").view.index()
    };
    assert_eq!(index("data.n > 3").as_deref(), Some("data.owner"));
    assert_eq!(index("data.n in [1, 2]").as_deref(), Some("data.owner"));
    assert_eq!(index("data.n == 1").as_deref(), Some("data.n"));
}

#[tokio::test]
async fn a_cursor_of_another_residual_begins_with_a_reset() {
    let hub = own_rows();
    post(&hub, r#"{"id":"k","owner":"a"}"#).await;
    let of = |name: &str, after| {
        let plan = hub.plan(&WatchRequest { after, ..asked("kv/eu") }, &sub(name)).expect("a plan");
        let cursor = plan.channel.cursor(&plan.view, plan.channel.log.head());
        (plan.start, cursor)
    };
    let (_, cursor) = of("a", None);
    assert_eq!(of("a", Some(cursor)).0, Start::At(1));
    assert_eq!(of("b", Some(cursor)).0, Start::Snapshot(tidegate_core::ResetReason::View));
}

#[tokio::test]
async fn who_may_not_look_back_begins_with_what_comes() {
    for (history, from_start) in [(History::Nothing, None), (History::Within(Duration::from_secs(3_600)), Some(0))] {
        let hub = hub(|_| Access { history: history.clone(), ..Access::open() });
        post(&hub, r#"{"id":"k"}"#).await;
        let begin = |from| hub.plan(&WatchRequest { from: Some(from), ..asked("kv/eu") }, &Caller::anonymous());
        assert_eq!(begin(From::Now).expect("allowed").start, Start::At(1));
        match from_start {
            Some(at) => assert_eq!(begin(From::Start).expect("allowed").start, Start::At(at)),
            None => {
                assert_eq!(begin(From::Start).map(|plan| plan.start).expect_err("refused").code, ErrorCode::Forbidden)
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_from_further_back_than_allowed_is_a_gap_to_where_it_is() {
    let hub = hub(|_| Access { history: History::Within(Duration::from_nanos(1)), ..Access::open() });
    post(&hub, r#"{"id":"k"}"#).await;
    // Its time of append is over.
    let began = tidegate_core::Millis::now();
    while tidegate_core::Millis::now() <= began {
        std::thread::yield_now();
    }
    let plan =
        hub.plan(&WatchRequest { snapshot: Some(false), ..asked("kv/eu") }, &Caller::anonymous()).expect("a plan");
    let from = plan.channel.cursor(&plan.view, 0);
    let request = WatchRequest { snapshot: Some(false), after: Some(from), ..asked("kv/eu") };
    let plan = hub.plan(&request, &Caller::anonymous()).expect("a plan");
    assert_eq!(plan.start, Start::Gap { from, reason: GapReason::Retention, to: 1 });
    let mut reader = crate::Reader::new(&plan);
    let frames = reader.next(1, 1).expect("read").frames;
    assert!(matches!(frames[..], [Frame::Gap { to: Some(1), .. }]), "{frames:?}");
    assert_eq!(reader.position(), Some(1), "nothing from before is read");
}

#[test]
fn what_a_policy_does_not_see_is_refused_where_it_stands() {
    let hub = TestHub::new();
    let channel = hub.catalog().iter().next().expect("a channel");
    let words = Vocabulary::of(&channel.config.template, true);
    for (right, text, column, says) in [
        (Right::Rows, "data.until > now", 14, "`now`"),
        (Right::Read, "claims.a == data.a", 13, "`data`"),
        (Right::Read, "claims.key == key", 15, "`key`"),
        (Right::Publish, "op == \"delete\"", 1, "`op`"),
    ] {
        let error = Policy::parse(right, text, &words).expect_err(text);
        assert!(error.column == column && error.message.contains(says), "{text}: {error:?}");
    }
    assert!(Policy::parse(Right::Read, "params.regoin == \"\"", &words).expect_err("refused").hint.is_some());
}
