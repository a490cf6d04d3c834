use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::*;
use crate::json::write_string;

const ROUNDS: usize = 10_000;
const NAMES: [&str; 8] = ["a", "l", "id", "price", "a/b", "~1", "q\"\\", "é\u{1}"];
const LISTS: [&str; 5] = ["a", "l.id,price", "\"a/b\".a,id,l.a", "a.l.id,a.price", "\"q\\\"\\\\\""];

pub(super) const JUDGE: Judge = Judge {
    merge: json_patch::merge,
    apply: |value, patch| {
        let patch: json_patch::Patch = serde_json::from_value(patch.clone()).expect("a patch");
        json_patch::patch(value, &patch).is_ok()
    },
};

/// One value, and how it changes and is spelled.
struct Related(StdRng);

impl Related {
    fn value(&mut self, depth: usize) -> Value {
        match self.0.random_range(0..if depth == 0 { 5 } else { 12 }) {
            0 => Value::Null,
            1 => json!(self.0.random_bool(0.5)),
            2 => json!(self.0.random_range(-3..100)),
            3 => json!(f64::from(self.0.random_range(0..4000)) / 8.0),
            4 => json!("é/~\"\\ text".repeat(self.0.random_range(0..4))),
            5 | 6 => (0..self.0.random_range(0..6)).map(|_| self.value(depth - 1)).collect(),
            7 | 8 => self.items(depth - 1),
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let count = self.0.random_range(0..6);
        (0..count).map(|_| (self.name(), self.value(depth))).collect::<Map<_, _>>().into()
    }

    /// With distinct keys, mostly.
    fn items(&mut self, depth: usize) -> Value {
        let mut ids: Vec<u32> = (0..12).collect();
        ids.shuffle(&mut self.0);
        ids.truncate(self.0.random_range(0..8));
        ids.into_iter().map(|id| self.item(id, depth)).collect()
    }

    fn item(&mut self, id: u32, depth: usize) -> Value {
        let mut item = self.object(depth);
        item["id"] = if self.0.random_bool(0.8) { json!(format!("n/{id}")) } else { json!(id) };
        item
    }

    fn name(&mut self) -> String {
        (*NAMES.choose(&mut self.0).expect("names")).to_owned()
    }

    /// A few changes, anywhere.
    fn change(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) if !members.is_empty() && self.0.random_bool(0.9) => {
                let name = members.keys().nth(self.0.random_range(0..members.len())).expect("one").clone();
                match self.0.random_range(0..10) {
                    0 => drop(members.remove(&name)),
                    1 => drop(members.insert(self.name(), self.value(2))),
                    _ => self.change(&mut members[&name]),
                }
            }
            Value::Array(items) if !items.is_empty() && self.0.random_bool(0.9) => {
                let [one, other] = [self.0.random_range(0..items.len()), self.0.random_range(0..items.len())];
                match self.0.random_range(0..8) {
                    0 => drop(items.remove(one)),
                    1 => items.insert(one, self.item(99, 1)),
                    2 => {
                        let item = items.remove(one);
                        items.insert(other, item);
                    }
                    3 => items.swap(one, other),
                    _ => self.change(&mut items[one]),
                }
            }
            value => *value = self.value(2),
        }
    }

    /// One of the many texts of a value.
    fn spell(&mut self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.0.random_bool(0.2) {
                    members.shuffle(&mut self.0);
                }
                out.push(b'{');
                if let Some((name, value)) = members.last().filter(|_| self.0.random_bool(0.05)) {
                    // Of equal names the last counts.
                    self.string(name, out);
                    out.push(b':');
                    self.spell(&json!([value, 0]), out);
                    out.push(b',');
                }
                for (index, (name, value)) in members.into_iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b"," } else { b"" });
                    self.space(out);
                    self.string(name, out);
                    self.space(out);
                    out.push(b':');
                    self.space(out);
                    self.spell(value, out);
                }
                self.space(out);
                out.push(b'}');
            }
            Value::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { b"," } else { b"" });
                    self.space(out);
                    self.spell(item, out);
                }
                self.space(out);
                out.push(b']');
            }
            Value::String(text) => self.string(text, out),
            other => out.extend_from_slice(other.to_string().as_bytes()),
        }
    }

    fn space(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.0.random_bool(0.05) { b" " } else { b"" });
    }

    fn string(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.0.random_bool(0.95) {
            return write_string(text, out);
        }
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        out.extend_from_slice(format!("\"{escaped}\"").as_bytes());
    }

    fn spelled(&mut self, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        self.spell(value, &mut out);
        out
    }
}

