//! One watcher's life on the general path, where its socket is no lane's: TLS, HTTP/2, tests.
//!
//! ```text
//!   walk to the live tail ─► live: take chunks of the tail ─┐ drain
//!        ▲                          │ behind the ring       ▼
//!        └──────────────────────────┘                     close
//! ```

use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::{Cursor, ErrorCode, Offset, Problem};
use tidegate_hub::{Order, Regard, Renewal};

use crate::lane::plan;
use crate::reins::Reins;
use crate::tail::{Place, Take};
use crate::tails::{Subscription, Tails};
use crate::until::{Due, Until, expired};
use crate::walk::{Sink, Walk, Watcher, close_frame, leave};

/// How a watch ended.
#[derive(Debug)]
pub enum End {
    /// A `close` frame with this code was written.
    Closed(ErrorCode),
    /// The client went away.
    Gone(io::Error),
}

/// Writes the whole watch to `sink`, until it ends or is told to.
pub async fn follow(tails: &Tails, watcher: &Watcher, reins: &Reins, sink: &mut impl Sink) -> End {
    match run(tails, watcher, reins, sink).await {
        Ok(code) => End::Closed(code),
        Err(error) => End::Gone(error),
    }
}

async fn run(tails: &Tails, watcher: &Watcher, reins: &Reins, sink: &mut impl Sink) -> io::Result<ErrorCode> {
    let mut until = watcher.until.map(Until::new);
    // Where the client stands that has heard nothing yet.
    let mut began = watcher.plan.stands();
    let mut walk = Walk::new(tails, watcher, Borrowed(sink));
    let mut arrived = arrive(reins, &mut until, walk.begin(watcher)).await?;
    loop {
        let (regard, stands, sink) = match arrived {
            Arrived::There(place) => {
                let (own, hold, mut sink) = walk.into_parts();
                let subscription = Subscription::new(hold);
                match live(tails, &subscription, place, (reins, &mut until), &mut sink).await? {
                    Left::Behind { at } => {
                        tails.stats().behind.fetch_add(1, Ordering::Relaxed);
                        walk = Walk::behind(own, subscription.into_hold(), sink);
                        arrived = arrive(reins, &mut until, walk.again(at)).await?;
                        continue;
                    }
                    Left::Over { regard, at } => (regard, Some(subscription.hold().cursor(at)), sink),
                    Left::Ended(problem) => return close(sink, watcher, problem).await,
                }
            }
            Arrived::Ended(problem) => return close(walk.into_parts().2, watcher, problem).await,
            Arrived::Over(regard) => {
                let stands = walk.stands().or(began);
                (regard, stands, walk.into_parts().2)
            }
        };
        match plan(tails, *regard, stands).await {
            Ok(plan) => {
                began = plan.stands();
                let over = Watcher::over(plan, watcher.encoding, watcher.chain);
                walk = Walk::new(tails, &over, sink);
                arrived = arrive(reins, &mut until, walk.go_over(&over)).await?;
            }
            Err(problem) => return close(sink, watcher, problem).await,
        }
    }
}

/// How a walk has ended.
enum Arrived {
    There(Place),
    Ended(Problem),
    /// It is to see something else.
    Over(Box<Regard>),
}

/// A walk to its end, unless something happens to its watch before. What it has written until then is whole frames.
async fn arrive(
    reins: &Reins,
    until: &mut Option<Until>,
    walk: impl Future<Output = io::Result<Result<Place, Problem>>>,
) -> io::Result<Arrived> {
    let mut walk = std::pin::pin!(walk);
    loop {
        tokio::select! {
            biased;
            order = reins.order() => match order {
                Order::End(problem) => return Ok(Arrived::Ended(problem)),
                Order::Renew(renewal) => if let Some(regard) = renewed(*renewal, until) {
                    return Ok(Arrived::Over(regard));
                },
            },
            () = ended(until) => return Ok(Arrived::Ended(expired())),
            arrived = &mut walk => return Ok(match arrived? {
                Ok(place) => Arrived::There(place),
                Err(problem) => Arrived::Ended(problem),
            }),
        }
    }
}

/// Its end moves. Returns what it sees, if that is something else.
fn renewed(renewal: Renewal, until: &mut Option<Until>) -> Option<Box<Regard>> {
    *until = Until::renewed(*until, renewal.until);
    renewal.regard.map(Box::new)
}

/// Why a live watcher stops to be one.
enum Left {
    Behind { at: Offset },
    Ended(Problem),
    Over { regard: Box<Regard>, at: Offset },
}

async fn live(
    tails: &Tails,
    subscription: &Subscription,
    place: Place,
    (reins, until): (&Reins, &mut Option<Until>),
    sink: &mut impl Sink,
) -> io::Result<Left> {
    let Place { chunk: mut next, upto: mut at, .. } = place;
    let mut chunks = Vec::new();
    let mut draining = std::pin::pin!(leave(tails.hub()));
    loop {
        chunks.clear();
        let take = tokio::select! {
            biased;
            () = &mut draining => return Ok(Left::Ended(tails.hub().draining_problem())),
            order = reins.order() => match order {
                Order::End(problem) => return Ok(Left::Ended(problem)),
                Order::Renew(renewal) => match renewed(*renewal, until) {
                    Some(regard) => return Ok(Left::Over { regard, at }),
                    None => continue,
                },
            },
            () = due(until) => match until {
                Some(until) if until.due(Instant::now()) == Due::Notice => {
                    let encoding = subscription.hold().tail.key.encoding;
                    sink.write(&[until.notice(encoding, Instant::now())], None).await?;
                    continue;
                }
                _ => return Ok(Left::Ended(expired())),
            },
            take = subscription.take(next, &mut chunks) => take,
        };
        match take {
            Take::Behind => return Ok(Left::Behind { at }),
            Take::Chunks { next: after, upto, frames } => {
                sink.write(&chunks, None).await?;
                tails.count_sent(frames, chunks.iter().map(Bytes::len).sum());
                (next, at) = (after, upto);
            }
        }
    }
}

/// Returns when a right has ended.
async fn ended(until: &Option<Until>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.at().into()).await,
        None => std::future::pending().await,
    }
}

/// Returns when a right has ended, or its client is to be told that it will.
async fn due(until: &Option<Until>) {
    let Some(until) = until else { return std::future::pending().await };
    while let Due::Nothing(at) = until.due(Instant::now()) {
        tokio::time::sleep_until(at.into()).await;
    }
}

async fn close(mut sink: impl Sink, watcher: &Watcher, problem: Problem) -> io::Result<ErrorCode> {
    sink.write(&[close_frame(watcher.encoding, &problem)], None).await?;
    Ok(problem.code)
}

struct Borrowed<'s, S>(&'s mut S);

impl<S: Sink> Sink for Borrowed<'_, S> {
    async fn write(&mut self, chunks: &[Bytes], stands: Option<Cursor>) -> io::Result<()> {
        self.0.write(chunks, stands).await
    }
}
