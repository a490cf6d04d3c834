//! What came since a position: the same bytes kept as read, and one read for all who wait for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http_body_util::BodyExt;
use rand::Rng as _;
use tidegate_hub::Plan;

use super::exact::{CHANGES, change, seeded, shown};
use super::*;
use crate::poll::poll;
use crate::read::answers::Position;
use crate::read::since::read;

const ASKED: [&str; 8] = [
    "rows/0?snapshot=false",
    "rows/*?limit=2",
    "rows/1?limit=1&chain=true",
    "ring/*",
    "events/0?limit=3&chain=true",
    "events/*?filter=data.step%20%3E%20100&limit=4",
    "ring-events/0",
    "ring-events/*?limit=3",
];

/// Whatever happens to the log: what is answered from a position is, to the byte, what a read gives then.
#[tokio::test]
async fn what_came_since_is_what_would_be_read() {
    let mut random = seeded();
    let rig = Rig::new(64 * MIB);
    for step in 0..CHANGES {
        change(&rig, &mut random, step);
        for _ in 0..4 {
            let (plan, mut asked) = rig.asked(ASKED[random.random_range(0..ASKED.len())]);
            let log = &plan.channel.log;
            let oldest = log.head().saturating_sub(12).max(log.start());
            let after = random.random_range(oldest..=log.head());
            asked.after = Some(Position { after, exact: true, prev: asked.chain.then_some(after) });
            let came = || {
                read(&rig.gateway, &plan, &asked, Position { after, exact: true, prev: asked.chain.then_some(after) })
            };
            let answered = rig.gateway.answers.get(&plan.channel, &asked, came()).await.expect("an answer");
            let read = came().await.expect("read");
            assert_eq!(shown(&answered), shown(&read), "{asked:?} at step {step}");
        }
    }
    let figures = rig.gateway.answers.figures();
    assert!(figures.kept > CHANGES as u64 / 10 && figures.read > CHANGES as u64 / 4, "{figures:?}");
}

#[tokio::test]
async fn a_thousand_who_wait_cost_one_read() {
    let rig = Rig::new(64 * MIB);
    rig.upsert("rows/0", "k", "1".to_owned());
    let (plan, asked) = rig.asked("rows/0");
    let cursor = plan.channel.cursor(&asked.view, plan.channel.log.head());
    let anybody = crate::caller::Caller::anonymous();
    let mut all: Vec<_> = (0..1_000)
        .map(|_| {
            let options = Options::read(Some(&format!("after={cursor}&wait=60s")), &HeaderMap::new()).expect("options");
            Box::pin(poll(&rig.gateway, Target::parse("rows/0").expect("a target"), options, &anybody))
        })
        .collect();
    for one in &mut all {
        assert!(now(one.as_mut()).is_pending());
    }
    // Nothing of theirs: they wait on.
    rig.upsert("rows/1", "k", "2".to_owned());
    rig.upsert("rows/0", "k", "3".to_owned());
    let mut bodies = Vec::new();
    for one in all {
        let answer = one.await.expect("an answer");
        bodies.push(answer.into_body().collect().await.expect("a body").to_bytes());
    }
    assert!(std::str::from_utf8(&bodies[0]).expect("text").contains("\"data\":3"));
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let figures = rig.gateway.answers.figures();
    assert_eq!((figures.read, figures.kept, figures.polls), (1, 999, 1_000));
}

fn now<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

impl Rig {
    /// Who asks for frames of `/v1/…`, but for where they begin.
    fn asked(&self, url: &str) -> (Plan, Asked) {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let options = Options::read(Some(query), &HeaderMap::new()).expect("options");
        let plan = self
            .gateway
            .hub
            .plan(&options.request(Target::parse(path).expect("a target")), &Caller::anonymous())
            .expect("a plan");
        let (limit, chain) = (options.limit.unwrap_or(HISTORY), options.chain);
        let asked =
            Asked { channel: plan.channel.log.id(), view: plan.view.clone(), limit, chain, after: None, oldest: None };
        (plan, asked)
    }
}
