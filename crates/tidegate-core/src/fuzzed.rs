//! What must hold for any values and for any cursor: called by the fuzz targets, and by a test with
//! related values and with the corpus of the targets.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::path::Tree;
use crate::{Cursor, Fields, ItemKeys, equal, json, json_patch, merge_patch};

/// Someone else's library that applies patches: no release needs one.
#[derive(Clone, Copy)]
pub struct Judge {
    /// Applies RFC 7396.
    pub merge: fn(&mut Value, &Value),
    /// Applies RFC 6902; whether it could.
    pub apply: fn(&mut Value, &Value) -> bool,
}

/// Which patches there were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Of RFC 7396.
    pub merge: bool,
    /// Of RFC 6902.
    pub operations: bool,
}

/// Three lines: a list of fields, a value, and the value after a change. The projections are what they
/// should be, and patches between the values and between their projections lead from one to the other.
///
/// # Panics
/// If that does not hold.
pub fn patches(data: &[u8], judge: Judge) -> Found {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (Some(list), Some(before), Some(after)) = (lines.next(), lines.next(), lines.next()) else {
        return Found::default();
    };
    let valid = |text: &[u8]| json::validate(&Bytes::copy_from_slice(text)).ok();
    let (Some(before), Some(after)) = (valid(before), valid(after)) else { return Found::default() };
    if let Some(fields) = std::str::from_utf8(list).ok().and_then(|list| list.parse::<Fields>().ok()) {
        assert_eq!(fields.as_str().parse().as_ref(), Ok(&fields), "a list and its canonical form");
        let (before, after) = (projected(&fields, &before), projected(&fields, &after));
        lead(&before, &after, judge);
    }
    lead(&before, &after, judge)
}

/// A cursor that is read is written as the same text.
///
/// # Panics
/// If that does not hold.
pub fn cursor(data: &[u8]) {
    let Some(text) = std::str::from_utf8(data).ok() else { return };
    let Ok(read) = text.parse::<Cursor>() else { return };
    assert_eq!(read.to_string(), text);
    assert_eq!(read.at(read.offset.wrapping_add(1)).at(read.offset), read);
    let mut written = Vec::new();
    read.prefix().write(read.offset, &mut written);
    assert_eq!(written, data);
}

/// Patches lead from `before` to `after`, and say so in less.
fn lead(before: &[u8], after: &[u8], judge: Judge) -> Found {
    let keys = ItemKeys::new([("", "id"), ("l", "id"), ("a.l", "id")]).expect("paths");
    let merge = merge_patch(before, after);
    let operations = json_patch(before, after, &keys);
    let same = equal(before, after);
    assert_eq!(same, equal(after, before), "equal both ways");
    // Numbers that no double holds, and nesting that serde_json refuses, are not judged.
    let (Some(old), Some(new)) = (value(before), value(after)) else { return Found::default() };
    assert!(!same || old == new, "not equal");
    if let Some(patch) = &merge {
        assert_eq!(same, patch == b"{}");
        assert!(same || patch.len() < after.len(), "a merge patch is short");
        let mut applied = old.clone();
        (judge.merge)(&mut applied, &value(patch).expect("a merge patch is JSON"));
        assert_eq!(applied, new, "the merge patch {}", String::from_utf8_lossy(patch));
    }
    if let Some(patch) = &operations {
        assert_eq!(same, patch == b"[]");
        assert!(same || patch.len() < after.len(), "a JSON patch is short");
        let mut applied = old;
        let could = (judge.apply)(&mut applied, &value(patch).expect("a JSON patch is JSON"));
        assert!(could && applied == new, "the JSON patch {}", String::from_utf8_lossy(patch));
    }
    Found { merge: merge.is_some(), operations: operations.is_some() }
}

/// What the fields show: twice is as once, and as the slow way shows it.
fn projected(fields: &Fields, data: &Bytes) -> Bytes {
    let shown = fields.project(data);
    assert_eq!(json::validate(&shown).as_ref(), Ok(&shown), "a projection is JSON");
    assert_eq!(fields.project(&shown), shown, "a projection of a projection");
    if let Some(value) = value(data) {
        assert_eq!(self::value(&shown), Some(slowly_projected(fields.tree(), value)), "{fields} of {data:?}");
    }
    shown
}

fn slowly_projected(tree: &Tree<()>, value: Value) -> Value {
    match value {
        _ if tree.here.is_some() => value,
        Value::Object(members) => {
            let below = |name: &str| tree.members.iter().find(|(own, _)| **own == *name).map(|(_, below)| below);
            let shown = members.into_iter().filter_map(|(name, value)| {
                let value = slowly_projected(below(&name)?, value);
                Some((name, value))
            });
            Value::Object(shown.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(|item| slowly_projected(tree, item)).collect(),
        other => other,
    }
}

fn value(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests;
