//! What a watch looks at, and what it shows of it: filters as closures, fields as lists of names.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tidegate_core::{Fingerprint, Kind, Op, Scope};

use super::log::Record;

/// A value at its place, as a filter judges it.
#[derive(Clone, Copy, Debug)]
pub struct Image<'v> {
    /// Where.
    pub address: &'v str,
    /// Of keyed channels.
    pub key: Option<&'v str>,
    /// What happens to it: a value that a change replaced is judged as one that goes.
    pub op: Op,
    /// The value.
    pub data: &'v Value,
}

/// A filter or a row rule.
pub type Rule = Arc<dyn Fn(&Image<'_>) -> bool + Send + Sync>;

/// What a watch looks at and what it may see.
#[derive(Clone)]
pub struct Eye {
    /// Which rows.
    pub scope: Scope,
    /// State or records; always [`Kind::History`] on a plain channel.
    pub kind: Kind,
    /// Text of filter and rule: closures cannot be compared, the fingerprint needs something.
    pub rules: String,
    /// What the client asked for.
    pub filter: Rule,
    /// What the client may see.
    pub row_rule: Rule,
    /// Which part of each value, as paths of names; `None`: all of it.
    pub fields: Option<Vec<Vec<String>>>,
    /// What nobody is shown of it, alike.
    pub mask: Vec<Vec<String>>,
}

/// What is shown of a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// The value, new to the watch.
    Value(Value),
    /// The value, and the one that the watch was shown before.
    Changed {
        /// The one before.
        was: Value,
        /// The value.
        is: Value,
    },
    /// That it is gone, or no longer visible: the two look the same.
    Gone,
}

impl Eye {
    /// Sees everything in `scope`.
    pub fn open(scope: Scope, kind: Kind) -> Eye {
        let all: Rule = Arc::new(|_| true);
        Eye { scope, kind, rules: String::new(), filter: all.clone(), row_rule: all, fields: None, mask: Vec::new() }
    }

    /// With these members only: `a`, `b.c`.
    pub fn with_fields(self, paths: &[&str]) -> Eye {
        Eye { fields: Some(named(paths)), ..self }
    }

    /// Without these members: `a`, `b.c`.
    pub fn with_mask(self, paths: &[&str]) -> Eye {
        Eye { mask: named(paths), ..self }
    }

    /// Whether a value at this place is visible.
    pub fn sees(&self, image: &Image<'_>) -> bool {
        self.scope.matches(image.address, image.key) && (self.filter)(image) && (self.row_rule)(image)
    }

    /// Whether a row is visible.
    pub fn sees_row(&self, address: &str, key: &str, data: &Value) -> bool {
        self.sees(&Image { address, key: Some(key), op: Op::Upsert, data })
    }

    /// The part of a value that it shows.
    pub fn project(&self, data: &Value) -> Value {
        let data = self.hide(data);
        let Some(fields) = &self.fields else { return data };
        let paths: Vec<&[String]> = fields.iter().map(Vec::as_slice).collect();
        part(&data, &paths)
    }

    /// A value without what nobody is shown.
    pub fn hide(&self, data: &Value) -> Value {
        self.mask.iter().fold(data.clone(), |data, path| without(data, path))
    }

    /// What it shows of a change of a key, or of an event, `before` being what the key had; `None`: nothing.
    pub fn shown(&self, record: &Record, before: Option<&Value>) -> Option<Shown> {
        let change = &record.change;
        let image = |op, data| Image { address: &change.address, key: change.key.as_deref(), op, data };
        let now = matches!(change.op, Op::Upsert | Op::Append) && self.sees(&image(change.op, &change.data));
        let was = before.filter(|data| self.sees(&image(Op::Delete, data)));
        let is = self.project(&change.data);
        match (was.map(|was| self.project(was)), now) {
            (None, true) => Some(Shown::Value(is)),
            (Some(was), true) if (self.fields.is_some() || !self.mask.is_empty()) && was == is => None,
            (Some(was), true) => Some(Shown::Changed { was, is }),
            (Some(_), false) => Some(Shown::Gone),
            (None, false) => None,
        }
    }

