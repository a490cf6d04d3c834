//! Patches of rows: slow, and larger than they could be.

use serde_json::{Map, Value, json};

/// A JSON Merge Patch (RFC 7396) from one value to another; `None` where it cannot say the change, because it would
/// set a null.
pub fn merge_patch(was: &Value, is: &Value) -> Option<Value> {
    let Value::Object(is) = is else { return Some(is.clone()) };
    let none = Map::new();
    let was = was.as_object().unwrap_or(&none);
    let gone = was.keys().filter(|name| !is.contains_key(*name));
    let mut patch: Map<String, Value> = gone.map(|name| (name.clone(), Value::Null)).collect();
    for (name, value) in is.iter().filter(|(name, value)| was.get(*name) != Some(value)) {
        if value.is_null() {
            return None;
        }
        patch.insert(name.clone(), merge_patch(was.get(name).unwrap_or(&Value::Null), value)?);
    }
    Some(Value::Object(patch))
}

/// A JSON Patch (RFC 6902) from one value to another, of whole members.
pub fn json_patch(was: &Value, is: &Value) -> Value {
    let (Value::Object(was), Value::Object(is)) = (was, is) else {
        return json!([{"op": "replace", "path": "", "value": is}]);
    };
    let path = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let gone = was.keys().filter(|name| !is.contains_key(*name));
    let gone = gone.map(|name| json!({"op": "remove", "path": path(name)}));
    let changed = is.iter().filter(|(name, value)| was.get(*name) != Some(value));
    // `add` replaces what is there.
    let changed = changed.map(|(name, value)| json!({"op": "add", "path": path(name), "value": value}));
    gone.chain(changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_makes_the_one_value_of_the_other() {
        let values = [
            json!(null),
            json!([1, null]),
            json!({}),
            json!({"a": 1, "b": {"c": 2}}),
            json!({"a": {"x": []}, "b/~": [null]}),
            json!({"b": {"c": null}}),
            json!({"b": {"d": {}}}),
        ];
        for (was, is) in values.iter().flat_map(|was| values.iter().map(move |is| (was, is))) {
            let mut patched = was.clone();
            let patch: ::json_patch::Patch = serde_json::from_value(json_patch(was, is)).expect("a JSON patch");
            ::json_patch::patch(&mut patched, &patch).expect("it applies");
            assert_eq!(patched, *is);
            match merge_patch(was, is) {
                Some(patch) => {
                    let mut patched = was.clone();
                    ::json_patch::merge(&mut patched, &patch);
                    assert_eq!(patched, *is, "{was} by {patch}");
                }
                None => assert!(is.to_string().contains("null")),
            }
        }
    }
}
