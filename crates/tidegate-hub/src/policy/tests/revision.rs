//! Other policies while the hub runs.

use std::collections::HashMap;

use super::*;
use crate::testing::target;
use crate::{Action, Publish};

fn change(hub: &TestHub, access: &Access) {
    let revision = hub.revise(&HashMap::from([("kv", access)]));
    drop(hub.put_in_force(revision));
}

fn write() -> Publish {
    let body = r#"{"id":"k"}"#.into();
    Publish {
        target: target("kv/eu"),
        action: Action::Post { format: Format::Json, body },
        idempotency: None,
        condition: None,
    }
}

#[tokio::test]
async fn a_publish_is_judged_by_the_policies_of_when_it_came() {
    let hub = hub(|_| Access::open());
    let came = hub.catalog().iter().find(|channel| channel.config.name == "kv").expect("kv").policies();
    change(&hub, &Access { read: Policy::Always, ..Access::default() });
    let refused = hub.publish(write(), &Caller::anonymous()).await.expect_err("denied by now");
    assert_eq!(refused.code, tidegate_core::ErrorCode::Forbidden);
    hub.publish_by(write(), &Caller::anonymous(), Some(came)).await.expect("allowed when it came");
}

#[tokio::test]
async fn what_was_decided_holds_until_its_policies_are_over() {
    let hub = hub(|_| Access::open());
    let plan = hub.plan(&asked("kv/eu"), &Caller::anonymous()).expect("a plan");
    let other = hub.plan(&asked("chat/a"), &Caller::anonymous()).expect("a plan");
    // The same in another word is no change.
    change(&hub, &Access::open());
    assert!(plan.standing.holds_from_now());
    let revision = hub.revise(&HashMap::from([("kv", &Access { publish: Policy::Never, ..Access::open() })]));
    let revised = hub.put_in_force(revision);
    assert!(plan.standing.holds() && !plan.standing.holds_from_now());
    let next = hub.plan(&asked("kv/eu"), &Caller::anonymous()).expect("a plan");
    assert_eq!(next.view.fingerprint(), plan.view.fingerprint(), "its cursor is as good as before");
    drop(revised);
    assert!(!plan.standing.holds());
    plan.standing.over().await;
    assert!(next.standing.holds_from_now() && other.standing.holds_from_now());
}

#[tokio::test]
async fn the_fingerprint_of_cursors_follows_rows_and_mask() {
    let hub = hub(|_| Access::open());
    let print = || hub.plan(&asked("kv/eu"), &Caller::anonymous()).expect("a plan").view.fingerprint();
    let before = print();
    change(&hub, &Access { mask: Some(std::sync::Arc::new("ssn".parse().expect("a mask"))), ..Access::open() });
    let masked = print();
    assert_ne!(masked, before);
    change(&hub, &Access::open());
    assert_eq!(print(), before);
}

/// A channel that nobody looked into before is read when a policy comes that does, and called by afterwards.
#[tokio::test]
async fn a_new_lookup_knows_what_was_there_before() {
    let hub = hub(|_| Access::open());
    hub.post("seats/hall", Format::Json, r#"{"row":"lobby","seat":"ann"}"#).await.expect("joined");
    let words =
        Vocabulary::of(&hub.catalog().iter().find(|own| own.config.name == "kv").expect("kv").config.template, true);
    let read = rule(Right::Read, r#"exists("seats", ["lobby", claims.sub])"#, &words);
    change(&hub, &Access { read, ..Access::open() });
    let plan = hub.plan(&asked("kv/eu"), &sub("ann")).expect("she is there");
    refused(&hub, &asked("kv/eu"), &sub("bob"));
    hub.delete("seats/hall", r#"["lobby","ann"]"#).await.expect("parted");
    assert!(!plan.standing.holds());
    refused(&hub, &asked("kv/eu"), &sub("ann"));
}
