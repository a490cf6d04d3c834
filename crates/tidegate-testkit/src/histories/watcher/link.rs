//! One connection of a watcher: opened, followed, disturbed, and given up.

use std::time::Duration;

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tokio::time::Instant;

use super::caller::Shown;
use super::renewing::Renewal;
use super::{Before, Next, Watcher};
use crate::client::{Ask, Ended, Transport, Watch, many, renewal};
use crate::histories::look::{Look, Manner};
use crate::token::seconds_from_now;

/// A connection is given up after so long, or before.
const LIVES_MAX: Duration = Duration::from_secs(4);
/// Where a watcher pauses that has a small buffer, milliseconds at most: long enough to fall off the tail where much is written.
const LONG_PAUSE_MS: u64 = 3_000;
const PAUSE_MS: u64 = 200;

/// An open watch.
pub(super) struct Link {
    pub(super) watch: Watch,
    pub(super) transport: Transport,
    /// How it was asked for.
    pub(super) ask: Ask,
    /// It is cut then.
    until: Instant,
    /// Whether there is something that would be lost by a reset.
    pub(super) resumed: bool,
    /// As `begin` named the watch.
    pub(super) id: Option<String>,
    /// What a socket shows of itself, which may be another thing than what its watch was shown.
    pub(super) shows: Shown,
    /// What the watch was shown before its last fresh token.
    pub(super) showed: Option<Shown>,
    /// That was shown so late that the watch may have ended before.
    pub(super) ends_all_the_same: bool,
    pub(super) pending: Pending,
}

/// What was asked for and is not over.
#[derive(Default)]
pub(super) enum Pending {
    #[default]
    Nothing,
    /// To look and be told so.
    Change(Look, Manner),
    Renewal(Box<Renewal>),
}

impl Link {
    fn is_calm(&self) -> bool {
        matches!(self.pending, Pending::Nothing)
    }

    /// When it is over, whatever has come.
    fn ends(&self) -> Instant {
        match &self.pending {
            Pending::Renewal(renewal) => renewal.follows_by,
            _ => self.until,
        }
    }
}

impl Watcher {
    /// Opens one watch and follows it until it is cut, ends, or has shown everything.
    pub(super) async fn connection(&mut self, writing_is_over: bool) -> Result<Next, String> {
        let transport = match self.spec.dawdles {
            true => Transport::Http2,
            false => *Transport::ALL.choose(&mut self.rng).expect("some"),
        };
        if writing_is_over {
            self.show_what_lasts();
        } else {
            if self.now_and_then(0.25) {
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
            "-- {transport:?} {:?} header:{} cut:{:?} {look:?} {how:?} {:?}",
            ask.options(),
            ask.by_header,
            ask.cut_after,
            self.shown
        ));
        let lives = match writing_is_over {
            true => Duration::from_secs(20),
            false if self.shown.ends.is_some() => LIVES_MAX,
            false => self.rng.random_range(LIVES_MAX / 80..LIVES_MAX),
        };
        self.before = None;
        self.begun_at = self.past.filter(|_| ask.cursor.is_none());
        let until = Instant::now() + lives;
        let opened = tokio::time::timeout_at(until, Watch::open(self.server, transport, &ask)).await;
        let watch = match opened {
            Ok(Ok(watch)) => watch,
            Ok(Err(ended)) => return self.ended(ended).await,
            Err(_) => return self.ended(Ended::Cut).await,
        };
        if ask.cursor.is_some() {
            *self.report.resumes.entry(transport).or_default() += 1;
            self.report.switches += u64::from(self.last_transport.is_some_and(|last| last != transport));
        }
        self.last_transport = Some(transport);
        if let Some(connection) = watch.connection() {
            self.connection = Some(connection.clone()).filter(|_| self.rng.random());
            if ask.connection.is_some() {
                self.heard.count("another stream on the connection of the one before");
            }
        }
        let resumed = ask.cursor.is_some();
        let mut link = Link {
            watch,
            transport,
            ask,
            until,
            resumed,
            id: None,
            shows: self.shown.clone(),
            showed: None,
            ends_all_the_same: false,
            pending: Pending::Nothing,
        };
        let next = self.follow(&mut link, writing_is_over).await?;
        self.leave(link);
        Ok(next)
    }

    async fn follow(&mut self, link: &mut Link, writing_is_over: bool) -> Result<Next, String> {
        let mut truth = self.truth.clone();
        if !writing_is_over
            && self.now_and_then(0.2)
            && let Some(next) = Box::pin(self.renew(link)).await?
        {
            return Ok(next);
        }
        loop {
            if link.is_calm() && self.reached() {
                return Ok(Next::Done);
            }
            let ends = link.ends();
            let frame = tokio::select! {
                biased;
                frame = link.watch.next_frame() => frame,
                _ = truth.changed(), if !writing_is_over => continue,
                () = tokio::time::sleep_until(ends) => match &link.pending {
                    Pending::Renewal(renewal) => return Err(renewal.missing()),
                    _ => Err(Ended::Cut),
                },
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(ended) => return self.ended(ended).await,
            };
            if frame["ref"] == renewal::TOKEN {
                self.answered_here(&frame, link)?;
                continue;
            }
            if frame["ref"] == many::CHANGE {
                self.changed(&frame, link)?;
                continue;
            }
            self.turn(&frame, link)?;
            self.take(&frame, link.resumed)?;
            self.look_at(&frame, link)?;
            if frame["op"] == "close" {
                return self.closed(&frame, link).await;
            }
            if !writing_is_over && let Some(next) = Box::pin(self.disturb(link)).await? {
                return Ok(next);
            }
        }
    }

