//! Waiting for the network on the source's own thread, and never longer than the source is wanted.

use std::future::Future;

use tokio::runtime::Handle;

use super::failure::Failure;
use crate::running::Stop;

/// See the module.
#[derive(Clone)]
pub(super) struct Wait {
    pub(super) runtime: Handle,
    pub(super) stop: Stop,
}

impl Wait {
    /// The result of a future, or [`Failure::Stopped`].
    pub(super) fn on<T, E: Into<Failure>>(&self, future: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.wait() => Err(Failure::Stopped),
                result = future => result.map_err(Into::into),
            }
        })
    }
}
