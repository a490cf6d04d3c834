//! Partial evaluation: claims are folded away when a watch begins, and a small rest is left.

use tidegate_cel::{Activation, Expression, Json, Kinds, Value, Variables};

/// Claims, and the data of a row if it is known already.
struct Known<'k> {
    claims: Option<&'k Json<'k>>,
    data: Option<&'k Json<'k>>,
}

impl Activation for Known<'_> {
    fn variable(&self, slot: usize) -> Option<Value<'_>> {
        [self.claims, self.data].get(slot).copied().flatten().map(Value::from)
    }
}

fn variables() -> Variables {
    Variables::new().with("claims", Kinds::ANY).with("data", Kinds::ANY)
}

const CLAIMS: &str = r#"{"sub":"u1","tenant":7,"roles":["admin","ops"],"limit":10.5}"#;

#[test]
fn what_is_known_is_folded() {
    for (source, rest) in [
        ("data.owner == claims.sub", "data.owner==\"u1\""),
        ("'admin' in claims.roles", "true"),
        ("'root' in claims.roles || data.owner == claims.sub", "data.owner==\"u1\""),
        ("'root' in claims.roles && data.owner == claims.sub", "false"),
        ("data.role in claims.roles", "data.role in [\"admin\",\"ops\"]"),
        ("claims.roles.exists(r, r == data.role)", "[\"admin\",\"ops\"].exists(r,data.role==r)"),
        ("has(claims.sub) ? data.a == 1 : data.b == 1", "data.a==1"),
        ("has(claims.missing)", "false"),
        ("claims.missing == data.a", "claims.missing==data.a"),
        ("claims.missing == data.a || data.b == claims.tenant + 1", "claims.missing==data.a||data.b==8"),
        ("data.price < claims.limit", "data.price<10.5"),
    ] {
        let whole = Expression::parse(source, &variables()).unwrap();
        let claims = Json::decode(CLAIMS.as_bytes()).unwrap();
        let folded = whole.fold(&Known { claims: Some(&claims), data: None });
        assert_eq!(folded.canonical(), rest, "{source}");
        for row in [r#"{"owner":"u1","role":"ops","a":1,"b":8,"price":10}"#, r#"{"owner":"u2"}"#, "{}"] {
            let data = Json::decode(row.as_bytes()).unwrap();
            let all = Known { claims: Some(&claims), data: Some(&data) };
            let rest = Known { claims: None, data: Some(&data) };
            assert_eq!(whole.matches(&all).ok(), folded.matches(&rest).ok(), "{source} of {row}");
        }
    }
}

#[test]
fn what_can_never_be_true_without_a_variable_is_known() {
    let parse = |source: &str| {
        let variables = Variables::new().with("claims", Kinds::ANY).with("data", Kinds::ANY);
        Expression::condition(source, &variables).expect(source)
    };
    for source in [
        "data.a == claims.a",
        "has(claims.a) || data.a in claims.b",
        "data.a == 1 && claims.b",
        "data.a == 1 && data.a == 2",
        "claims.a ? true : data.b",
        "claims.list.exists(one, one == data.a)",
        "false",
    ] {
        assert!(parse(source).is_never_true(&["claims"]), "{source}");
    }
    for source in [
        "data.a == claims.a || data.b",
        "data.b ? claims.a : true",
        "data.list.all(one, one == claims.a)",
        "!(data.b && claims.a)",
        "true",
    ] {
        assert!(!parse(source).is_never_true(&["claims"]), "{source}");
    }
    assert!(!parse("data.a == claims.a").is_never_true(&[]));
}

#[test]
fn two_conditions_are_one() {
    let parse = |source: &str| Expression::condition(source, &Variables::new().with("data", Kinds::ANY)).expect(source);
    let both = |a: &str, b: &str| parse(a).and(&parse(b)).canonical().to_owned();
    assert_eq!(both("data.a == 1", "data.b || data.c"), parse("data.a == 1 && (data.b || data.c)").canonical());
    assert_eq!(both("true", "data.a == 1"), "data.a==1");
    assert_eq!(both("data.a == 1", "false"), "false");
    assert_eq!(parse("data.a == 1").and(&parse("data.b == 2")).equalities().len(), 2);
}
