//! Postgres: tables by logical replication, each row to its place.
//!
//! What it does to the database is in the `README.md` beside this file.
//!
//! **Guarantee:** each committed change once, in the order of the commits, transactions whole; the place upstream is
//! committed with the changes, so a source that dies at any instant goes on from there. What upstream cannot give
//! again (a slot that was dropped, a failover, an older backup) heals by a new snapshot compared with the view: the
//! state is right afterwards, the versions between are announced as a gap.
//!
//! ```text
//!   connect ─► serving (catalog, publication) ─► slot ─► snapshot ─┐
//!                                                  └──► stream ────┴─► apply (row, destination) ─► gather ─► log
//!                                                          ▲
//!                                                       upkeep (heartbeat, lag, tables)
//! ```

mod apply;
mod beginning;
mod catalog;
mod check;
mod checkpoint;
mod connect;
mod copy;
mod destination;
mod discover;
mod failure;
mod fitness;
mod gather;
mod names;
mod pgoutput;
mod publication;
mod row;
mod run;
mod schema;
mod serving;
mod session;
mod settings;
mod shown;
mod slot;
mod snapshot;
mod stream;
mod tls;
mod types;
mod upkeep;
mod values;
mod wait;

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::{Kind, Source};
use settings::Postgres;

/// `kind: postgres`.
pub(crate) const KIND: Kind = Kind {
    name: "postgres",
    about: "Tables of a PostgreSQL database, 15 or newer, by logical replication: rows as they are, then each change.",
    schema: settings::schema,
    configure: |settings| Ok(Arc::new(Postgres::configure(settings)?) as Arc<dyn Source>),
    members: &[],
    tables: true,
    schemes: &["postgres", "postgresql"],
    discover: discover::discover,
};

/// Connections are served beside the source's own thread, so that the server hears of us while the log is busy.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("postgres").enable_all().build()
}
