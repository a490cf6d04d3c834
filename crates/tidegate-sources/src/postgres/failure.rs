//! Why a session with the database ended.

use pgwire_replication::PgWireError;
use tidegate_log::ReadError;

use super::connect::{ConnectError, reason};

/// See the module.
#[derive(Debug)]
pub(super) enum Failure {
    /// We were told to stop.
    Stopped,
    /// The log takes nothing more before a restart.
    Over,
    /// Something changed that a new session takes into account.
    Again(&'static str),
    /// What upstream gives does not go on from what we hold.
    Lost(&'static str),
    /// Something upstream, or between here and there; with what to run about it. It is tried again.
    Upstream {
        /// For the operator.
        what: String,
        /// SQL or config.
        remedy: Option<String>,
    },
}

impl Failure {
    pub(super) fn upstream(what: impl Into<String>) -> Failure {
        Failure::Upstream { what: what.into(), remedy: None }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        Failure::upstream(reason(&error))
    }
}

impl From<PgWireError> for Failure {
    fn from(error: PgWireError) -> Failure {
        let what = error.to_string();
        // Up to version 17 the server looks for the publication as it was when a change was made: one that was made anew
        // since helps the changes that come, not those that wait.
        if what.contains("SQLSTATE 42704") && what.contains("publication") {
            return Failure::Lost("the publication was dropped");
        }
        Failure::upstream(what)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        Failure::Upstream { what: error.to_string(), remedy: error.remedy }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        Failure::upstream(format!("the view cannot be read: {error}"))
    }
}
