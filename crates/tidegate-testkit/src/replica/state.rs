//! Rows by (address, key), with the way back to the last cursor.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::{Violation, broken, text};

/// Rows in (address, key) order.
pub type Rows = BTreeMap<(String, String), Value>;

/// The last value per key, as far as it came.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The rows.
    pub rows: Rows,
    /// Sum of [`row_hash`] over the rows: a cheap fingerprint, kept up with each change.
    pub hash: u64,
    /// Newest last; empty at a cursor.
    undo: Vec<Undo>,
    /// Rows since the `reset` of the snapshot that is being sent.
    scanning: Option<u64>,
}

#[derive(Clone, Debug)]
enum Undo {
    Row((String, String), Option<Value>),
    All { rows: Rows, hash: u64, scanning: Option<u64> },
}

/// What one row adds to [`State::hash`].
pub fn row_hash(address: &str, key: &str, data: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    (address, key, data.to_string()).hash(&mut hasher);
    hasher.finish()
}

impl State {
    pub(super) fn settled(&self) -> bool {
        self.undo.is_empty() && self.scanning.is_none()
    }

    pub(super) fn apply(&mut self, op: &str, frame: &Value) -> Result<(), Violation> {
        match op {
            "begin" | "notice" => {}
            "bookmark" if self.scanning.is_some() => return Err(broken("a bookmark inside a snapshot", frame)),
            "bookmark" => {}
            "reset" => {
                let all = Undo::All { rows: std::mem::take(&mut self.rows), hash: self.hash, scanning: self.scanning };
                self.undo.push(all);
                self.hash = 0;
                self.scanning = Some(0);
            }
            "snapshot" if frame.get("last").is_some() => {
                let counted = self.scanning.take().ok_or_else(|| broken("a snapshot ends that never began", frame))?;
                if frame.get("count").and_then(Value::as_u64) != Some(counted) {
                    return Err(broken(&format!("{counted} rows came, not `count`"), frame));
                }
            }
            "snapshot" => {
                let rows = self.scanning.as_mut().ok_or_else(|| broken("a row outside a snapshot", frame))?;
                *rows += 1;
                self.put(frame)?;
            }
            "upsert" if frame.get("data").is_some() => self.put(frame)?,
            "upsert" => {
                let id = id(frame)?;
                let before = self.rows.get(&id).ok_or_else(|| broken("a patch of a row that was never sent", frame))?;
                let data = patched(before.clone(), frame)?;
                self.set(id, Some(data));
            }
            "delete" => {
                let id = id(frame)?;
                // Inside a snapshot a row may go that the scan had not reached yet.
                if !self.rows.contains_key(&id) && self.scanning.is_none() {
                    return Err(broken("a delete of a row that was never sent", frame));
                }
                self.set(id, None);
            }
            _ => return Err(broken("no frame of a state watch", frame)),
        }
        Ok(())
    }

    pub(super) fn commit(&mut self, frame: &Value) -> Result<(), Violation> {
        if self.scanning.is_some() {
            return Err(broken("a cursor inside a snapshot", frame));
        }
        self.undo.clear();
        Ok(())
    }

    pub(super) fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Row(id, data) => self.replace(id, data).map_or((), drop),
                Undo::All { rows, hash, scanning } => {
                    self.rows = rows;
                    self.hash = hash;
                    self.scanning = scanning;
                }
            }
        }
    }

    fn put(&mut self, frame: &Value) -> Result<(), Violation> {
        let data = frame.get("data").ok_or_else(|| broken("`data` is missing", frame))?;
        self.set(id(frame)?, Some(data.clone()));
        Ok(())
    }

    fn set(&mut self, id: (String, String), data: Option<Value>) {
        let before = self.replace(id.clone(), data);
        self.undo.push(Undo::Row(id, before));
    }

    fn replace(&mut self, id: (String, String), data: Option<Value>) -> Option<Value> {
        if let Some(data) = &data {
            self.hash = self.hash.wrapping_add(row_hash(&id.0, &id.1, data));
        }
        let before = match data {
            Some(data) => self.rows.insert(id.clone(), data),
            None => self.rows.remove(&id),
        };
        if let Some(before) = &before {
            self.hash = self.hash.wrapping_sub(row_hash(&id.0, &id.1, before));
        }
        before
    }
}

/// What a `patch` (RFC 7396) or `patches` (RFC 6902) make of a row.
fn patched(mut data: Value, frame: &Value) -> Result<Value, Violation> {
    match (frame.get("patch"), frame.get("patches")) {
        (Some(patch), None) => json_patch::merge(&mut data, patch),
        (None, Some(patches)) => {
            let patches: json_patch::Patch =
                serde_json::from_value(patches.clone()).map_err(|error| broken(&error.to_string(), frame))?;
            json_patch::patch(&mut data, &patches).map_err(|error| broken(&error.to_string(), frame))?;
        }
        _ => return Err(broken("neither `data` nor one of `patch` and `patches`", frame)),
    }
    Ok(data)
}

fn id(frame: &Value) -> Result<(String, String), Violation> {
    Ok((text(frame, "address")?.to_owned(), text(frame, "key")?.to_owned()))
}
