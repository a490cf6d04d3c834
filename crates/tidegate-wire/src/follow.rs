//! One watcher's life on the general path, where its socket is no lane's: TLS, HTTP/2, tests.
//!
//! ```text
//!   walk to the live tail ─► live: take chunks of the tail ─┐ drain
//!        ▲                          │ behind the ring       ▼
//!        └──────────────────────────┘                     close
//! ```

mod pace;

use std::future::Future;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_core::{Cursor, ErrorCode, Offset, Problem};
use tidegate_hub::{Listening, Order, Regard, Renewal, Standing, WatchGuard};

use crate::lane::{old, plan};
use crate::reins::Reins;
use crate::tail::{Place, Take};
use crate::tails::{Subscription, Tails};
use crate::until::{Due, Until, expired};
use crate::walk::{Sink, Walk, Watcher, close_frame, leave};
use pace::{Pace, at_age};

/// How often what a metered watch is told is counted.
const METER_EVERY: Duration = Duration::from_secs(1);
/// So many rounds of frames, and it is looked whether something else has happened.
const LOOK_EVERY: u32 = 16;

/// A watch stops with this before anything is written that it is not allowed any more.
const NOT_ALLOWED: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// How a watch ended.
#[derive(Debug)]
pub enum End {
    /// A `close` frame with this code was written.
    Closed(ErrorCode),
    /// The client went away.
    Gone(io::Error),
}

/// Writes the whole watch to `sink`, until it ends or is told to. `listed`: where it is on the list, so that it can be judged
/// anew.
pub async fn follow(
    tails: &Tails,
    watcher: &Watcher,
    reins: &Arc<Reins>,
    listed: Option<&WatchGuard>,
    sink: &mut impl Sink,
) -> End {
    let rights = Rights { tails, reins, listed, held: Mutex::default() };
    rights.hold(watcher.plan.standing.clone());
    match run(&rights, watcher, sink).await {
        Ok(code) => End::Closed(code),
        Err(error) => End::Gone(error),
    }
}

/// What a watch is allowed by, and what may happen to that.
struct Rights<'r> {
    tails: &'r Tails,
    reins: &'r Arc<Reins>,
    listed: Option<&'r WatchGuard>,
    held: Mutex<(Standing, Listening)>,
}

impl Rights<'_> {
    /// From now on this is what it is allowed by.
    fn hold(&self, standing: Standing) {
        let handle = self.reins.handle();
        let listening = standing.listen(move || handle.tell(Order::Judge));
        if !standing.holds_from_now() {
            self.reins.handle().tell(Order::Judge);
        }
        *self.held.lock().expect("no holder of this lock panics") = (standing, listening);
    }

    /// Whether that is still so.
    fn holds(&self) -> bool {
        self.held.lock().expect("no holder of this lock panics").0.holds()
    }

    /// The same, if that is told already and what it sees is as it was.
    fn hold_what_is_told(&self) -> bool {
        let told = self.reins.unchanged();
        told.is_some_and(|standing| {
            self.hold(standing);
            self.holds()
        })
    }

    /// Its end moves. Returns what it sees, if that is something else.
    fn renewed(&self, renewal: Renewal, until: &mut Option<Until>) -> Option<Box<Regard>> {
        *until = Until::renewed(*until, renewal.until);
        self.hold(renewal.standing);
        renewal.regard.map(Box::new)
    }

    /// What a walk comes to that has stopped before it said something that is not allowed any more: what it is told, or else
    /// what it is judged to see.
    fn told_or_judged(&self, until: &mut Option<Until>) -> Result<Option<Box<Regard>>, Problem> {
        match self.reins.take() {
            Some(Order::End(problem)) => return Err(problem),
            Some(Order::Renew(renewal)) => {
                if let Some(regard) = self.renewed(*renewal, until) {
                    return Ok(Some(regard));
                }
            }
            Some(Order::Judge) | None => {}
        }
        self.judge(true)
    }

    /// Something has changed that it was allowed by. Returns what it sees, if that is something else or is to be told `anew`.
    fn judge(&self, anew: bool) -> Result<Option<Box<Regard>>, Problem> {
        let hub = self.tails.hub();
        let unlisted = || Problem::new(ErrorCode::Internal, "what the watch is allowed by has changed");
        let judged = self.listed.ok_or_else(unlisted)?.change(|entry| hub.judge_again(entry, anew))?;
        self.hold(judged.standing);
        Ok(judged.regard.map(Box::new))
    }
}

