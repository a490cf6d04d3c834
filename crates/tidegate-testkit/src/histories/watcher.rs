//! One watcher of one history: cut, paused, moved between transports and principals, and in the end compared.

mod asking;
mod caller;
mod frame;
mod link;
mod renewing;
mod revoking;
mod settling;
mod trace;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tidegate_core::Kind;
use tokio::sync::watch;
use tokio::time::Instant;

use self::caller::Shown;
use self::trace::Trace;
use super::heard::Heard;
use super::ledger::Ledger;
use super::look::{Look, Manner};
use super::moments::{Moment, Moments};
use super::plan::{Plan, Spec};
use super::report::Report;
use super::truth::Truth;
use crate::client::{Transport, http2};
use crate::model::Eye;
use crate::replica::{Holds, Replica};

/// After the last write a watcher has this long to catch up, on a machine that is busy.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Longer than any answer takes while the server is up.
const PATIENCE: Duration = Duration::from_secs(4);
/// What follows from a credential that was revoked or renewed may be lost, and then it never comes. How soon it comes is
/// reported, and held to a second where nothing else runs.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(30);

/// Watches until the truth is known and reached.
pub(super) async fn watch(
    (server, admin): (SocketAddr, SocketAddr),
    plan: Arc<Plan>,
    at: usize,
    mut written: watch::Receiver<usize>,
    (ledger, moments, truth): (Ledger, Moments, watch::Receiver<Option<Arc<Truth>>>),
) -> Report {
    let spec = plan.watchers[at].clone();
    // The writer may have given up: then there is nothing to wait for.
    drop(written.wait_for(|done| *done >= spec.joins_after).await);
    let replica = match spec.kind {
        Kind::State if spec.forget_at_reset => Replica::state().forget_at_reset(),
        Kind::State => Replica::state(),
        Kind::History => Replica::history(),
    };
    let mut watcher = Watcher {
        server,
        admin,
        rng: StdRng::seed_from_u64(spec.seed),
        replica,
        report: Report::default(),
        trace: Trace::default(),
        heard: Heard::default(),
        look: Look::default(),
        before: None,
        held: None,
        manner: Manner::default(),
        last_transport: None,
        connection: None,
        name: format!("{}-{at}", plan.number),
        tokens: 0,
        shown: Shown::default(),
        revoked: None,
        ledger,
        moments,
        past: None,
        begun_at: None,
        truth,
        plan,
        spec,
    };
    watcher.look = Look::random(watcher.plan.keyed, watcher.spec.kind, watcher.plan.rights.as_ref(), &mut watcher.rng);
    watcher.become_anybody();
    if let Err(difference) = watcher.run().await {
        watcher.tell(&difference);
    }
    watcher.report.heard = std::mem::take(&mut watcher.heard.counts);
    watcher.report.gaps = watcher.replica.gaps.len() as u64;
    watcher.report.resets = watcher.replica.resets.len() as u64;
    watcher.report
}

struct Watcher {
    server: SocketAddr,
    admin: SocketAddr,
    plan: Arc<Plan>,
    spec: Spec,
    rng: StdRng,
    replica: Replica,
    report: Report,
    trace: Trace,
    heard: Heard,
    /// How it looks, and how it is told.
    look: Look,
    manner: Manner,
    /// Until the first cursor after it began to look otherwise within its connection.
    before: Option<Before>,
    /// How it looked when it got its cursor; `None` without one.
    held: Option<Look>,
    last_transport: Option<Transport>,
    /// One of HTTP/2 that it has kept for its next stream.
    connection: Option<http2::Connection>,
    /// Which of all watchers it is.
    name: String,
    /// How many tokens it had.
    tokens: u64,
    /// What it shows of itself.
    shown: Shown,
    /// A token that the operator has revoked.
    revoked: Option<String>,
    ledger: Ledger,
    moments: Moments,
    /// It began as of this one, and says so for as long as its URL is repeated.
    past: Option<Moment>,
    /// The snapshot that comes next is as of this one.
    begun_at: Option<Moment>,
    truth: watch::Receiver<Option<Arc<Truth>>>,
}

/// How it looked, and was told, until a cursor that is still to come.
struct Before {
    look: Look,
    manner: Manner,
    /// The frame that brings it.
    op: &'static str,
}

/// Why a connection is given up.
enum Next {
    /// Another one follows.
    Again,
    /// The truth is reached.
    Done,
}

impl Watcher {
    async fn run(&mut self) -> Result<(), String> {
        let mut deadline = None;
        loop {
            let truth = self.truth.borrow().clone();
            if truth.is_some() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + CATCH_UP);
                if Instant::now() > deadline {
                    return Err(self.behind());
                }
            } else if self.truth.has_changed().is_err() {
                return Ok(()); // the writer gave up, and has said why
            }
            match self.connection(truth.is_some()).await? {
                Next::Again => self.cut(),
                Next::Done => {
                    self.settle().await?;
                    return Ok(());
                }
            }
        }
    }

    /// The connection is over.
    fn cut(&mut self) {
        self.replica.cut();
        self.heard.cut();
    }

    fn eye(&self) -> Eye {
        self.look.eye(&self.spec.scope, self.spec.kind, self.plan.rights.as_ref())
    }

    /// What the replica holds of the row of a frame.
    fn row(&self, frame: &Value) -> Option<&Value> {
        let id = (frame["address"].as_str()?.to_owned(), frame["key"].as_str()?.to_owned());
        self.replica.rows()?.get(&id)
    }

    fn hash(&self) -> Option<u64> {
        match &self.replica.holds {
            Holds::State(state) => Some(state.hash),
            Holds::History(_) => None,
        }
    }
}