    /// What a frame says of its connection.
    fn look_at(&mut self, frame: &Value, link: &mut Link) -> Result<(), String> {
        let begins = frame["op"] == "begin" || frame["op"] == "close" || link.transport == Transport::Poll;
        if link.id.is_none() && !begins {
            return Err(format!("a stream begins with {frame}"));
        }
        if let Some(watch) = frame["watch"].as_str() {
            link.id = Some(watch.to_owned());
        }
        // From the end of its snapshot on there is something to lose.
        link.resumed |= frame["last"] == true;
        if frame["op"] != "close"
            && link
                .showed
                .take_if(|showed| showed.ends.is_some_and(|ends| ends < seconds_from_now(Duration::ZERO)))
                .is_some()
        {
            self.heard.count("went on over the end of its first token");
        }
        Ok(())
    }

    /// Now and then it asks for something else, shows another token, loses its own, or does not read.
    async fn disturb(&mut self, link: &mut Link) -> Result<Option<Next>, String> {
        if link.is_calm() && self.now_and_then(0.05) {
            let before = (self.look, self.manner);
            self.look_anew(link.transport, false);
            // A socket asks as who it has shown itself to be.
            self.look = self.look_as(link.shows.caller);
            let ask = Ask { from: None, at: None, cursor: None, ..self.ask(false) };
            let (look, manner) = (self.look, self.manner);
            (self.look, self.manner) = before;
            match link.watch.change(&ask).await {
                Ok(true) => link.pending = Pending::Change(look, manner),
                Ok(false) => {}
                Err(ended) => return self.ended(ended).await.map(Some),
            }
        }
        if link.is_calm()
            && self.now_and_then(0.02)
            && let Some(next) = self.revoke(link).await?
        {
            return Ok(Some(next));
        }
        let mut renews = if self.shown.ends.is_some() { 0.5 } else { 0.15 };
        if self.now_and_then(0.03) {
            let most = if link.ask.receive_buffer.is_some() { LONG_PAUSE_MS } else { PAUSE_MS };
            let pause = self.rng.random_range(5..most);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // What it has not read yet is of what it saw before.
            renews = 0.6;
        }
        if link.is_calm() && self.now_and_then(renews) {
            return self.renew(link).await;
        }
        Ok(None)
    }

    /// The answer to what it has asked for on its socket.
    fn changed(&mut self, frame: &Value, link: &mut Link) -> Result<(), String> {
        let Pending::Change(look, manner) = std::mem::take(&mut link.pending) else {
            return Err(format!("an answer to nothing: {frame}"));
        };
        if frame["op"] == "problem" {
            // Refused for the moment: it goes on as it is.
            return if frame["retry_ms"].is_null() { Err(format!("no change: {frame}")) } else { Ok(()) };
        }
        // Who had not got a cursor yet begins anew.
        link.resumed = self.held == Some(self.look);
        // Amid a snapshot it stood where it was before that, as it looked then.
        let stood = self.held.filter(|_| self.heard.scanning()).unwrap_or(self.look);
        self.before = Some(Before { look: stood, manner: self.manner, op: "begin" });
        (self.look, self.manner) = (look, manner);
        self.shown = link.shows.clone();
        (link.id, self.begun_at) = (None, None);
        self.cut();
        self.note(format!("-- changed {:?} {:?}", self.look, self.manner));
        self.heard.count("changed amid a watch");
        Ok(())
    }

    async fn closed(&mut self, frame: &Value, link: &Link) -> Result<Next, String> {
        if frame["code"] == "out-of-reach" {
            return self.out_of_reach(&frame.to_string());
        }
        if frame["code"] == "token-expired" {
            if !link.ends_all_the_same && !self.shown.has_ended() {
                return Err(format!("closed before the end of its token {:?}: {frame}", self.shown));
            }
            self.heard.count("its token ended amid a watch");
            self.show_what_is_good();
        }
        let wait = frame["retry_ms"].as_u64().ok_or_else(|| format!("closed for good: {frame}"))?;
        tokio::time::sleep(Duration::from_millis(wait.min(300))).await;
        Ok(Next::Again)
    }

    pub(super) async fn ended(&mut self, ended: Ended) -> Result<Next, String> {
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
            Ended::Refused(answer) if answer.code() == Some("token-expired") && self.shown.has_ended() => {
                self.heard.count("refused with a token that had ended");
                self.show_what_is_good();
            }
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
}
