//! A watch of a lane goes on by another credential: its end moves, and if it sees something else from now on, a task
//! brings it to another tail from where it stands.

use tidegate_core::{Cursor, Problem};
use tidegate_hub::{Judgement, Keeper, Order, Plan, Regard, Renewal, Standing, WatchPlace};

use super::handle::{Connection, LaneSink, arrive};
use super::inbox::ConnectionId;
use super::message::{Voice, WatchName};
use super::socket::{State, Walking};
use super::thread::Lane;
use crate::encoding::Encoding;
use crate::tails::Tails;
use crate::until::Until;
use crate::walk::{Walk, Watcher};

/// A watch that is to see something else.
struct Over {
    regard: Regard,
    stands: Option<Cursor>,
    encoding: Encoding,
    chain: bool,
}

impl Lane {
    /// Also one that is on its way to its tail.
    pub(super) fn renew(&mut self, id: ConnectionId, name: WatchName, renewal: Renewal) {
        let Renewal { until, regard, standing } = renewal;
        let Some(socket) = self.socket(id).filter(|socket| !socket.closing) else { return };
        let Some(at) = socket.watch(name) else { return };
        let watch = &mut socket.watches[at];
        watch.listed.change(|entry| entry.principal = entry.principal.settle());
        watch.until = Until::renewed(watch.until, until);
        if until.is_some() {
            self.look_at_rights = Some(self.now);
        }
        if let Some(regard) = regard {
            self.go_over(id, at, regard);
        }
        self.listen_for(id, name, &standing);
    }

    /// Something has changed that a watch was allowed by. It stops where it stands, or goes on if nothing has changed for it.
    pub(super) fn judge(&mut self, id: ConnectionId, name: WatchName) {
        let hub = self.hub.clone();
        let Some(socket) = self.socket(id).filter(|socket| !socket.closing) else { return };
        let Some(at) = socket.watch(name) else { return };
        match socket.watches[at].listed.change(|entry| hub.judge_again(entry, false)) {
            Ok(Judgement { regard, standing }) => {
                if let Some(regard) = regard {
                    self.go_over(id, at, regard);
                }
                self.listen_for(id, name, &standing);
            }
            Err(problem) => self.end(id, name, &problem),
        }
    }

    /// From now on a watch is judged anew when this changes.
    pub(super) fn listen_for(&mut self, id: ConnectionId, name: WatchName, standing: &Standing) {
        let (inbox, place) = (self.inbox.clone(), WatchPlace { connection: id.bits(), name });
        let tell = move || inbox.tell(place, Order::Judge);
        let Some(socket) = self.socket(id) else { return };
        let Some(at) = socket.watch(name) else { return };
        let listening = (!standing.is_settled()).then(|| Box::new(standing.listen(tell.clone())));
        socket.watches[at].listening = listening;
        if !standing.holds_from_now() {
            // It has changed before anybody listened.
            tell();
        }
    }

    /// A watch that has not said how it began does so first.
    pub(super) fn go_over(&mut self, id: ConnectionId, at: usize, regard: Regard) {
        if let Some(State::Walking(Walking { unsaid: Some(unsaid), .. })) =
            self.socket(id).and_then(|socket| Some(&mut socket.watches.get_mut(at)?.state))
        {
            unsaid.over = Some(regard);
            return;
        }
        let Some(tails) = self.tails() else { return };
        let Some(stands) = self.stands(id, at) else { return };
        let connection = Connection { inbox: self.inbox.clone(), id };
        let runtime = self.runtime.clone();
        let Some(socket) = self.socket(id) else { return };
        let encoding = socket.encoding;
        let watch = &mut socket.watches[at];
        // What its walk has still to say is of the view that it had.
        watch.life = watch.life.wrapping_add(1);
        // Where it came from under load is a view that it may not have any more.
        watch.slowed = None;
        let over = Over { regard, stands, encoding, chain: watch.chain };
        let sink = connection.sink(Voice { name: watch.name, life: watch.life });
        let walk = runtime.spawn(go_over(tails, over, sink)).abort_handle();
        let walking = State::Walking(Walking::said(stands, Some(walk)));
        let before = std::mem::replace(&mut watch.state, walking);
        self.release(before);
    }
}

async fn go_over(tails: Tails, over: Over, sink: LaneSink) {
    let Over { regard, stands, encoding, chain } = over;
    match plan(&tails, regard, stands).await {
        Ok(plan) => {
            let watcher = Watcher::over(plan, encoding, chain);
            let mut walk = Walk::new(&tails, &watcher, sink);
            let arrived = walk.go_over(&watcher).await;
            arrive(walk, arrived);
        }
        Err(problem) => sink.end(problem),
    }
}

/// Where blocking is allowed.
pub(crate) async fn plan(tails: &Tails, regard: Regard, stands: Option<Cursor>) -> Result<Plan, Problem> {
    let tails = tails.clone();
    tails.blocks().read(move || regard.plan(stands)).await
}
