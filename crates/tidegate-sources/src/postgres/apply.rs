//! Changes of rows to entries of the log: upserts, deletes, moves between addresses, and letters for the dead.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidegate_core::{Key, Millis, Op, PlacementError};
use tidegate_log::Entry;

use super::destination::{DeadLetters, Destination, Row};
use super::failure::Failure;
use super::gather::Gather;
use super::pgoutput::{Cell, Old, Tuple};
use super::row::{RowError, RowShape, RowWriter};
use super::values::ValueError;
use crate::SourceStats;

/// Reasons of dead letters that are logged; the rest is only counted.
const REASONS_MAX: usize = 16;
/// What a dead letter shows of each value.
const SHOWN_BYTES: usize = 1024;

/// What happened to a row.
pub(super) enum Change {
    Insert(Tuple),
    Update { old: Option<Old>, new: Tuple },
    Delete(Old),
}

/// A table whose changes are applied.
pub(super) struct Applied<'t> {
    /// For people.
    pub(super) title: &'t str,
    /// Its columns as the change has them.
    pub(super) shape: &'t RowShape,
    /// Which of them name the row.
    pub(super) keys: &'t [bool],
    pub(super) destinations: &'t [&'t Destination],
    /// When it was committed.
    pub(super) time: Millis,
}

/// Whether the row is in the log now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It is, or it is a dead letter.
    Done,
    /// Its value is not known: the table has to be compared.
    Unknown,
    /// A type is not what it was: the types have to be read again, and the change applied again. Nothing was done.
    Retyped,
}

/// See the module.
pub(super) struct Apply<'p> {
    pub(super) source: &'p str,
    pub(super) dead_letters: Option<&'p DeadLetters>,
    pub(super) stats: Arc<SourceStats>,
    /// Why rows had no place, as far as it was logged.
    pub(super) reasons: HashSet<String>,
    /// The types were read for this very change.
    pub(super) types_are_new: bool,
}

