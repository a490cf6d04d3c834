//! The watches of a socket of many: their names, and how they begin and end.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::{ErrorCode, Problem};
use tidegate_wire::{Connection, Encoding, WatchName};

use super::command::{self, Watch};
use super::session::text_frame;
use crate::Gateway;

/// Watches on one socket; a client with more opens another.
const WATCHES_MAX: usize = 1_000;

/// See the module.
pub(super) struct Many {
    live: Vec<WatchName>,
    last_name: WatchName,
    pub(super) peer: Option<SocketAddr>,
}

impl Many {
    pub(super) fn new(peer: Option<SocketAddr>) -> Many {
        Many { live: Vec::new(), last_name: 0, peer }
    }

    /// A name for one more watch.
    ///
    /// # Errors
    /// The answer that refuses it.
    pub(super) fn begin(&mut self, reference: Option<u64>) -> Result<WatchName, String> {
        if self.live.len() >= WATCHES_MAX {
            let problem = Problem::new(ErrorCode::RateLimited, format!("this socket has {WATCHES_MAX} watches"));
            return Err(command::refuse(reference, &problem.hint("unwatch some, or open another socket")));
        }
        self.last_name += 1;
        self.live.push(self.last_name);
        Ok(self.last_name)
    }

    /// The answer to who wants no more of a watch.
    ///
    /// # Errors
    /// The answer to who names none.
    pub(super) fn end(&self, reference: Option<u64>, name: WatchName) -> Result<String, String> {
        if self.live.contains(&name) {
            return Ok(command::done(reference));
        }
        let problem = Problem::new(ErrorCode::Invalid, format!("there is no watch `w{name}` on this socket"))
            .hint("name a watch as the answer to `watch` did; it may have ended");
        Err(command::refuse(reference, &problem))
    }

    /// A watch is over, whoever ended it.
    pub(super) fn ended(&mut self, name: WatchName) {
        self.live.retain(|own| *own != name);
    }
}

/// What the task needs that begins a watch.
pub(super) struct Begin {
    pub(super) gateway: Arc<Gateway>,
    pub(super) encoding: Encoding,
    pub(super) peer: Option<SocketAddr>,
}

impl Begin {
    /// Decides a watch as a request for its address would be, answers, and lets the client be heard
    /// again.
    pub(super) async fn watch(self, watch: Watch, name: WatchName, connection: Connection) {
        let Begin { gateway, encoding, peer } = self;
        let reference = watch.reference;
        match command::watch(&gateway, watch, encoding, peer).await {
            Ok((watcher, entry)) => {
                connection.say(text_frame(&command::watching(reference, name)));
                connection.watch(&gateway.tails, name, watcher, entry);
            }
            Err(problem) => connection.unwatch(name, text_frame(&command::refuse(reference, &problem))),
        }
        connection.listen();
    }
}
