//! A list of fields and two values, a line each; what must hold is in `tidegate_core::fuzzed`.

#![no_main]

use serde_json::Value;
use tidegate_core::fuzzed::{Judge, patches};

const JUDGE: Judge = Judge { merge: json_patch::merge, apply };

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    patches(data, JUDGE);
});

fn apply(value: &mut Value, patch: &Value) -> bool {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).expect("a patch");
    json_patch::patch(value, &patch).is_ok()
}
