//! A fresh token for a watch that goes on: of the same that it sees, of other rows, or one that must be refused.
//!
//! ```text
//!   shown ─► answered ─┐
//!     └───► told ──────┴─► over: from the frame that tells of other rights on it looks as its new token says
//! ```

use std::ops::Range;
use std::time::Duration;

use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tidegate_core::{Kind, Offset};
use tokio::time::Instant;

use super::caller::Shown;
use super::link::{Link, Pending};
use super::revoking::Why;
use super::{Before, FOLLOWS_WITHIN, Next, PATIENCE, Watcher};
use crate::client::renewal::{by_request, by_stream};
use crate::client::{Answer, Ended, Transport};
use crate::histories::look::Look;
use crate::histories::rights::LASTS;
use crate::replica::offset;
use crate::token::seconds_from_now;

/// A second that is long over, since 1970.
const LONG_OVER: u64 = 1_000_000_000;
/// Where a watcher with a small buffer does not read before and after a fresh token is taken, milliseconds: some batches.
const LAGS_MS: Range<u64> = 200..900;

/// A token that was shown for a watch that is on.
pub(super) struct Renewal {
    shown: Shown,
    /// How it looks by it.
    look: Look,
    /// Whether the channel may not be read by it.
    barred: bool,
    /// The code with which it must be refused; `None`: it is good.
    wrong: Option<&'static str>,
    /// When it was taken.
    answered: Option<Answered>,
    /// A frame has told of other rights.
    told: bool,
    pub(super) follows_by: Instant,
}

/// How a token was taken.
#[derive(Clone, Copy)]
enum Answered {
    /// Among the frames: those that come later are of what it sees now.
    Here,
    /// Beside them: what was written later than this is not told any more as it was seen before.
    Beside { bound: Offset },
}

impl Renewal {
    /// What is missing, where the time for it is over.
    pub(super) fn missing(&self) -> String {
        let what = if self.answered.is_none() { "not answered" } else { "taken, and nothing was told of other rights" };
        format!("{FOLLOWS_WITHIN:?} after a fresh token was shown it is {what}: {:?} {:?}", self.shown, self.look)
    }

    fn is_over(&self, look: Look) -> bool {
        self.answered.is_some() && self.look == look
    }
}

