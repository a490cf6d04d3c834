//! A real OpenID provider issues short-lived tokens, rotates its keys and is told on, while many watch on four transports.
//!
//! Each watch renews its token in time, and gets each event once and in order; when their subject is revoked at the admin side
//! all of its watches end within a second, and nobody else's.

mod rig;
mod watcher;

use std::time::Duration;

use serde_json::json;
use tidegate_core::Kind;
use tidegate_testkit::client::http;
use tidegate_testkit::client::publish::types;
use tidegate_testkit::client::{Ask, Publish, Publisher, Transport, Watch, get_json_as};
use tokio::task::JoinSet;
use tokio::time::Instant;

use rig::{ADDRESS, PATIENCE, Rig, Who};
use watcher::{Heard, Watcher, Way};

/// All but a few of them are of one subject.
const WATCHES: usize = 200;
/// One on each transport is of another.
const OTHERS: usize = Way::ALL.len();
const TOKENS_LAST: u64 = 12;
/// The server reads keys once in ten seconds at most, so a rotation is noticed only then.
const ROTATES_AFTER: Duration = Duration::from_secs(11);
const PUBLISHES_FOR: Duration = Duration::from_secs(17);
const PUBLISHES_EVERY: Duration = Duration::from_millis(40);
/// From the answer to a revocation to the end of the last watch.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_renewed_keys_rotate_and_a_revocation_ends_its_watches() {
    let rig = Rig::start(TOKENS_LAST, "");
    let mut watches = JoinSet::new();
    for at in 0..WATCHES {
        let who = if at < OTHERS { Who::Others } else { Who::Tests };
        let way = Way::ALL[at % Way::ALL.len()];
        watches.spawn(Watcher { rig: rig.clone(), who, way, seed: at as u64 }.watch());
    }
    rig.all_watch(WATCHES).await;

    let mut publisher = Publisher::new(rig.at());
    let begun = Instant::now();
    let (mut published, mut rotated) = (0, false);
    while begun.elapsed() < PUBLISHES_FOR {
        published += 1;
        publish(&mut publisher, published).await;
        if !rotated && begun.elapsed() > ROTATES_AFTER {
            rotated = true;
            rig.rotate().await;
        }
        tokio::time::sleep(PUBLISHES_EVERY).await;
    }
    rig.over(published);
    tokio::select! {
        () = rig.all_have_heard(WATCHES) => {}
        Some(ended) = watches.join_next() => panic!("{:?}", ended.expect("a watch").err()),
    }

    let (ended, since) = revoke(&rig).await;
    let mut heard = Vec::new();
    let mut slowest = Duration::ZERO;
    while heard.len() < WATCHES - OTHERS {
        let next = tokio::time::timeout(PATIENCE, watches.join_next()).await.expect("each ends in time");
        let one: Heard = next.expect("more").expect("a watch").unwrap_or_else(|difference| panic!("{difference}"));
        assert_eq!(one.who, Who::Tests, "only who was revoked has ended");
        slowest = slowest.max(one.ended.duration_since(since));
        heard.push(one);
    }
    assert!(slowest < ENDS_WITHIN, "the last one ended after {slowest:?}");
    // Those of somebody else go on, and have had all of it as well.
    publish(&mut publisher, published + 1).await;
    rig.over(published + 1);
    rig.all_have_heard(OTHERS).await;
    rig.enough();
    while let Some(other) = watches.join_next().await {
        heard.push(other.expect("a watch").unwrap_or_else(|difference| panic!("{difference}")));
    }
    // Neither a token from before nor a fresh one of the same subject is let in.
    let fresh = rig.token(Who::Tests).await;
    let answer = get_json_as(rig.at(), &format!("/v1/{ADDRESS}"), Some(&fresh)).await.expect("an answer");
    assert_eq!(answer.head.status, 401, "{answer:?}");

    let renewals: usize = heard.iter().map(|one| one.renewals).sum();
    let least = heard.iter().map(|one| one.renewals).min().unwrap_or_default();
    println!(
        "{WATCHES} watches over {} transports heard {published} events each, once and in order, over {renewals} renewals (at least \
         {least} each) and a rotation of keys; a revocation ended {ended} of them, the last {slowest:.1?} after its answer",
        Way::ALL.len(),
    );
    assert!(least >= 2, "tokens were renewed");
}

async fn publish(publisher: &mut Publisher, number: u64) {
    let publish = Publish::post(ADDRESS, types::JSON, json!({ "n": number }).to_string());
    let answer = publisher.send(&publish).await.expect("an answer");
    assert_eq!(answer.head.status, 200, "{answer:?}");
}

/// Tells the admin side; returns how many it says have ended, and when it had answered.
async fn revoke(rig: &Rig) -> (u64, Instant) {
    let body = json!({ "subject": "tests" }).to_string();
    let headers = ["Content-Type: application/json".to_owned()];
    let answer = http::ask(rig.admin(), "POST", "/revocations", &headers, body.as_bytes()).await.expect("an answer");
    assert_eq!(answer.head.status, 200, "{answer:?}");
    (answer.body["ended"].as_u64().unwrap_or_default(), Instant::now())
}

/// Of opaque tokens the server asks the provider, also about those of open watches; what that revoked is refused, and ends,
/// when the answer is no longer held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_provider_revoked_is_refused_within_the_cache_time() {
    const CACHE: Duration = Duration::from_secs(2);
    let rig = Rig::start(60, "2s");
    let token = rig.opaque().await;
    let get =
        async || get_json_as(rig.at(), &format!("/v1/{ADDRESS}"), Some(&token)).await.expect("an answer").head.status;
    assert_eq!(get().await, 200);
    let mut watches = JoinSet::new();
    for transport in Transport::ALL.into_iter().filter(|transport| *transport != Transport::Poll) {
        let ask = Ask { token: Some(token.clone()), ..Ask::new(ADDRESS, false, Kind::History) };
        let mut watch = Watch::open(rig.at(), transport, &ask).await.expect("a watch");
        assert_eq!(watch.next_frame().await.expect("a frame")["op"], "begin");
        watches.spawn(async move {
            loop {
                let frame = watch.next_frame().await.expect("it ends in order");
                if frame["op"] == "close" {
                    return (frame["code"].clone(), Instant::now());
                }
            }
        });
    }
    // Longer than an answer is held: as long as the provider says that it is active, they go on.
    tokio::time::sleep(2 * CACHE).await;
    assert!(watches.try_join_next().is_none(), "a watch has ended whose token is active");
    rig.provider_revokes(&token).await;
    let since = Instant::now();
    while get().await != 401 {
        assert!(since.elapsed() < CACHE + Duration::from_secs(1), "it is let in for longer than the answer holds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = since.elapsed();
    let mut last = Duration::ZERO;
    while let Some(ended) = tokio::time::timeout(PATIENCE, watches.join_next()).await.expect("they end") {
        let (code, at) = ended.expect("a watch");
        assert_eq!(code, "unauthenticated");
        last = last.max(at - since);
    }
    assert!(last < CACHE + Duration::from_secs(1), "the last watch ended after {last:?}");
    println!("its watches ended {last:.1?} after the provider revoked it");
    println!("refused {refused:.1?} after the provider revoked it, with a cache of {CACHE:?}");
}
