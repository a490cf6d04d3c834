//! The replication slot: what the server keeps for us, and until where.

use pgwire_replication::{Lsn, PgWireError, ReplicationClient};
use tokio_postgres::{Client, Error};

use super::names::quoted;

/// A slot as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Up to here we said that we hold everything.
    pub(super) confirmed: Lsn,
    /// The process that reads it now.
    pub(super) reader: Option<i32>,
    /// WAL that we need was removed.
    pub(super) lost: bool,
    /// Made by `pgoutput`, in this database.
    pub(super) ours: bool,
    /// WAL that cannot be removed because of it, in bytes.
    pub(super) retained: u64,
    /// WAL that we have not confirmed, in bytes.
    pub(super) lag: u64,
}

/// A snapshot of the database at a place of the WAL; it lasts as long as the connection that made it is idle.
#[derive(Clone, Debug)]
pub(super) struct Exported {
    /// Its name, for `SET TRANSACTION SNAPSHOT`.
    pub(super) snapshot: String,
    /// It shows exactly what was committed before this place.
    pub(super) at: Lsn,
}

const FIND: &str = "
SELECT COALESCE(confirmed_flush_lsn, '0/0')::text, active_pid, COALESCE(wal_status = 'lost', false),
       COALESCE(plugin = 'pgoutput' AND database = current_database(), false),
       GREATEST(pg_wal_lsn_diff(here, restart_lsn), 0)::int8, GREATEST(pg_wal_lsn_diff(here, confirmed_flush_lsn), 0)::int8
FROM pg_replication_slots,
     (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS here) now
WHERE slot_name = $1";

impl Slot {
    /// The slot of this name, if it is there.
    pub(super) async fn find(client: &Client, name: &str) -> Result<Option<Slot>, Error> {
        let row = client.query_opt(FIND, &[&name]).await?;
        Ok(row.map(|row| Slot {
            confirmed: Lsn::parse(row.get(0)).unwrap_or(Lsn::ZERO),
            reader: row.get(1),
            lost: row.get(2),
            ours: row.get(3),
            retained: row.get::<_, Option<i64>>(4).unwrap_or(0).unsigned_abs(),
            lag: row.get::<_, Option<i64>>(5).unwrap_or(0).unsigned_abs(),
        }))
    }

    /// Removes it. Fails while somebody reads it.
    pub(super) async fn drop(client: &Client, name: &str) -> Result<(), Error> {
        let drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1";
        client.query(drop, &[&name]).await.map(|_| ())
    }

    /// Removes it with our own connection that reads it.
    pub(super) async fn evict(client: &Client, name: &str) -> Result<(), Error> {
        // The reader needs a moment to leave, during which the slot cannot be dropped.
        let leave = "SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots
                     WHERE slot_name = $1 AND active_pid IS NOT NULL";
        client.query(leave, &[&name]).await?;
        Slot::drop(client, name).await
    }
}

/// The name of the temporary slot that marks the place of a comparison.
pub(super) fn of_comparison(slot: &str) -> String {
    // Names have 63 bytes.
    slot.chars().take(60).chain("_c".chars()).collect()
}

/// Makes a slot on a replication connection and exports the snapshot at its beginning. The server waits for the
/// transactions that are open now.
pub(super) async fn create(
    session: &mut ReplicationClient,
    name: &str,
    temporary: bool,
) -> Result<Exported, PgWireError> {
    let kind = if temporary { " TEMPORARY" } else { "" };
    let sql = format!("CREATE_REPLICATION_SLOT {}{kind} LOGICAL pgoutput (SNAPSHOT 'export')", quoted(name));
    let rows = session.simple_query(&sql).await?;
    let field = |index: usize| {
        let bytes = rows.first().and_then(|row| row.get(index)?.as_ref());
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let missing = || PgWireError::Protocol("CREATE_REPLICATION_SLOT gave no snapshot".to_owned());
    let at = field(1).and_then(|text| Lsn::parse(&text).ok()).ok_or_else(missing)?;
    Ok(Exported { at, snapshot: field(2).ok_or_else(missing)? })
}
