//! The `cel` crate beside: random expressions of random events have the same result, or both fail.
//!
//! Where they differ on purpose stands in [`difference`], each with what the specification says.

use std::sync::Arc;

use cel::{Context, Env, Program};
use tidegate_cel::{Expression, Json, Value};

use super::cases;
use super::generate::{Generator, Made, TIME, variables};
use super::theirs::theirs;

#[test]
fn the_results_are_those_of_the_cel_crate() {
    compare(|generator| {
        let source = generator.source();
        [source.clone(), source]
    });
}

#[test]
fn swapped_sides_have_the_results_of_the_cel_crate() {
    compare(|generator| generator.swapped());
}

/// Compares what this crate makes of one source with what the other makes of another one that means the same.
fn compare(mut sources: impl FnMut(&mut Generator) -> [String; 2]) {
    let (mut same, mut failed, mut refused) = (0, 0, 0);
    let mut differences = std::collections::BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    cases(|generator| {
        let [source, other] = sources(generator);
        let Ok(expression) = Expression::parse(&source, &variables()) else {
            refused += 1;
            return;
        };
        let theirs = Program::compile(&other).unwrap_or_else(|error| panic!("{other}: {error}"));
        for _ in 0..3 {
            let made = generator.event();
            let params = made.params();
            let event = made.event(&params);
            let our_result = expression.evaluate(&event).ok().map(|value| ours(&value));
            let their_result = theirs.execute(&context(&made)).ok().map(|value| text(&value));
            if our_result == their_result {
                same += 1;
                failed += usize::from(our_result.is_none());
            } else if let Some(reason) = difference(&source, &made.data, our_result.as_deref(), their_result.as_deref())
            {
                *differences.entry(reason).or_default() += 1;
            } else {
                wrong.push(format!("{source}\n  of {made:?}\n  is {our_result:?}, and theirs {their_result:?}"));
            }
        }
    });
    println!(
        "{same} are the same ({failed} of them failures), {refused} sources refused; they differ: {differences:?}"
    );
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert!(same > 10 * differences.values().sum::<usize>(), "too many differences are allowed");
}

/// Why a difference is none of ours.
fn difference(source: &str, data: &str, ours: Option<&str>, theirs: Option<&str>) -> Option<&'static str> {
    // "key in map" tests whether there is such a key. What can be no key is in no map; theirs fails.
    let in_map = source.contains(" in data.o") && ours.is_some() && theirs.is_none();
    // "Numeric values compare as if on a continuous number line": theirs makes doubles of ints first, so
    // that 2^53 and 2^53 + 1 are equal.
    const LARGE: [&str; 3] = ["9007199254740993", "9223372036854775807", "18446744073709551615"];
    let doubles =
        ["9007199254740992.0", "double(", "1e18"].iter().any(|double| source.contains(double) || data.contains(double));
    let lossy = doubles && LARGE.iter().any(|large| source.contains(large) || data.contains(large));
    match (in_map, lossy) {
        (true, _) => Some("what can be no key, in a map"),
        (_, true) => Some("large ints beside doubles"),
        _ => None,
    }
}

fn context(made: &Made) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::new(Env::stdlib()));
    let data = Json::decode(made.data.as_bytes()).expect("JSON");
    context.add_variable_from_value("data", theirs(&data));
    context.add_variable_from_value("key", made.key.clone());
    context.add_variable_from_value("op", made.op.to_owned());
    let params = Json::decode(format!("{{\"region\":\"{}\"}}", made.region).as_bytes()).map(|json| theirs(&json));
    context.add_variable_from_value("params", params.expect("JSON"));
    let time = Program::compile(&format!("timestamp('{TIME}')")).expect("CEL").execute(&context).expect("a time");
    context.add_variable_from_value("time", time);
    context
}

/// A value of ours as text.
fn ours(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => format!("int {value}"),
        Value::Uint(value) => format!("uint {value}"),
        Value::Double(value) => format!("double {value:?}"),
        Value::String(text) => format!("{:?}", &**text),
        Value::List(list) => format!("[{}]", list.iter().map(|value| ours(&value)).collect::<Vec<_>>().join(",")),
        Value::Map(map) => {
            let mut pairs: Vec<String> = map.iter().map(|(key, value)| ours(&key) + ":" + &ours(&value)).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
        other => format!("{other:?}"),
    }
}

/// A value of theirs as text.
fn text(value: &cel::Value) -> String {
    match value {
        cel::Value::Null => "null".to_owned(),
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => format!("int {value}"),
        cel::Value::UInt(value) => format!("uint {value}"),
        cel::Value::Float(value) => format!("double {value:?}"),
        cel::Value::String(text) => format!("{text:?}"),
        cel::Value::List(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(",")),
        cel::Value::Map(map) => {
            let mut pairs: Vec<String> = map
                .map
                .iter()
                .map(|(key, value)| {
                    let key = match key {
                        cel::objects::Key::String(name) => format!("{name:?}"),
                        other => format!("{other:?}"),
                    };
                    key + ":" + &text(value)
                })
                .collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(","))
        }
        other => format!("{other:?}"),
    }
}
