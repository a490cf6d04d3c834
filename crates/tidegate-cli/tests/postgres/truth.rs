//! What the database itself says happened: the order of commits as its own decoder gives it, and
//! what a history must therefore be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_testkit::postgres::Cluster;
use tidegate_testkit::replica::Rows;

const SLOT: &str = "truth";

/// From now on the database keeps what [`ledger`] will tell.
pub(crate) fn begin(cluster: &Cluster) {
    cluster.sql("postgres", &format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')"));
}

/// Sequence and transaction of each row of `ledger`, in commit order.
pub(crate) fn ledger(cluster: &Cluster) -> Vec<(u64, u64)> {
    let text = cluster.sql(
        "postgres",
        &format!(
            "SELECT substring(data from 'seq\\[bigint\\]:(\\d+)'), xid FROM pg_logical_slot_peek_changes('{SLOT}', NULL, NULL)
             WHERE data LIKE 'table public.ledger: INSERT: %'"
        ),
    );
    let numbers =
        |line: &str| line.split_once('|').map(|(seq, xid)| (seq.parse().expect("seq"), xid.parse().expect("xid")));
    text.lines().map(|line| numbers(line).expect("two columns")).collect()
}

/// What replaying a history from its beginning gives.
pub(crate) fn replayed(frames: &[Value]) -> Rows {
    let mut rows = Rows::new();
    for frame in frames {
        let id = || {
            let text = |name: &str| frame[name].as_str().unwrap_or_else(|| panic!("no {name}: {frame}")).to_owned();
            (text("address"), text("key"))
        };
        match frame["op"].as_str() {
            Some("upsert") => drop(rows.insert(id(), frame["data"].clone())),
            Some("delete") => assert!(rows.remove(&id()).is_some(), "a delete of what was not there: {frame}"),
            Some("clear") => rows.clear(),
            _ => {}
        }
    }
    rows
}

fn sequences(frames: &[Value]) -> Vec<u64> {
    let upserts = frames.iter().filter(|frame| frame["op"] == "upsert");
    upserts.map(|frame| frame["data"]["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {frame}"))).collect()
}

/// Each sequence once, and no other.
pub(crate) fn has_each_once(frames: &[Value], truth: &[(u64, u64)]) {
    let found = sequences(frames);
    let wanted: BTreeSet<u64> = truth.iter().map(|(seq, _)| *seq).collect();
    let once: BTreeSet<u64> = found.iter().copied().collect();
    let missing: Vec<_> = wanted.difference(&once).take(10).collect();
    let invented: Vec<_> = once.difference(&wanted).take(10).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing {missing:?}, invented {invented:?}");
    assert_eq!(found.len(), once.len(), "a sequence came twice");
}

/// Behind the rows of the first snapshot, at most `snapshot_max`, which are of no transaction:
/// everything in commit order, the rows of a transaction together and marked as one.
pub(crate) fn is_in_commit_order(frames: &[Value], truth: &[(u64, u64)], snapshot_max: usize) {
    let snapshot = frames.iter().take_while(|frame| frame.get("tx").is_none()).count();
    assert!(
        snapshot <= snapshot_max,
        "{snapshot} rows have no transaction, {snapshot_max} were there at the beginning"
    );
    let (live, truth) = (&frames[snapshot..], &truth[snapshot..]);
    let found = sequences(live);
    if let Some(at) = (0..truth.len()).find(|at| found.get(*at) != Some(&truth[*at].0)) {
        let around = at.saturating_sub(3)..(at + 3).min(found.len());
        panic!("not in commit order at {at}: {:?} where {:?} was committed", &found[around.clone()], &truth[around]);
    }
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for (at, (frame, (_, xid))) in live.iter().zip(truth).enumerate() {
        let tx = frame["tx"].as_str().unwrap_or_else(|| panic!("no tx: {frame}"));
        assert_eq!(*names.entry(tx).or_insert(*xid), *xid, "two transactions have one name: {frame}");
        let last = truth.get(at + 1).is_none_or(|(_, next)| next != xid);
        assert_eq!(frame["tx_last"] == true, last, "the last of its transaction, or not: {frame}");
    }
    let transactions: BTreeSet<u64> = truth.iter().map(|(_, xid)| *xid).collect();
    assert_eq!(names.len(), transactions.len(), "one transaction has two names");
}
