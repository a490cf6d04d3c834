//! Who a watcher is: one of the principals of its channel, another one now and then, or nobody.

use std::time::Duration;

use rand::Rng;

use super::Watcher;
use crate::client::{Ask, Ended, Transport, Watch};
use crate::histories::rights::Rights;

impl Watcher {
    /// From now on as any of the principals, with whatever cursor there is.
    pub(super) fn become_anybody(&mut self) {
        let Some(rights) = &self.plan.rights else { return };
        self.caller = rights.caller(&mut self.rng);
        self.look = self.look.of(rights.alike(self.caller, &self.spec.scope));
    }

    /// Now and then with the cursor of somebody and nothing to show, where that is not enough: it must be refused.
    pub(super) async fn intrude(&mut self, transport: Transport) -> Result<(), String> {
        let closed = self.plan.rights.as_ref().is_some_and(Rights::needs_token);
        if !closed || !self.rng.random_bool(0.05) {
            return Ok(());
        }
        let ask = Ask { token: None, ..self.ask(false) };
        let asked = async {
            let mut watch = Watch::open(self.server, transport, &ask).await?;
            watch.next_frame().await
        };
        match tokio::time::timeout(Duration::from_secs(4), asked).await {
            // A stream is told of a drain as of a moment that passes.
            Ok(Ok(frame)) if frame["op"] == "close" && frame["code"] == "draining" => Ok(()),
            Ok(Ok(frame)) => Err(format!("nobody was let in with {ask:?}: {frame}")),
            Ok(Err(Ended::Refused(answer))) if answer.head.status == 401 => {
                self.heard.count("refused without a token");
                Ok(())
            }
            Ok(Err(Ended::Refused(answer))) if answer.head.status != 503 => Err(format!("{ask:?} got {answer:?}")),
            Ok(Err(Ended::Garbage(what))) => Err(what),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}
