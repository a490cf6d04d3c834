//! What the writer writes: values of many shapes, whose members change one by one.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::rights::{CANARY, NAMES};

/// Members that come, change and go.
const MEMBERS: [&str; 8] = ["n", "kind", "flag", "note", "pos", "tags", "lines", "owner"];

/// A value with most of them.
pub(super) fn whole(rng: &mut StdRng) -> Value {
    let mut data = json!({});
    for name in MEMBERS {
        set(&mut data, name, rng);
    }
    data
}

/// Changes one of them.
pub(super) fn change(data: &mut Value, rng: &mut StdRng) {
    let name = MEMBERS.choose(rng).expect("some");
    set(data, name, rng);
}

/// It has another owner.
pub(super) fn give_away(data: &mut Value, rng: &mut StdRng) {
    set(data, "owner", rng);
}

/// What is in the column `secret` changes, and nothing else.
pub(super) fn change_secret(data: &mut Value, serial: u64, rng: &mut StdRng) {
    data["secret"] = format!("{} {CANARY}{serial}", NAMES.choose(rng).expect("some")).into();
}

fn set(data: &mut Value, name: &str, rng: &mut StdRng) {
    let new = member(name, data.get(name), rng);
    let Some(members) = data.as_object_mut() else { return };
    match new {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.remove(name)),
    }
}

/// `None`: it is not there.
fn member(name: &str, held: Option<&Value>, rng: &mut StdRng) -> Option<Value> {
    let small = |rng: &mut StdRng| -> Value { rng.random_range(0..11).into() };
    let rare = rng.random_range(0..12);
    Some(match (name, rare) {
        (_, 0) => return None,
        ("n", 1) => "many".into(),
        ("n", 2) => 2.5.into(),
        (_, 1) => Value::Null,
        ("n", _) => small(rng),
        ("kind", _) => (*["red", "green", "blue"].choose(rng).expect("some")).into(),
        ("flag", _) => rng.random::<bool>().into(),
        ("note", _) => (*["a note", "another note", "é\u{2028}"].choose(rng).expect("some")).into(),
        ("owner", _) => (*NAMES.choose(rng).expect("some")).into(),
        ("pos", _) => {
            let mut pos = held.filter(|pos| pos.is_object()).cloned().unwrap_or_else(|| json!({"x": 1, "y": 1}));
            pos[*["x", "y", "z"].choose(rng).expect("some")] = small(rng);
            pos
        }
        ("tags", _) => ["hot", "new", "old", "far"].iter().filter(|_| rng.random::<bool>()).copied().collect(),
        _ => lines(held, rng),
    })
}

/// Items by their `sku`: they come, go, move and change.
fn lines(held: Option<&Value>, rng: &mut StdRng) -> Value {
    let mut lines = held.and_then(Value::as_array).cloned().unwrap_or_default();
    if !lines.is_empty() && rng.random() {
        let from = rng.random_range(0..lines.len());
        let line = lines.remove(from);
        if rng.random() {
            lines.insert(rng.random_range(0..=lines.len()), line);
        }
    } else {
        let sku = *["s1", "s2", "s3", "s4"].choose(rng).expect("some");
        lines.retain(|line| line["sku"] != sku);
        lines.insert(rng.random_range(0..=lines.len()), json!({"sku": sku, "count": rng.random_range(0..4)}));
    }
    lines.into()
}
