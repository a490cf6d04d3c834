//! What the model says a watcher must hold.

use std::collections::HashMap;

use serde_json::Value;
use tidegate_core::{Op, Scope};

use crate::model::{Channel, Record, View};
use crate::replica::{Item, Rows, row_hash};

/// The model of one channel after all that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) channel: Channel,
    pub(super) trims: bool,
    /// One for each acknowledged batch, in order.
    pub(super) batches: Vec<Acknowledged>,
}

/// One acknowledged batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    /// The server's offset after it; the model's own offsets mean nothing to the server.
    pub(super) offset: u64,
    /// Records of the model up to and with it.
    pub(super) records: usize,
}

/// How a list stands to the truth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Complete,
    Behind,
    Wrong(String),
}

impl Truth {
    /// The server's offset after everything.
    pub(super) fn head(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.offset)
    }

    /// The rows of `scope` after everything.
    pub(super) fn rows(&self, scope: &Scope) -> Rows {
        self.channel.view.filtered(|address, key, _| scope.matches(address, Some(key))).rows
    }

    /// The hash of the rows of `scope` at each offset where it is known.
    pub(super) fn hashes(&self, scope: &Scope) -> HashMap<u64, u64> {
        let mut hashes = HashMap::from([(0, 0)]);
        let (mut view, mut at) = (View::default(), 0);
        for batch in &self.batches {
            for Record { change, .. } in &self.channel.ever[at..batch.records] {
                view.apply(change.op, &change.address, change.key.as_deref(), &change.data);
            }
            at = batch.records;
            let rows = view.rows.iter().filter(|((address, key), _)| scope.matches(address, Some(key)));
            let hash = rows.fold(0u64, |sum, ((address, key), data)| sum.wrapping_add(row_hash(address, key, data)));
            hashes.insert(batch.offset, hash);
        }
        hashes
    }

    /// Whether `items` are the records of `scope`, each once and in order, but for announced gaps.
    pub(super) fn list(&self, scope: &Scope, items: &[Item]) -> Listed {
        let records: Vec<(usize, &Record)> = self.records(scope);
        // Where the next event must be; none until the list says where it begins.
        let mut next: Option<usize> = None;
        for (index, item) in items.iter().enumerate() {
            match item {
                Item::Begin { offset: Some(offset) } => next = next.or_else(|| Some(self.after(&records, *offset))),
                Item::Begin { offset: None } => return Listed::Wrong("a cursor that is none of ours".to_owned()),
                Item::Gap { to: Some(to), reason } if reason == "retention" && self.trims => {
                    if items[..index].iter().filter_map(standing).any(|before| before > *to) {
                        return Listed::Wrong(format!("item {index}: a gap that leads back: {item:?}"));
                    }
                    next = Some(self.after(&records, *to).max(next.unwrap_or(0)));
                }
                Item::Gap { .. } | Item::Notice { .. } => return Listed::Wrong(format!("item {index}: {item:?}")),
                Item::Event { .. } => {
                    // Deletes look alike; the batch that its cursor names tells them apart.
                    let found = records
                        .iter()
                        .position(|(batch, record)| same(record, item) && self.misplaced(*batch, item).is_none());
                    let expected = next.unwrap_or_else(|| if self.trims { found.unwrap_or(0) } else { 0 });
                    let expected = match (found, index.checked_sub(1).and_then(|at| landing(&items[at]))) {
                        (Some(found), Some(at))
                            if (self.trims || only_begun(&items[..index]))
                                && self.amid(&records[expected..], at, found, expected) =>
                        {
                            found
                        }
                        _ => expected,
                    };
                    if !records.get(expected).is_some_and(|(_, record)| same(record, item)) {
                        let place = |at: usize| records.get(at).map(|(batch, record)| self.place(*batch, record));
                        let (wanted, found) = (place(expected), found.and_then(place));
                        return Listed::Wrong(format!("item {index} is {found:?}, wanted {wanted:?}: {item:x?}"));
                    }
                    if let Some(wrong) = self.misplaced(records[expected].0, item) {
                        return Listed::Wrong(format!("item {index}: {wrong}: {item:x?}"));
                    }
                    next = Some(expected + 1);
                }
            }
        }
        match next {
            Some(next) if next == records.len() => Listed::Complete,
            Some(next)
                if only_begun(items)
                    && items
                        .first()
                        .and_then(landing)
                        .is_some_and(|at| self.amid(&records[next..], at, records.len(), next)) =>
            {
                Listed::Complete
            }
            // Everything may be trimmed before a long-poll from the start, which tells no beginning.
            None if records.is_empty() || self.trims => Listed::Complete,
            _ => Listed::Behind,
        }
    }

    /// The records of `scope` with the batch of each.
    fn records(&self, scope: &Scope) -> Vec<(usize, &Record)> {
        let mut batch = 0;
        let mut found = Vec::new();
        for (at, record) in self.channel.ever.iter().enumerate() {
            while self.batches[batch].records <= at {
                batch += 1;
            }
            if scope.matches(&record.change.address, record.change.key.as_deref()) {
                found.push((batch, record));
            }
        }
        found
    }

    /// For people.
    fn place(&self, batch: usize, record: &Record) -> String {
        let low = batch.checked_sub(1).map_or(0, |before| self.batches[before].offset);
        let high = self.batches[batch].offset;
        format!("{} n={} of ({low:x}, {high:x}]", record.change.op.as_str(), record.change.data["n"])
    }

    /// The first of `records` behind the server's `offset`. Batches become visible whole, and
    /// retention trims at their borders.
    fn after(&self, records: &[(usize, &Record)], offset: u64) -> usize {
        let batch = self.batches.partition_point(|batch| batch.offset <= offset);
        records.partition_point(|(own, _)| *own < batch)
    }

    /// Retention trims at a record, and a chain begins at one, which may be amid a batch; the list
    /// says nothing of which records of that batch are gone. Whether `found` is the first that can be left.
    fn amid(&self, rest: &[(usize, &Record)], landing: u64, found: usize, expected: usize) -> bool {
        let Some((batch, _)) = rest.first() else { return false };
        let low = batch.checked_sub(1).map_or(0, |before| self.batches[before].offset);
        let inside = low < landing && landing < self.batches[*batch].offset;
        inside && found > expected && rest[..found - expected].iter().all(|(own, _)| own == batch)
    }

    /// An event's cursor must stand inside its batch.
    fn misplaced(&self, batch: usize, item: &Item) -> Option<String> {
        let Item::Event { offset: Some(offset), .. } = item else { return Some("it has no cursor".to_owned()) };
        let low = batch.checked_sub(1).map_or(0, |before| self.batches[before].offset);
        let high = self.batches[batch].offset;
        (*offset <= low || *offset > high).then(|| format!("its batch was acknowledged as ({low}, {high}]"))
    }
}