async fn run(rights: &Rights<'_>, watcher: &Watcher, sink: &mut impl Sink) -> io::Result<ErrorCode> {
    let Rights { tails, .. } = *rights;
    let mut until = watcher.until.map(Until::new);
    let mut pace = Pace::new(tails, watcher);
    // Where the client stands that has heard nothing yet.
    let mut began = watcher.plan.stands();
    let mut walk = Walk::new(tails, watcher, Allowed { sink, rights, begun: false });
    let mut arrived = arrive(rights, &mut until, walk.begin(watcher)).await?;
    loop {
        let (regard, stands, sink) = match arrived {
            Arrived::There(place) => {
                let (own, hold, mut sink) = walk.into_parts();
                if let Some(turned) = pace.give_way(&own, &hold, &mut sink).await? {
                    walk = Walk::behind(own, turned, sink);
                    arrived = arrive(rights, &mut until, walk.again(place.upto)).await?;
                    continue;
                }
                let subscription = Subscription::new(hold);
                match live(rights, &subscription, place, (&mut until, &mut pace), &mut sink).await? {
                    Left::Load { at } => {
                        // Where it belongs now is seen when it has arrived.
                        walk = Walk::behind(own, subscription.into_hold(), sink);
                        arrived = arrive(rights, &mut until, walk.again(at)).await?;
                        continue;
                    }
                    Left::Behind { at } => {
                        tails.stats().behind.fetch_add(1, Ordering::Relaxed);
                        walk = Walk::behind(own, subscription.into_hold(), sink);
                        arrived = arrive(rights, &mut until, walk.again(at)).await?;
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
        // Where it came from under load is a view that it may not have any more.
        pace.slowed = None;
        match plan(tails, *regard, stands).await {
            Ok(plan) => {
                began = plan.stands();
                let mut over = Watcher::over(plan, watcher.encoding, watcher.chain);
                let begun = sink.begun;
                walk = Walk::new(tails, &over, sink);
                if begun {
                    arrived = arrive(rights, &mut until, walk.go_over(&over)).await?;
                } else {
                    (over.id, over.options) = (watcher.id.clone(), watcher.options.clone());
                    arrived = arrive(rights, &mut until, walk.begin(&over)).await?;
                }
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
    rights: &Rights<'_>,
    until: &mut Option<Until>,
    walk: impl Future<Output = io::Result<Result<Place, Problem>>>,
) -> io::Result<Arrived> {
    let mut walk = std::pin::pin!(walk);
    loop {
        tokio::select! {
            biased;
            order = rights.reins.order() => match order {
                Order::End(problem) => return Ok(Arrived::Ended(problem)),
                Order::Renew(renewal) => if let Some(regard) = rights.renewed(*renewal, until) {
                    return Ok(Arrived::Over(regard));
                },
                Order::Judge => match rights.judge(false) {
                    Ok(None) => {}
                    Ok(Some(regard)) => return Ok(Arrived::Over(regard)),
                    Err(problem) => return Ok(Arrived::Ended(problem)),
                },
            },
            () = ended(until) => return Ok(Arrived::Ended(expired())),
            arrived = &mut walk => return match arrived {
                Ok(Ok(place)) => Ok(Arrived::There(place)),
                Ok(Err(problem)) => Ok(Arrived::Ended(problem)),
                // It has stopped before something was written that is not allowed any more.
                Err(error) if error.kind() == NOT_ALLOWED => Ok(match rights.told_or_judged(until) {
                    Ok(Some(regard)) => Arrived::Over(regard),
                    Ok(None) => return Err(error),
                    Err(problem) => Arrived::Ended(problem),
                }),
                Err(error) => Err(error),
            },
        }
    }
}

/// Why a live watcher stops to be one.
enum Left {
    Behind {
        at: Offset,
    },
    /// Others give way under load than before, or its caller was told more than it may be, or no more.
    Load {
        at: Offset,
    },
    Ended(Problem),
    Over {
        regard: Box<Regard>,
        at: Offset,
    },
}

async fn live(
    rights: &Rights<'_>,
    subscription: &Subscription,
    place: Place,
    (until, pace): (&mut Option<Until>, &mut Pace),
    sink: &mut impl Sink,
) -> io::Result<Left> {
    let Place { chunk: mut next, upto: mut at, .. } = place;
    let (mut chunks, tails) = (Vec::new(), rights.tails);
    let mut rounds = 0_u32;
    loop {
        let disturbance = {
            let mut disturbed = std::pin::pin!(disturbed(rights, *until, pace));
            loop {
                chunks.clear();
                // What is rare is looked at when there is nothing to take, and now and then.
                rounds = rounds.wrapping_add(1);
                let take = match rounds.is_multiple_of(LOOK_EVERY) {
                    false => tokio::select! {
                        biased;
                        take = subscription.take(next, &mut chunks) => take,
                        disturbance = &mut disturbed => break disturbance,
                    },
                    true => tokio::select! {
                        biased;
                        disturbance = &mut disturbed => break disturbance,
                        take = subscription.take(next, &mut chunks) => take,
                    },
                };
                match take {
                    Take::Behind => return Ok(Left::Behind { at }),
                    Take::Chunks { next: after, upto, frames } => {
                        match sink.write(&chunks, None).await {
                            // It is judged first, and takes them then or not at all: the order is there.
                            Err(error) if error.kind() == NOT_ALLOWED => break disturbed.await,
                            written => written?,
                        }
                        let bytes = chunks.iter().map(Bytes::len).sum();
                        tails.count_sent(frames, bytes);
                        pace.told.fetch_add(bytes as u64, Ordering::Relaxed);
                        (next, at) = (after, upto);
                    }
                }
            }
        };
        match disturbance {
            Disturbance::Draining => return Ok(Left::Ended(tails.hub().draining_problem())),
            Disturbance::Old => return Ok(Left::Ended(old())),
            Disturbance::Metered if pace.count() => return Ok(Left::Load { at }),
            Disturbance::Metered => {}
            Disturbance::Load => return Ok(Left::Load { at }),
            Disturbance::Order(Order::End(problem)) => return Ok(Left::Ended(problem)),
            Disturbance::Order(Order::Renew(renewal)) => {
                if let Some(regard) = rights.renewed(*renewal, until) {
                    return Ok(Left::Over { regard, at });
                }
            }
            Disturbance::Order(Order::Judge) => match rights.judge(false) {
                Ok(None) => {}
                Ok(Some(regard)) => return Ok(Left::Over { regard, at }),
                Err(problem) => return Ok(Left::Ended(problem)),
            },
            Disturbance::Due => match until {
                Some(until) if until.due(Instant::now()) == Due::Notice => {
                    let encoding = subscription.hold().tail.key.encoding;
                    let notice = until.notice(encoding, Instant::now());
                    match sink.write(&[notice], None).await {
                        Err(error) if error.kind() == NOT_ALLOWED => {}
                        written => written?,
                    }
                }
                _ => return Ok(Left::Ended(expired())),
            },
        }
    }
}

/// What happens to a live watch beside its frames.
enum Disturbance {
    Draining,
    /// It is as old as it may become.
    Old,
    /// What it was told is to be counted.
    Metered,
    /// Others give way under load than before.
    Load,
    Order(Order),
    /// Its right ends, or its client is to be told that it will.
    Due,
}

async fn disturbed(rights: &Rights<'_>, until: Option<Until>, pace: &Pace) -> Disturbance {
    let mut level = pace.level.clone();
    tokio::select! {
        biased;
        () = leave(rights.tails.hub()) => Disturbance::Draining,
        () = at_age(pace.ends) => Disturbance::Old,
        changed = level.changed() => match changed {
            Ok(()) => Disturbance::Load,
            // The tails are being dropped.
            Err(_) => Disturbance::Draining,
        },
        order = rights.reins.order() => Disturbance::Order(order),
        () = due(&until) => Disturbance::Due,
        () = tokio::time::sleep(METER_EVERY), if pace.metered.is_some() => Disturbance::Metered,
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

/// Also who may not see anything any more is told that. Whoever has heard it finds the watch no more.
async fn close<S: Sink>(sink: Allowed<'_, S>, watcher: &Watcher, problem: Problem) -> io::Result<ErrorCode> {
    sink.rights.listed.inspect(|listed| listed.end());
    sink.sink.write(&[close_frame(watcher.encoding, &problem)], None).await?;
    Ok(problem.code)
}

/// Writes what its watch is still allowed.
struct Allowed<'s, S> {
    sink: &'s mut S,
    rights: &'s Rights<'s>,
    /// Something was written: its client knows how it began.
    begun: bool,
}

impl<S: Sink> Sink for Allowed<'_, S> {
    async fn write(&mut self, chunks: &[Bytes], stands: Option<Cursor>) -> io::Result<()> {
        if self.rights.reins.stops() || !self.rights.holds() && !self.rights.hold_what_is_told() {
            return Err(NOT_ALLOWED.into());
        }
        self.begun = true;
        self.sink.write(chunks, stands).await
    }
}
