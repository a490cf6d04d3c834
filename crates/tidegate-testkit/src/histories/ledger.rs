//! Every value of one history, written down before it is sent to the server: a frame that is heard can be judged at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tidegate_core::{Offset, Op};

use crate::model::{Change, Eye, Image};

/// The filling of values. It is long and says nothing, so it is left to the hashes of the end.
const FILLING: &str = "pad";

/// Address and key, which is empty on plain channels.
type Place = (String, String);

/// That of one history, shared by its writer and its watchers.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    noted: Arc<Mutex<Noted>>,
}

#[derive(Default)]
struct Noted {
    values: HashMap<Place, Vec<Value>>,
    /// The offset after all that was answered.
    head: Offset,
    /// Changes that were sent since: they have an offset, will have one, or are refused.
    on_their_way: u64,
}

impl Ledger {
    /// The writer is about to write this, and nobody has heard of it.
    pub(super) fn note(&self, changes: &[Change]) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.on_their_way = changes.len() as u64;
        for change in changes.iter().filter(|change| change.op != Op::Delete) {
            let place = (change.address.clone(), change.key.clone().unwrap_or_default());
            noted.values.entry(place).or_default().push(lean(&change.data));
        }
    }

    /// It was answered, taken or refused, and the last offset is this one.
    pub(super) fn answered(&self, head: Offset) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        (noted.head, noted.on_their_way) = (head, 0);
    }

    /// What is written from now on comes behind this offset.
    pub(super) fn bound(&self) -> Offset {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.head + noted.on_their_way
    }

    /// Whether a frame tells only of what may be seen: a value that there was, as it is shown, or the end of one. `row` is what
    /// the frame made of the row, where it is a patch.
    pub(super) fn judge(&self, frame: &Value, row: Option<&Value>, eye: &Eye) -> Result<(), String> {
        let (Some(address), key) = (frame["address"].as_str(), frame["key"].as_str()) else { return Ok(()) };
        let op = match frame["op"].as_str() {
            Some("delete") => Op::Delete,
            Some("append") => Op::Append,
            _ => Op::Upsert,
        };
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (address.to_owned(), key.unwrap_or_default().to_owned());
        let there_were = noted.values.get(&place).map(Vec::as_slice).unwrap_or_default();
        let mut seen = there_were.iter().rev().filter(|data| eye.sees(&Image { address, key, op, data }));
        if op == Op::Delete {
            return seen.next().map(drop).ok_or_else(|| format!("told of the end of what it never might see: {frame}"));
        }
        let Some(shown) = frame.get("data").or(row).map(lean) else { return Ok(()) };
        // The number of a value is enough to tell most of them apart, and quick.
        let number = shown.get("seq");
        let mut alike = seen.filter(|data| number.is_none_or(|number| data.get("seq") == Some(number)));
        match alike.any(|data| eye.project(data) == shown) {
            true => Ok(()),
            false => Err(format!("sent what it may not see, or what never was: {frame} ({eye:?})")),
        }
    }
}

fn lean(data: &Value) -> Value {
    match data {
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != FILLING);
            members.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tidegate_core::{Address, Kind, Scope};

    use super::*;

    #[test]
    fn a_frame_tells_of_what_its_principal_may_see_as_it_is_shown() {
        let ledger = Ledger::default();
        let row = |owner: &str, seq: u32| json!({ "owner": owner, "secret": owner, "seq": seq });
        ledger.note(&[Change::upsert("a/b", "1", row("ann", 1)), Change::upsert("a/b", "1", row("ben", 2))]);
        let scope = Scope::address(Address::parse("a/b").expect("an address"));
        let of = |name: &'static str| {
            let rule = Arc::new(move |image: &Image<'_>| image.data["owner"] == name);
            Eye { row_rule: rule, ..Eye::open(scope.clone(), Kind::State).with_mask(&["secret"]) }
        };
        let frame = |op: &str, data: Value| json!({ "op": op, "address": "a/b", "key": "1", "data": data });
        let gone = json!({ "op": "delete", "address": "a/b", "key": "1" });
        let judge = |frame: &Value, name| ledger.judge(frame, None, &of(name));
        assert_eq!(judge(&frame("upsert", json!({ "owner": "ann", "seq": 1 })), "ann"), Ok(()));
        assert_eq!(judge(&gone, "ann"), Ok(()));
        judge(&frame("upsert", json!({ "owner": "ben", "seq": 2 })), "ann").expect_err("another's");
        judge(&frame("upsert", row("ann", 1)), "ann").expect_err("a masked column");
        judge(&gone, "cai").expect_err("it never was hers");
    }
}
