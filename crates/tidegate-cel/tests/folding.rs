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
