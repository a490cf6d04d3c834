//! Everything that a history or plain watch said, in order, with marks where something is missing.

use serde_json::Value;

use super::{Violation, broken, offset, text};

/// The list, as far as it came.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In order.
    pub items: Vec<Item>,
    /// Items that a cursor stands behind.
    committed: usize,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A record.
    Event {
        /// `append`, `upsert`, `delete` or `clear`.
        op: String,
        /// Empty on a clear.
        address: String,
        /// On keyed channels, but for a clear.
        key: Option<String>,
        /// Null on a delete and a clear.
        data: Value,
        /// The offset inside its cursor.
        offset: Option<u64>,
        /// How many events it stands for, if they are conflated.
        conflated: Option<u64>,
    },
    /// Where a stream told its cursor before the first event.
    Begin {
        /// The offset inside the cursor.
        offset: Option<u64>,
    },
    /// What a source told.
    Notice {
        /// What of.
        code: String,
        /// The offset inside its cursor.
        offset: Option<u64>,
    },
    /// An announced loss.
    Gap {
        /// The offset at which what follows begins.
        to: Option<u64>,
        /// Why.
        reason: String,
    },
}

impl History {
    pub(super) fn settled(&self) -> bool {
        self.committed == self.items.len()
    }

    pub(super) fn apply(&mut self, op: &str, frame: &Value) -> Result<(), Violation> {
        let member = |name: &str| frame.get(name).and_then(Value::as_str);
        match op {
            // Before a gap it carries none: a cursor behind the loss would hide it from a client
            // that is cut right here.
            "begin" => {
                if let Some(cursor) = member("cursor") {
                    self.items.push(Item::Begin { offset: offset(cursor) });
                }
            }
            "append" | "upsert" => {
                let data = frame.get("data").ok_or_else(|| broken("`data` is missing", frame))?;
                self.event(op, text(frame, "address")?, data.clone(), frame);
            }
            "delete" => self.event(op, text(frame, "address")?, Value::Null, frame),
            "clear" => self.event(op, "", Value::Null, frame),
            "notice" => {
                let offset = member("cursor").and_then(offset);
                self.items.push(Item::Notice { code: text(frame, "code")?.to_owned(), offset });
            }
            "bookmark" => {}
            _ => return Err(broken("no frame of a history watch", frame)),
        }
        Ok(())
    }

    pub(super) fn gap(&mut self, frame: &Value) -> Result<(), Violation> {
        let to = frame.get("to").and_then(Value::as_str).and_then(offset);
        self.items.push(Item::Gap { to, reason: text(frame, "reason")?.to_owned() });
        Ok(())
    }

    pub(super) fn commit(&mut self) {
        self.committed = self.items.len();
    }

    pub(super) fn roll_back(&mut self) {
        self.items.truncate(self.committed);
    }

    fn event(&mut self, op: &str, address: &str, data: Value, frame: &Value) {
        let member = |name: &str| frame.get(name).and_then(Value::as_str);
        self.items.push(Item::Event {
            op: op.to_owned(),
            address: address.to_owned(),
            key: member("key").map(str::to_owned),
            data,
            offset: member("cursor").and_then(offset),
            conflated: frame.get("conflated").and_then(Value::as_u64),
        });
    }
}
