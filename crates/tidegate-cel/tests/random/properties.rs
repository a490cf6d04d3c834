//! What must hold for any expression and any event.

use tidegate_cel::{Activation, Expression, Json, Value};

use super::cases;
use super::generate::variables;

/// An expression that matches is found by each of its equalities: an index misses nothing.
#[test]
fn an_index_finds_what_matches() {
    let (mut matched, mut looked_up) = (0, 0);
    cases(|generator| {
        let source = generator.indexed();
        let Ok(expression) = Expression::parse(&source, &variables()) else { return };
        for _ in 0..8 {
            let made = generator.event();
            let params = made.params();
            let event = made.event(&params);
            if expression.matches(&event) != Ok(true) {
                continue;
            }
            matched += 1;
            for equality in expression.equalities() {
                looked_up += 1;
                let key = equality.path.key(&event);
                let found = key.as_ref().is_some_and(|key| equality.keys.contains(key));
                assert!(
                    found,
                    "{source} matches {made:?}, and {} is {key:?}, not in {:?}",
                    equality.path, equality.keys
                );
            }
        }
    });
    println!("{matched} matches, {looked_up} of them by equalities");
    assert!(looked_up > 100, "the generator makes too few");
}

/// The normal form is CEL, means the same, and is its own normal form.
#[test]
fn the_normal_form_means_the_same() {
    cases(|generator| {
        let source = generator.source();
        let Ok(expression) = Expression::parse(&source, &variables()) else { return };
        let canonical = expression.canonical();
        let again = Expression::parse(canonical, &variables()).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(again, expression, "{source}");
        assert_eq!(again.equalities(), expression.equalities(), "{source}");
        for _ in 0..4 {
            let made = generator.event();
            let params = made.params();
            let event = made.event(&params);
            assert_eq!(again.matches(&event), expression.matches(&event), "{source} of {made:?}");
        }
    });
}

/// Whichever side of an equality stands first, it is one expression, found by the same index.
#[test]
fn swapped_sides_are_one_expression() {
    let mut found = 0;
    cases(|generator| {
        let [one, other] = generator.swapped();
        let parse = |source: &str| Expression::parse(source, &variables());
        let (Ok(first), Ok(second)) = (parse(&one), parse(&other)) else {
            assert_eq!(parse(&one).is_ok(), parse(&other).is_ok(), "{one} and {other}");
            return;
        };
        assert_eq!(first, second, "{one} and {other}");
        assert_eq!(first.equalities(), second.equalities(), "{one} and {other}");
        found += usize::from(!second.equalities().is_empty());
    });
    assert!(found > 100, "the generator makes too few");
}

/// Known first or all at once: the result is the same.
#[test]
fn what_is_folded_means_the_same() {
    cases(|generator| {
        let source = generator.source();
        let Ok(expression) = Expression::parse(&source, &variables()) else { return };
        let made = generator.event();
        let params = made.params();
        let event = made.event(&params);
        let whole = expression.matches(&event);
        for known in 0..5 {
            let folded = expression.fold(&Part { of: &event, slots: &|slot| slot == known });
            let rest = folded.matches(&Part { of: &event, slots: &|slot| slot != known });
            assert_eq!(rest.ok(), whole.ok(), "{source} of {made:?}: {folded} is left");
        }
    });
}

/// What is read is what is named: the rest of the data may be anything.
#[test]
fn what_is_not_read_does_not_matter() {
    cases(|generator| {
        let source = generator.source();
        let Ok(expression) = Expression::parse(&source, &variables()) else { return };
        let (made, other) = (generator.event(), generator.event());
        let read: Vec<String> = expression.paths("data").map(ToString::to_string).collect();
        if read.contains(&"data".to_owned()) {
            return;
        }
        // Members of the data that are not read come from another event.
        let (data, mut mixed) = (object(&made.data), object(&other.data));
        for (name, value) in &data {
            mixed.insert(name.clone(), value.clone());
        }
        let is_read = |name: &String| read.iter().any(|path| path.starts_with(&format!("data.{name}")));
        mixed.retain(|name, _| data.contains_key(name) || !is_read(name));
        let mixed = serde_json::to_string(&mixed).expect("JSON");
        let params = made.params();
        let event = made.event(&params);
        let mixed =
            super::generate::Made { data: mixed, key: made.key.clone(), region: made.region.clone(), op: made.op };
        assert_eq!(
            expression.matches(&mixed.event(&params)).ok(),
            expression.matches(&event).ok(),
            "{source} of {made:?}"
        );
    });
}

fn object(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).expect("an object")
}

/// Some variables of an activation.
struct Part<'p> {
    of: &'p dyn Activation,
    slots: &'p dyn Fn(usize) -> bool,
}

impl Activation for Part<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        (self.slots)(slot).then(|| self.of.variable(slot)).flatten()
    }
}

/// Every JSON text that serde_json reads is decoded to the same.
#[test]
fn json_is_decoded_as_serde_json_does() {
    cases(|generator| {
        let made = generator.event();
        let decoded = Json::decode(made.data.as_bytes()).map(|json| plain(&json));
        assert_eq!(decoded, serde_json::from_str(&made.data).ok(), "{}", made.data);
    });
}

fn plain(json: &Json<'_>) -> serde_json::Value {
    match json {
        Json::Null => serde_json::Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Int(value) => (*value).into(),
        Json::Uint(value) => (*value).into(),
        Json::Double(value) => (*value).into(),
        Json::String(text) => text.as_ref().into(),
        Json::Array(list) => list.iter().map(plain).collect(),
        Json::Object(object) => object.members().iter().map(|(name, value)| (name.to_string(), plain(value))).collect(),
    }
}
