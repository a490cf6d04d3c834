//! Who a watcher is: one of the principals of its channel, another one now and then, or nobody; and the end of what it shows.

use std::time::Duration;

use rand::Rng;
use serde_json::json;
use tokio::time::Instant;

use super::Watcher;
use crate::client::http::{Wire, request};
use crate::client::{Ask, Ended, Transport, Watch};
use crate::histories::rights::Rights;

/// An end that was lost never comes. How soon it comes is reported, and held to a second where nothing else runs.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// Longer than any answer takes while the server is up.
const PATIENCE: Duration = Duration::from_secs(4);

/// What a watcher shows of itself.
pub(super) struct Shown {
    /// Which of all watchers it is.
    watcher: String,
    /// How many tokens it had.
    serial: u64,
    /// Of the token.
    id: String,
    pub(super) token: Option<String>,
}

impl Shown {
    /// Nothing yet.
    pub(super) fn of(watcher: String) -> Shown {
        Shown { watcher, serial: 0, id: String::new(), token: None }
    }
}

/// What came of asking for the end of its token.
pub(super) enum Revoked {
    /// It was not asked for.
    Nothing,
    /// The server died over it.
    Unknown,
    /// It was answered then.
    At(Instant),
}

impl Watcher {
    /// From now on as any of the principals, with whatever cursor there is.
    pub(super) fn become_anybody(&mut self) {
        let Some(rights) = &self.plan.rights else { return };
        self.caller = rights.caller(&mut self.rng);
        self.look = self.look.of(rights.alike(self.caller, &self.spec.scope));
        self.take_another_token();
    }

    /// From now on with another token of the same principal.
    fn take_another_token(&mut self) {
        let Some(rights) = &self.plan.rights else { return };
        self.shown.serial += 1;
        self.shown.id = format!("{}-{}", self.shown.watcher, self.shown.serial);
        self.shown.token = rights.token(self.caller, &self.shown.id);
    }

    /// Now and then with the cursor of somebody and nothing to show, where that is not enough: it must be refused.
    pub(super) async fn intrude(&mut self, transport: Transport) -> Result<(), String> {
        let closed = self.plan.rights.as_ref().is_some_and(Rights::needs_token);
        if !closed || !self.rng.random_bool(0.05) {
            return Ok(());
        }
        let ask = Ask { token: None, ..self.ask(false) };
        Box::pin(self.refused(transport, &ask, "refused without a token")).await
    }

    /// Asks the operator to revoke its own token.
    pub(super) async fn revoke(&mut self) -> Revoked {
        if self.shown.token.is_none() {
            return Revoked::Nothing;
        }
        let body = json!({ "token_id": self.shown.id }).to_string();
        let headers = ["Content-Type: application/json".to_owned()];
        let asking = async {
            let mut wire = Wire::connect(self.admin, None).await?;
            wire.send(&request(self.admin, "POST", "/revocations", &headers, body.as_bytes())).await?;
            wire.answer().await
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        match answer {
            Ok(Ok(answer)) if answer.head.status == 200 => {
                self.note(format!("-- revoked {}", self.shown.id));
                Revoked::At(Instant::now())
            }
            _ => {
                self.take_another_token();
                Revoked::Unknown
            }
        }
    }

    /// What was on its way may come, and then the end.
    pub(super) async fn hear_the_end(&mut self, watch: &mut Watch, resumed: bool, when: Instant) -> Result<(), String> {
        loop {
            let frame = tokio::time::timeout_at(when + ENDS_WITHIN, watch.next_frame()).await;
            let frame = match frame {
                Ok(Ok(frame)) => frame,
                Ok(Err(Ended::Refused(answer))) if answer.body["code"] == "token-revoked" => break,
                // It died, or drains; whoever comes back will be refused all the same.
                Ok(Err(Ended::Gone(_) | Ended::Cut)) => return Ok(()),
                Ok(Err(Ended::Refused(answer))) if answer.head.status == 503 => return Ok(()),
                Ok(Err(ended)) => return Err(format!("revoked, and then {ended:?}")),
                Err(_) => return Err(format!("it still watches {ENDS_WITHIN:?} after its token was revoked")),
            };
            if frame["op"] == "close" && frame["code"] == "token-revoked" && frame["retry_ms"].is_null() {
                break;
            }
            if frame["op"] == "close" {
                return Ok(());
            }
            self.take(&frame, resumed)?;
        }
        self.report.revoked_max = self.report.revoked_max.max(when.elapsed());
        self.heard.count("revoked amid a watch");
        Ok(())
    }

    /// It is refused, also by a server that has died meanwhile; then it takes another token.
    pub(super) async fn come_back_with_the_same(&mut self, transport: Transport, ask: &Ask) -> Result<(), String> {
        let ask = Ask { cut_after: None, ..ask.clone() };
        Box::pin(self.refused(transport, &ask, "refused with a token that was revoked")).await?;
        self.take_another_token();
        Ok(())
    }

    /// Whoever asks so is not let in.
    async fn refused(&mut self, transport: Transport, ask: &Ask, kind: &'static str) -> Result<(), String> {
        let asked = async {
            let mut watch = Watch::open(self.server, transport, ask).await?;
            watch.next_frame().await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            // A stream is told of a drain as of a moment that passes.
            Ok(Ok(frame)) if frame["op"] == "close" && frame["code"] == "draining" => Ok(()),
            Ok(Ok(frame)) => Err(format!("to be {kind}, and let in with {ask:?}: {frame}")),
            Ok(Err(Ended::Refused(answer))) if answer.head.status == 401 => {
                self.heard.count(kind);
                Ok(())
            }
            Ok(Err(Ended::Refused(answer))) if answer.head.status != 503 => Err(format!("{ask:?} got {answer:?}")),
            Ok(Err(Ended::Garbage(what))) => Err(what),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}
