//! One principal: it watches, is cut, and goes on, until it has what is its own in the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tidegate_core::Kind;
use tidegate_testkit::client::{Ask, Ended, Transport, Watch};
use tidegate_testkit::replica::Replica;
use tokio::sync::watch;
use tokio::time::Instant;

use super::CANARY;
use super::audit::Audit;
use crate::gateway::PATIENCE;

/// A connection of the restless lives so many milliseconds.
const LIVES_MS: std::ops::Range<u64> = 300..3_000;

/// Who is refused for the moment comes back after this.
const COMES_BACK_AFTER: Duration = Duration::from_millis(50);

pub(super) struct Principal {
    pub(super) name: String,
    pub(super) token: String,
    pub(super) transport: Transport,
    /// It leaves its connections soon, for others.
    pub(super) restless: bool,
    pub(super) seed: u64,
}

/// What all of them watch, and when they may stop.
#[derive(Clone)]
pub(super) struct Watched {
    server: SocketAddr,
    begun: Arc<watch::Sender<u64>>,
    audit: Arc<watch::Sender<Option<Arc<Audit>>>>,
}

/// What one of them was told.
pub(super) struct Heard {
    pub(super) name: String,
    /// Each frame of a row, also what a cut took back.
    pub(super) ever: Vec<Value>,
    /// Those behind which a cursor stands, since the last snapshot began.
    pub(super) settled: Vec<Value>,
    pub(super) cuts: usize,
}

impl Watched {
    pub(super) fn begin(server: SocketAddr) -> Watched {
        Watched { server, begun: Arc::new(watch::channel(0).0), audit: Arc::new(watch::channel(None).0) }
    }

    /// Waits until so many hold their first rows.
    pub(super) async fn all_have_begun(&self, count: u64) {
        let mut begun = self.begun.subscribe();
        let all = begun.wait_for(|begun| *begun >= count);
        drop(tokio::time::timeout(PATIENCE, all).await.expect("first rows in time").expect("somebody watches"));
    }

    /// Nothing more will happen.
    pub(super) fn tell(&self, audit: Arc<Audit>) {
        self.audit.send_replace(Some(audit));
    }
}

impl Principal {
    /// Follows its rows until they are those of the end.
    ///
    /// # Errors
    /// What no server should send.
    pub(super) async fn watch(self, watched: Watched) -> Result<Heard, String> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut replica = Replica::state();
        let mut heard = Heard { name: self.name.clone(), ever: Vec::new(), settled: Vec::new(), cuts: 0 };
        let mut audit = watched.audit.subscribe();
        let mut begun = false;
        loop {
            let transport =
                if self.restless { *Transport::ALL.choose(&mut rng).expect("some") } else { self.transport };
            let ask = Ask {
                token: Some(self.token.clone()),
                cursor: replica.cursor.clone(),
                chain: true,
                ..Ask::new("docs/*", true, Kind::State)
            };
            let until = self.restless.then(|| Instant::now() + Duration::from_millis(rng.random_range(LIVES_MS)));
            let mut pending = Vec::new();
            let follow = async {
                let mut watch = Watch::open(watched.server, transport, &ask).await?;
                loop {
                    let ending = audit.borrow_and_update().clone();
                    if replica.settled()
                        && ending.is_some_and(|audit| replica.rows() == Some(&audit.rows_of(&self.name)))
                    {
                        return Ok(());
                    }
                    let frame = tokio::select! {
                        frame = watch.next_frame() => frame?,
                        _ = audit.changed() => continue,
                    };
                    self.take(&frame, &mut replica, &mut heard, &mut pending).map_err(Ended::Garbage)?;
                    if replica.settled() && !begun {
                        begun = true;
                        watched.begun.send_modify(|count| *count += 1);
                    }
                }
            };
            let ended = match until {
                Some(until) => tokio::time::timeout_at(until, follow).await.unwrap_or(Err(Ended::Cut)),
                None => follow.await,
            };
            match ended {
                Ok(()) => return Ok(heard),
                Err(Ended::Cut) => heard.cuts += 1,
                // The table is being loaded.
                Err(Ended::Refused(answer)) if answer.head.status == 503 => {
                    tokio::time::sleep(COMES_BACK_AFTER).await;
                }
                Err(ended) => return Err(format!("{} over {transport:?}: {ended:?}", self.name)),
            }
            replica.cut();
        }
    }

    fn take(
        &self,
        frame: &Value,
        replica: &mut Replica,
        heard: &mut Heard,
        pending: &mut Vec<Value>,
    ) -> Result<(), String> {
        if frame.to_string().contains(CANARY) {
            return Err(format!("a masked column was sent: {frame}"));
        }
        replica.apply(frame).map_err(|violation| violation.0)?;
        if replica.lost + replica.doubled > 0 {
            return Err(format!("the chain is broken by {frame}"));
        }
        if frame["op"] == "reset" {
            heard.settled.clear();
            pending.clear();
        }
        if frame.get("key").is_some() {
            heard.ever.push(frame.clone());
            pending.push(frame.clone());
        }
        if replica.settled() {
            heard.settled.append(pending);
        }
        Ok(())
    }
}
