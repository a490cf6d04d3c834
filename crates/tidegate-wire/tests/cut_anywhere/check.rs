//! What a replica must hold.

use tidegate_testkit::model::Record;
use tidegate_testkit::replica::{Item, Replica, Rows, offset};

use crate::world::World;

/// Compares a replica at its cursor with the world.
pub(crate) fn check(world: &World, replica: &Replica) {
    match replica.rows() {
        Some(rows) => check_state(world, replica, rows),
        None => check_history(world, replica),
    }
}

fn check_state(world: &World, replica: &Replica, rows: &Rows) {
    assert!(replica.settled());
    let at = replica.cursor.as_deref().and_then(offset).expect("a settled replica has a cursor");
    let (_, wanted) = world.states.range(..=at).next_back().expect("state at 0");
    assert_eq!(*rows, wanted.through(&world.look.eye).rows, "at offset {at}");
    assert_eq!((replica.lost, replica.doubled), (0, 0));
}

/// Each record that is told once, in order, from where the history began, with holes only where a gap says so.
fn check_history(world: &World, replica: &Replica) {
    let items = replica.items().expect("history");
    let start = items.iter().find_map(|item| match item {
        Item::Begin { offset } => *offset,
        Item::Gap { to, .. } => *to,
        Item::Event { .. } | Item::Notice { .. } => None,
    });
    let mut skipped_to = start.expect("a history begins somewhere");
    let told = |(at, record): (&u64, &Record)| Some((*at, record.clone(), world.told(record)?));
    let mut wanted = world.records.range(skipped_to + 1..).filter_map(told);
    for item in items {
        match item {
            Item::Begin { .. } => {}
            Item::Gap { to: Some(offset), reason } if reason == "source" => {
                let (at, _, (op, _)) = wanted.find(|(at, ..)| *at > skipped_to).expect("a record that was written");
                assert_eq!((at, op), (*offset, "gap"), "lost or doubled");
            }
            Item::Notice { offset, .. } => {
                let (at, _, (op, _)) = wanted.find(|(at, ..)| *at > skipped_to).expect("a record that was written");
                assert_eq!((Some(at), op), (*offset, "notice"), "lost or doubled");
            }
            Item::Gap { to, .. } => skipped_to = to.expect("a gap of a history says where it ends"),
            Item::Event { op, address, key, data, offset, .. } => {
                let offset = offset.expect("a record has a cursor");
                let (at, record, told) = wanted.find(|(at, ..)| *at > skipped_to).expect("a record that was written");
                assert_eq!(at, offset, "lost or doubled");
                assert_eq!((op.as_str(), data), (told.0, &told.1));
                assert_eq!((address, key), (&record.change.address, &record.change.key));
            }
        }
    }
    assert_eq!(wanted.filter(|(at, ..)| *at > skipped_to).count(), 0, "records at the end are missing");
    assert_eq!((replica.lost, replica.doubled), (0, 0));
}
