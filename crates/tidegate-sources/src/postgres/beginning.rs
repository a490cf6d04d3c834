//! Where a session begins: whether upstream goes on from what we hold, or something is lost.

use pgwire_replication::{IdentifySystem, Lsn, ReplicationClient};
use tokio_postgres::Client;

use super::checkpoint::{self, Position};
use super::failure::Failure;
use super::session::Context;
use super::slot::Slot;

/// Where a session begins.
#[derive(Debug)]
pub(super) enum Beginning {
    /// Upstream gives what comes after this.
    On {
        position: Position,
        /// A transaction that ended here must come again, or this is another database than it was.
        verify: Option<Lsn>,
    },
    /// With a new snapshot; the reason is a loss.
    Afresh(Option<&'static str>),
}

impl Context {
    /// Whether upstream goes on from what we hold.
    pub(super) fn beginning(
        &self,
        session: &mut ReplicationClient,
        client: &Client,
        system: &IdentifySystem,
        lost: Option<&'static str>,
    ) -> Result<Beginning, Failure> {
        let name = &self.slot;
        let slot = self.wait.on(Slot::find(client, name))?;
        if let Some(Slot { reader: Some(process), .. }) = slot {
            return Err(Failure::Upstream {
                what: format!(
                    "the slot `{name}` is read by process {process}: another Tidegate, or our last connection"
                ),
                remedy: Some(format!(
                    "give this source a `slot` of its own, or: SELECT pg_terminate_backend({process});"
                )),
            });
        }
        if matches!(slot, Some(Slot { ours: false, .. })) {
            let what = format!("the slot `{name}` belongs to another database or plugin");
            return Err(Failure::Upstream { what, remedy: Some("give this source a `slot` of its own".to_owned()) });
        }
        let position: Option<Position> = checkpoint::read(self.log.checkpoint(&self.name));
        let Some(position) = position else { return Ok(Beginning::Afresh(None)) };
        let loss = if let Some(lost) = lost {
            Some(lost)
        } else if position.system != system.system_id {
            Some("it is another database cluster")
        } else if system.xlogpos < position.lsn {
            Some("the database was restored from an older backup")
        } else if self.forked(session, &position, system)? {
            Some("a failover lost what we hold")
        } else {
            match &slot {
                None => Some("the slot is gone"),
                Some(slot) if slot.lost => Some("the server removed WAL that the slot needed"),
                Some(slot) if slot.confirmed > position.lsn => Some("the slot is ahead of what we hold"),
                Some(_) => None,
            }
        };
        if loss.is_some() {
            return Ok(Beginning::Afresh(loss));
        }
        let confirmed = slot.map_or(Lsn::ZERO, |slot| slot.confirmed);
        let verify = (confirmed < position.commit).then_some(position.commit);
        Ok(Beginning::On { position, verify })
    }

    /// Whether the server's history parted from ours before the place that we hold.
    fn forked(
        &self,
        session: &mut ReplicationClient,
        position: &Position,
        system: &IdentifySystem,
    ) -> Result<bool, Failure> {
        if system.timeline == position.timeline {
            return Ok(false);
        }
        if system.timeline < position.timeline {
            return Ok(true);
        }
        let history = self.wait.on(session.timeline_history(system.timeline))?;
        let history = String::from_utf8_lossy(&history.content).into_owned();
        // Lines of: timeline, where it was left, why.
        let left = history.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()?.parse() == Ok(position.timeline)).then(|| Lsn::parse(words.next()?).ok())?
        });
        Ok(left.is_none_or(|left| left < position.lsn))
    }
}
