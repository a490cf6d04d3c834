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
use tidegate_hub::Order;

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
    let mut walk = Walk::new(tails, watcher, Borrowed(sink));
    let mut arrived = arrive(reins, &until, walk.begin(watcher)).await?;
    loop {
        let place = match arrived {
            Ok(place) => place,
            Err(problem) => return close(walk.into_parts().2, watcher, problem).await,
        };
        let (own, hold, mut sink) = walk.into_parts();
        let subscription = Subscription::new(hold);
        match live(tails, &subscription, place, (reins, &mut until), &mut sink).await? {
            Left::Behind { at } => {
                tails.stats().behind.fetch_add(1, Ordering::Relaxed);
                walk = Walk::behind(own, subscription.into_hold(), sink);
                arrived = arrive(reins, &until, walk.again(at)).await?;
            }
            Left::Draining => return close(sink, watcher, tails.hub().draining_problem()).await,
            Left::Ended(problem) => return close(sink, watcher, problem).await,
        }
    }
}

/// A walk to its end, unless its watch ends before. What it has written until then is whole frames.
async fn arrive(
    reins: &Reins,
    until: &Option<Until>,
    walk: impl Future<Output = io::Result<Result<Place, Problem>>>,
) -> io::Result<Result<Place, Problem>> {
    tokio::select! {
        biased;
        Order::End(problem) = reins.order() => Ok(Err(problem)),
        () = ended(until) => Ok(Err(expired())),
        arrived = walk => arrived,
    }
}

/// Why a live watcher stops to be one.
enum Left {
    Behind { at: Offset },
    Draining,
    Ended(Problem),
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
            () = &mut draining => return Ok(Left::Draining),
            order = reins.order() => match order {
                Order::End(problem) => return Ok(Left::Ended(problem)),
            },
            end = due(until) => match end {
                None => return Ok(Left::Ended(expired())),
                Some(until) => {
                    let encoding = subscription.hold().tail.key.encoding;
                    sink.write(&[until.notice(encoding, Instant::now())], None).await?;
                    continue;
                }
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

/// Returns when a right has ended, or with it when its client is to be told.
async fn due(until: &mut Option<Until>) -> Option<&mut Until> {
    let Some(until) = until else { return std::future::pending().await };
    loop {
        match until.due(Instant::now()) {
            Due::Nothing(at) => tokio::time::sleep_until(at.into()).await,
            Due::Notice => return Some(until),
            Due::End => return None,
        }
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
