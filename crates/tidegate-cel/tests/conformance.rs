//! CEL's published conformance cases, as far as they are in the subset. What is outside is refused when
//! it is parsed, or fails: it never has a wrong result.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tidegate_cel::{Activation, Duration, Expression, Kinds, List, Map, Shared, Timestamp, Value, Variables};

const CASES: &str = include_str!("data/conformance.jsonl");

#[test]
fn the_published_cases() {
    let (mut passed, mut wrong) = (0, Vec::new());
    let (mut outside, mut differ) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for line in CASES.lines().filter(|line| !line.starts_with("//")) {
        let case: Json = serde_json::from_str(line).expect("a case");
        let found = run(&case);
        if let Some(reason) = case["outside"].as_str() {
            *outside.entry(reason.to_owned()).or_default() += 1;
            if found.is_ok() {
                wrong.push(format!("{}: is outside, and is {found:?}", case["name"]));
            }
            continue;
        }
        let fits = match (&found, &case["value"]) {
            (Err(_), Json::String(error)) => error == "error",
            (Ok(found), expected) => same(found, expected),
            (Err(_), _) => false,
        };
        if let Some(reason) = case["differs"].as_str() {
            *differ.entry(reason.to_owned()).or_default() += 1;
            if fits || found.is_err() {
                wrong.push(format!("{}: does not differ, it is {found:?}", case["name"]));
            }
        } else if fits {
            passed += 1;
        } else {
            wrong.push(format!("{}: {} is {found:?}, not {}", case["name"], case["expr"], case["value"]));
        }
    }
    println!("{passed} cases pass; they differ: {differ:?}; outside the subset: {outside:?}");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(passed > 1000, "{passed} cases passed");
}

/// The value of a case, or why it has none.
fn run(case: &Json) -> Result<Value<'static>, String> {
    let bindings: Vec<(String, Option<Value<'static>>)> = case["variables"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, typed)| (name.clone(), (!typed.is_null()).then(|| value(typed))))
        .collect();
    let variables = bindings.iter().fold(Variables::new(), |all, (name, _)| all.with(name, Kinds::ANY));
    let source = case["expr"].as_str().expect("a case");
    let expression = Expression::parse(source, &variables).map_err(|error| error.to_string())?;
    let again = Expression::parse(expression.canonical(), &variables).map_err(|error| error.to_string());
    assert_eq!(again.as_ref(), Ok(&expression), "{source}");
    expression.evaluate(&Bindings(bindings)).map(Value::into_owned).map_err(|failure| failure.to_string())
}

struct Bindings(Vec<(String, Option<Value<'static>>)>);

impl Activation for Bindings {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        self.0.get(slot)?.1.as_ref().map(Value::borrowed)
    }
}

/// A value with its kind: `{"int":1}`.
fn value(typed: &Json) -> Value<'static> {
    let (kind, content) = typed.as_object().and_then(|object| object.iter().next()).expect("a case");
    match kind.as_str() {
        "null" => Value::Null,
        "bool" => Value::Bool(content.as_bool().expect("a case")),
        "int" => Value::Int(content.as_i64().expect("a case")),
        "uint" => Value::Uint(content.as_u64().expect("a case")),
        "double" => Value::Double(content.as_str().expect("a case").parse().expect("a case")),
        "string" => Value::text_made(content.as_str().expect("a case")),
        "bytes" => {
            let bytes = content.as_array().expect("a case").iter().map(|byte| byte.as_u64().expect("a case") as u8);
            Value::Bytes(Shared::Owned(bytes.collect()))
        }
        "timestamp" => Value::Timestamp(
            Timestamp::new(content[0].as_i64().expect("a case"), content[1].as_u64().expect("a case") as u32)
                .expect("a case"),
        ),
        "duration" => Value::Duration(Duration::from_nanos(content.as_i64().expect("a case"))),
        "list" => {
            Value::List(List::Values(Shared::Owned(content.as_array().expect("a case").iter().map(value).collect())))
        }
        "map" => {
            let pairs = content.as_array().expect("a case").iter().map(|pair| (value(&pair[0]), value(&pair[1])));
            Value::Map(Map::Values(Shared::Owned(pairs.collect())))
        }
        other => panic!("{other} is no kind"),
    }
}

/// Whether a value is exactly that one: also in its kind, its sign, and as NaN.
fn same(found: &Value<'_>, typed: &Json) -> bool {
    fn equal(a: &Value<'_>, b: &Value<'_>) -> bool {
        match (a, b) {
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(&a, &b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, value)| b.iter().any(|(k, v)| equal(&k, &key) && equal(&v, &value)))
            }
            _ => format!("{a:?}") == format!("{b:?}"),
        }
    }
    typed.is_object() && equal(found, &value(typed))
}