fn related() -> Related {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("seed"));
    println!("TIDEGATE_SEED={seed}");
    Related(StdRng::seed_from_u64(seed))
}

#[test]
fn patches_lead_from_a_value_to_what_became_of_it() {
    let mut related = related();
    let (mut merges, mut operations) = (0, 0);
    for _ in 0..ROUNDS {
        let before = if related.0.random_bool(0.8) { related.object(3) } else { related.value(3) };
        let mut after = before.clone();
        for _ in 0..related.0.random_range(1..4) {
            related.change(&mut after);
        }
        let list = LISTS.choose(&mut related.0).expect("lists").as_bytes();
        let lines = [list, &related.spelled(&before), &related.spelled(&after)].join(&b'\n');
        let found = patches(&lines, JUDGE);
        merges += usize::from(found.merge);
        operations += usize::from(found.operations);
    }
    println!("{merges} merge patches, {operations} JSON patches of {ROUNDS}");
    assert!(merges > ROUNDS / 8 && operations > ROUNDS / 8, "{merges} {operations}");
}

#[test]
fn however_a_value_is_spelled_it_is_equal_to_itself() {
    let mut related = related();
    for _ in 0..ROUNDS / 4 {
        let value = related.object(3);
        let (one, other) = (related.spelled(&value), related.spelled(&value));
        assert!(equal(&one, &other), "{}", String::from_utf8_lossy(&[one, other].join(&b'\n')));
        assert_eq!(merge_patch(&one, &other).as_deref(), Some(&b"{}"[..]));
        assert_eq!(json_patch(&one, &other, &ItemKeys::default()).as_deref(), Some(&b"[]"[..]));
    }
}

#[test]
fn what_is_shown_of_what_a_patch_made_is_what_is_shown_of_the_value() {
    let mut related = related();
    for list in LISTS {
        let fields: Fields = list.parse().expect("fields");
        for _ in 0..ROUNDS / 10 {
            let before = related.object(3);
            let mut after = before.clone();
            related.change(&mut after);
            let (old, new) = (related.spelled(&before), related.spelled(&after));
            let Some(patch) = merge_patch(&old, &new) else { continue };
            let mut applied = before;
            json_patch::merge(&mut applied, &value(&patch).expect("JSON"));
            let applied = related.spelled(&applied);
            assert!(
                equal(&fields.project(&applied), &fields.project(&new)),
                "{list}: {}",
                String::from_utf8_lossy(&patch)
            );
        }
    }
}

/// What fuzzing found, and what it starts from.
#[test]
fn the_corpus_holds() {
    let mut shown = Found::default();
    for bytes in corpus("patches") {
        let found = patches(&bytes, JUDGE);
        shown = Found { merge: shown.merge | found.merge, operations: shown.operations | found.operations };
    }
    assert_eq!(shown, Found { merge: true, operations: true });
    corpus("cursors").iter().for_each(|bytes| cursor(bytes));
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let files = std::fs::read_dir(folder).expect("a corpus").map(|file| file.expect("a file").path());
    let files: Vec<Vec<u8>> = files.map(|path| std::fs::read(path).expect("a file")).collect();
    assert!(files.len() > 5, "{name} has {} files", files.len());
    files
}
