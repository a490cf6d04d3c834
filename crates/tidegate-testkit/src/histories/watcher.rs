//! One watcher of one history: cut, paused, moved between transports and principals, and in the end compared.

mod caller;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tidegate_core::Kind;
use tokio::sync::watch;
use tokio::time::Instant;

use self::caller::{Revoked, Shown};
use super::heard::Heard;
use super::ledger::Ledger;
use super::look::{Look, Manner};
use super::moments::{Moment, Moments};
use super::plan::{Plan, Spec};
use super::report::Report;
use super::rights::CANARY;
use super::truth::Truth;
use crate::client::poll::Poll;
use crate::client::{Ask, Ended, Transport, Watch};
use crate::follower::difference;
use crate::model::Eye;
use crate::replica::{Replica, offset};

/// After the last write a watcher has this long to catch up, on a machine that is busy.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Frames kept for the report of a difference.
const TRACE: usize = 100;

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
        trace: VecDeque::new(),
        heard: Heard::default(),
        look: Look::default(),
        before_change: None,
        held: None,
        manner: Manner::default(),
        last_transport: None,
        caller: 0,
        shown: Shown::of(format!("{}-{at}", plan.number)),
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
    /// The last things that happened, for people.
    trace: VecDeque<String>,
    heard: Heard,
    /// How it looks, and how it is told.
    look: Look,
    manner: Manner,
    /// Until the first frame after a change on its socket: how it looked before.
    before_change: Option<(Look, Manner)>,
    /// How it looked when it got its cursor; `None` without one.
    held: Option<Look>,
    last_transport: Option<Transport>,
    /// Which of the principals of its channel it is.
    caller: usize,
    shown: Shown,
    ledger: Ledger,
    moments: Moments,
    /// It began as of this one, and says so for as long as its URL is repeated.
    past: Option<Moment>,
    /// The snapshot that comes next is as of this one.
    begun_at: Option<Moment>,
    truth: watch::Receiver<Option<Arc<Truth>>>,
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

    /// Opens one watch and follows it until it is cut, ends, or has shown everything.
    async fn connection(&mut self, writing_is_over: bool) -> Result<Next, String> {
        let transport = *Transport::ALL.choose(&mut self.rng).expect("some");
        if !writing_is_over {
            if self.rng.random_bool(0.25) {
                self.become_anybody();
            }
            self.intrude(transport).await?;
        }
        self.look_anew(transport, writing_is_over);
        if !writing_is_over {
            self.begin_anew();
        }
        let ask = self.ask(writing_is_over);
        let (look, how) = (self.look, self.manner);
        self.note(format!(
            "-- {transport:?} {:?} header:{} cut:{:?} {look:?} {how:?} caller:{}",
            ask.options(),
            ask.by_header,
            ask.cut_after,
            self.caller
        ));
        let lives = match writing_is_over {
            true => Duration::from_secs(20),
            false => Duration::from_millis(self.rng.random_range(50..4_000)),
        };
        self.before_change = None;
        self.begun_at = self.past.filter(|_| ask.cursor.is_none());
        let until = Instant::now() + lives;
        let opened = tokio::time::timeout_at(until, Watch::open(self.server, transport, &ask)).await;
        let mut watch = match opened {
            Ok(Ok(watch)) => watch,
            Ok(Err(ended)) => return self.ended(ended).await,
            Err(_) => return self.ended(Ended::Cut).await,
        };
        if ask.cursor.is_some() {
            *self.report.resumes.entry(transport).or_default() += 1;
            self.report.switches += u64::from(self.last_transport.is_some_and(|last| last != transport));
        }
        self.last_transport = Some(transport);
        let mut resumed = ask.cursor.is_some();
        let mut changing = None;
        let mut truth = self.truth.clone();
        loop {
            if self.reached() {
                return Ok(Next::Done);
            }
            let frame = tokio::select! {
                biased;
                frame = watch.next_frame() => frame,
                _ = truth.changed(), if !writing_is_over => continue,
                () = tokio::time::sleep_until(until) => Err(Ended::Cut),
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(ended) => return self.ended(ended).await,
            };
            if let (Some(changed), "done") = (changing, frame["op"].as_str().unwrap_or_default()) {
                // Who had not got a cursor yet begins anew.
                resumed = self.held == Some(self.look);
                self.before_change = Some((self.look, self.manner));
                (self.look, self.manner) = changed;
                (changing, self.begun_at) = (None, None);
                self.cut();
                self.note(format!("-- changed {:?} {:?}", self.look, self.manner));
                self.heard.count("changed amid a watch");
                continue;
            }
            if changing.is_some() && frame["op"] == "problem" {
                // Refused for the moment: it goes on as it is.
                if frame["retry_ms"].is_null() {
                    return Err(format!("no change: {frame}"));
                }
                changing = None;
                continue;
            }
            self.take(&frame, resumed)?;
            if changing.is_none() && !writing_is_over && self.rng.random_bool(0.05) {
                let before = (self.look, self.manner);
                self.look_anew(transport, false);
                let ask = Ask { from: None, at: None, cursor: None, ..self.ask(false) };
                let changed = (self.look, self.manner);
                (self.look, self.manner) = before;
                match watch.change(&ask).await {
                    Ok(true) => changing = Some(changed),
                    Ok(false) => {}
                    Err(ended) => return self.ended(ended).await,
                }
            }
            if changing.is_none() && !writing_is_over && self.rng.random_bool(0.02) {
                match self.revoke().await {
                    Revoked::Nothing => {}
                    Revoked::Unknown => return Ok(Next::Again),
                    Revoked::At(when) => {
                        Box::pin(self.hear_the_end(&mut watch, resumed, when)).await?;
                        self.come_back_with_the_same(transport, &ask).await?;
                        return Ok(Next::Again);
                    }
                }
            }
            if frame["op"] == "close" && frame["code"] == "out-of-reach" {
                return self.out_of_reach(&frame.to_string());
            }
            if frame["op"] == "close" {
                let wait = frame["retry_ms"].as_u64().ok_or_else(|| format!("closed for good: {frame}"))?;
                tokio::time::sleep(Duration::from_millis(wait.min(300))).await;
                return Ok(Next::Again);
            }
            if !writing_is_over && self.rng.random_bool(0.03) {
                // With a small buffer, long enough to fall off the tail where much is written.
                let most = if ask.receive_buffer.is_some() { 3_000 } else { 200 };
                let pause = self.rng.random_range(5..most);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    /// Now and then another view, and each time another manner: what may change between two connections, and on a socket.
    fn look_anew(&mut self, transport: Transport, writing_is_over: bool) {
        let (keyed, kind, rng) = (self.plan.keyed, self.spec.kind, &mut self.rng);
        if !writing_is_over && rng.random_bool(0.15) {
            self.look = self.look.again(keyed, kind, self.plan.rights.as_ref(), rng);
        }
        let manner = Manner::random(keyed, kind, rng);
        // A poll is as often as it is asked.
        let rate = manner.rate.filter(|_| transport != Transport::Poll);
        let before = std::mem::replace(&mut self.manner, Manner { rate, ..manner });
        if self.held == Some(self.look) && before != self.manner {
            self.heard.count("another manner with the same cursor");
        }
    }

    /// Now and then from a moment of the past, with nothing in hand.
    fn begin_anew(&mut self) {
        if self.spec.kind == Kind::State && self.rng.random_bool(0.15) {
            self.past = self.moments.choose(&mut self.rng);
            if self.past.is_some() {
                self.replica.begin_anew();
                self.held = None;
            }
        }
    }

    fn ask(&mut self, writing_is_over: bool) -> Ask {
        let rng = &mut self.rng;
        let cut_after = match rng.random_range(0..4) {
            _ if writing_is_over || self.plan.pad_max > 10_000 => None,
            0 => Some(rng.random_range(0..800)),
            1 => Some(rng.random_range(0..8_000)),
            2 => Some(rng.random_range(0..80_000)),
            _ => None,
        };
        Ask {
            from: self.spec.from.clone(),
            at: self.past.map(|moment| moment.time.to_string()),
            key: self.spec.scope.key.as_deref().map(str::to_owned),
            filter: self.look.filter(rng),
            fields: self.look.fields(rng),
            mode: self.manner.mode,
            rate: self.manner.rate,
            chain: self.spec.chain,
            cursor: self.replica.cursor.clone(),
            by_header: rng.random(),
            token: self.shown.token.clone(),
            coding: [None, Some("gzip"), Some("zstd")][rng.random_range(0..3)],
            limit: rng.random_bool(0.5).then(|| rng.random_range(1..20)),
            cut_after,
            receive_buffer: rng.random_bool(0.3).then_some(4096),
            ..Ask::new(&self.spec.path, self.plan.keyed, self.spec.kind)
        }
    }

    fn take(&mut self, frame: &Value, resumed: bool) -> Result<(), String> {
        let text = frame.to_string();
        let hides = self.plan.rights.as_ref().is_some_and(|rights| rights.masks("secret"));
        if hides && text.contains(CANARY) {
            return Err(format!("a masked column was sent: {frame}"));
        }
        self.note(text);
        self.report.frames += 1;
        if let (Some(address), key) = (frame["address"].as_str(), frame["key"].as_str())
            && !self.spec.scope.matches(address, key)
        {
            return Err(format!("sent what was not asked for: {frame}"));
        }
        let before = self.replica.cursor.clone();
        self.replica.apply(frame).map_err(|violation| violation.0)?;
        self.ledger.judge(frame, self.row(frame), &self.eye())?;
        self.heard.frame(self.look, frame);
        if self.replica.lost + self.replica.doubled > 0 {
            return Err(format!("the chain of {before:?} is broken by {frame}"));
        }
        let op = frame["op"].as_str().unwrap_or_default();
        let other_view = self.spec.kind == Kind::State && self.held.is_some_and(|held| held != self.look);
        if matches!(op, "gap" | "reset") && resumed && !self.plan.trims && !(other_view && op == "reset") {
            return Err(format!("a loss where nothing was trimmed: {frame}"));
        }
        if op == "gap" && frame["reason"] != "retention" {
            return Err(format!("a loss that nobody caused: {frame}"));
        }
        let (was, is) = (before.as_deref().and_then(offset), self.replica.cursor.as_deref().and_then(offset));
        if let (Some(was), Some(is)) = (was, is)
            && is < was
        {
            return Err(format!("the cursor went back from {was:x}: {frame}"));
        }
        let Some(is) = is.filter(|_| frame.get("cursor").is_some()) else { return Ok(()) };
        if let Some(past) = self.begun_at.take_if(|_| frame["last"] == true) {
            if past.offset != is {
                return Err(format!("as of {past:?} it is {is:x}: {frame}"));
            }
            self.heard.count("as of a past time");
        }
        if op == "begin" && was.is_none() && is > 0 && self.spec.from.as_deref() == Some("start") && !self.plan.trims {
            return Err(format!("the start is not where it was: {frame}"));
        }
        if other_view && !self.heard.scanning() {
            return Err(format!("another view without a reset: {frame}"));
        }
        if let Some(held) = self.held.filter(|held| *held != self.look) {
            self.heard.count("another view with the same cursor");
            if held.sees_other_rows(self.look) {
                self.heard.count("the cursor of another principal");
            }
        }
        self.held = Some(self.look);
        // Where it stood is where it was told everything as it looked before.
        let told = self.before_change.take_if(|_| op == "begin").unwrap_or((self.look, self.manner));
        self.heard.stand(told, was, is, self.hash());
        Ok(())
    }

    fn eye(&self) -> Eye {
        self.look.eye(&self.spec.scope, self.spec.kind, self.plan.rights.as_ref())
    }

    /// What the replica holds of the row of a frame.
    fn row(&self, frame: &Value) -> Option<&Value> {
        let id = (frame["address"].as_str()?.to_owned(), frame["key"].as_str()?.to_owned());
        self.replica.rows()?.get(&id)
    }

    /// The connection is over.
    fn cut(&mut self) {
        self.replica.cut();
        self.heard.cut();
    }

    async fn ended(&mut self, ended: Ended) -> Result<Next, String> {
        self.note(format!("-- {ended:?}"));
        match ended {
            Ended::Cut => self.report.cuts += 1,
            Ended::Gone(_) => {
                let pause = self.rng.random_range(10..100);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Ended::Refused(answer) if matches!(answer.head.status, 503) => {
                let pause = self.rng.random_range(50..300);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            Ended::Refused(answer) if answer.head.status == 410 => return self.out_of_reach(&format!("{answer:?}")),
            Ended::Refused(answer) => return Err(format!("refused: {answer:?}")),
            Ended::Garbage(what) => return Err(what),
        }
        Ok(Next::Again)
    }

    /// Retention has taken the moment that was asked for.
    fn out_of_reach(&mut self, how: &str) -> Result<Next, String> {
        if !self.plan.trims || self.past.take().is_none() {
            return Err(format!("out of reach, and nothing was trimmed: {how}"));
        }
        self.heard.count("out of reach");
        Ok(Next::Again)
    }

    /// Whether the truth is known and this watcher has seen all of it.
    fn reached(&mut self) -> bool {
        let Some(truth) = self.truth.borrow_and_update().clone() else { return false };
        if !self.replica.settled() {
            return false;
        }
        let at = self.replica.cursor.as_deref().and_then(offset);
        match self.replica.rows() {
            Some(rows) => self.held == Some(self.look) && *rows == truth.rows(&self.eye()),
            None => at >= Some(truth.last_told(&self.eye())),
        }
    }

    /// Asks from the last cursor for what is left, until the head: nothing may come that changes
    /// the result. Then compares everything.
    async fn settle(&mut self) -> Result<(), String> {
        let Some(truth) = self.truth.borrow().clone() else { return Ok(()) };
        self.report.catch_up_max = truth.since.elapsed();
        self.note("-- settling".to_owned());
        self.manner.rate = None;
        let deadline = Instant::now() + CATCH_UP;
        let mut poll = None;
        while !self.replica.settled()
            || self.replica.cursor.as_deref().and_then(offset).is_none_or(|at| at < truth.head())
        {
            if Instant::now() > deadline {
                return Err(self.behind());
            }
            let resumed = self.replica.cursor.is_some();
            let mut polling = match poll.take() {
                Some(poll) => poll,
                None => Poll::new(self.server, Ask { limit: None, ..self.ask(true) }).wait("0s"),
            };
            if let Err(ended) = polling.round().await {
                self.cut();
                self.ended(ended).await?;
                continue;
            }
            while let Some(frame) = polling.pop() {
                self.take(&frame, resumed)?;
            }
            poll = Some(polling);
        }
        self.compare(&truth)
    }

    fn compare(&mut self, truth: &Truth) -> Result<(), String> {
        let (scope, kind, rights) = (&self.spec.scope, self.spec.kind, self.plan.rights.as_ref());
        self.report.compared += self.heard.judge(truth, |look| look.eye(scope, kind, rights))?;
        let rows = truth.rows(&self.eye());
        if self.replica.rows().is_some_and(|held| *held != rows) {
            return Err(format!("in the end the replica is {:?} and the model {rows:?}", self.replica.rows()));
        }
        Ok(())
    }

    fn behind(&self) -> String {
        let Some(truth) = self.truth.borrow().clone() else { return "no truth".to_owned() };
        let detail = match self.replica.rows() {
            Some(rows) => difference(rows, &truth.rows(&self.eye())),
            None => format!("the last that it is to be told of is {:x}", truth.last_told(&self.eye())),
        };
        format!(
            "{} s after the last write it is at {:?} (head {:x}, settled {}): {detail}",
            CATCH_UP.as_secs(),
            self.replica.cursor,
            truth.head(),
            self.replica.settled(),
        )
    }

    fn hash(&self) -> Option<u64> {
        match &self.replica.holds {
            crate::replica::Holds::State(state) => Some(state.hash),
            crate::replica::Holds::History(_) => None,
        }
    }

    fn note(&mut self, text: String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        let text = text.replace("é\\\"x\\\\", ""); // the filling says nothing
        let mut end = text.len().min(400);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.trace.push_back(text[..end].to_owned());
    }

    fn tell(&mut self, difference: &str) {
        let trace: String = self.trace.iter().map(|line| format!("\n      {line}")).collect();
        self.report.differences.push(format!(
            "history {} watcher {:?} (channel keyed {}, retain {}): {difference}{trace}",
            self.plan.number, self.spec, self.plan.keyed, self.plan.retain
        ));
    }
}