    /// Changes with everything that decides which rows the replica holds, and with which values.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_of("")
    }

    /// The same for rows of which some may be newer than their cursor.
    pub fn fuzzy_fingerprint(&self) -> Fingerprint {
        self.fingerprint_of("fuzzy")
    }

    fn fingerprint_of(&self, rows: &str) -> Fingerprint {
        let kind: &[u8] = if self.kind == Kind::State { b"state" } else { b"history" };
        let key = self.scope.key.as_deref();
        Fingerprint::of(&[
            kind,
            self.scope.target.as_str().as_bytes(),
            &[u8::from(key.is_some())],
            key.unwrap_or_default().as_bytes(),
            self.rules.as_bytes(),
            format!("{:?}{:?}", self.fields, self.mask).as_bytes(),
            rows.as_bytes(),
        ])
    }
}

impl fmt::Debug for Eye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Eye { scope, kind, rules, fields, mask, .. } = self;
        write!(f, "{kind:?} of {scope:?} where {rules:?} showing {fields:?} without {mask:?}")
    }
}

fn named(paths: &[&str]) -> Vec<Vec<String>> {
    paths.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect()
}

/// A value without the member at the path, through arrays too.
fn without(data: Value, path: &[String]) -> Value {
    match (data, path) {
        (Value::Object(mut members), [name, below @ ..]) => {
            if let Some(value) = members.remove(name)
                && !below.is_empty()
            {
                members.insert(name.clone(), without(value, below));
            }
            Value::Object(members)
        }
        (Value::Array(elements), path) => elements.into_iter().map(|element| without(element, path)).collect(),
        (other, _) => other,
    }
}

/// The members that the paths name or lead into, through arrays too; what is no object is shown as it is.
fn part(data: &Value, paths: &[&[String]]) -> Value {
    match data {
        _ if paths.iter().any(|path| path.is_empty()) => data.clone(),
        Value::Object(members) => {
            let mut shown = Map::new();
            for (name, value) in members {
                let below: Vec<&[String]> =
                    paths.iter().filter(|path| path[0] == *name).map(|path| &path[1..]).collect();
                if !below.is_empty() {
                    shown.insert(name.clone(), part(value, &below));
                }
            }
            Value::Object(shown)
        }
        Value::Array(elements) => elements.iter().map(|element| part(element, paths)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_core::{Address, Scope};

    use super::super::log::Change;
    use super::*;

    #[test]
    fn fields_lead_through_arrays_and_show_what_is_no_object() {
        let scope = Scope::address(Address::parse("a/b").expect("an address"));
        let eye = Eye::open(scope, Kind::State).with_fields(&["n", "pos.x", "lines.sku"]);
        let data = json!({"n": 1, "m": 2, "pos": {"x": null, "y": 2}, "lines": [{"sku": "s", "count": 1}, 7]});
        assert_eq!(eye.project(&data), json!({"n": 1, "pos": {"x": null}, "lines": [{"sku": "s"}, 7]}));
        assert_eq!(eye.project(&json!("text")), json!("text"));
        assert_eq!(eye.project(&json!({"m": 2, "pos": 3})), json!({"pos": 3}));
    }

    #[test]
    fn what_is_masked_is_never_shown_and_its_changes_are_not_told() {
        let scope = Scope::address(Address::parse("a/b").expect("an address"));
        let eye = Eye::open(scope, Kind::State).with_mask(&["ssn", "pay.iban"]);
        let row = |ssn: u8, sum: u8| json!({"ssn": ssn, "pay": [{"iban": ssn, "sum": sum}]});
        assert_eq!(eye.project(&row(1, 2)), json!({"pay": [{"sum": 2}]}));
        let shown = |was: Value, is| {
            let record = Record { offset: 1, change: Change::upsert("a/b", "k", is), before: None };
            eye.shown(&record, Some(&was))
        };
        assert_eq!(shown(row(1, 2), row(3, 2)), None);
        assert!(matches!(shown(row(1, 2), row(3, 4)), Some(Shown::Changed { .. })));
    }
}
