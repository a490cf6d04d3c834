//! Who a watcher is: one of the principals of its channel, another one now and then, or nobody.

use std::time::{Duration, SystemTime};

use rand::Rng;

use super::{PATIENCE, Watcher};
use crate::client::{Ask, Ended, Transport, Watch};
use crate::histories::look::Look;
use crate::histories::rights::{LASTS, Rights};
use crate::token::seconds_from_now;

/// Seconds that a token lasts which is to end amid a watch, at most.
const SHORT_SECONDS: u64 = 3;
/// What is asked for at the end of a token may come before it, or after.
const NEARLY: Duration = Duration::from_millis(200);

/// What a watcher shows of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Which of the principals of its channel that is.
    pub(super) caller: usize,
    /// Of the token.
    pub(super) id: String,
    pub(super) token: Option<String>,
    /// When it ends, in seconds since 1970, if that is soon.
    pub(super) ends: Option<u64>,
}

impl Shown {
    /// Whether its time is over, or so nearly that the server may be of that opinion.
    pub(super) fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= seconds_from_now(NEARLY))
    }

    /// Whether its time was just over, or nearly is: whoever shows another one now may be too late.
    pub(super) fn is_ending(&self) -> bool {
        let ended = self
            .ends
            .zip(SystemTime::now().checked_sub(NEARLY))
            .is_some_and(|(ends, then)| SystemTime::UNIX_EPOCH + Duration::from_secs(ends) < then);
        self.has_ended() && !ended
    }
}

impl Watcher {
    /// From now on as any of the principals, with whatever cursor there is.
    pub(super) fn become_anybody(&mut self) {
        let Some(rights) = &self.plan.rights else { return };
        let caller = rights.caller(&mut self.rng);
        self.shown = self.a_token_of(caller);
        self.look = self.look_as(caller);
    }

    /// From now on with another token of the same principal.
    pub(super) fn take_another_token(&mut self) {
        self.shown = self.a_token_of(self.shown.caller);
    }

    /// From now on with a token that does not end.
    pub(super) fn show_what_lasts(&mut self) {
        if self.shown.ends.is_some() {
            self.shown = self.a_lasting_token_of(self.shown.caller);
        }
    }

    /// Its token has ended: with another one, which has not.
    pub(super) fn show_what_is_good(&mut self) {
        if self.shown.has_ended() {
            self.take_another_token();
        }
    }

    /// Another token of any principal; now and then one that ends soon.
    pub(super) fn a_token_of(&mut self, caller: usize) -> Shown {
        match self.rng.random_bool(0.12) {
            true => {
                let seconds = self.rng.random_range(1..=SHORT_SECONDS);
                let ends = seconds_from_now(Duration::from_secs(seconds));
                let shown = self.a_token_until(caller, ends);
                Shown { ends: shown.token.is_some().then_some(ends), ..shown }
            }
            false => self.a_lasting_token_of(caller),
        }
    }

    /// One that lasts longer than its history.
    pub(super) fn a_lasting_token_of(&mut self, caller: usize) -> Shown {
        self.a_token_until(caller, seconds_from_now(LASTS))
    }

    fn a_token_until(&mut self, caller: usize, ends: u64) -> Shown {
        self.tokens += 1;
        let id = format!("{}-{}", self.name, self.tokens);
        let token = self.plan.rights.as_ref().and_then(|rights| rights.token(caller, &id, ends));
        Shown { caller, id, token, ends: None }
    }

    /// How it looks as another principal.
    pub(super) fn look_as(&self, caller: usize) -> Look {
        match &self.plan.rights {
            Some(rights) => self.look.of(rights.alike(caller, &self.spec.scope)),
            None => self.look,
        }
    }

    /// Now and then with the cursor of somebody and nothing to show, where that is not enough: it must be refused.
    pub(super) async fn intrude(&mut self, transport: Transport) -> Result<(), String> {
        let closed = self.plan.rights.as_ref().is_some_and(Rights::needs_token);
        if !closed || !self.rng.random_bool(0.05) {
            return Ok(());
        }
        let ask = Ask { token: None, ..self.ask(false) };
        Box::pin(self.refused(transport, &ask, (401, "refused without a token"))).await
    }

    /// Whoever asks so is not let in.
    pub(super) async fn refused(
        &mut self,
        transport: Transport,
        ask: &Ask,
        (status, kind): (u16, &'static str),
    ) -> Result<(), String> {
        let asked = async {
            let mut watch = Watch::open(self.server, transport, ask).await?;
            watch.next_frame().await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            // A stream is told of a drain as of a moment that passes.
            Ok(Ok(frame)) if frame["op"] == "close" && frame["code"] == "draining" => Ok(()),
            Ok(Ok(frame)) => Err(format!("to be {kind}, and let in with {ask:?}: {frame}")),
            Ok(Err(Ended::Refused(answer))) if answer.head.status == status => {
                self.heard.count(kind);
                Ok(())
            }
            Ok(Err(Ended::Refused(answer))) if answer.head.status != 503 => Err(format!("{ask:?} got {answer:?}")),
            Ok(Err(Ended::Garbage(what))) => Err(what),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}