/// Where a list that begins, or goes on behind a gap, says that it does.
fn landing(item: &Item) -> Option<u64> {
    match item {
        Item::Begin { offset } | Item::Gap { to: offset, .. } => *offset,
        Item::Event { .. } | Item::Notice { .. } => None,
    }
}

/// Nothing has come yet but where the watch begins.
fn only_begun(items: &[Item]) -> bool {
    items.iter().all(|item| matches!(item, Item::Begin { .. }))
}

/// The offset of an event.
fn standing(item: &Item) -> Option<u64> {
    let Item::Event { offset, .. } = item else { return None };
    *offset
}

fn same(record: &Record, item: &Item) -> bool {
    let Item::Event { op, address, key, data, .. } = item else { return false };
    let change = &record.change;
    let value = if change.op == Op::Delete { &Value::Null } else { &change.data };
    change.op.as_str() == op && change.address == *address && change.key == *key && value == data
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_core::Target;

    use super::*;
    use crate::model::Change;

    /// Two batches of two events: offsets 1, 2 and 3, 4.
    fn truth(trims: bool) -> Truth {
        let mut channel = Channel::new("c", false);
        let mut batches = Vec::new();
        for batch in [[1, 2], [3, 4]] {
            channel.append(&batch.map(|n| Change::append("c/a", json!({"n": n}))));
            batches.push(Acknowledged { offset: channel.head, records: channel.ever.len() });
        }
        Truth { channel, trims, batches }
    }

    fn scope() -> Scope {
        Scope { target: Target::parse("c/*").expect("a pattern"), key: None }
    }

    fn events(numbers: &[u64]) -> Vec<Item> {
        let event = |n: &u64| Item::Event {
            op: "append".to_owned(),
            address: "c/a".to_owned(),
            key: None,
            data: json!({"n": n}),
            offset: Some(*n),
        };
        numbers.iter().map(event).collect()
    }

    fn from(offset: u64, numbers: &[u64]) -> Vec<Item> {
        [vec![Item::Begin { offset: Some(offset) }], events(numbers)].concat()
    }

    fn behind_gap(to: u64, numbers: &[u64]) -> Vec<Item> {
        let gap = Item::Gap { to: Some(to), reason: "retention".to_owned() };
        [from(0, &[1]), vec![gap], events(numbers)].concat()
    }

    #[test]
    fn a_list_is_complete_behind_or_wrong() {
        let judge = |items: &[Item]| truth(false).list(&scope(), items);
        assert_eq!(judge(&from(0, &[1, 2, 3, 4])), Listed::Complete);
        assert_eq!(judge(&from(2, &[3, 4])), Listed::Complete);
        assert_eq!(judge(&from(0, &[1, 2, 3])), Listed::Behind);
        for wrong in
            [from(0, &[2, 3, 4]), from(0, &[1, 1, 2]), from(0, &[1, 3]), from(2, &[3, 4, 4]), behind_gap(2, &[3])]
        {
            assert!(matches!(judge(&wrong), Listed::Wrong(_)), "{wrong:?}");
        }
    }

    #[test]
    fn a_gap_excuses_what_was_trimmed_and_nothing_else() {
        let judge = |items: &[Item]| truth(true).list(&scope(), items);
        assert_eq!(judge(&behind_gap(2, &[3, 4])), Listed::Complete);
        assert_eq!(judge(&behind_gap(3, &[4])), Listed::Complete, "trimmed amid a batch");
        let amid = [from(0, &[1, 2, 3]), vec![Item::Gap { to: Some(3), reason: "retention".to_owned() }], events(&[4])];
        assert_eq!(judge(&amid.concat()), Listed::Complete, "from amid a batch to amid the same");
        for wrong in [behind_gap(2, &[4]), behind_gap(0, &[1, 2])] {
            assert!(matches!(judge(&wrong), Listed::Wrong(_)), "{wrong:?}");
        }
    }
}
