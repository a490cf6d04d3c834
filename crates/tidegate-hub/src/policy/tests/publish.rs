//! Who writes what, and what the answer to a write tells.

use tidegate_core::ErrorCode;

use super::*;
use crate::{Precondition, Published};

fn guarded() -> TestHub {
    hub(|words| Access {
        publish: rule(Right::Publish, "data == null ? claims.admin : data.owner == claims.sub && key != \"no\"", words),
        ..Access::open()
    })
}

#[tokio::test]
async fn each_event_is_judged_and_nothing_is_accepted_if_one_is_not_allowed() {
    let hub = guarded();
    let write = async |caller: &Caller, body: &str| {
        hub.post_by(caller, "kv/eu", Format::Json, body).await.map(|published| published.count)
    };
    let code = |answer: Result<u64, Problem>| answer.expect_err("refused").code;
    assert_eq!(write(&sub("a"), r#"[{"id":"1","owner":"a"},{"id":"2","owner":"a"}]"#).await.expect("published"), 2);
    let mixed = write(&sub("a"), r#"[{"id":"3","owner":"a"},{"id":"4","owner":"b"}]"#).await.expect_err("refused");
    assert!(mixed.code == ErrorCode::Forbidden && mixed.detail.contains("nothing was accepted"), "{mixed:?}");
    assert_eq!(hub.head("kv"), 2);
    assert_eq!(code(write(&sub("a"), r#"{"id":"no","owner":"a"}"#).await), ErrorCode::Forbidden);
    assert_eq!(code(write(&sub("a"), r#"{"id":"5"}"#).await), ErrorCode::Forbidden, "what fails is a no");
    assert_eq!(code(write(&Caller::anonymous(), r#"{"id":"6","owner":"a"}"#).await), ErrorCode::Unauthenticated);
    assert_eq!(hub.delete_by(&sub("a"), "kv/eu", "1").await.expect_err("refused").code, ErrorCode::Forbidden);
    hub.delete_by(&caller(r#"{"admin":true}"#), "kv/eu", "1").await.expect("deleted");
}

#[tokio::test]
async fn a_write_is_refused_before_its_body_where_no_body_could_be_allowed() {
    let hub = hub(|words| Access {
        publish: rule(Right::Publish, "params.region == claims.region && data.n > 0", words),
        ..Access::default()
    });
    let door = |claims: &str| hub.publishable(&target("kv/eu"), "POST", &caller(claims)).map(|_| ());
    assert_eq!(door(r#"{"region":"eu"}"#), Ok(()));
    assert_eq!(door(r#"{"region":"us"}"#).expect_err("refused").code, ErrorCode::Forbidden);
    // An envelope goes elsewhere only where the policy allows it there.
    let body = r#"{"op":"upsert","address":"kv/us","data":{"id":"1","n":1}}"#;
    let answer = hub.post_by(&caller(r#"{"region":"eu"}"#), "kv/eu", Format::Envelope, body).await;
    assert_eq!(answer.expect_err("refused").code, ErrorCode::Forbidden);
}

async fn put(hub: &TestHub, name: &str, condition: Precondition) -> Result<Published, Problem> {
    hub.put_by(&sub(name), "kv/eu", "k", &format!(r#"{{"id":"k","owner":"{name}"}}"#), Some(condition)).await
}

/// Decided: a condition that asks whether a key is there is refused to those who may not see all keys, whatever is there.
#[tokio::test]
async fn a_hidden_key_does_not_leak_by_if_none_match() {
    let hub = own_rows();
    let ask = async |condition| put(&hub, "b", condition).await.expect_err("refused");
    let before = (ask(Precondition::Absent).await, ask(Precondition::Exists).await);
    post(&hub, r#"{"id":"k","owner":"a"}"#).await;
    assert_eq!((ask(Precondition::Absent).await, ask(Precondition::Exists).await), before);
    assert_eq!(before.0.code, ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_412_says_the_same_whatever_is_hidden() {
    let hub = own_rows();
    let ask = async || put(&hub, "b", Precondition::Matches(vec!["t".to_owned()])).await.expect_err("refused");
    let absent = ask().await;
    post(&hub, r#"{"id":"k","owner":"a"}"#).await;
    let hidden = ask().await;
    assert_eq!((absent.code, &absent), (ErrorCode::PreconditionFailed, &hidden));
    assert_eq!(hidden.etag, None);
    // With the ETag of one's own last write it works.
    let own = hub.put_by(&sub("b"), "kv/eu", "mine", r#"{"id":"mine","owner":"b"}"#, None).await.expect("written");
    let tag = own.etag.expect("an ETag").trim_matches('"').to_owned();
    let again = Some(Precondition::Matches(vec![tag]));
    hub.put_by(&sub("b"), "kv/eu", "mine", r#"{"id":"mine","owner":"b","n":2}"#, again).await.expect("written");
}

/// The ETag of now changes with masked columns, too.
#[tokio::test]
async fn a_412_has_no_etag_where_columns_are_masked() {
    let hub = hub(|_| Access { mask: Some(std::sync::Arc::new("ssn".parse().expect("a mask"))), ..Access::open() });
    post(&hub, r#"{"id":"k","ssn":1}"#).await;
    let problem = put(&hub, "a", Precondition::Absent).await.expect_err("refused");
    assert_eq!((problem.code, problem.etag), (ErrorCode::PreconditionFailed, None));
}
