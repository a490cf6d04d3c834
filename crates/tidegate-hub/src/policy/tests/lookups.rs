//! Rights that depend on what another channel has: `seats` is who is a member of what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_core::{ErrorCode, Frame, ResetReason, Template};

use super::*;
use crate::watch::{Reader, Start};

const MEMBER: &str = r#"exists("seats", [data.room, claims.sub])"#;

/// Everybody sees the rows of the rooms that they are in; anybody writes.
fn rooms() -> TestHub {
    hub(|words| Access { rows: rule(Right::Rows, MEMBER, words), ..Access::open() })
}

async fn join(hub: &TestHub, room: &str, name: &str) {
    let row = format!(r#"{{"row":"{room}","seat":"{name}"}}"#);
    hub.post("seats/all", Format::Json, &row).await.expect("joined");
}

async fn part(hub: &TestHub, room: &str, name: &str) {
    hub.delete("seats/all", &format!(r#"["{room}","{name}"]"#)).await.expect("parted");
}

fn plan_of(hub: &TestHub, path: &str, name: &str) -> Plan {
    hub.plan(&asked(path), &sub(name)).expect("a plan")
}

fn resumed(hub: &TestHub, plan: &Plan, name: &str) -> Start {
    let after = Some(plan.channel.cursor(&plan.view, plan.channel.log.head()));
    hub.plan(&WatchRequest { after, ..asked("kv/eu") }, &sub(name)).expect("a plan").start
}

#[tokio::test]
async fn a_row_is_seen_by_those_whose_key_is_there() {
    let hub = rooms();
    post(&hub, r#"[{"id":"k","room":"lobby"},{"id":"j","room":"attic"},{"id":"i"}]"#).await;
    assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await, Vec::<String>::new());
    join(&hub, "lobby", "ann").await;
    join(&hub, "attic", "bob").await;
    assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await, [r#"{"id":"k","room":"lobby"}"#]);
    assert_eq!(rows(&hub, "kv/eu", &sub("bob")).await, [r#"{"id":"j","room":"attic"}"#]);
    assert_eq!(rows(&hub, "kv/eu", &Caller::anonymous()).await, Vec::<String>::new());
    part(&hub, "lobby", "ann").await;
    assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_view_ends_when_a_key_changes_that_it_asks_about_and_with_no_other() {
    let hub = rooms();
    join(&hub, "lobby", "ann").await;
    let (ann, bob) = (plan_of(&hub, "kv/eu", "ann"), plan_of(&hub, "kv/eu", "bob"));
    let called = Arc::new(AtomicUsize::new(0));
    let listening = ann.standing.listen({
        let called = called.clone();
        move || {
            called.fetch_add(1, Ordering::Relaxed);
        }
    });
    let holds = |plan: &Plan| (plan.standing.holds(), plan.view.holds());
    join(&hub, "lobby", "cid").await;
    // Written again, it is there as before.
    join(&hub, "lobby", "ann").await;
    assert_eq!((holds(&ann), holds(&bob), called.load(Ordering::Relaxed)), ((true, true), (true, true), 0));
    join(&hub, "attic", "ann").await;
    assert_eq!((holds(&ann), holds(&bob), called.load(Ordering::Relaxed)), ((false, false), (true, true), 1));
    drop(listening);
    part(&hub, "attic", "ann").await;
    assert_eq!((holds(&ann), called.load(Ordering::Relaxed)), ((true, true), 1), "it is as it was");
}

#[tokio::test]
async fn a_view_does_not_change_its_mind() {
    let hub = rooms();
    join(&hub, "lobby", "ann").await;
    let plan = plan_of(&hub, "kv/eu", "ann");
    part(&hub, "lobby", "ann").await;
    post(&hub, r#"{"id":"k","room":"lobby"}"#).await;
    // Whoever is about to tell this asks first whether it holds.
    assert_eq!((told(&hub, &plan, 0).len(), plan.view.holds()), (1, false));
    assert_eq!(told(&hub, &plan_of(&hub, "kv/eu", "ann"), 0), Vec::<String>::new());
}

#[tokio::test]
async fn a_cursor_is_of_the_keys_that_were_there() {
    let hub = rooms();
    post(&hub, r#"{"id":"k","room":"lobby"}"#).await;
    join(&hub, "lobby", "ann").await;
    let plan = plan_of(&hub, "kv/eu", "ann");
    join(&hub, "attic", "bob").await;
    assert_eq!(resumed(&hub, &plan, "ann"), Start::At(hub.head("kv")));
    part(&hub, "lobby", "ann").await;
    assert_eq!(resumed(&hub, &plan, "ann"), Start::Snapshot(ResetReason::View), "a replica has rows that are not hers");
    join(&hub, "lobby", "ann").await;
    assert_eq!(resumed(&hub, &plan, "ann"), Start::At(hub.head("kv")));
    // On another machine, too.
    let other = rooms();
    join(&other, "attic", "bob").await;
    join(&other, "lobby", "ann").await;
    assert_eq!(plan_of(&other, "kv/eu", "ann").view.fingerprint(), plan.view.fingerprint());
    assert_ne!(plan_of(&other, "kv/eu", "bob").view.fingerprint(), plan.view.fingerprint());
}

#[tokio::test]
async fn a_replica_of_a_resumed_watch_is_what_may_be_seen() {
    let hub = rooms();
    post(&hub, r#"[{"id":"k","room":"lobby"},{"id":"j","room":"attic"}]"#).await;
    join(&hub, "lobby", "ann").await;
    let before = plan_of(&hub, "kv/eu", "ann");
    join(&hub, "attic", "ann").await;
    part(&hub, "lobby", "ann").await;
    let after = Some(before.channel.cursor(&before.view, hub.head("kv")));
    let plan = hub.plan(&WatchRequest { after, ..asked("kv/eu") }, &sub("ann")).expect("a plan");
    let (mut reader, head) = (Reader::new(&plan), hub.head("kv"));
    let mut frames = Vec::new();
    while reader.position() != Some(head) {
        frames.extend(reader.next(head, head).expect("read").frames);
    }
    assert!(matches!(frames[..], [Frame::Reset(ResetReason::View), Frame::Row(_), Frame::Last { count: 1, .. }]));
    assert!(text(&hub, &plan.view, &frames[1]).contains("attic"));
}

#[tokio::test]
async fn callers_share_a_view_only_if_the_same_is_there_for_them() {
    let hub = hub(|words| Access {
        rows: rule(Right::Rows, r#"exists("seats", [data.room, claims.team])"#, words),
        ..Access::open()
    });
    let view = |claims: &str| hub.plan(&asked("kv/eu"), &caller(claims)).expect("a plan").view;
    join(&hub, "lobby", "x").await;
    let a = view(r#"{"sub":"a","team":"x"}"#);
    assert_eq!(a, view(r#"{"sub":"b","team":"x"}"#));
    assert_ne!(a, view(r#"{"sub":"b","team":"y"}"#));
    join(&hub, "attic", "x").await;
    assert_ne!(a, view(r#"{"sub":"b","team":"x"}"#));
}

#[tokio::test]
async fn who_is_let_in_by_a_key_is_not_without_it() {
    let hub = hub(|words| {
        let member = |right| rule(right, r#"exists("seats", [params.region, claims.sub])"#, words);
        Access { read: member(Right::Read), publish: member(Right::Publish), ..Access::open() }
    });
    let ann = sub("ann");
    assert_eq!(refused(&hub, &asked("kv/eu"), &ann).code, ErrorCode::Forbidden);
    assert_eq!(refused(&hub, &asked("kv/eu"), &Caller::anonymous()).code, ErrorCode::Unauthenticated);
    join(&hub, "eu", "ann").await;
    let plan = plan_of(&hub, "kv/eu", "ann");
    hub.post_by(&ann, "kv/eu", Format::Json, r#"{"id":"k"}"#).await.expect("published");
    hub.post_by(&ann, "kv/us", Format::Json, r#"{"id":"k"}"#).await.expect_err("refused");
    // Whoever is let in shares the view with all the others.
    assert!(!plan.view.looks_up() && !plan.standing.is_settled());
    // Of all regions she sees hers.
    join(&hub, "us", "bob").await;
    hub.post_by(&sub("bob"), "kv/us", Format::Json, r#"{"id":"j"}"#).await.expect("published");
    assert_eq!(rows(&hub, "kv/*", &ann).await, [r#"{"id":"k"}"#]);
    part(&hub, "eu", "ann").await;
    assert!(!plan.standing.holds());
    assert_eq!(refused(&hub, &asked("kv/eu"), &ann).code, ErrorCode::Forbidden);
    hub.post_by(&ann, "kv/eu", Format::Json, r#"{"id":"k"}"#).await.expect_err("refused");
}

#[tokio::test]
async fn a_key_is_there_for_as_long_as_one_of_its_rows_is() {
    let hub = rooms();
    post(&hub, r#"{"id":"k","room":"lobby"}"#).await;
    join(&hub, "lobby", "ann").await;
    hub.post("seats/other", Format::Json, r#"{"row":"lobby","seat":"ann"}"#).await.expect("joined twice");
    let plan = plan_of(&hub, "kv/eu", "ann");
    part(&hub, "lobby", "ann").await;
    assert!(plan.standing.holds());
    hub.delete("seats/other", r#"["lobby","ann"]"#).await.expect("parted");
    assert!(!plan.standing.holds());
}

#[tokio::test]
async fn a_row_whose_address_contradicts_its_key_gives_nothing() {
    let hub = TestHub::with(|config| match &*config.name {
        "kv" => {
            let words = Vocabulary::of(&config.template, true);
            config.access = Access { rows: rule(Right::Rows, MEMBER, &words), ..Access::open() };
        }
        "seats" => config.template = Template::parse("seats/{row}").expect("a template"),
        _ => {}
    });
    post(&hub, r#"{"id":"k","room":"lobby"}"#).await;
    // Whoever may write at `seats/attic` makes herself a member of the lobby by the key alone.
    hub.put_by(&Caller::anonymous(), "seats/attic", r#"["lobby","ann"]"#, "{}", None).await.expect("written");
    assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await, Vec::<String>::new());
    hub.put_by(&Caller::anonymous(), "seats/lobby", r#"["lobby","ann"]"#, "{}", None).await.expect("written");
    assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_not_seen_either_way() {
    for rule_text in [r#"exists("seats", [data.room, claims.sub])"#, r#"!exists("seats", [data.room, claims.sub])"#] {
        let hub = hub(|words| Access { rows: rule(Right::Rows, rule_text, words), ..Access::open() });
        post(&hub, r#"[{"id":"k"},{"id":"j","room":true},{"id":"i","room":1.5}]"#).await;
        assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await, Vec::<String>::new(), "{rule_text}");
        assert_eq!(rows(&hub, "kv/eu", &caller("{}")).await, Vec::<String>::new(), "{rule_text}");
    }
    // A channel that is not there, or has no keys, knows nothing.
    for name in ["nowhere", "chat"] {
        let rule_text = format!(r#"!exists("{name}", data.room)"#);
        let hub = hub(|words| Access { rows: rule(Right::Rows, &rule_text, words), ..Access::open() });
        post(&hub, r#"{"id":"k","room":"lobby"}"#).await;
        assert_eq!(rows(&hub, "kv/eu", &sub("ann")).await, Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_channel_may_look_into_itself() {
    let hub = TestHub::with(|config| {
        if config.name == "seats" {
            let words = Vocabulary::of(&config.template, true);
            let rows = rule(Right::Rows, r#"exists("seats", [data.row, claims.sub])"#, &words);
            config.access = Access { rows, ..Access::open() };
        }
    });
    join(&hub, "lobby", "ann").await;
    join(&hub, "attic", "bob").await;
    assert_eq!(rows(&hub, "seats/*", &sub("ann")).await, [r#"{"row":"lobby","seat":"ann"}"#]);
    let plan = plan_of(&hub, "seats/*", "ann");
    join(&hub, "lobby", "cid").await;
    assert!(plan.view.holds(), "it asks about her");
    join(&hub, "attic", "ann").await;
    assert!(!plan.view.holds());
    assert_eq!(rows(&hub, "seats/*", &sub("ann")).await.len(), 4);
}
