//! Rows as they are now against rows as the log has them: only what differs is appended.
//!
//! This is how a source without replay starts, and how loss upstream heals: rows that changed
//! become upserts, rows that are not seen any more become deletes.

use std::collections::HashMap;

use bytes::Bytes;
use tidegate_core::{Address, ChannelId, Key, Millis, Op, Placement, PlacementError, Scope};
use tidegate_log::{Channel, Entry, ReadError, ReadLimit};

/// Rows are read from the view in pages of this size.
const PAGE: ReadLimit = ReadLimit { records: 1_000, bytes: 1 << 20 };

/// One channel and its rows as the log has them.
pub(crate) struct Known {
    channel: ChannelId,
    placement: Placement,
    rows: HashMap<(Address, Key), Bytes>,
}

/// What has to be appended, and what the rows are once it has been.
pub(crate) struct Difference {
    pub(crate) entries: Vec<Entry>,
    /// Rows without a place; not appended.
    pub(crate) unplaced: Vec<PlacementError>,
    rows: HashMap<(Address, Key), Bytes>,
}

impl Known {
    /// Reads the channel's view.
    pub(crate) fn load(channel: &Channel, placement: Placement) -> Result<Known, ReadError> {
        let mut rows = HashMap::new();
        let target = tidegate_core::Target::parse(&placement.template.pattern()).map_err(unreadable)?;
        let scope = Scope { target, key: None };
        let mut after = None;
        loop {
            let page = channel.rows(&scope, after.as_ref(), PAGE)?;
            rows.extend(page.rows.into_iter().map(|row| ((row.address, row.key), row.data)));
            after = page.next;
            if after.is_none() {
                return Ok(Known { channel: channel.id(), placement, rows });
            }
        }
    }

    /// Compares all rows as they are now. Where two have one place, the later one counts.
    pub(crate) fn difference(&self, now: &[Bytes], time: Millis) -> Difference {
        let mut rows = HashMap::with_capacity(now.len());
        let mut order = Vec::with_capacity(now.len());
        let mut unplaced = Vec::new();
        for data in now {
            match self.place(data) {
                Ok(place) => {
                    if rows.insert(place.clone(), data.clone()).is_none() {
                        order.push(place);
                    }
                }
                Err(error) => unplaced.push(error),
            }
        }
        let entry = |(address, key): &(Address, Key), op: Op, data: Bytes| Entry {
            channel: self.channel,
            op,
            address: address.clone(),
            key: Some(key.clone()),
            time,
            data,
        };
        let mut gone: Vec<&(Address, Key)> = self.rows.keys().filter(|place| !rows.contains_key(*place)).collect();
        gone.sort_unstable();
        let deletes = gone.into_iter().map(|place| entry(place, Op::Delete, Bytes::new()));
        let changed = order.iter().filter(|place| self.rows.get(*place) != rows.get(*place));
        let upserts = changed.map(|place| entry(place, Op::Upsert, rows[place].clone()));
        Difference { entries: deletes.chain(upserts).collect(), unplaced, rows }
    }

    /// The difference is durable.
    pub(crate) fn apply(&mut self, difference: Difference) {
        self.rows = difference.rows;
    }

    fn place(&self, data: &[u8]) -> Result<(Address, Key), PlacementError> {
        match self.placement.place(data)? {
            (address, Some(key)) => Ok((address, key)),
            (_, None) => Err(PlacementError::KeyMissing(String::new())),
        }
    }
}

/// A template's pattern is always one that parses; should that change, it shows here.
fn unreadable(error: tidegate_core::AddressError) -> ReadError {
    ReadError::State(error.to_string())
}

#[cfg(test)]
mod tests {
    use tidegate_core::{KeySpec, Template};

    use super::*;

    fn known(rows: &[(&str, &str, &'static str)]) -> Known {
        let template = Template::parse("machine/{group}").expect("template");
        Known {
            channel: ChannelId::of("machine"),
            placement: Placement { template, key: KeySpec::new(["name"]) },
            rows: rows
                .iter()
                .map(|(address, key, data)| {
                    ((Address::parse(address).expect("address"), Key::from(*key)), Bytes::from_static(data.as_bytes()))
                })
                .collect(),
        }
    }

    fn changes(difference: &Difference) -> Vec<String> {
        let text = |entry: &Entry| {
            format!("{} {} {}", entry.op.as_str(), entry.address.as_str(), entry.key.as_deref().unwrap_or_default())
        };
        difference.entries.iter().map(text).collect()
    }

    #[test]
    fn only_what_differs_is_appended() {
        const TOTAL: &str = r#"{"group":"cpu","name":"total","percent":1}"#;
        let mut known = known(&[
            ("machine/cpu", "total", TOTAL),
            ("machine/cpu", "cpu0", r#"{"group":"cpu","name":"cpu0","percent":1}"#),
            ("machine/process", "gone-1", "{}"),
        ]);
        let now = [
            Bytes::from_static(TOTAL.as_bytes()),
            Bytes::from_static(br#"{"group":"cpu","name":"cpu0","percent":2}"#),
            Bytes::from_static(br#"{"group":"disk","name":"/"}"#),
            Bytes::from_static(br#"{"group":"disk"}"#),
        ];
        let difference = known.difference(&now, Millis(5));
        assert_eq!(
            changes(&difference),
            ["delete machine/process gone-1", "upsert machine/cpu cpu0", "upsert machine/disk /"]
        );
        assert_eq!(difference.unplaced, [PlacementError::KeyMissing("name".to_owned())]);
        known.apply(difference);
        assert_eq!(changes(&known.difference(&now, Millis(6))), Vec::<String>::new());
    }
}
