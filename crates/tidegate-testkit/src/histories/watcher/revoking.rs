//! The end of what a watcher shows: its token is revoked, or it may not read the channel any more.

use rand::Rng;
use serde_json::json;
use tokio::time::Instant;

use super::link::Link;
use super::{FOLLOWS_WITHIN, Next, PATIENCE, Watcher};
use crate::client::http::ask;
use crate::client::renewal::TOKEN;
use crate::client::{Ask, Ended};

/// Why a watch has to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// The operator has revoked its token.
    Revoked,
    /// Its fresh token does not allow it.
    Barred,
    /// It has ended already, as somebody was told who asked for it.
    Over,
}

impl Why {
    fn code(self) -> Option<&'static str> {
        match self {
            Why::Revoked => Some("token-revoked"),
            Why::Barred => Some("forbidden"),
            Why::Over => None,
        }
    }

    /// What is counted when it ends so.
    fn ends(self) -> &'static str {
        match self {
            Why::Revoked => "revoked amid a watch",
            Why::Barred => "renewed, and shut out",
            Why::Over => "renewed too late",
        }
    }
}

impl Watcher {
    /// Asks the operator to revoke its own token, and sees what follows. `None`: it was not asked for.
    pub(super) async fn revoke(&mut self, link: &mut Link) -> Result<Option<Next>, String> {
        if self.shown.token.is_none() {
            return Ok(None);
        }
        let body = json!({ "token_id": self.shown.id }).to_string();
        let headers = ["Content-Type: application/json".to_owned()];
        let asking = ask(self.admin, "POST", "/revocations", &headers, body.as_bytes());
        let answer = tokio::time::timeout(PATIENCE, asking).await;
        if !matches!(answer, Ok(Ok(answer)) if answer.head.status == 200) {
            // The server died over it.
            self.take_another_token();
            return Ok(Some(Next::Again));
        }
        self.note(format!("-- revoked {}", self.shown.id));
        let when = Instant::now();
        self.hear_the_end(link, Why::Revoked, when).await?;
        if self.shown.ends.is_none() {
            self.revoked.clone_from(&self.shown.token);
        }
        self.come_back_with_the_same(link, (401, "refused with a token that was revoked")).await?;
        Ok(Some(Next::Again))
    }

    /// What was on its way may come, and then the end.
    pub(super) async fn hear_the_end(&mut self, link: &mut Link, why: Why, when: Instant) -> Result<(), String> {
        loop {
            let frame = tokio::time::timeout_at(when + FOLLOWS_WITHIN, link.watch.next_frame()).await;
            let frame = match frame {
                Ok(Ok(frame)) => frame,
                Ok(Err(Ended::Refused(answer))) if answer.code() == why.code() => break,
                // It died, or drains; whoever comes back will be refused all the same.
                Ok(Err(Ended::Gone(_) | Ended::Cut)) => return Ok(()),
                Ok(Err(Ended::Refused(answer))) if answer.head.status == 503 || self.shown.has_ended() => return Ok(()),
                Ok(Err(ended)) => return Err(format!("{why:?}, and then {ended:?}")),
                Err(_) => return Err(format!("{why:?}, and {FOLLOWS_WITHIN:?} later it still watches")),
            };
            if frame["ref"] == TOKEN {
                match frame["op"] == "problem" && frame["retry_ms"].is_null() {
                    true => return Err(format!("{why:?}, and its token is refused: {frame}")),
                    false => continue,
                }
            }
            if frame["op"] == "close" {
                let code = frame["code"].as_str();
                if why.code().is_some_and(|why| code == Some(why) && frame["retry_ms"].is_null()) {
                    break;
                }
                return Ok(());
            }
            self.turn(&frame, link)?;
            self.take(&frame, link.resumed)?;
        }
        if matches!(why, Why::Revoked) {
            self.report.revoked_max = self.report.revoked_max.max(when.elapsed());
        }
        self.heard.count(why.ends());
        Ok(())
    }

    /// It is refused, also by a server that has died meanwhile; then it takes another token.
    pub(super) async fn come_back_with_the_same(
        &mut self,
        link: &Link,
        refusal: (u16, &'static str),
    ) -> Result<(), String> {
        let ask = Ask { cut_after: None, token: self.shown.token.clone(), ..link.ask.clone() };
        Box::pin(self.refused(link.transport, &ask, refusal)).await?;
        self.take_another_token();
        Ok(())
    }

    /// So often.
    pub(super) fn now_and_then(&mut self, how_often: f64) -> bool {
        self.rng.random_bool(how_often)
    }
}
