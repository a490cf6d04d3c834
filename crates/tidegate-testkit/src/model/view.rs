//! The last value per key of a channel, and nothing else.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_core::Op;

use super::eye::Eye;

/// Identity of a row: its address and its key.
pub type RowId = (String, String);

/// Rows in (address, key) order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The rows.
    pub rows: BTreeMap<RowId, Value>,
}

impl View {
    /// What a row holds now.
    pub fn get(&self, address: &str, key: &str) -> Option<&Value> {
        self.rows.get(&(address.to_owned(), key.to_owned()))
    }

    /// Applies one change of a keyed channel.
    pub fn apply(&mut self, op: Op, address: &str, key: Option<&str>, data: &Value) {
        let id = (address.to_owned(), key.unwrap_or_default().to_owned());
        match op {
            Op::Upsert => drop(self.rows.insert(id, data.clone())),
            Op::Delete => drop(self.rows.remove(&id)),
            Op::Clear => self.rows.clear(),
            Op::Append | Op::Gap | Op::Notice => {}
        }
    }

    /// What a watch shows of the rows.
    pub fn through(&self, eye: &Eye) -> View {
        let rows = self.rows.iter().filter(|((address, key), data)| eye.sees_row(address, key, data));
        View { rows: rows.map(|(id, data)| (id.clone(), eye.project(data))).collect() }
    }
}
