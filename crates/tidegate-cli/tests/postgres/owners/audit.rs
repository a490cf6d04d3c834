//! Every version that a row ever had, as the table wrote it down, and what a principal must have heard of them.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use tidegate_testkit::postgres::Cluster;
use tidegate_testkit::replica::Rows;

use super::principal::Heard;

/// Address and key.
type Place = (String, String);

/// The versions of each row in the order of their commits, which its lock made; `None`: it was deleted.
pub(super) struct Audit {
    of_rows: BTreeMap<String, Vec<Option<Value>>>,
}

impl Audit {
    pub(super) fn read(cluster: &Cluster) -> Audit {
        let select = "SELECT jsonb_build_array(id::text, version) FROM audit ORDER BY n";
        let mut of_rows: BTreeMap<String, Vec<Option<Value>>> = BTreeMap::new();
        for line in cluster.sql("postgres", select).lines() {
            let (id, version): (String, Option<Value>) = serde_json::from_str(line).expect("JSON");
            of_rows.entry(id).or_default().push(version);
        }
        Audit { of_rows }
    }

    /// How many there were.
    pub(super) fn versions(&self) -> usize {
        self.of_rows.values().map(Vec::len).sum()
    }

    /// What a principal holds in the end.
    pub(super) fn rows_of(&self, name: &str) -> Rows {
        let last = self.of_rows.iter().filter_map(|(id, versions)| Some((id, versions.last()?.as_ref()?)));
        let own = last.filter(|(_, row)| row["owner"] == name);
        own.map(|(id, row)| ((address(row), id.clone()), shown(row))).collect()
    }

    /// Compares what a principal heard with what was its own.
    pub(super) fn judge(&self, heard: &Heard) -> Result<(), String> {
        for frame in &heard.ever {
            self.was_own(frame, &heard.name)?;
        }
        let mut told: HashMap<Place, Vec<Option<&Value>>> = HashMap::new();
        for frame in &heard.settled {
            let text = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
            told.entry((text("address"), text("key"))).or_default().push(frame.get("data"));
        }
        for (id, versions) in &self.of_rows {
            for (address, wanted) in events(versions, &heard.name) {
                let told = told.remove(&(address.clone(), id.clone())).unwrap_or_default();
                if !told.iter().copied().eq(wanted.iter().map(Option::as_ref)) {
                    return Err(format!("of {address} {id} it was told {told:?}, and there were {wanted:?}"));
                }
            }
        }
        match told.into_iter().next() {
            None => Ok(()),
            Some(more) => Err(format!("it was told of what never was its own: {more:?}")),
        }
    }

    /// A frame tells of a version that was the principal's own, or of the end of one.
    fn was_own(&self, frame: &Value, name: &str) -> Result<(), String> {
        let versions = self.of_rows.get(frame["key"].as_str().unwrap_or_default()).map_or(&[][..], Vec::as_slice);
        let mut own = versions.iter().flatten().filter(|row| row["owner"] == name && address(row) == frame["address"]);
        let was = match frame.get("data") {
            Some(data) => own.any(|row| shown(row) == *data),
            None => frame["op"] == "delete" && own.next().is_some(),
        };
        if was { Ok(()) } else { Err(format!("told of a row of another: {frame}")) }
    }
}

/// What a principal is told of a row, by address: its own versions, and that it is gone.
fn events(versions: &[Option<Value>], name: &str) -> BTreeMap<String, Vec<Option<Value>>> {
    let mut events: BTreeMap<String, Vec<Option<Value>>> = BTreeMap::new();
    let mut before: Option<(String, Value)> = None;
    for version in versions {
        let own = version.as_ref().filter(|row| row["owner"] == name);
        let after = own.map(|row| (address(row), shown(row)));
        if let Some((address, _)) = &before
            && after.as_ref().is_none_or(|(now, _)| now != address)
        {
            events.entry(address.clone()).or_default().push(None);
        }
        if let Some((address, row)) = after.as_ref().filter(|_| after != before) {
            events.entry(address.clone()).or_default().push(Some(row.clone()));
        }
        before = after;
    }
    events
}

fn address(row: &Value) -> String {
    format!("docs/{}", row["room"].as_str().unwrap_or_default())
}

/// A version without what is masked.
fn shown(row: &Value) -> Value {
    let members = row.as_object().into_iter().flatten().filter(|(name, _)| *name != "cost");
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}
