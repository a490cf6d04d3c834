//! Measures expressions beside the `cel` crate, in nanoseconds: `cargo run --release --example speed`.

#![allow(clippy::print_stdout)]

#[path = "../tests/random/theirs.rs"]
mod theirs;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cel::{Context, Env, Program};
use theirs::theirs;
use tidegate_cel::{Event, Expression, Json, Params, Timestamp};

const DATA: &[u8] = br#"{"symbol":"GOOG","price":187.25,"size":300,"side":"buy","venue":"XNAS","seq":123456,
    "bid":187.2,"ask":187.3,"tags":["a","b","c"],"trader":{"desk":"eq-1","name":"Ada"}}"#;

const SOURCES: [&str; 7] = [
    r#"data.price > 100.0 && data.symbol in ["AAPL","GOOG"]"#,
    r#"data.symbol == "GOOG""#,
    r#"data.trader.desk == "eq-1" || data.size > 1000"#,
    r#"data.tags.exists(t, t == "c")"#,
    r#"data.symbol.startsWith("GO") && has(data.venue)"#,
    r#"data.symbol.matches("^G.*G$")"#,
    r#"(data.ask - data.bid) / data.price < 0.001"#,
];

fn main() {
    let variables = Event::variables([], false);
    let params = Params::default();
    let event = Event::new(DATA, Some("GOOG"), Timestamp::from_millis(0), &params);
    let mut context = Context::with_env(Arc::new(Env::stdlib()));
    context.add_variable_from_value("data", theirs(event.data()));
    println!("{:>8} {:>8} {:>8}   ns: ours, the cel crate, to parse", "", "", "");
    for source in SOURCES {
        let ours = Expression::condition(source, &variables).expect("it is CEL");
        let program = Program::compile(source).expect("it is CEL");
        assert_eq!(ours.matches(&event), Ok(true), "{source}");
        assert_eq!(program.execute(&context), Ok(cel::Value::Bool(true)), "{source}");
        let evaluate = nanos(|| ours.matches(black_box(&event)));
        let cel = nanos(|| program.execute(black_box(&context)));
        let parse = nanos(|| Expression::parse(black_box(source), &variables));
        println!("{evaluate:>8.1} {cel:>8.1} {parse:>8.0}   {source}");
    }
    let decode = nanos(|| Json::decode(black_box(DATA)));
    let serde = nanos(|| serde_json::from_slice::<serde_json::Value>(black_box(DATA)));
    println!("{decode:>8.1} {serde:>8.1}            to decode {} bytes, and with serde_json", DATA.len());
    let hostile = "1+".repeat(1500) + "1";
    let refuse = nanos(|| Expression::parse(black_box(&hostile), &variables));
    println!("{refuse:>8.0}                     to refuse 3 kB of `1+`");
}

/// Of one call: the best of 20 rounds of 10 ms, as other work of the machine only adds.
fn nanos<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..20 {
        let (begin, mut calls) = (Instant::now(), 0_u32);
        while begin.elapsed() < Duration::from_millis(10) {
            for _ in 0..64 {
                black_box(call());
            }
            calls += 64;
        }
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}
