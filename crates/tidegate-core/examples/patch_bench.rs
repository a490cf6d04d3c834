//! What views of a value cost, in ns per call: a market tick of 20 fields of which two change, and the
//! worst that a publisher can send.
//!
//! `cargo run --release -p tidegate-core --example patch_bench`

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use tidegate_core::patch::VALUE_BYTES_MAX;
use tidegate_core::{Fields, ItemKeys, equal, json, json_patch, merge_patch};

/// How long each measurement takes.
const MEASURE_MS: u128 = 300;

fn tick(bid: &str, ask: &str, last_field: &str) -> Vec<u8> {
    format!(
        concat!(
            r#"{{"symbol":"AAPL","venue":"XNAS","currency":"USD","bid":{bid},"ask":{ask},"bid_size":300,"ask_size":200,"#,
            r#""last":187.42,"last_size":100,"open":185.10,"high":188.01,"low":184.77,"close":186.20,"volume":48211093,"#,
            r#""vwap":186.63,"trades":481220,"halted":false,"session":"regular","sector":"technology",{last}}}"#
        ),
        bid = bid,
        ask = ask,
        last = last_field
    )
    .into_bytes()
}

/// Prints the fastest of many runs of a few calls.
fn measure<T>(what: &str, mut call: impl FnMut() -> T) {
    const CALLS: u32 = 100;
    let begin = Instant::now();
    let mut best = f64::MAX;
    while begin.elapsed().as_millis() < MEASURE_MS {
        let run = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        best = best.min(run.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    println!("{best:>10.0} ns  {what}");
}

/// Prints one call.
fn once<T>(what: &str, call: impl FnOnce() -> T) {
    let begin = Instant::now();
    black_box(call());
    println!("{:>10.1} ms  {what}", begin.elapsed().as_secs_f64() * 1e3);
}

fn main() {
    let before = tick("187.40", "187.44", r#""country":"US""#);
    let after = tick("187.41", "187.45", r#""country":"US""#);
    let one_new = tick("187.41", "187.45", r#""country":"US","note":"new""#);
    let keys = ItemKeys::default();
    let length = |patch: Option<Vec<u8>>| patch.map_or(0, |patch| patch.len());
    println!(
        "a value of {} bytes, 20 fields, two change: merge patch {} bytes, JSON patch {} bytes",
        after.len(),
        length(merge_patch(&before, &after)),
        length(json_patch(&before, &after, &keys))
    );
    let text = Bytes::from(after.clone());
    measure("validate, to compare", || json::validate(&text));
    measure("merge_patch", || merge_patch(&before, &after));
    measure("json_patch", || json_patch(&before, &after, &keys));
    measure("merge_patch with a field more", || merge_patch(&before, &one_new));
    measure("equal, and so they are by bytes", || equal(&after, &text));
    measure("equal, and they are not", || equal(&before, &after));
    for list in ["bid,ask", "symbol,bid,ask,last,volume", "symbol.x,bid,\"a.b\".c"] {
        let fields: Fields = list.parse().expect("fields");
        measure(&format!("project {list}"), || fields.project(&after));
    }
    println!("values of {VALUE_BYTES_MAX} bytes, made to be slow");
    for (what, before, after) in hostile() {
        once(&format!("merge_patch, {what}"), || merge_patch(&before, &after));
        once(&format!("json_patch, {what}"), || json_patch(&before, &after, &keys));
    }
}

fn hostile() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let members = |first: usize| {
        let many = (0..VALUE_BYTES_MAX / 12).map(|n| format!("\"{:x}\":{first}", (n + first) % (VALUE_BYTES_MAX / 12)));
        format!("{{{}}}", many.collect::<Vec<_>>().join(",")).into_bytes()
    };
    let nested = |leaf: char, turned: bool| {
        let text = leaf.to_string().repeat(VALUE_BYTES_MAX - 4_000);
        let (open, close) = if turned { ("{\"z\":0,\"a\":", "}") } else { ("{\"a\":", ",\"z\":0}") };
        format!("{}\"{text}\"{}", open.repeat(120), close.repeat(120)).into_bytes()
    };
    let numbers = |one: u8| format!("[{}]", vec![one.to_string(); VALUE_BYTES_MAX / 2 - 1].join(",")).into_bytes();
    let names =
        |value: u8| format!("{{\"x\":{value},{}\"\":0}}", "\"\":0,".repeat(VALUE_BYTES_MAX / 5 - 4)).into_bytes();
    vec![
        ("many members in another order, all changed", members(0), members(7)),
        ("deep, in another order, a long text at the end", nested('a', false), nested('b', true)),
        ("many numbers, all changed", numbers(1), numbers(2)),
        ("many equal names", names(1), names(2)),
    ]
}