/// Why a row has no place.
#[derive(Debug, thiserror::Error)]
pub(super) enum Poison {
    #[error(transparent)]
    Row(#[from] RowError),
    #[error(transparent)]
    Place(#[from] PlacementError),
}

/// Where a value comes from that the server left out since it did not change.
enum Fill<'f> {
    Nothing,
    Old(&'f Tuple),
    Row(&'f [u8]),
}

impl Apply<'_> {
    /// Applies one change to all channels of its table.
    pub(super) fn change(
        &mut self,
        gather: &mut Gather,
        table: &Applied<'_>,
        change: &Change,
    ) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Done;
        for destination in table.destinations {
            let done = match change {
                Change::Insert(new) => self.insert(gather, table, destination, new)?,
                Change::Update { old, new } => self.update(gather, table, destination, (old.as_ref(), new))?,
                Change::Delete(old) => self.delete(gather, table, destination, old)?,
            };
            match done {
                Outcome::Retyped => return Ok(done),
                Outcome::Unknown => outcome = done,
                Outcome::Done => {}
            }
        }
        Ok(outcome)
    }

    fn insert(
        &mut self,
        gather: &mut Gather,
        table: &Applied<'_>,
        destination: &Destination,
        new: &Tuple,
    ) -> Result<Outcome, Failure> {
        match placed(table, destination, new, &Fill::Nothing) {
            Ok((address, key, data)) => gather.push(destination.upsert(address, key, data, table.time))?,
            Err(Poison::Row(RowError::Unknown(_))) => return Ok(Outcome::Unknown),
            Err(poison) if self.retyped(&poison) => return Ok(Outcome::Retyped),
            Err(poison) => self.bury(gather, table, "insert", &poison, new)?,
        }
        Ok(Outcome::Done)
    }

    fn update(
        &mut self,
        gather: &mut Gather,
        table: &Applied<'_>,
        destination: &Destination,
        (old, new): (Option<&Old>, &Tuple),
    ) -> Result<Outcome, Failure> {
        let named = match old {
            Some(Old::Key(tuple) | Old::Full(tuple)) => tuple,
            None => new,
        };
        let before_key = key(table, destination, named);
        let left_out = new.iter().any(|cell| matches!(cell, Cell::Unchanged));
        let needed = destination.moves() || old.is_some() || (left_out && !matches!(old, Some(Old::Full(_))));
        let before: Vec<Row> = match &before_key {
            Ok(key) if needed => rows_of(gather, table, destination, (old, named), key)?,
            _ => Vec::new(),
        };
        let fill = match (old, before.first()) {
            (Some(Old::Full(tuple)), _) => Fill::Old(tuple),
            (_, Some((_, data))) => Fill::Row(data),
            _ => Fill::Nothing,
        };
        let after = placed(table, destination, new, &fill);
        let leave = |gather: &mut Gather, stay: Option<(&tidegate_core::Address, &Key)>| -> Result<(), Failure> {
            let Ok(key) = &before_key else { return Ok(()) };
            for (address, _) in &before {
                if stay != Some((address, key)) {
                    gather.push(destination.delete(address.clone(), key.clone(), table.time))?;
                }
            }
            Ok(())
        };
        match after {
            Ok((address, key, data)) => {
                leave(gather, Some((&address, &key)))?;
                gather.push(destination.upsert(address, key, data, table.time))?;
            }
            Err(Poison::Row(RowError::Unknown(_))) => return Ok(Outcome::Unknown),
            Err(poison) if self.retyped(&poison) => return Ok(Outcome::Retyped),
            Err(poison) => {
                // What it was is no longer true, and what it is has no place.
                match (&before_key, destination.fixed()) {
                    (Ok(key), Some(address)) if !needed => {
                        gather.push(destination.delete(address.clone(), key.clone(), table.time))?;
                    }
                    _ => leave(gather, None)?,
                }
                self.bury(gather, table, "update", &poison, new)?;
            }
        }
        Ok(Outcome::Done)
    }

    fn delete(
        &mut self,
        gather: &mut Gather,
        table: &Applied<'_>,
        destination: &Destination,
        old: &Old,
    ) -> Result<Outcome, Failure> {
        let (Old::Key(tuple) | Old::Full(tuple)) = old;
        match key(table, destination, tuple) {
            Err(poison) => self.bury(gather, table, "delete", &poison, tuple)?,
            Ok(key) => match (destination.fixed(), old) {
                (Some(address), Old::Key(_)) => {
                    gather.push(destination.delete(address.clone(), key, table.time))?;
                }
                _ => {
                    for (address, _) in rows_of(gather, table, destination, (Some(old), tuple), &key)? {
                        gather.push(destination.delete(address, key.clone(), table.time))?;
                    }
                }
            },
        }
        Ok(Outcome::Done)
    }

    /// A row without a place becomes a dead letter, in the same transaction.
    fn bury(
        &mut self,
        gather: &mut Gather,
        table: &Applied<'_>,
        op: &str,
        poison: &Poison,
        tuple: &Tuple,
    ) -> Result<(), Failure> {
        let shown = |(at, cell): (usize, &Cell)| (table.shape.name(at).to_owned(), shown(cell));
        let row = tuple.iter().enumerate().take(table.shape.len()).map(shown).collect();
        match self.letter(table.title, op, poison, row, table.time) {
            Some(letter) => gather.push(letter),
            None => Ok(()),
        }
    }

    /// Whether reading the types again may help, which is tried once.
    fn retyped(&self, poison: &Poison) -> bool {
        !self.types_are_new && matches!(poison, Poison::Row(RowError::Value { error: ValueError::Attributes, .. }))
    }

    /// The dead letter of a row, if there is a channel for it; counted and logged in any case.
    pub(super) fn letter(
        &mut self,
        table: &str,
        op: &str,
        poison: &Poison,
        row: Map<String, Value>,
        time: Millis,
    ) -> Option<Entry> {
        SourceStats::add(&self.stats.unplaced, 1);
        let reason = poison.to_string();
        let told = format!("{table}: {reason}");
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&told) {
            tracing::warn!(source = self.source, table, reason, "a row has no place and is a dead letter");
            self.reasons.insert(told);
        }
        let DeadLetters { channel, address } = self.dead_letters?;
        SourceStats::add(&self.stats.dead_letters, 1);
        let letter = json!({"source": self.source, "table": table, "op": op, "reason": reason, "row": row});
        let data = Bytes::from(letter.to_string());
        let (channel, address) = (channel.id(), address.clone());
        Some(Entry { channel, op: Op::Append, address, key: None, time, data })
    }
}

