//! How a watch begins on an open WebSocket, or goes on with other options: by a task, since it may wait for the disk.

use std::sync::Arc;

use tidegate_core::{ErrorCode, Problem, Target};
use tidegate_gate::Place;
use tidegate_hub::WatchEntry;
use tidegate_wire::{Connection, Encoding, Left, Over, WatchName, Watcher};
use tokio::sync::oneshot;

use super::command::{self, Change, Token, Watch};
use super::session::text_frame;
use crate::Gateway;
use crate::audit::{Act, Asked};
use crate::caller::Caller;
use crate::options::Options;
use crate::renew::renew_socket;
use crate::stream::prepare_at;

/// What the task needs. The client is heard again when it is done.
pub(super) struct Begin {
    pub(super) gateway: Arc<Gateway>,
    pub(super) caller: Caller,
    pub(super) encoding: Encoding,
    pub(super) connection: Connection,
}

/// From this watch to that.
pub(super) struct Names {
    pub(super) old: WatchName,
    pub(super) new: WatchName,
}

impl Begin {
    /// Decides a watch as a request for its address would be, and answers.
    pub(super) async fn watch(self, watch: Watch, name: WatchName) {
        let Watch { reference, address, options } = watch;
        let decided = match command::target(&address) {
            Ok(target) => self.prepare(target, options, self.caller.account.place()).await,
            Err(problem) => Err(problem),
        };
        self.answer(decided, reference, name, true);
    }

    /// Ends a watch and begins another of its address where it stood, unless the options say where. A refusal leaves
    /// it as it is.
    pub(super) async fn change(self, change: Change, names: Names) {
        let (reference, named) = (change.reference, change.name.is_some());
        let decided = self.go_over(change, names.old).await;
        self.answer(decided, reference, names.new, named);
    }

    /// Takes a fresh token, of which the session hears by `known`. One that is not good changes nothing.
    pub(super) async fn renew(self, token: Token, known: oneshot::Sender<Caller>) {
        let Begin { gateway, caller, connection, .. } = self;
        let answer = match renew_socket(&gateway, &caller, &token.token, &connection).await {
            Ok(caller) => {
                // A socket that is gone hears nothing.
                let _ = known.send(caller);
                command::done(token.r#ref)
            }
            Err(problem) => command::refuse(token.r#ref, &problem),
        };
        connection.say(text_frame(&answer));
        connection.listen();
    }

    async fn go_over(&self, change: Change, old: WatchName) -> Result<(Watcher, WatchEntry), Problem> {
        let over = |Over| {
            Problem::new(ErrorCode::Invalid, "the watch has ended").hint("begin another with the last cursor of it")
        };
        let WatchEntry { view, .. } = self.connection.watched(old).await.map_err(over)?;
        let target = view.scope.target;
        let begins = change.options.begins();
        let (mut watcher, entry) = self.prepare(target, change.options, Ok(None)).await?;
        let Left { stands, place } = self.connection.leave(old).await.map_err(over)?;
        // It is one watch before and after.
        watcher.place = place;
        if let Some(cursor) = stands.filter(|_| !begins) {
            watcher.plan = watcher.plan.after(cursor)?;
        }
        Ok((watcher, entry))
    }

    async fn prepare(
        &self,
        target: Target,
        options: Options,
        place: Result<Option<Place>, Problem>,
    ) -> Result<(Watcher, WatchEntry), Problem> {
        let address = target.as_str().to_owned();
        let prepared = prepare_at(&self.gateway, target, options, self.encoding, &self.caller, place).await;
        let asked = Asked { act: Act::Read, address: &address, headers: None };
        self.gateway.audit.decided(&self.caller, &asked, prepared.as_ref().err());
        prepared
    }

    fn answer(
        self,
        decided: Result<(Watcher, WatchEntry), Problem>,
        reference: Option<u64>,
        name: WatchName,
        named: bool,
    ) {
        let Begin { gateway, connection, .. } = self;
        match decided {
            Ok((watcher, entry)) => {
                connection.say(text_frame(&command::watching(reference, named.then_some(name))));
                connection.watch(&gateway.tails, name, watcher, entry);
            }
            Err(problem) => connection.unwatch(name, text_frame(&command::refuse(reference, &problem))),
        }
        connection.listen();
    }
}