impl Watcher {
    /// Shows a fresh token, and sees what follows at once.
    pub(super) async fn renew(&mut self, link: &mut Link) -> Result<Option<Next>, String> {
        let sockets = [Transport::WebSocket, Transport::Many];
        let beside = match link.transport {
            Transport::Poll => None,
            // Before it has a name it can be spoken of on its socket alone.
            transport if sockets.contains(&transport) => link.id.clone().filter(|_| self.rng.random()),
            _ if link.id.is_none() => return Ok(None),
            _ => link.id.clone(),
        };
        let Some(renewal) = self.a_renewal(link.transport, beside.is_some()) else { return Ok(None) };
        self.note(format!(
            "-- renews (beside: {beside:?}) by {:?} {:?} wrong: {:?} barred: {}",
            renewal.shown, renewal.look, renewal.wrong, renewal.barred
        ));
        if self.heard.scanning() {
            self.heard.count("renewed amid a snapshot");
        }
        let (barred, when, token) = (renewal.barred, Instant::now(), renewal.shown.token.clone());
        link.pending = Pending::Renewal(Box::new(renewal));
        if let Some(watch) = beside {
            // Who does not read while it is renewed is told nothing of what is written afterwards as before, however late it reads.
            let lags = link.ask.receive_buffer.is_some() && self.now_and_then(0.7);
            if lags {
                self.lag().await;
            }
            let asked = self.renew_beside(link, &watch, token.as_deref());
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => {
                    if let Some(next) = self.answered_beside(&answer, link).await? {
                        return Ok(Some(next));
                    }
                    if lags {
                        self.lag().await;
                    }
                }
                // The server died over it.
                _ => return Ok(Some(Next::Again)),
            }
        } else {
            match link.watch.renew(&token.unwrap_or_default()).await {
                Ok(true) => {}
                Ok(false) => {
                    link.pending = Pending::Nothing;
                    return Ok(None);
                }
                Err(ended) => return self.ended(ended).await.map(Some),
            }
        }
        if !barred || matches!(link.pending, Pending::Nothing) {
            return Ok(None);
        }
        self.hear_the_end(link, Why::Barred, when).await?;
        if let Pending::Renewal(renewal) = std::mem::take(&mut link.pending) {
            self.shown = renewal.shown;
        }
        self.come_back_with_the_same(link, (403, "refused with a token that does not allow it")).await?;
        Ok(Some(Next::Again))
    }

    /// Reads nothing, until a small window is full and more is written.
    async fn lag(&mut self) {
        let pause = self.rng.random_range(LAGS_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// On the connection of its watch where that has other streams, or on another.
    async fn renew_beside(&mut self, link: &Link, watch: &str, token: Option<&str>) -> Result<Answer, Ended> {
        match link.watch.connection() {
            Some(connection) if self.rng.random() => {
                self.heard.count("renewed by another stream of its connection");
                by_stream(connection, self.server, watch, token).await
            }
            _ => by_request(self.server, watch, token).await,
        }
    }

    /// Any that its transport can show; `None`: none that makes sense.
    fn a_renewal(&mut self, transport: Transport, beside: bool) -> Option<Renewal> {
        let rights = self.plan.rights.clone()?;
        let (caller, nobody) = (self.shown.caller, self.shown.token.is_none());
        let of = |watcher: &mut Watcher, caller| (watcher.a_token_of(caller), false, None);
        let (shown, barred, wrong) = match self.rng.random_range(0..12) {
            0..2 if !nobody => of(self, caller),
            2..9 if !nobody => {
                let other = rights.same_person(caller, &mut self.rng);
                of(self, other)
            }
            9 if !nobody && rights.needs_token() => {
                let mut shown = self.a_lasting_token_of(caller);
                shown.token = rights.barred_token(caller, &shown.id, seconds_from_now(LASTS));
                (shown, true, None)
            }
            // A poll with another token is another client.
            _ if transport == Transport::Poll => return None,
            _ => {
                let (token, code) = self.a_wrong_token(beside);
                (Shown { token, ..Shown::default() }, false, Some(code))
            }
        };
        let look = if wrong.is_some() || barred { self.look } else { self.look_as(shown.caller) };
        let follows_by = Instant::now() + FOLLOWS_WITHIN;
        Some(Renewal { shown, look, barred, wrong, answered: None, told: false, follows_by })
    }

    /// A token that must not be taken, and what must be said of it.
    fn a_wrong_token(&mut self, beside: bool) -> (Option<String>, &'static str) {
        let Some(rights) = self.plan.rights.clone() else { return (None, "unauthenticated") };
        let other = rights.another_person(self.shown.caller, &mut self.rng);
        let mut wrong = vec![
            (self.a_lasting_token_of(other).token, "forbidden"),
            (rights.token(other, "stale", LONG_OVER), "token-expired"),
        ];
        wrong.extend(self.revoked.clone().map(|token| (Some(token), "token-revoked")));
        wrong.extend(beside.then_some((None, "unauthenticated")));
        wrong.choose(&mut self.rng).cloned().expect("some")
    }

    /// The answer to a request.
    async fn answered_beside(&mut self, answer: &Answer, link: &mut Link) -> Result<Option<Next>, String> {
        match answer.head.status {
            204 => self.taken(link, Answered::Beside { bound: self.ledger.bound() })?,
            404 if answer.code() == Some("watch-not-found") => {
                link.pending = Pending::Nothing;
                self.hear_the_end(link, Why::Over, Instant::now()).await?;
                return Ok(Some(Next::Again));
            }
            503 => link.pending = Pending::Nothing,
            _ => self.not_taken(link, answer.code().unwrap_or_default())?,
        }
        Ok(None)
    }

    /// The answer to a message, among the frames.
    pub(super) fn answered_here(&mut self, frame: &Value, link: &mut Link) -> Result<(), String> {
        if frame["op"] == "done" {
            self.taken(link, Answered::Here)
        } else if frame["status"] == 503 {
            link.pending = Pending::Nothing;
            Ok(())
        } else {
            self.not_taken(link, frame["code"].as_str().unwrap_or_default())
        }
    }

    fn taken(&mut self, link: &mut Link, answered: Answered) -> Result<(), String> {
        let Pending::Renewal(renewal) = &mut link.pending else { return Err("an answer to no token".to_owned()) };
        if let Some(code) = renewal.wrong {
            return Err(format!("to be refused as {code}, and taken: {:?}", renewal.shown));
        }
        renewal.answered = Some(answered);
        if renewal.barred {
            return Ok(()); // what follows is heard at once
        }
        *self.report.renewals.entry(link.transport).or_default() += 1;
        if matches!(answered, Answered::Here) {
            link.shows = renewal.shown.clone();
        }
        let showed = std::mem::replace(&mut self.shown, renewal.shown.clone());
        link.ends_all_the_same = showed.is_ending();
        link.showed = Some(showed);
        if link.transport == Transport::Poll && renewal.look != self.look {
            self.look = renewal.look;
            self.heard.count("renewed, and polled other rows");
        } else if renewal.look == self.look && !renewal.told {
            self.heard.count("renewed, and saw the same");
        }
        if renewal.is_over(self.look) {
            link.pending = Pending::Nothing;
        }
        self.note("-- renewed".to_owned());
        Ok(())
    }

    fn not_taken(&mut self, link: &mut Link, code: &str) -> Result<(), String> {
        let Pending::Renewal(renewal) = std::mem::take(&mut link.pending) else {
            return Err(format!("an answer to no token: {code}"));
        };
        match renewal.wrong {
            Some(wrong) if wrong == code => {
                self.note(format!("-- refused {code}"));
                self.heard.count(match wrong {
                    "forbidden" => "the fresh token of another was refused",
                    "token-expired" => "a fresh token that had ended was refused",
                    "token-revoked" => "a fresh token that was revoked was refused",
                    _ => "no fresh token was refused",
                });
                Ok(())
            }
            // It had been short.
            None if code == "token-expired" && renewal.shown.has_ended() => Ok(()),
            wrong => Err(format!("a fresh token got {code}, and not {wrong:?}: {:?}", renewal.shown)),
        }
    }

    /// Looks at a frame before it is taken: whether it tells of other rights, and if not, whether it may still come.
    pub(super) fn turn(&mut self, frame: &Value, link: &mut Link) -> Result<(), String> {
        let state = self.spec.kind == Kind::State;
        let turns = match state {
            true => frame["op"] == "reset" && frame["reason"] == "rights",
            false => frame["op"] == "notice" && frame["code"] == "rights-changed",
        };
        let renewal = match &mut link.pending {
            Pending::Renewal(renewal) => renewal,
            _ if turns => return Err(format!("told of other rights, and has the same: {frame}")),
            _ => return Ok(()),
        };
        if turns {
            if renewal.look == self.look {
                return Err(format!("told of other rights, and they are the same: {frame}"));
            }
            let before = Before { look: self.look, manner: self.manner, op: "bookmark" };
            self.before = Some(before).filter(|_| !state);
            self.look = renewal.look;
            self.begun_at = None;
            renewal.told = true;
            self.heard.count(if state { "renewed, and saw other rows" } else { "renewed, and told other events" });
            if renewal.is_over(self.look) {
                link.pending = Pending::Nothing;
            }
            return Ok(());
        }
        match renewal.answered {
            _ if renewal.told => Ok(()),
            Some(Answered::Here) if frame.get("address").is_some() => {
                Err(format!("its fresh token was taken, and then it is told as before: {frame}"))
            }
            Some(Answered::Beside { bound }) => match frame["cursor"].as_str().and_then(offset) {
                Some(at) if at > bound => Err(format!(
                    "what was written after its fresh token was taken ({bound:x}) is told as before: {frame}"
                )),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The connection is over: from the next one on it is who it was told to be, or if it was not, either.
    pub(super) fn leave(&mut self, link: Link) {
        let Pending::Renewal(renewal) = link.pending else { return };
        if renewal.wrong.is_some() || renewal.barred {
            return;
        }
        if renewal.answered.is_some() || renewal.told || self.rng.random() {
            self.look = renewal.look;
            self.shown = renewal.shown;
        }
    }
}
