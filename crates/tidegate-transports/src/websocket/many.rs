//! The watches of a socket of many, by their names.

use tidegate_core::{ErrorCode, Problem};
use tidegate_wire::WatchName;

use super::command;

/// Watches on one socket; a client with more opens another.
const WATCHES_MAX: usize = 1_000;

/// See the module.
pub(super) struct Many {
    live: Vec<WatchName>,
    last_name: WatchName,
}

impl Many {
    pub(super) fn new() -> Many {
        Many { live: Vec::new(), last_name: 0 }
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
        Ok(self.name())
    }

    /// A name for what follows a watch that changes. Until then there are both.
    pub(super) fn name(&mut self) -> WatchName {
        self.last_name += 1;
        self.live.push(self.last_name);
        self.last_name
    }

    /// Whether a watch is there.
    ///
    /// # Errors
    /// The answer to who names one that is not.
    pub(super) fn has(&self, reference: Option<u64>, name: WatchName) -> Result<(), String> {
        if self.live.contains(&name) {
            return Ok(());
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