/// Where a row belongs, and its data.
fn placed(
    table: &Applied<'_>,
    destination: &Destination,
    tuple: &Tuple,
    fill: &Fill<'_>,
) -> Result<(tidegate_core::Address, Key, Bytes), Poison> {
    let mut writer = table.shape.writer(destination.numbers);
    for (at, cell) in tuple.iter().enumerate() {
        match cell {
            Cell::Null => writer.null(),
            Cell::Text(text) => writer.text(text),
            Cell::Unchanged => fill.write(&mut writer, table.shape.name(at), at),
        }
    }
    let data = match writer.finish() {
        Err(error @ RowError::Unknown(_)) => {
            // A row whose place is wrong whatever the missing value says needs no comparison to be found so.
            destination.place(&known(table, destination, tuple, |_, cell| !matches!(cell, Cell::Unchanged))?)?;
            return Err(error.into());
        }
        finished => finished?,
    };
    let (address, key) = destination.place(&data)?;
    Ok((address, key, data))
}

/// The rows of the log that a change is about: at the address that the old row tells, or else wherever its key is.
fn rows_of(
    gather: &Gather,
    table: &Applied<'_>,
    destination: &Destination,
    (old, named): (Option<&Old>, &Tuple),
    key: &Key,
) -> Result<Vec<Row>, Failure> {
    let told = |at: usize, cell: &Cell| matches!(cell, Cell::Text(_)) && table.keys.get(at) == Some(&true);
    let address = known(table, destination, named, told).ok();
    let address = address.and_then(|data| destination.placement.address(&data).ok());
    let mut rows = match address {
        Some(address) => gather.find_at(destination, &address, key)?.into_iter().collect(),
        None => gather.find(destination, key)?,
    };
    if let Some(Old::Full(tuple)) = old {
        rows.retain(|row| is(table, destination, tuple, row));
    }
    Ok(rows)
}

/// Whether the log's row is this one. Where uniqueness is checked late, an earlier change of the same transaction may
/// have put another row in its place.
fn is(table: &Applied<'_>, destination: &Destination, old: &Tuple, row: &Row) -> bool {
    match placed(table, destination, old, &Fill::Nothing) {
        Ok((address, _, data)) => (address, data) == *row,
        // It was a dead letter; the log has never had it.
        Err(_) => false,
    }
}

/// An object of some columns alone.
fn known(
    table: &Applied<'_>,
    destination: &Destination,
    tuple: &Tuple,
    wanted: impl Fn(usize, &Cell) -> bool,
) -> Result<Bytes, RowError> {
    let mut writer = table.shape.writer(destination.numbers);
    for (at, cell) in tuple.iter().enumerate() {
        match cell {
            Cell::Text(text) if wanted(at, cell) => writer.text(text),
            Cell::Null if wanted(at, cell) => writer.null(),
            _ => writer.skip(),
        }
    }
    writer.finish()
}

/// The key that a tuple names; other columns may be missing from it.
fn key(table: &Applied<'_>, destination: &Destination, tuple: &Tuple) -> Result<Key, Poison> {
    let named = |at: usize, cell: &Cell| matches!(cell, Cell::Text(_)) && table.keys.get(at) == Some(&true);
    Ok(destination.key(&known(table, destination, tuple, named)?)?)
}

impl Fill<'_> {
    fn write(&self, writer: &mut RowWriter<'_>, name: &str, at: usize) {
        match self {
            Fill::Old(tuple) => match tuple.get(at) {
                Some(Cell::Text(text)) => writer.text(text),
                Some(Cell::Null) => writer.null(),
                _ => writer.unknown(),
            },
            Fill::Row(row) => match tidegate_core::json::member(row, name) {
                Some(json) => writer.json(json),
                None => writer.unknown(),
            },
            Fill::Nothing => writer.unknown(),
        }
    }
}

/// What a dead letter shows of a value.
fn shown(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Unchanged => json!({"unchanged": true}),
        Cell::Text(text) => shown_text(text),
    }
}

/// The text of a value, cut short.
pub(super) fn shown_text(text: &[u8]) -> Value {
    if text.len() <= SHOWN_BYTES {
        return Value::String(String::from_utf8_lossy(text).into_owned());
    }
    let begin = String::from_utf8_lossy(&text[..SHOWN_BYTES]).into_owned();
    json!({"begins": begin, "bytes": text.len()})
}
